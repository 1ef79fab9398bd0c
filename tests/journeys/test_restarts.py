"""Whole processes and databases end and come back: nothing is lost, nothing is done twice, nobody stays deaf."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bot.store.embedded import Embedded
from bot.store.schema import migrate
from tests.journeys.engines import EngineSide, simulated
from tests.journeys.people import ARNO, PIA, RITA
from tests.journeys.points import How
from tests.journeys.stand import Run, Stand, opened
from tests.journeys.waiting import seen, until

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

OUTAGE = 3.0  # seconds
DRAIN = 25.0


@pytest.fixture
async def engine() -> AsyncIterator[EngineSide]:
    """A simulator for one test: its faults are left over when processes end."""
    async with simulated() as side:
        yield side


@pytest.fixture
def own_server(base: Path) -> Iterator[Embedded]:
    """A database server that may be stopped."""
    folder = Path(tempfile.mkdtemp(prefix="resumebot-journey-", dir=base))
    folder.chmod(0o711)  # as root the server is another account
    with Embedded(folder / "data") as running:
        asyncio.run(migrate(running.url))
        yield running
    shutil.rmtree(folder)


async def carried_through(stand: Stand, run: Run) -> str:
    """People press until it is done, as they are told to; the state at the end."""
    if not await stand.ledger.requests(run.id):
        await stand.people.press(RITA, "Retry", run.id)

    async def pressed() -> str | None:
        state = next(iter((await stand.ledger.requests(run.id)).values()), "")
        if state == "pending":
            await stand.people.press(ARNO, "Approve", run.id)
        return state if state in {"succeeded", "failed"} else None

    return await until(pressed, f"end of {run.id}", 60)


async def test_a_database_that_restarts_under_load_loses_nothing(base: Path, engine: EngineSide, own_server: Embedded) -> None:
    async with opened(base, engine, database=own_server.url) as stand:
        for role in ("web", "worker", "worker"):
            await stand.start_with_points(role)
        asked, seen_only = [await stand.failed() for _ in range(3)], [await stand.failed() for _ in range(3)]
        for run in (*asked, *seen_only):
            await stand.repair(run)
            await stand.people.sees_button(run.id, "Retry")
        for run in asked:
            await stand.people.press(RITA, "Retry", run.id)
            await stand.people.sees_button(run.id, "Approve")
        unseen = [await stand.begin() for _ in range(4)]

        pressing = asyncio.create_task(stand.people.press(PIA, "Approve", asked[0].id))
        await asyncio.to_thread(own_server._stop)
        over = time.monotonic() + OUTAGE
        while time.monotonic() < over:
            for user, label, run in ((PIA, "Approve", asked[1]), (RITA, "Retry", seen_only[0])):
                pressed = await stand.people.press(user, label, run.id)
                assert pressed.ack.status == 200
                await seen(lambda: not stand.people.counts(pressed), "word that the press does not count")  # noqa: B023
        await asyncio.to_thread(own_server.restart)
        await pressing
        for run in unseen:
            await stand.repair(run)

        outcomes = await asyncio.gather(*(carried_through(stand, run) for run in (*asked, *seen_only, *unseen)))
        assert set(outcomes) == {"succeeded"}
        for run in (*asked, *seen_only, *unseen):
            assert await stand.complaints(run, may_give_up_jobs=True) == []
        assert all(bot.is_running for bot in stand.bots)
        late = await stand.failed()
        begun = time.monotonic()
        await stand.repair(late)
        assert await carried_through(stand, late) == "succeeded"
        assert time.monotonic() - begun < 15, "somebody is deaf"


async def test_bot_and_database_killed_together_take_their_work_up_again(base: Path, engine: EngineSide) -> None:
    async with opened(base, engine) as stand:
        bot = await stand.start_with_points("run")
        waiting, approved = await stand.failed(), await stand.failed()
        for run in (waiting, approved):
            await stand.repair(run)
            await stand.people.press(RITA, "Retry", run.id)
        stand.arming.arm("after_intent", approved.id, How.KILL)

        await stand.people.press(ARNO, "Approve", approved.id)
        await bot.ended()
        postmaster = Path(stand.settings["RESUMEBOT_DATA"]) / "pg" / "postmaster.pid"
        os.kill(int(postmaster.read_text(encoding="utf-8").split()[0]), signal.SIGKILL)
        begun = time.monotonic()
        await stand.start_again(bot)
        ready_after = time.monotonic() - begun
        await stand.people.press(PIA, "Approve", waiting.id)

        assert ready_after < 60
        assert [await stand.is_over(run) for run in (waiting, approved)] == ["succeeded", "succeeded"]
        assert [await stand.complaints(run) for run in (waiting, approved)] == [[], []]


async def test_sigterm_lets_the_running_call_end_and_starts_no_other(base: Path, engine: EngineSide, database: str) -> None:
    async with opened(base, engine, database=database) as stand:
        bot = await stand.start("run")
        held, running, queued = [await stand.failed() for _ in range(3)]
        for run in (held, running, queued):
            await stand.repair(run)
            await stand.people.press(RITA, "Retry", run.id)
        engine.door.fail("PATCH */resume", 503)
        await stand.people.press(ARNO, "Approve", held.id)
        await stand.people.reads(held.id, "cannot be sent yet")
        engine.door.fail("PATCH */resume", "slow", seconds=3)

        await stand.people.press(ARNO, "Approve", running.id)
        await seen(lambda: engine.door.count(f"PATCH *{running.id}/resume"), "call on its way")
        await stand.people.press(ARNO, "Approve", queued.id)
        await until(lambda: stand.ledger.are_being_carried_out(2), "second call in hand")
        with suppress(AssertionError):  # it had every chance to begin
            await until(lambda: stand.ledger.intents(queued.id), "intent", limit=1)
        bot.terminate()
        begun = time.monotonic()
        status = await bot.ended(DRAIN)
        drained = time.monotonic() - begun
        states = [list((await stand.ledger.requests(run.id)).values()) for run in (held, running, queued)]
        calls, intents = [call.execution for call in engine.counter.calls], await stand.ledger.intents(queued.id)
        await stand.start_with_points("run")  # hurried: it need not wait half a minute for its sweep

        assert (status, calls, intents) == (0, [running.id], 0)
        assert drained > 1, "the running call was not waited for"
        assert states == [["approved"], ["running"], ["approved"]]
        assert [await stand.is_over(run) for run in (held, running, queued)] == ["succeeded"] * 3
        assert [await stand.complaints(run) for run in (held, running, queued)] == [[], [], []]
