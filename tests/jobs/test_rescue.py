"""Jobs whose worker was killed, froze, or could not say that they ended: taken up by others, and no lane stays shut."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.jobs import rescue
from tests.in_process import until
from tests.jobs.lab import Calls, Lab, group

pytestmark = pytest.mark.anyio
HERE = Path(__file__)
ROOT = HERE.parents[2]
LANE = "T0HOME:C0DEPLOYS"
TAKEOVER = 1.0
# the first status that is written for a job costs its session, as when the network breaks at that moment
BREAK_ONCE = """
CREATE SEQUENCE public.breaks;
CREATE FUNCTION public.break_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('public.breaks') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF;
    RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER break_once BEFORE %s ON jobs.procrastinate_jobs
    FOR EACH ROW WHEN (OLD.status = 'doing' AND OLD.task_name = 'deliver') EXECUTE FUNCTION public.break_once();
"""


@asynccontextmanager
async def other_process(lab: Lab) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process whose worker takes jobs of the queue slack and stays with each until a file says so."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.jobs.other", lab.conninfo, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_taken(lab: Lab, status: str = "doing") -> None:
    async def taken() -> bool:
        return ("deliver", status) in await lab.jobs()

    await until(taken, f"job that is {status}", 20)


async def is_rescued(lab: Lab) -> int:
    async def rescued() -> int:
        return await rescue(lab.conninfo, TAKEOVER)

    return await until(rescued, "stalled job", 20)


async def test_the_job_of_a_killed_worker_is_run_by_another_and_its_lane_goes_on(lab: Lab) -> None:
    deliver = Calls()
    async with other_process(lab) as other:
        await lab.enqueue("deliver", lane=LANE, number=1)
        await is_taken(lab)
        other.kill()
        await other.wait()
    async with lab.working(group(deliver=deliver, poll=0.25)):
        await lab.enqueue("deliver", lane=LANE, number=2)

        assert await is_rescued(lab) >= 1

        await deliver.reach(2)
    assert deliver.seen == [{"number": 1}, {"number": 2}]


async def test_a_long_job_of_a_living_worker_is_left_alone(lab: Lab) -> None:
    may_end = asyncio.Event()
    deliver = Calls(lambda **_: _wait(may_end))
    async with lab.working(group(deliver=deliver)):
        await lab.enqueue("deliver", lane=LANE)
        await deliver.reach(1)
        await asyncio.sleep(TAKEOVER * 2)  # four heartbeats

        assert await rescue(lab.conninfo, TAKEOVER) == 0

        may_end.set()
    assert len(deliver.seen) == 1


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_the_job_of_a_frozen_worker_is_run_by_another_and_the_thawed_one_works_again(lab: Lab) -> None:
    deliver = Calls()
    async with other_process(lab) as other:
        await lab.enqueue("deliver", lane=LANE, number=1)
        await is_taken(lab)
        os.kill(other.pid, signal.SIGSTOP)
        assert await is_rescued(lab) >= 1
        async with lab.working(group(deliver=deliver)):  # a worker that starts removes those without a heartbeat
            await deliver.reach(1)

        os.kill(other.pid, signal.SIGCONT)
        await lab.ask("CREATE TABLE public.go_on ()")

        await lab.enqueue("deliver", lane=LANE, number=2)

        async def done() -> bool:
            return await lab.jobs() == []

        await until(done, "end of the second job in the thawed worker", 20)
    assert deliver.seen == [{"number": 1}]


@pytest.mark.parametrize("way", ["DELETE", "UPDATE OF status"], ids=["succeeded", "failed"])
async def test_a_lane_goes_on_after_a_job_whose_end_could_not_be_written(lab: Lab, way: str) -> None:
    async def fail() -> None:
        raise RuntimeError("on purpose")

    await lab.ask(BREAK_ONCE % way)
    deliver = Calls(fail if way.startswith("UPDATE") else None)
    async with lab.working(group(deliver=deliver, poll=0.25)):
        await lab.enqueue("deliver", lane=LANE)
        await lab.enqueue("deliver", lane=LANE)

        await deliver.reach(2)
