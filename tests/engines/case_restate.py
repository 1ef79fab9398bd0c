"""The rows of Restate: the same engine on the simulator, and on a real server where there is one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.domain.execution import ExecutionRef
from bot.engines.restate import Restate, RestateSettings
from bot.simulators.restate_door import FaultKind
from tests.engines.cases import CONNECTION, NOBODY_LISTENS, SECRET, CallKind, Case, Opener, Sample, Stand, Trouble, Unlimited
from tests.restate_lab.lab import RestateLab
from tests.restate_lab.worlds import RestateWorld, door_to, open_stage, server_or_skip, simulated_world

SAMPLES = Path(__file__).parent / "samples" / "restate"
UNKNOWN = "inv_14fobJAsBXAZ54IAFviPsr23QlyHCuaaaa"
FAULTS: dict[Trouble, FaultKind] = {
    Trouble.UNAUTHORISED: 401,
    Trouble.FORBIDDEN: 403,
    Trouble.LIMITED: 429,
    Trouble.FAULT: 500,
    Trouble.STRANGE: "strange",
    Trouble.PAGE: "page",
    Trouble.CUT: "cut",
    Trouble.LOST: "lost",
}


class RestateStand:
    """An engine on a simulated or real world."""

    def __init__(self, world: RestateWorld) -> None:
        self.world = world
        self.engine = engine_for(world.admin_url)
        self._away = engine_for(NOBODY_LISTENS)
        self._keys: dict[str, str] = {}

    async def start(self, wanted: str, **how: Any) -> ExecutionRef:
        """A new invocation, once it has the wanted status."""
        run = await self.world.start(**how)
        await self.world.wait_status(run["id"], wanted)
        self._keys[run["id"]] = run["key"]
        return ExecutionRef(CONNECTION, run["id"])

    def key_of(self, ref: ExecutionRef) -> str:
        """The key that an invocation was planned by."""
        return self._keys[ref.id]

    async def fail_one(self) -> ExecutionRef:
        """A paused invocation."""
        return await self.start("paused", deploy="fail")

    async def succeed_one(self) -> ExecutionRef:
        """A completed invocation."""
        return await self.start("completed")

    def unknown(self) -> ExecutionRef:
        """An id that the server would take and does not know."""
        return ExecutionRef(CONNECTION, UNKNOWN)

    async def repair(self, ref: ExecutionRef) -> None:
        """Let all steps pass."""
        await self.world.plan(self._keys[ref.id])

    def trouble(self, call: CallKind, trouble: Trouble, times: int = 1) -> None:
        """Script it at the door."""
        for pattern in ("POST /query", "GET *") if call is CallKind.READ else ("PATCH */resume",):
            self.world.fail(pattern, FAULTS[trouble], times=times, seconds=7)

    def resumes(self) -> int:
        """Calls that came in at the door."""
        return self.world.count("PATCH */resume")

    def elsewhere(self) -> Restate:
        """The engine for an address without a server."""
        return self._away

    def notices(self, ref: ExecutionRef) -> Sequence[Sample]:
        """The hook's bodies, with the id filled in."""
        return [
            Sample(path.stem, path.read_bytes().replace(b"$INVOCATION", ref.id.encode()), {"content-type": "application/json"})
            for path in sorted(SAMPLES.glob("*.json"))
        ]

    async def aclose(self) -> None:
        """Close both engines."""
        await self.engine.aclose()
        await self._away.aclose()


def engine_for(admin_url: str, **more: Any) -> Restate:
    """An engine with the credential of the stand."""
    return Restate(CONNECTION, RestateSettings(admin_url=admin_url, token=SecretStr(SECRET), **more), Unlimited())


@asynccontextmanager
async def standing(world: RestateWorld) -> AsyncIterator[RestateStand]:
    """A stand on a world."""
    stand = RestateStand(world)
    try:
        yield stand
    finally:
        await stand.aclose()


@asynccontextmanager
async def simulated() -> AsyncIterator[Opener]:
    """The simulator, fresh for each test."""

    @asynccontextmanager
    async def opener() -> AsyncIterator[Stand]:
        async with simulated_world(stage, token=SECRET) as world, standing(world) as stand:
            await world.deploy()
            yield stand

    async with open_stage() as stage:
        yield opener


@asynccontextmanager
async def real() -> AsyncIterator[Opener]:
    """One real server for all tests, a fresh door for each."""

    @asynccontextmanager
    async def opener() -> AsyncIterator[Stand]:
        async with door_to(lab, stage, token=SECRET) as world, standing(world) as stand:
            yield stand

    async with RestateLab(server_or_skip()) as lab, open_stage() as stage:
        await lab.deploy()
        yield opener


CASES = (Case("restate", "restate", simulated), Case("restate-real", "restate", real))
