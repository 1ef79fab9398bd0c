"""By which doors Slack comes, what `check` says of them, and that none of it tells a secret."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot import logs
from bot.cli_check import findings
from bot.cli_live import live_checks
from bot.simulators.slack import sign
from tests.in_process import DEPLOYS, RITA, SECRET, TOKEN, Bot, logging_as_before, opened
from tests.socket_mode.double import APP_TOKEN, SlackSockets, envelope
from tests.socket_mode.stand import answered, command, connected

pytestmark = pytest.mark.anyio


# ---- both doors --------------------------------------------------------------------------------


async def test_with_a_signing_secret_too_both_doors_are_open(database: str, tmp_path: Path, sockets: SlackSockets) -> None:
    async with opened(database, tmp_path) as bot, connected(bot, sockets) as stand:
        over_http = await bot.slack.command(RITA, DEPLOYS, "/resume", "help")

        over_socket = await stand.help()

        assert over_http.data == over_socket["payload"]


async def test_without_a_signing_secret_slacks_requests_are_not_served_and_all_else_is(database: str, tmp_path: Path) -> None:
    environment = {"SLACK_SIGNING_SECRET": "", "SLACK_APP_TOKEN": APP_TOKEN}
    async with opened(database, tmp_path, environment=environment) as bot:
        content = b"command=%2Fresume&text=help"
        headers = {"Content-Type": "application/x-www-form-urlencoded", **sign("", content)}

        for each in (headers, {**headers, **sign(SECRET, content)}):
            assert (await bot.http.post("/slack/events", content=content, headers=each)).status_code == 404

        assert (await bot.http.get("/readyz")).status_code == 200
        assert (await bot.hook(await bot.failed())).status_code == 202


DOORS = [
    ({"SLACK_APP_TOKEN": APP_TOKEN}, "SLACK_SIGNING_SECRET, and over Socket Mode, by SLACK_APP_TOKEN"),
    (
        {"SLACK_APP_TOKEN": APP_TOKEN, "SLACK_SIGNING_SECRET": ""},
        "over Socket Mode, by SLACK_APP_TOKEN; POST /slack/events is not",
    ),
    ({}, "at POST /slack/events, by SLACK_SIGNING_SECRET"),
]


@pytest.mark.parametrize(("environment", "words"), DOORS, ids=["both", "socket", "http"])
async def test_check_says_which_doors_are_open(database: str, tmp_path: Path, environment: dict[str, str], words: str) -> None:
    async with opened(database, tmp_path, environment=environment) as bot:
        found = {each.subject: each for each in await findings(bot.settings, live=False)}

    assert found["deliveries"].ok
    assert words in found["deliveries"].sentence


@pytest.mark.parametrize(
    ("refusals", "ok", "words"),
    [
        ([], True, "Slack opens connections"),
        (["not_allowed_token_type"], False, "make an app-level token (xapp-…) with the scope connections:write"),
        (["internal_error"], False, "Slack cannot answer apps.connections.open now"),
    ],
)
async def test_the_live_check_asks_for_a_connection(
    bot: Bot, sockets: SlackSockets, refusals: list[str], ok: bool, words: str
) -> None:
    sockets.upstream, sockets.refusals = bot.slack.public_url, refusals
    changed = {"slack_app_token": SecretStr(APP_TOKEN), "slack_api_url": f"{sockets.url}/api/"}

    found = {each.subject: each for each in await live_checks(bot.settings.model_copy(update=changed), has_database=False)}

    assert found["slack"].ok
    assert found["socket mode"].ok is ok
    assert words in found["socket mode"].sentence
    assert sockets.broken == []


# ---- secrets -----------------------------------------------------------------------------------

Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """What the log has written."""
    with logging_as_before():
        yield lambda: capsys.readouterr().err


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_neither_token_nor_ticket_nor_delivery_is_in_the_log_whatever_happens(
    said: Said, bot: Bot, sockets: SlackSockets, level: str
) -> None:
    logs.set_up(level, "console", [])  # what is masked must not be needed
    sockets.down = True
    async with connected(bot, sockets):
        sockets.refusals, sockets.down = ["internal_error"], False
        sockets.expire()
        wire = await sockets.connected()
        sockets.expire()
        await wire.send("{nonsense")
        await answered(await sockets.deliver(envelope("slash_commands", command("help", response_url="https://x/secret"))))
        await wire.disconnect("refresh_requested")
        (await sockets.connected(2)).cut()
        await sockets.seen(lambda: len(sockets.tickets) >= 3 and len(sockets.wires) == 2, "third connection")
        sockets.address = f"{sockets.url.replace('http', 'ws', 1)}/elsewhere/?ticket={{ticket}}"
        for each in [*sockets.wires]:
            await each.close()
        await sockets.seen(lambda: len(sockets.tickets) >= 5, "redirected tries")
        sockets.address = ""
        await sockets.connected()

    written = said()
    assert "Socket Mode is connected" in written
    assert "a Socket Mode connection ends and is replaced" in written
    for word in (APP_TOKEN, TOKEN, "ticket", "/link/", "https://x/secret", "nonsense", *sockets.tickets):
        assert word not in written
