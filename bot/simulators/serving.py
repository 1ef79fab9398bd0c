"""Serves an ASGI app on a free local port for as long as a block runs, and lets it drop a connection on purpose."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

CUT: Final = "simulators.cut"
"""Name of the ASGI extension under which `Cuttable` offers to drop the connection."""


class Cuttable:
    """Wraps an ASGI app as the outermost layer, so that `cut` can drop the connection of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app, with the server's connection in reach where the server lets us have it."""
        # The `send` of uvicorn is a method of the request, which holds the transport; other servers offer none.
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if isinstance(transport, asyncio.Transport):
            scope.setdefault("extensions", {})[CUT] = transport.abort
        await self._app(scope, receive, send)


async def cut(scope: Scope) -> None:
    """Drops the connection of this request without an answer; raises ConnectionAbortedError where there is none to drop."""
    abort = scope.get("extensions", {}).get(CUT)
    if abort is None:
        raise ConnectionAbortedError("the simulator dropped this request")
    abort()
    await asyncio.sleep(0)  # lets the server notice, so that it discards what the app still sends


class _Server(uvicorn.Server):
    """A server inside somebody else's loop: it says when it is up and leaves the signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._leaving = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn's way to say that the lifespan failed; here it would end the whole program
            self.should_exit = True
        self.up.set()

    async def main_loop(self) -> None:
        # uvicorn's own loop looks every 100 ms whether to leave, which adds up over many tests.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1)

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()


@asynccontextmanager
async def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves the app until the block ends and gives its base address, without a slash at the end; port 0 picks a free one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        config = uvicorn.Config(Cuttable(app), log_config=None, log_level="warning", ws="none", timeout_graceful_shutdown=1)
        server = _Server(config)
        running = asyncio.create_task(server.serve([listener]))
        up = asyncio.create_task(server.up.wait())
        try:
            await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
            if not server.started:
                raise RuntimeError("the app did not start: its lifespan failed")
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            up.cancel()
            server.leave()
            await running
