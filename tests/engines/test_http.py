"""What the shared HTTP client of the engines promises, over real sockets."""

import asyncio
import math
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.engines._http import Answer, CallLimits, EngineClient, boot_time, path_segment
from bot.simulators.serving import serve

pytestmark = pytest.mark.anyio

SECRET = "s3cret/token+value"
QUICK = CallLimits(connect=0.5, read=0.3, all_tries=5.0, send=0.3, pause=0.01, body=2_000)


@dataclass
class FakeThrottle:
    admitted: int = 0
    wait: float | None = None

    async def admit(self) -> None:
        if self.wait is not None:
            raise RateLimited("the budget is spent", self.wait)
        self.admitted += 1


@dataclass
class Service:
    """A small server that answers with what is scripted, the last answer for ever."""

    answers: list[Response | float] = field(default_factory=lambda: [JSONResponse({"ok": True})])
    seen: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def serve(self, request: Request) -> Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if isinstance(answer, float):
                await asyncio.sleep(answer)
                answer = JSONResponse({"ok": True})
            return answer
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def connected(service: Service, throttle: FakeThrottle | None = None) -> AsyncIterator[EngineClient]:
    app = Starlette(routes=[Route("/{path:path}", service.serve, methods=["GET", "POST", "PUT", "PATCH"])])
    async with serve(app) as base_url:
        client = EngineClient(
            "orders",
            base_url + "/api",
            throttle or FakeThrottle(),
            headers={"authorization": f"Bearer {SECRET}"},
            secrets=[SECRET],
            limits=QUICK,
        )
        yield client
        await client.aclose()


@asynccontextmanager
async def raw_server(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):  # the client has gone, as some of these tests want it to
                await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def client_of(base_url: str, boot_clock: Callable[[], float] = boot_time) -> EngineClient:
    return EngineClient("orders", base_url, FakeThrottle(), secrets=[SECRET], limits=QUICK, boot_clock=boot_clock)


def soon() -> float:
    return boot_time() + 5


async def test_read_returns_status_headers_and_body() -> None:
    service = Service([JSONResponse({"ok": True}, headers={"X-Here": "yes"})])
    async with connected(service) as client:
        answer = await client.read("GET", f"/things/{path_segment('a/b ?')}", params={"q": "x&y"})

    assert (answer.status, answer.headers["x-here"], answer.body) == (200, "yes", b'{"ok":true}')
    assert service.seen[0].url.query == "q=x%26y"
    assert service.seen[0].scope["raw_path"] == b"/api/things/a%2Fb%20%3F"
    assert service.seen[0].headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Forbidden), (403, Forbidden), (404, NotFound), (429, RateLimited), (418, ContractViolation)],
)
async def test_read_turns_a_status_into_its_error_at_once(status: int, error: type[EngineError]) -> None:
    service = Service([Response(status_code=status)])
    async with connected(service) as client:
        with pytest.raises(error):
            await client.read("GET", "/x")

    assert len(service.seen) == 1


async def test_read_hands_over_a_status_its_caller_expects() -> None:
    async with connected(Service([JSONResponse({}, 404)])) as client:
        assert (await client.read("GET", "/x", expect={404})).status == 404


@pytest.mark.parametrize("trouble", [Response(status_code=503), Response(status_code=500), 0.5])
async def test_read_is_repeated_after_a_fault_or_a_timeout(trouble: Response | float) -> None:
    service = Service([trouble, JSONResponse({"ok": True})])
    throttle = FakeThrottle()
    async with connected(service, throttle) as client:
        answer = await client.read("GET", "/x")

    assert answer.status == 200
    assert throttle.admitted == 2


async def test_read_of_a_server_that_stays_faulty_says_that_it_cannot_be_reached() -> None:
    service = Service([Response("<html>", 502)])
    async with connected(service) as client:
        with pytest.raises(NotSent, match="502"):
            await client.read("GET", "/x")

    assert len(service.seen) == 3


async def test_read_gives_up_when_all_tries_together_take_too_long() -> None:
    async with connected(Service([0.3])) as client:
        hurried = EngineClient("orders", client._base_url, FakeThrottle(), limits=CallLimits(all_tries=0.1))
        with pytest.raises(NotSent):
            await hurried.read("GET", "/x")
        await hurried.aclose()


async def test_at_most_four_calls_are_in_flight() -> None:
    service = Service([0.05])
    async with connected(service) as client:
        reads = [client.read("GET", "/x") for _ in range(8)]
        sends = [client.send_once("POST", "/x", send_before=soon()) for _ in range(3)]
        await asyncio.gather(*reads, *sends)

    assert service.most_in_flight == 4


async def test_a_spent_budget_stops_reads_and_sends_before_they_leave() -> None:
    service = Service()
    async with connected(service, FakeThrottle(wait=7)) as client:
        with pytest.raises(RateLimited):
            await client.read("GET", "/x")
        with pytest.raises(RateLimited):
            await client.send_once("POST", "/x", send_before=soon())

    assert service.seen == []


