"""Connecting to Restate: its versions, tokens, addresses and links, and where no real server is found."""

import pytest
from pydantic import ValidationError
from starlette.responses import JSONResponse

from bot.domain.errors import ContractViolation
from bot.engines.restate import Restate, RestateSettings
from tests.engines.case_restate import UNKNOWN, engine_for
from tests.engines.cases import CONNECTION, NOBODY_LISTENS, SECRET, Unlimited
from tests.restate_lab.worlds import Stage, server_or_skip, simulated_world

pytestmark = pytest.mark.anyio


async def test_a_server_of_another_age_is_named_at_check(stage: Stage) -> None:
    stage.app = JSONResponse({"version": "9.0", "min_admin_api_version": 9, "max_admin_api_version": 11})
    engine = engine_for(stage.url)

    with pytest.raises(ContractViolation, match=r"9\.0"):
        await engine.check()
    await engine.aclose()


async def test_an_open_server_needs_no_token(stage: Stage) -> None:
    async with simulated_world(stage) as world:
        engine = Restate(CONNECTION, RestateSettings(admin_url=world.admin_url), Unlimited())
        assert "1.7.12" in await engine.check()
        await engine.aclose()


async def test_links_are_read_below_the_configured_pages_only() -> None:
    engine = engine_for(NOBODY_LISTENS, ui_url="https://cloud.example/accounts/a/environments/e/")
    base = "https://cloud.example/accounts/a/environments/e/invocations/"

    good = [
        f"{base}{UNKNOWN}",
        f"{base}{UNKNOWN}?tab=journal#x",
        f"{base}{UNKNOWN}/",
        f"https://CLOUD.example{base[21:]}{UNKNOWN}",
    ]
    bad = [
        f"{base}{UNKNOWN}x'",
        f"http://cloud.example{base[21:]}{UNKNOWN}",
        f"https://cloud.example.evil.test{base[21:]}{UNKNOWN}",
        f"https://evil.test/?u={base}{UNKNOWN}",
        f"https://cloud.example/invocations/{UNKNOWN}",
        f"{base}dp_14opdQdqPZAdL6J7cUH4Wt3",
        f"{NOBODY_LISTENS}/ui/invocations/{UNKNOWN}",
    ]

    assert [engine.read_argument(text) for text in good] == [UNKNOWN] * len(good)
    assert [engine.read_argument(text) for text in bad] == [None] * len(bad)
    await engine.aclose()


@pytest.mark.parametrize(
    "address", ["", "ftp://host", "host:9070", "http://", "http://user:pw@host", "http://host?x=1", "http://host#x"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        RestateSettings(admin_url=address)


def test_settings_print_no_secret_and_take_no_unknown_key() -> None:
    settings = RestateSettings.model_validate({"admin_url": "http://host/", "token": SECRET})

    assert SECRET not in repr(settings)
    assert settings.admin_url == "http://host"
    with pytest.raises(ValidationError):
        RestateSettings.model_validate({"admin_url": "http://host", "tokn": "x"})


def test_a_missing_server_is_a_visible_skip_and_a_failure_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_REAL_ENGINES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Restate server"):
        server_or_skip(find=lambda: None)
    monkeypatch.setenv("REQUIRE_REAL_ENGINES", "1")
    with pytest.raises(pytest.fail.Exception, match="no Restate server"):
        server_or_skip(find=lambda: None)
