"""Two workers of the bot over one database and one engine, and an approved request that both carry out at the same moment.

approved ─┬─ worker: engine read ─┐ both have read,   ┌─ intent, call
          └─ worker: engine read ─┘ none has recorded └─ nothing
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from bot.domain.execution import Execution, ExecutionRef
from bot.domain.policy import Person, PersonKind
from bot.domain.ports import Engine
from bot.domain.request import Request
from bot.domain.setup import ConnectionInfo, Route, Setup
from bot.domain.text import cleaned
from bot.parts import SystemClock
from bot.service.carry_out import carry_out
from bot.service.core import Core
from bot.service.incidents import open_for
from bot.service.requests import Wish, approve, request_resume
from bot.store.queries import SqlSweepReadings
from tests.fakes import FakeChat, FakePeople, open_store

HOME, CHANNEL, RITA, ARNO = "T0HOME", "C0DEPLOYS", "U0RITA", "U0ARNO"
PATIENCE = 20.0


class Together:
    """The engine as one worker has it: a reading ends when the other worker has read as much."""

    def __init__(self, engine: Engine, meeting: asyncio.Barrier) -> None:
        self._engine, self._meeting = engine, meeting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The engine's answer, not before the other worker has one."""
        seen = await self._engine.describe(ref)
        async with asyncio.timeout(PATIENCE):
            await self._meeting.wait()
        return seen


@dataclass(frozen=True)
class TwoWorkers:
    """Each a core of its own, as in a process of its own; `desk` asks and approves."""

    desk: Core
    cores: tuple[Core, Core]
    readings: SqlSweepReadings

    async def approved(self, ref: ExecutionRef) -> Request:
        """A request at the first point of the execution, asked for by one and approved by another."""
        core, now = self.desk, self.desk.now()
        execution = cleaned(await core.engine(ref.connection).describe(ref))
        async with core.store.unit() as unit:
            unit.directory.save_members(HOME, CHANNEL, frozenset({RITA, ARNO}), now)
            for user in (RITA, ARNO):
                unit.directory.save_kind(HOME, user, PersonKind.MEMBER, now)
        async with core.store.unit() as unit:
            rita, arno = [await unit.directory.person(HOME, user) for user in (RITA, ARNO)]
            return await _approved(core, execution, rita, arno)

    async def carry_out(self, request: Request) -> Request:
        """Both do at once; the request as it stands afterwards."""
        await asyncio.gather(*(carry_out(core, request.id) for core in self.cores))
        after = await self.readings.request(request.id)
        assert after is not None
        return after


async def _approved(core: Core, execution: Execution, rita: Person, arno: Person) -> Request:
    async with core.store.unit() as unit:
        incident = await open_for(core, unit, execution, rita.actor, core.now())
    async with core.store.unit() as unit:
        locked = await unit.incidents.lock(incident.id)
        assert locked is not None
        request = await request_resume(core, unit, locked, Wish(rita, execution.points[0], "command"))
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        assert found is not None
        return await approve(core, unit, found[0], arno)


@asynccontextmanager
async def two_workers(database: str, engine: Engine, connection: str) -> AsyncIterator[TwoWorkers]:
    """Both, and a desk, each with connections of its own to the database."""
    clock, meeting = SystemClock(), asyncio.Barrier(2)
    setup = Setup(HOME, {connection: ConnectionInfo(connection, engine.kind, engine.kind)}, (Route({}, CHANNEL),))
    people = FakePeople(kinds=dict.fromkeys((RITA, ARNO), PersonKind.MEMBER), channels={CHANNEL: {RITA, ARNO}})
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_store(database, clock, pool_size=2)) for _ in range(3)]
        engines = [engine, *(cast("Engine", Together(engine, meeting)) for _ in range(2))]
        desk, first, second = [
            Core(store, setup, clock, {connection: its}, FakeChat(), people) for store, its in zip(stores, engines, strict=True)
        ]
        yield TwoWorkers(desk, (first, second), SqlSweepReadings(stores[0].engine))