async def test_redirects_are_not_followed() -> None:
    service = Service([RedirectResponse("/elsewhere")])
    async with connected(service) as client:
        with pytest.raises(ContractViolation):
            await client.read("GET", "/x")
        answer = await client.send_once("POST", "/x", send_before=soon())

    assert answer.status == 307
    assert isinstance(client.refusal(answer), ContractViolation)
    assert len(service.seen) == 2


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with connected(Service()) as client:
        assert (await client.read("GET", "/x")).status == 200
        assert (await client.send_once("POST", "/x", send_before=soon())).status == 200


@pytest.mark.parametrize("body", [Response(b"x" * 2_001), Response(b"x", headers={"content-encoding": "gzip"})])
async def test_an_answer_too_large_or_compressed_is_a_contract_violation(body: Response) -> None:
    async with connected(Service([body])) as client:
        with pytest.raises(ContractViolation):
            await client.read("GET", "/x")
        with pytest.raises(ContractViolation):
            await client.send_once("POST", "/x", send_before=soon())


async def test_send_is_made_once_whatever_is_answered() -> None:
    service = Service([Response(status_code=500)])
    async with connected(service) as client:
        answer = await client.send_once("PATCH", "/x", send_before=soon(), json={"a": 1})

    assert answer.status == 500
    assert len(service.seen) == 1


@pytest.mark.parametrize("given", [math.nan, math.inf, "\ud800"], ids=["nan", "infinity", "half a character"])
async def test_what_cannot_be_written_is_unsupported_and_nothing_is_sent(given: object) -> None:
    service = Service([])
    async with connected(service) as client:
        with pytest.raises(Unsupported, match="Nothing was sent to orders"):
            await client.send_once("PUT", "/x", json={"given": given}, send_before=soon())
        with pytest.raises(Unsupported, match="Nothing was sent to orders"):
            await client.read("POST", "/x", json={"given": given})

    assert service.seen == []


async def test_send_uses_a_fresh_connection() -> None:
    service = Service()
    async with connected(service) as client:
        await client.read("GET", "/x")
        await client.send_once("POST", "/x", send_before=soon())
        await client.read("GET", "/x")

    ports = [request.client.port for request in service.seen if request.client]
    assert ports[0] == ports[2] != ports[1]


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


async def test_send_to_a_refused_connection_is_not_sent() -> None:
    with pytest.raises(NotSent):
        await client_of("http://127.0.0.1:9").send_once("POST", "/x", send_before=soon())


async def test_send_to_an_unknown_host_is_not_sent() -> None:
    with pytest.raises(NotSent):
        await client_of("http://no-such-host.invalid").send_once("POST", "/x", send_before=soon())


async def test_send_after_a_failed_tls_handshake_is_not_sent() -> None:
    async def answer_in_plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_server(answer_in_plain) as base_url:
        with pytest.raises(NotSent):
            await client_of(base_url.replace("http:", "https:")).send_once("POST", "/x", send_before=soon())


async def test_send_whose_handshake_never_ends_is_not_sent() -> None:
    async def stay_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(stay_silent) as base_url:
        with pytest.raises(NotSent):
            await client_of(base_url.replace("http:", "https:")).send_once("POST", "/x", send_before=soon())


async def test_send_too_late_before_connecting_opens_no_connection() -> None:
    connections: list[bytes] = []

    async def count(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.read())

    async with raw_server(count) as base_url:
        with pytest.raises(NotSent):
            await client_of(base_url).send_once("POST", "/x", send_before=boot_time() - 0.001)
        await asyncio.sleep(0)

    assert connections == []


async def test_send_too_late_once_connected_lets_no_byte_leave() -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def collect(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read())

    readings = iter([0.0, 10.0])  # in time before the connection is made, late when it stands

    async with raw_server(collect) as base_url:
        with pytest.raises(NotSent):
            await client_of(base_url, lambda: next(readings)).send_once("POST", "/x", send_before=5.0)
        got = await asyncio.wait_for(received, 2)

    assert got == b""
    assert next(readings, None) is None


@pytest.mark.parametrize("first_words", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", b"nonsense\r\n\r\n"])
async def test_send_without_a_whole_answer_has_an_unknown_outcome(first_words: bytes) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first_words)

    async with raw_server(cut) as base_url:
        with pytest.raises(OutcomeUnknown):
            await client_of(base_url).send_once("POST", "/x", send_before=soon())


@pytest.mark.parametrize("drip", [False, True])
async def test_send_without_an_answer_in_time_has_an_unknown_outcome(drip: bool) -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while drip and not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        await reader.read()

    async with raw_server(dawdle) as base_url:
        with pytest.raises(OutcomeUnknown):
            await client_of(base_url).send_once("POST", "/x", send_before=soon())


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
