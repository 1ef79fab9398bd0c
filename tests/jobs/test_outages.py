"""What a restart, a longer absence and a standstill of the database do to workers: none is deaf afterwards, none is dead."""

import asyncio
import signal

import pytest
from procrastinate.exceptions import ConnectorException

from bot.jobs import POOL_TIMEOUT, worker_app
from tests.in_process import seen
from tests.jobs import lab as labs
from tests.jobs.conftest import Frail
from tests.jobs.lab import Calls, Lab, bring_back, freeze, group, take_down, thaw

pytestmark = pytest.mark.anyio
GROUPS = ("slack", "timer", "engine orders")


async def start_one(lab: Lab, calls: dict[str, Calls], limit: float) -> None:
    """A job for each group starts, though the next look of its workers is a minute away."""
    before = {name: len(each.seen) for name, each in calls.items()}
    for name in calls:
        await lab.enqueue("work", name)
    for name, each in calls.items():
        await each.reach(before[name] + 1, limit)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_restart_of_the_database_leaves_no_worker_deaf_and_none_dead(frail: Frail, sign: signal.Signals) -> None:
    calls = {name: Calls() for name in GROUPS}
    async with labs.opened(frail.url) as lab, lab.working(*[group(name, work=calls[name]) for name in GROUPS]):
        await start_one(lab, calls, 5)

        await take_down(frail.server, sign)
        await lab.store.close()
        await bring_back(frail.server)

        await lab.is_heard(*GROUPS)
        await start_one(lab, calls, 5)


async def test_a_database_away_for_longer_than_the_pools_wait_leaves_no_worker_dead(
    frail: Frail, caplog: pytest.LogCaptureFixture
) -> None:
    calls = {name: Calls() for name in GROUPS}
    async with labs.opened(frail.url) as lab, lab.working(*[group(name, poll=0.25, work=calls[name]) for name in GROUPS]):
        await take_down(frail.server)
        await lab.store.close()

        def ended() -> bool:
            said = [record for record in caplog.records if "are started anew" in record.message]
            return {record.__dict__["group"] for record in said} == set(GROUPS)

        await seen(ended, "end of all workers", POOL_TIMEOUT * 6)
        await bring_back(frail.server)

        await lab.is_heard(*GROUPS)
        await start_one(lab, calls, 5)


async def test_lost_connections_alone_are_made_anew(lab: Lab) -> None:
    calls = {name: Calls() for name in GROUPS}
    async with lab.working(*[group(name, work=calls[name]) for name in GROUPS]):
        await lab.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'resumebot %'")

        await lab.is_heard(*GROUPS)
        await start_one(lab, calls, 5)


async def test_workers_outlast_a_database_that_stands_still(frail: Frail) -> None:
    calls = {name: Calls() for name in GROUPS}
    async with labs.opened(frail.url) as lab, lab.working(*[group(name, poll=0.25, work=calls[name]) for name in GROUPS]):
        freeze(frail.server)
        await asyncio.sleep(POOL_TIMEOUT + 1)  # longer than a worker waits for a connection
        thaw(frail.server)

        await lab.is_heard(*GROUPS)
        await start_one(lab, calls, 10)


async def test_a_worker_without_a_database_ends_after_four_seconds_and_is_not_deaf_for_good(frail: Frail) -> None:
    app = worker_app(group(), frail.url.replace("+psycopg", ""))
    async with app.open_async():
        assert app.connector._async_pool.timeout == POOL_TIMEOUT == 4  # type: ignore[attr-defined]
        await take_down(frail.server)

        with pytest.raises(ConnectorException):
            await app.job_manager.prune_stalled_workers(30)
