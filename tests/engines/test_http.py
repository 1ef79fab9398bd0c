"""What the engines' shared HTTP client promises of reads, and of reads and sends alike, over real sockets."""

import asyncio

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from bot.domain.errors import ContractViolation, EngineError, Forbidden, NotFound, NotSent, RateLimited
from bot.engines._http import CallLimits, EngineClient, path_segment
from tests.engines.http_stand import FakeThrottle, Service, connected, soon

pytestmark = pytest.mark.anyio


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
