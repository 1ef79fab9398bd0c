"""A wire-true double of the Restate admin API: the queries, verbs and refusals that the engine relies on.

simulator.start / plan / deploy / fail ─> World ─> journal, events, status
HTTP ─> Door (faults, token, record) ─> routes ─> verbs on the World │ SQL over its tables
"""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterable

from starlette.types import Receive, Scope, Send

from bot.simulators.restate_api import RestateApi
from bot.simulators.restate_door import Call, Door, FaultKind
from bot.simulators.restate_model import Deployment, Invocation, ServiceSpec
from bot.simulators.restate_world import DEFAULT_SERVICES, MODES, World

_DELAY = re.compile(r"(?P<count>\d+)(?P<unit>ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class RestateSimulator:
    """One simulated server; an ASGI app. Needs a running event loop from the first invocation on."""

    def __init__(
        self,
        *,
        services: Iterable[ServiceSpec] = DEFAULT_SERVICES,
        token: str | None = None,
        step_seconds: float = 0.002,
        slow_seconds: float = 5.0,
        retry_seconds: float = 0.05,
        max_attempts: int = 2,
    ) -> None:
        self.version = 0
        self._waiting: asyncio.Event | None = None
        self.world = World(
            services,
            self._bump,
            step_seconds=step_seconds,
            slow_seconds=slow_seconds,
            retry_seconds=retry_seconds,
            max_attempts=max_attempts,
        )
        self.api = RestateApi(self.world)
        self._door = Door(self.api, token, self._bump)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of the admin API."""
        await self._door(scope, receive, send)

    # What people and code do to this world.

    def start(
        self,
        key: str | None = None,
        *,
        service: str = "Pipeline",
        workflow: bool = False,
        delay: str = "",
        object_key: str | None = None,
        **modes: str,
    ) -> dict[str, str]:
        """Send a new invocation whose steps behave as the modes say; its id and the key to plan it by."""
        chosen = key or f"run-{uuid.uuid4().hex[:8]}"
        self.plan(chosen, **modes)
        name = "Release" if workflow else service
        made = self.world.accept(name, chosen, delay=_seconds(delay), object_key=object_key)
        return {"id": made.id, "key": chosen}

    def plan(self, key: str, **modes: str) -> None:
        """Say how the steps of one run behave from now on; no modes: everything passes."""
        if unknown := set(modes.values()) - MODES:
            raise ValueError(f"unknown modes: {', '.join(sorted(unknown))}")
        self.world.plans[key] = modes

    def attempts(self, key: str) -> list[str]:
        """The steps that really ran, in order."""
        return [step for tried, step in self.world.tried if tried == key]

    def deploy(self, services: Iterable[ServiceSpec] = DEFAULT_SERVICES, *, max_protocol: int = 7) -> str:
        """Register one more deployment, the latest of its services; its id."""
        made = self.world.deploy(services, max_protocol=max_protocol)
        self._bump()
        return made.id

    def reach(self, deployment_id: str, is_reachable: bool) -> None:
        """Let an endpoint go away, or come back."""
        self.world.deployments[deployment_id].reachable = is_reachable

    def fail(self, pattern: str, kind: FaultKind, *, times: int = 1, seconds: float = 1.0) -> None:
        """Script a fault for the next calls whose `METHOD /path` matches a glob."""
        self._door.fail(pattern, kind, times=times, seconds=seconds)

    def heal(self) -> None:
        """Drop all scripted faults."""
        self._door.heal()

    # What can be seen of it from inside.

    @property
    def calls(self) -> list[Call]:
        """Every request that came in."""
        return self._door.calls

    def count(self, pattern: str) -> int:
        """How many calls came in whose `METHOD /path` matches a glob."""
        return self._door.count(pattern)

    @property
    def deployments(self) -> list[Deployment]:
        """All deployments, oldest first."""
        return list(self.world.deployments.values())

    def invocation(self, invocation_id: str) -> Invocation | None:
        """One invocation; None when it is unknown or gone."""
        return self.world.invocations.get(invocation_id)

    def status(self, invocation_id: str) -> str | None:
        """The status sys_invocation shows; None when it is unknown or gone."""
        found = self.invocation(invocation_id)
        return found.status if found else None

    async def changed(self, since: int, timeout: float) -> int:
        """The present version, as soon as it is above `since` or the time is over."""
        if self.version <= since:
            self._waiting = self._waiting or asyncio.Event()
            try:
                await asyncio.wait_for(self._waiting.wait(), timeout)
            except TimeoutError:
                return self.version
        return self.version

    async def until(self, holds: Callable[[], bool], timeout: float = 5.0) -> None:
        """Return when something holds; TimeoutError when it does not in time."""
        async with asyncio.timeout(timeout):
            while not holds():
                await self.changed(self.version, timeout)

    async def wait_status(self, invocation_id: str, *wanted: str) -> str:
        """Wait until an invocation has one of these statuses, and return it."""
        await self.until(lambda: self.status(invocation_id) in wanted)
        return self.status(invocation_id) or ""

    async def aclose(self) -> None:
        """Stop all invocations."""
        await self.world.aclose()

    def _bump(self) -> None:
        self.version += 1
        if self._waiting:
            self._waiting.set()
            self._waiting = None


def _seconds(delay: str) -> float:
    if not delay:
        return 0.0
    found = _DELAY.fullmatch(delay)
    if not found:
        raise ValueError(f"not a delay: {delay}")
    return int(found["count"]) * _SECONDS[found["unit"]]
