"""A Restate server for the figures: the real one where it is at hand, else the simulated one; resume calls are noted.

bot ─▶ Watcher (TCP, notes when a PATCH comes by) ─▶ server
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.simulators.restate import RestateSimulator
from bot.simulators.serving import serve
from tests.restate_lab.lab import RestateLab, find_server
from tests.restate_lab.worlds import SimulatedWorld


@dataclass
class Watcher:
    """Passes bytes on, and notes when a resume call comes by."""

    host: str
    port: int
    times: list[float] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        there, back = await asyncio.open_connection(self.host, self.port)
        ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, back), (there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in (back, writer):
            each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if data.startswith(b"PATCH "):
                    self.times.append(time.monotonic())
                writer.write(data)


@dataclass(frozen=True)
class EngineSide:
    """What a figure needs of the engine."""

    name: str
    url: str
    world: RestateLab | SimulatedWorld
    watcher: Watcher


@asynccontextmanager
async def engine() -> AsyncIterator[EngineSide]:
    """The server, up."""
    if binary := find_server():
        async with RestateLab(binary) as lab, _watched(lab.admin_url) as (url, watcher):
            yield EngineSide("a real Restate server", url, lab, watcher)
        return
    simulator = RestateSimulator(retry_seconds=0.01)
    async with serve(simulator) as address, _watched(address) as (url, watcher):
        yield EngineSide("a simulated Restate server", url, SimulatedWorld(simulator, url), watcher)
    await simulator.aclose()


@asynccontextmanager
async def _watched(address: str) -> AsyncIterator[tuple[str, Watcher]]:
    parts = urlsplit(address)
    watcher = Watcher(parts.hostname or "", parts.port or 80)
    server = await asyncio.start_server(watcher.take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", watcher
    finally:
        server.close()
