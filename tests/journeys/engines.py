"""A Restate server, real or simulated, behind a door that scripts faults and a counter that sees what really got through.

bot ─▶ Door (faults, record) ─▶ Counter (calls with effect, and the intents that stood committed when each came) ─▶ server
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.simulators.restate import RestateSimulator
from bot.simulators.restate_door import Door
from tests.restate_lab.lab import RestateLab, find_server
from tests.restate_lab.worlds import Forward, RealWorld, RestateWorld, SimulatedWorld, open_stage, server_or_skip

END = "kill"
VERBS = frozenset({"resume", "restart-as-new", END})


@dataclass
class ResumeCall:
    """One call that reached the server: what stood in the database when it came, and what was answered."""

    at: datetime
    execution: str
    verb: str
    intents: int
    status: int | None = None

    @property
    def may_have_had_effect(self) -> bool:
        """The server took it, or nobody knows."""
        return self.status is None or 200 <= self.status < 300


async def _none_known(_execution: str, _verb: str) -> int:
    return 0


class Counter:
    """An ASGI app around the server that keeps a ResumeCall of each; the ends that come before a restart stand apart."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.calls: list[ResumeCall] = []
        self.ends: list[ResumeCall] = []
        self.intents: Callable[[str, str], Awaitable[int]] = _none_known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        parts = scope.get("path", "").strip("/").split("/")
        if scope["type"] != "http" or scope["method"] != "PATCH" or parts[-1] not in VERBS:
            await self._app(scope, receive, send)
            return
        _, execution, verb = parts
        call = ResumeCall(datetime.now(UTC), execution, verb, await self.intents(execution, verb))
        (self.ends if verb == END else self.calls).append(call)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
            await send(message)

        await self._app(scope, receive, noting)


@dataclass(frozen=True)
class EngineSide:
    """The server as a journey uses it; `door` takes the faults."""

    world: RestateWorld
    door: Door
    counter: Counter
    url: str


@asynccontextmanager
async def simulated() -> AsyncIterator[EngineSide]:
    """The simulator, without anything to install."""
    simulator = RestateSimulator(slow_seconds=1.0, retry_seconds=0.01)
    async with open_stage() as stage:
        counter = Counter(simulator)
        stage.app = door = Door(counter, None, lambda: None)
        try:
            yield EngineSide(SimulatedWorld(simulator, stage.url), door, counter, stage.url)
        finally:
            await simulator.aclose()


def at_hand() -> AbstractAsyncContextManager[EngineSide]:
    """The real server where there is one, or has to be; else the simulator."""
    is_wanted = find_server() is not None or os.environ.get("REQUIRE_REAL_ENGINES") == "1"
    return real() if is_wanted else simulated()


@asynccontextmanager
async def real() -> AsyncIterator[EngineSide]:
    """A real server; the test is skipped without one, or fails where real engines are required."""
    async with RestateLab(server_or_skip()) as lab, open_stage() as stage:
        counter = Counter(Forward(lab))
        stage.app = door = Door(counter, None, lambda: None)
        yield EngineSide(RealWorld(lab, door, stage.url), door, counter, stage.url)
