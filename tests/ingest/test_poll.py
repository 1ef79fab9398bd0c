"""The poll: from the first start on nothing is missed or comes twice, what stood before is left alone, silence is said."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from bot.domain.errors import Forbidden, NotSent, RateLimited
from bot.domain.execution import FailureNotice
from bot.domain.setup import ConnectionInfo
from bot.ingest.poll import LIMIT, OVERLAP, poll
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import AUDIT, RITA, World, open_world

pytestmark = pytest.mark.anyio
EVERY = 15
SILENCE = 300


class DatedEngine(FakeEngine):
    """Tells of each run at the time at which it failed, oldest first, from a moment on and so many at most."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("orders", clock)
        self.failed_at: dict[str, datetime] = {}
        self.asked: list[tuple[datetime | None, int]] = []

    def fail_now(self, number: int, before: float = 0.0) -> None:
        """A run fails, or failed so many seconds ago."""
        run = self.fail(number)
        self.failed_at[run.id] = self.clock.now() - timedelta(seconds=before)

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """As an engine answers."""
        self.asked.append((since, limit))
        await self._admit("find_failures")
        found = sorted(self.failed_at.items(), key=lambda item: item[1])
        return [self._dated(run, at) for run, at in found if since is None or at >= since][:limit]

    def _dated(self, run: str, at: datetime) -> FailureNotice:
        made = self.notice(run)
        return FailureNotice(made.ref, made.key, made.name, made.stage, made.message, at)


@asynccontextmanager
async def watching(database: str, poll_seconds: int = EVERY) -> AsyncIterator[tuple[World, DatedEngine]]:
    """A world whose engine is polled."""
    clock = FakeClock()
    engine = DatedEngine(clock)
    infos = {"orders": ConnectionInfo("orders", "fake", "Fake", poll_seconds=poll_seconds)}
    async with open_world(database, engines=[engine], clock=clock, connections=infos) as world:
        yield world, engine


async def look(world: World, after: float = EVERY) -> None:
    """The next poll, and what follows from it."""
    world.clock.let_pass(after)
    await poll(world.core, "orders")
    await world.work()


async def reported(world: World) -> list[str]:
    """The executions that have incidents, in order."""
    async with world.store.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT execution_id FROM incidents ORDER BY id")
        return [row[0] for row in rows]


# ---- marks -------------------------------------------------------------------------------------


async def test_what_stood_before_the_first_start_is_not_posted_and_listed_on_demand(database: str) -> None:
    async with watching(database) as (world, engine):
        engine.fail_now(1, before=3600)
        engine.fail_now(2, before=5)

        for _ in range(3):
            await look(world)

        assert await reported(world) == []
        listed = await world.command(RITA, "list")
        assert "run-1" in listed.text
        assert "run-2" in listed.text


async def test_what_fails_after_the_first_start_is_reported_once(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        engine.fail_now(1)

        for _ in range(4):
            await look(world)

        assert await reported(world) == ["run-1"]
        assert await world.tags(action="incident:notice:merged") == []


async def test_what_failed_while_nobody_looked_is_reported_afterwards(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        world.clock.let_pass(1800)
        engine.fail_now(1)
        world.clock.let_pass(1800)

        await look(world)

        assert await reported(world) == ["run-1"]


async def test_what_the_engine_tells_late_is_found_by_the_overlap(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        await look(world)
        engine.fail_now(1, before=OVERLAP.total_seconds() - 1)  # it failed before the last poll and shows only now

        await look(world)

        assert await reported(world) == ["run-1"]


async def test_while_the_engine_is_away_the_mark_stays(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        engine.down = NotSent("it is away")
        engine.fail_now(1)
        for _ in range(4):
            await look(world, 30)
        engine.down = None

        await look(world, 120)

        assert await reported(world) == ["run-1"]


# ---- pages -------------------------------------------------------------------------------------


async def test_more_failures_than_a_page_holds_are_all_read_at_once(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        for number in range(LIMIT * 2 + 7):
            world.clock.let_pass(0.01)
            engine.fail_now(number)

        await poll_only(world)

        assert len(await reported(world)) == LIMIT * 2 + 7


async def test_more_failures_of_one_moment_than_a_page_holds_are_all_read(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        for number in range(LIMIT + 3):
            engine.fail_now(number)

        await poll_only(world)

        assert len(await reported(world)) == LIMIT + 3


async def poll_only(world: World) -> None:
    """One poll, its jobs left waiting."""
    world.clock.let_pass(EVERY)
    await poll(world.core, "orders")


# ---- pace --------------------------------------------------------------------------------------


async def test_two_processes_that_poll_at_once_ask_once(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        await look(world, 0)

        assert len(engine.asked) == 1


async def test_an_engine_that_asks_to_wait_is_left_alone_so_long(database: str) -> None:
    async with watching(database) as (world, engine):
        engine.faults.add("find_failures", RateLimited("wait", 60))
        await look(world)
        asked = len(engine.asked)

        await look(world, 45)
        assert len(engine.asked) == asked
        await look(world, 16)

        assert len(engine.asked) == asked + 1


async def test_an_engine_that_fails_is_asked_half_as_often(database: str) -> None:
    async with watching(database) as (world, engine):
        engine.down = NotSent("it is away")
        for _ in range(8):
            await look(world)

        assert len(engine.asked) == 4


# ---- silence -----------------------------------------------------------------------------------


def said(world: World) -> list[str]:
    """What stands in the audit channel."""
    return [post.text for post in world.chat.in_channel(AUDIT)]


@pytest.mark.parametrize("poll_seconds", [EVERY, 0], ids=["polled", "not polled"])
async def test_an_engine_silent_for_five_minutes_is_said_once_everywhere_and_again_when_it_is_back(
    database: str, poll_seconds: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(database, poll_seconds) as (world, engine):
        await look(world)
        engine.down = NotSent("orders cannot be reached")
        for _ in range(4):
            await look(world, 60)
        assert said(world) == []

        for _ in range(8):
            await look(world, 60)

        assert len(said(world)) == 1
        assert "orders" in said(world)[0]
        assert "has not answered since" in said(world)[0]
        (lost,) = await world.trail(action="bot:engine:lost")
        assert lost["connection"] == "orders"
        assert lost["data"]["last_answer"]
        assert [record.message for record in caplog.records].count("engine is silent") == 1

        engine.down = None
        for _ in range(4):
            await look(world, 60)

        assert len(said(world)) == 2
        assert "answers again" in said(world)[1]
        assert len(await world.trail(action="bot:engine:found")) == 1
        assert "engine answers again" in [record.message for record in caplog.records]


async def test_a_refused_credential_is_silence_too_and_says_why(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        engine.down = Forbidden("orders refuses our credential (HTTP 401)")

        for _ in range(12):
            await look(world, 60)

        assert "refuses our credential" in said(world)[0]


async def test_a_short_absence_is_not_said(database: str) -> None:
    async with watching(database) as (world, engine):
        await look(world)
        for _ in range(3):
            engine.down = NotSent("it is away")
            for _ in range(4):
                await look(world, 60)
            engine.down = None
            for _ in range(3):
                await look(world, 60)

        assert said(world) == []
        assert await world.trail(action="bot:engine:lost") == []
