"""A simulated Digdag server on a port, the engine that talks to it, and the few things tests do to both."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.domain.execution import Execution, ExecutionRef, Receipt, ResumePoint, find_point
from bot.engines._http import boot_time
from bot.engines.digdag import Digdag, DigdagSettings
from bot.simulators.digdag import DigdagSimulator
from bot.simulators.digdag_notices import Notification
from bot.simulators.digdag_records import Attempt
from bot.simulators.digdag_run import Pace
from bot.simulators.digdag_wire import Flavour
from bot.simulators.digdag_world import Limits
from bot.simulators.serving import serve
from tests.simulators.digdag_replay import HOOK, Mailbox, workflow_texts

CONNECTION = "etl"
BASIC, KEY = "bot:local-only", "1/0123456789abcdef"

SOME = {
    # Fails in the second of two parts that run beside each other, after one that runs alone.
    "nested": "+first:\n  echo>: one\n+both:\n  _parallel: true\n  +good:\n    echo>: good\n  +bad:\n    fail>: told to\n"
    "+last:\n  echo>: last\n",
    # +a stands at two places, and one of them ends like the other.
    "alike": "+a:\n  echo>: one\n+b:\n  +alike:\n    +a:\n      fail>: told to\n",
    # The failed names occur twice, no successful one does.
    "only_bad": "+before:\n  echo>: before\n+group:\n  _retry: 1\n  +bad:\n    fail>: always\n",
    "begins_badly": "+one:\n  fail>: at once\n+two:\n  echo>: two\n",
}


class Switchboard:
    """Many servers behind one port, each below a path of its own: a port each would cost a test 0.2 s."""

    def __init__(self) -> None:
        self.base_url = ""
        self.apps: list[ASGIApp] = []

    def add(self, app: ASGIApp) -> str:
        """The base address of the app."""
        self.apps.append(app)
        return f"{self.base_url}/{len(self.apps)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        number, _, path = scope["path"].removeprefix("/").partition("/")
        await self.apps[int(number) - 1]({**scope, "path": f"/{path}"}, receive, send)


SWITCHBOARD = Switchboard()


@pytest.fixture(scope="session", autouse=True)
async def switchboard() -> AsyncIterator[None]:
    """The port, for as long as the tests run that import this."""
    async with serve(SWITCHBOARD) as base_url:
        SWITCHBOARD.base_url = base_url
        yield


class ShiftedClock:
    """The time of day, and whatever a test adds to it."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift


class Unlimited:
    """A budget that is never used up."""

    async def admit(self) -> None:
        """Let the call pass."""


class Stand:
    """Server and engine."""

    def __init__(
        self, simulator: DigdagSimulator, mailbox: Mailbox, clock: ShiftedClock, base_url: str, settings: Mapping[str, Any]
    ) -> None:
        self.simulator = simulator
        self.mailbox = mailbox
        self.clock = clock
        self.base_url = base_url
        self.engine = self.another_engine(**settings)
        self._minutes = 0

    def another_engine(self, **settings: Any) -> Digdag:
        """An engine with other settings, for the same server."""
        given = {"base_url": self.base_url, "token": self.simulator.credential, **settings}
        return Digdag(CONNECTION, DigdagSettings.model_validate(given), Unlimited())

    def new_time(self) -> str:
        """A session time nobody had before."""
        self._minutes += 1
        return f"2026-01-01T{self._minutes // 60:02}:{self._minutes % 60:02}:00+00:00"

    async def put(self, workflow: str, params: Mapping[str, Any] | None = None, **more: Any) -> httpx.Response:
        """A start call of somebody else."""
        found = next(one for one in reversed(self.simulator.world.workflows.values()) if one.name == workflow)
        body = {"workflowId": str(found.id), "sessionTime": self.new_time(), "params": dict(params or {}), **more}
        headers = DigdagSettings(base_url=self.base_url, token=self.simulator.credential).headers
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.simulator), base_url="http://digdag.test") as http:
            return await http.put("/api/attempts", json=body, headers=headers)

    async def start(self, workflow: str, params: Mapping[str, Any] | None = None, **more: Any) -> ExecutionRef:
        """An attempt that somebody else started."""
        answer = await self.put(workflow, params, **more)
        assert answer.status_code == 200, answer.text
        return ExecutionRef(CONNECTION, answer.json()["id"])

    async def run(self, workflow: str, params: Mapping[str, Any] | None = None, **more: Any) -> ExecutionRef:
        """The same, ended."""
        ref = await self.start(workflow, params, **more)
        await self.ended(ref)
        return ref

    async def fail(self, number: int, workflow: str = "begins_badly", **params: Any) -> list[ExecutionRef]:
        """So many sessions of a workflow that fails, each ended before the next begins."""
        return [await self.run(workflow, params) for _ in range(number)]

    async def ended(self, ref: ExecutionRef) -> Attempt:
        """The attempt, once it is done."""
        return await self.simulator.ended(int(ref.id))

    def attempt(self, ref: ExecutionRef) -> Attempt:
        """What the server itself knows of it."""
        return self.simulator.world.attempt(int(ref.id))

    async def resume(self, execution: Execution, point: ResumePoint, key: str = "req-1-1", seconds: float = 5) -> Receipt:
        """The call, as an approved request makes it."""
        return await self.engine.resume(execution.ref, point, key, boot_time() + seconds)

    @property
    def puts(self) -> list[dict[str, Any]]:
        """Bodies of the start calls that came over the wire."""
        return [
            call.json() for call in self.simulator.calls if call.method == "PUT" and "resumebot" in call.headers["user-agent"]
        ]


def point_of(execution: Execution, wanted: str) -> ResumePoint:
    """The point a person would get by typing this."""
    point = find_point(execution.points, wanted)
    assert point is not None, f"{wanted} is not among {[one.label for one in execution.points]}"
    return point


@asynccontextmanager
async def digdag(flavour: Flavour = Flavour.OSS, attempts: int = 100, page: int = 100, **settings: Any) -> AsyncIterator[Stand]:
    """A server with the workflows of the tapes and some more, and an engine with these settings."""
    mailbox, clock = Mailbox(), ShiftedClock()
    simulator = DigdagSimulator(
        clock=clock,
        flavour=flavour,
        credential=KEY if flavour is Flavour.TD else BASIC,
        notification=Notification(HOOK, {"Authorization": "Bearer local-only"}),
        pace=Pace(task_seconds=0.001, wait_factor=0.01),
        limits=Limits(attempts=attempts, page=page),
        http=httpx.AsyncClient(transport=httpx.ASGITransport(mailbox)),
    )
    simulator.push("lab", workflow_texts() | SOME)
    stand = Stand(simulator, mailbox, clock, SWITCHBOARD.add(simulator), settings)
    try:
        yield stand
    finally:
        await stand.engine.aclose()
        await simulator.close()
