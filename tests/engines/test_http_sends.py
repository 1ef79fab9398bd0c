"""What the engines' shared HTTP client promises of sends: made once, on a fresh connection, never late."""

import asyncio
import math

import pytest
from starlette.responses import Response

from bot.domain.errors import NotSent, OutcomeUnknown, Unsupported
from bot.engines._http import boot_time
from tests.engines.http_stand import Service, client_of, connected, raw_server, soon

pytestmark = pytest.mark.anyio


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
