"""Small servers for the engines' shared HTTP client, and clients that talk to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.domain.errors import RateLimited
from bot.engines._http import CallLimits, EngineClient, boot_time
from bot.simulators.serving import serve

SECRET = "s3cret/token+value"
QUICK = CallLimits(connect=0.5, read=0.3, all_tries=5.0, send=0.3, pause=0.01, body=2_000)


@dataclass
class FakeThrottle:
    """A budget that lets all pass and counts them, or tells to wait."""

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
    """A client of this server."""
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
    """The address of a server that says whatever this says."""

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
    """A client of whatever is at this address."""
    return EngineClient("orders", base_url, FakeThrottle(), secrets=[SECRET], limits=QUICK, boot_clock=boot_clock)


def soon() -> float:
    """A moment to send before that does not pass in a test."""
    return boot_time() + 5
