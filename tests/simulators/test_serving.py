"""What `serve` promises to every simulator: an address that answers, a clean end, a connection that can be cut."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from bot.simulators.serving import cut, serve

pytestmark = pytest.mark.anyio


async def greet(request: Request) -> Response:
    return PlainTextResponse("hello")


async def drop(request: Request) -> Response:
    await cut(request.scope)
    return PlainTextResponse("never read")


def app() -> Starlette:
    routes = [Route("/greet", greet), Route("/drop", drop)]
    return Starlette(routes=[*routes, Mount("/below", routes=routes)])


async def test_a_served_app_answers_at_the_address_given() -> None:
    async with serve(app()) as address, httpx.AsyncClient(base_url=address) as http:
        answer = await http.get("/greet")

    assert answer.text == "hello"


async def test_two_apps_are_served_at_once() -> None:
    async with serve(app()) as one, serve(app()) as other:
        assert one != other


async def test_the_port_is_free_again_after_the_block() -> None:
    async with serve(app()) as address:
        port = int(address.rpartition(":")[2])

    async with serve(app(), port=port) as again:
        assert again == address


@pytest.mark.parametrize("path", ["/drop", "/below/drop"])
async def test_a_cut_connection_gives_no_answer(path: str) -> None:
    async with serve(app()) as address, httpx.AsyncClient(base_url=address) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(path)

        assert (await http.get("/greet")).status_code == 200


async def test_without_a_server_a_cut_is_a_connection_error() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://inside") as http:
        with pytest.raises(ConnectionAbortedError):
            await http.get("/drop")


async def test_an_app_that_cannot_start_is_reported() -> None:
    @asynccontextmanager
    async def broken(_: Starlette) -> AsyncIterator[None]:
        raise ValueError("no disk")
        yield

    with pytest.raises(RuntimeError, match="did not start"):
        async with serve(Starlette(lifespan=broken)):
            pass
