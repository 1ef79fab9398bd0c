"""One way to drive a simulated and a real Restate server, so that the same tests hold for both.

engine ─> serve ─> RestateSimulator (faults, record, world)
engine ─> serve ─> Door (faults, record) ─> Forward ─> real server ─> service.py
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.simulators.restate import RestateSimulator
from bot.simulators.restate_door import Call, Door, FaultKind
from bot.simulators.restate_sql import run_query
from bot.simulators.restate_world import DEFAULT_SERVICES, STEPS
from bot.simulators.serving import serve
from tests.restate_lab.lab import RestateLab, find_server


class RestateWorld(Protocol):
    """What a test may do to a Restate server and see of it from outside the engine."""

    admin_url: str

    async def start(
        self,
        key: str | None = None,
        *,
        service: str = "Pipeline",
        workflow: bool = False,
        delay: str = "",
        object_key: str | None = None,
        **modes: str,
    ) -> dict[str, str]:
        """Send a new invocation; its id and the key to plan it by."""
        ...

    async def plan(self, key: str, **modes: str) -> None:
        """Say how the steps of one run behave from now on."""
        ...

    async def attempts(self, key: str) -> list[str]:
        """The steps that really ran."""
        ...

    async def deploy(self, steps: str = "") -> str:
        """Register one more deployment of all services, perhaps of another code; its id."""
        ...

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query, asked beside the record of calls."""
        ...

    async def wait_status(self, invocation_id: str, *wanted: str) -> str:
        """Wait until an invocation has one of these statuses."""
        ...

    def fail(self, pattern: str, kind: FaultKind, *, times: int = 1, seconds: float = 1.0) -> None:
        """Script a fault for calls whose `METHOD /path` matches a glob."""
        ...

    def heal(self) -> None:
        """Drop all scripted faults."""
        ...

    def count(self, pattern: str) -> int:
        """How many calls came in whose `METHOD /path` matches a glob."""
        ...

    @property
    def calls(self) -> list[Call]:
        """Every call that came in."""
        ...


class SimulatedWorld:
    """The simulator behind a real socket."""

    def __init__(self, simulator: RestateSimulator, admin_url: str) -> None:
        self.simulator = simulator
        self.admin_url = admin_url
        self.fail, self.heal, self.count = simulator.fail, simulator.heal, simulator.count

    async def start(
        self,
        key: str | None = None,
        *,
        service: str = "Pipeline",
        workflow: bool = False,
        delay: str = "",
        object_key: str | None = None,
        **modes: str,
    ) -> dict[str, str]:
        """Send a new invocation; its id and the key to plan it by."""
        return self.simulator.start(key, service=service, workflow=workflow, delay=delay, object_key=object_key, **modes)

    async def plan(self, key: str, **modes: str) -> None:
        """Say how the steps of one run behave from now on."""
        self.simulator.plan(key, **modes)

    async def attempts(self, key: str) -> list[str]:
        """The steps that really ran."""
        return self.simulator.attempts(key)

    async def deploy(self, steps: str = "") -> str:
        """Register one more deployment of all services, perhaps of another code; its id."""
        code = tuple(steps.split(",")) if steps else ()
        return self.simulator.deploy(
            replace(spec, steps=code) if code and spec.steps == STEPS else spec for spec in DEFAULT_SERVICES
        )

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query, asked beside the record of calls."""
        return [{**row} for row in run_query(self.simulator.world, sql)]

    async def wait_status(self, invocation_id: str, *wanted: str) -> str:
        """Wait until an invocation has one of these statuses."""
        return await self.simulator.wait_status(invocation_id, *wanted)

    @property
    def calls(self) -> list[Call]:
        """Every call that came in."""
        return self.simulator.calls


class RealWorld:
    """A real server behind the simulator's door."""

    def __init__(self, lab: RestateLab, door: Door, admin_url: str) -> None:
        self._door = door
        self.admin_url = admin_url
        self.start, self.plan, self.attempts, self.deploy = lab.start, lab.plan, lab.attempts, lab.deploy
        self.query, self.wait_status = lab.query, lab.wait_status
        self.fail, self.heal, self.count = door.fail, door.heal, door.count

    @property
    def calls(self) -> list[Call]:
        """Every call that came in."""
        return self._door.calls


class Forward:
    """An ASGI app that hands every request to another server, header for header."""

    def __init__(self, lab: RestateLab) -> None:
        self._lab = lab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the other server does."""
        request = Request(scope, receive)
        path = scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        kept = [(name, value) for name, value in request.headers.items() if name not in {"host", "content-length"}]
        http = self._lab.http
        sent = http.build_request(
            request.method, self._lab.admin_url + path, headers=kept, content=await request.body() or None
        )
        if "accept" not in request.headers:
            del sent.headers["accept"]
        answer = await http.send(sent)
        names = {"content-type", "allow", "retry-after"}
        headers = {name: value for name, value in answer.headers.items() if name in names}
        await Response(answer.content, answer.status_code, headers)(scope, receive, send)


class Stage:
    """One served address for many tests, since it takes a server longer to stop than most tests to run."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the app whose turn it is."""
        if self.app is not None:
            await self.app(scope, receive, send)


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """A served stage."""
    stage = Stage()
    async with serve(stage) as stage.url:
        yield stage


@asynccontextmanager
async def simulated_world(stage: Stage, token: str | None = None) -> AsyncIterator[SimulatedWorld]:
    """A fresh simulator on the stage."""
    stage.app = simulator = RestateSimulator(token=token, slow_seconds=0.3, retry_seconds=0.01)
    try:
        yield SimulatedWorld(simulator, stage.url)
    finally:
        await simulator.aclose()


@asynccontextmanager
async def door_to(lab: RestateLab, stage: Stage, token: str | None = None) -> AsyncIterator[RealWorld]:
    """A fresh door on the stage, in front of a running server."""
    forward = Forward(lab)
    stage.app = door = Door(forward, token, lambda: None)
    yield RealWorld(lab, door, stage.url)


def server_or_skip(find: Callable[[], str | None] = find_server) -> str:
    """The real server's binary; without one the test is skipped, or fails where real engines are required."""
    server = find()
    if server is None:
        reason = "no Restate server: see tests/restate_lab/README.md"
        if os.environ.get("REQUIRE_REAL_ENGINES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return server
