"""What the engines' shared HTTP client makes of answers: errors, waits, bodies, and no secret in any text."""

import traceback
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import BaseModel

from bot.domain.errors import ContractViolation, EngineError, Forbidden, NotFound, NotSent, OutcomeUnknown, RateLimited
from bot.engines._http import Answer, EngineClient, path_segment
from tests.engines.http_stand import QUICK, SECRET, FakeThrottle, client_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("status", "harmless", "error"),
    [
        (200, (), type(None)),
        (409, (), type(None)),
        (401, (), Forbidden),
        (404, (), NotFound),
        (429, (), RateLimited),
        (302, (), ContractViolation),
        (503, (), OutcomeUnknown),
        (503, (503,), NotSent),
    ],
)
async def test_a_status_means_the_same_to_all_engines(status: int, harmless: tuple[int, ...], error: type[object]) -> None:
    client = client_of("http://127.0.0.1:9")

    assert isinstance(client.refusal(Answer(status, {}, b""), harmless), error)


async def test_retry_after_is_read_in_both_forms() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert Answer(429, {"retry-after": "7"}, b"").wait == 7
    assert 50 < (Answer(429, {"retry-after": later}, b"").wait or 0) <= 60
    assert Answer(429, {"retry-after": "soon"}, b"").wait is None
    assert Answer(429, {}, b"").wait is None
    assert Answer(429, {"retry-after": "99999999"}, b"").wait == 3600


class Shape(BaseModel):
    count: int


async def test_a_strange_body_is_named_by_its_place_and_not_quoted() -> None:
    client = client_of("http://127.0.0.1:9")

    assert client.parse(Answer(200, {}, b'{"count": 3}'), Shape).count == 3
    for body in (b'{"count": "%b"}' % SECRET.encode(), b"<html>", b"[" * 10_000, b"\xff"):
        with pytest.raises(ContractViolation) as caught:
            client.parse(Answer(200, {}, body), Shape)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_no_secret_survives_redaction() -> None:
    client = EngineClient("orders", "http://127.0.0.1:9", FakeThrottle(), secrets=["user:passw0rd"])
    coded = b64encode(b"user:passw0rd").decode()

    text = client.redact(f"user:passw0rd\npassw0rd user%3Apassw0rd {coded} Bearer abc.def TD1 1/abc")

    assert not any(secret in text for secret in ("passw0rd", coded, "abc"))
    assert "\n" not in text
    assert len(client.redact("x" * 10_000)) == 500


async def test_no_secret_in_the_error_of_an_unusable_header() -> None:
    client = EngineClient(
        "orders", "http://127.0.0.1:9", FakeThrottle(), headers={"authorization": f"Bearer {SECRET}\n"}, limits=QUICK
    )

    with pytest.raises(EngineError) as caught:
        await client.read("GET", "/x")

    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_name_that_would_change_the_path_is_refused(value: str) -> None:
    with pytest.raises(ContractViolation):
        path_segment(value)
