"""The gate lets Slack's own fresh requests through, whole, and nothing else; it never answers with a fault."""

import hmac
import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import httpx
import pytest

from bot.slack.gate import BODY_LIMIT, SIGNATURE, Gate, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000
SECRET, OLD = "secret-of-a-test", "secret-before"
FORM = "application/x-www-form-urlencoded"


class Inner:
    """The app behind the gate: it keeps what reaches it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.states: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read all, and answer."""
        message = await receive()
        self.bodies.append(message["body"])
        self.states.append(dict(scope["state"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})


@pytest.fixture
def inner() -> Inner:
    """What stands behind the gate."""
    return Inner()


@pytest.fixture
def slack(inner: Inner) -> httpx.AsyncClient:
    """A client that posts to the gate."""
    gate = Gate(inner, [SECRET, OLD], now=lambda: NOW)
    return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://bot")


def signed(body: bytes, secret: str = SECRET, at: str = str(NOW)) -> dict[str, str]:
    """The headers Slack would send."""
    mac = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={mac}", "Content-Type": FORM}


@pytest.mark.parametrize("secret", [SECRET, OLD])
async def test_a_signed_request_passes_with_its_raw_body(slack: httpx.AsyncClient, inner: Inner, secret: str) -> None:
    body = "payload=%7B%22a%22%3A+1%7D&x=ü".encode()

    answer = await slack.post("/slack/events", content=body, headers=signed(body, secret))

    assert (answer.status_code, answer.text) == (200, "inner")
    assert inner.bodies == [body]


async def test_the_signatures_hash_is_passed_on_and_differs_between_requests(slack: httpx.AsyncClient, inner: Inner) -> None:
    for body in (b"a=1", b"a=2", b"a=1"):
        await slack.post("/slack/events", content=body, headers=signed(body))

    first, second, again = [state[SIGNATURE] for state in inner.states]
    assert first == again != second
    assert len(first) == 64


@pytest.mark.parametrize("age", [-300, 0, 300])
async def test_five_minutes_off_still_passes(slack: httpx.AsyncClient, age: int) -> None:
    answer = await slack.post("/slack/events", content=b"a=1", headers=signed(b"a=1", at=str(NOW + age)))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "stamp", [str(NOW - 301), str(NOW + 301), "", "now", "1e9", "-5", "9" * 40, "1790000000.0", "NaN", "٣"]
)
async def test_a_stale_or_malformed_timestamp_is_401(slack: httpx.AsyncClient, inner: Inner, stamp: str) -> None:
    headers: dict[str, Any] = signed(b"a=1") | {"X-Slack-Request-Timestamp": stamp.encode()}
    mac = hmac.new(SECRET.encode(), f"v0:{stamp}:a=1".encode(), sha256).hexdigest()

    answer = await slack.post("/slack/events", content=b"a=1", headers=headers | {"X-Slack-Signature": f"v0={mac}"})

    assert answer.status_code == 401
    assert inner.bodies == []


@pytest.mark.parametrize("signature", ["", "v0=", "v0=00", "v1=" + "0" * 64, "v0=" + "0" * 64, "ü", "x" * 5000])
async def test_a_wrong_signature_is_401(slack: httpx.AsyncClient, inner: Inner, signature: str) -> None:
    headers: dict[str, Any] = signed(b"a=1") | {"X-Slack-Signature": signature.encode()}

    answer = await slack.post("/slack/events", content=b"a=1", headers=headers)

    assert answer.status_code == 401
    assert inner.bodies == []


async def test_a_body_that_was_changed_is_401(slack: httpx.AsyncClient) -> None:
    answer = await slack.post("/slack/events", content=b"a=2", headers=signed(b"a=1"))

    assert answer.status_code == 401


@pytest.mark.parametrize("missing", ["X-Slack-Signature", "X-Slack-Request-Timestamp"])
async def test_a_request_without_signature_or_timestamp_is_401(slack: httpx.AsyncClient, missing: str) -> None:
    headers = {name: value for name, value in signed(b"a=1").items() if name != missing}

    answer = await slack.post("/slack/events", content=b"a=1", headers=headers)

    assert answer.status_code == 401


async def test_two_signatures_on_one_request_are_401(slack: httpx.AsyncClient) -> None:
    headers = [*signed(b"a=1").items(), ("X-Slack-Signature", "v0=" + "0" * 64)]

    answer = await slack.post("/slack/events", content=b"a=1", headers=headers)

    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_only_posts_are_taken(slack: httpx.AsyncClient, method: str) -> None:
    answer = await slack.request(method, "/slack/events", headers=signed(b""))

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_a_body_above_the_limit_is_413_though_it_is_signed(slack: httpx.AsyncClient, inner: Inner) -> None:
    body = b"a" * (BODY_LIMIT + 1)

    answer = await slack.post("/slack/events", content=body, headers=signed(body))

    assert answer.status_code == 413
    assert inner.bodies == []


async def test_a_body_without_end_is_413_before_it_is_read_whole() -> None:
    read = 0

    async def endless() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"a" * 100_000, "more_body": True}

    status = await drive(endless)

    assert status == 413
    assert read == 11


async def test_a_request_that_breaks_off_is_not_passed_on(inner: Inner) -> None:
    async def broken() -> Message:
        return {"type": "http.disconnect"}

    assert await drive(broken, inner) == 400
    assert inner.bodies == []


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "9" * 30])
async def test_a_length_that_is_no_number_is_400(length: str) -> None:
    async def empty() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    assert await drive(empty, headers=[(b"content-length", length.encode())]) == 400


async def drive(
    receive: Callable[[], Awaitable[Message]], app: Inner | None = None, headers: list[tuple[bytes, bytes]] | None = None
) -> int:
    """The status the gate answers with to a request of this making."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await Gate(app or Inner(), [SECRET])({"type": "http", "method": "POST", "headers": headers or []}, receive, send)
    return int(sent[0]["status"])


async def test_slacks_check_of_our_certificate_is_answered_unsigned(slack: httpx.AsyncClient, inner: Inner) -> None:
    answer = await slack.post("/slack/events", content=b"ssl_check=1&token=x", headers={"Content-Type": FORM})

    assert answer.status_code == 200
    assert inner.bodies == []


@pytest.mark.parametrize("body", [b"ssl_check=1&command=/resume", b"ssl_check=1&payload={}", b"ssl_check=2", b"&" * 900])
async def test_nothing_else_passes_as_that_check(slack: httpx.AsyncClient, body: bytes) -> None:
    answer = await slack.post("/slack/events", content=body, headers={"Content-Type": FORM})

    assert answer.status_code == 401


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", json.dumps({"a": "b"}).encode(), b"a=1&" * 200_000])
async def test_unsigned_junk_is_401_and_never_a_fault(slack: httpx.AsyncClient, inner: Inner, body: bytes) -> None:
    answer = await slack.post("/slack/events", content=body, headers={"Content-Type": FORM})

    assert answer.status_code == 401
    assert inner.bodies == []


async def test_what_is_no_http_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def never() -> Message:
        raise AssertionError

    async def nothing(message: Message) -> None:
        raise AssertionError

    await Gate(app, [SECRET])({"type": "lifespan"}, never, nothing)

    assert seen == ["lifespan"]


@pytest.mark.parametrize("secrets", [[], [""], [SECRET, ""]])
def test_a_gate_without_a_secret_is_not_built(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Gate(Inner(), secrets)
