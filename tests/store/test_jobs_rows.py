"""Jobs enqueued with a change: by name, in their queue, collapsed without losing a wake-up, never scheduled behind a lock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from procrastinate import App, PsycopgConnector
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from bot.service.unit import Job
from bot.store.jobs import DEFER, arguments_of
from bot.store.prepared import driver_of
from bot.store.schema import SEARCH_PATH
from bot.store.unit_of_work import SqlStore
from tests.domain.things import MINUTE, NOW
from tests.store.rows import LANE, ask, count, jobs, opened, want

pytestmark = pytest.mark.anyio
DELIVER = Job("deliver", "slack", {"lane": LANE}, lane=LANE, collapses=True)
CARRY_OUT = Job("carry_out", "engine:orders", {"request_id": 17}, lane="orders:run-1:17")
WRITERS, CHANGES = 8, 25


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    async with opened(database, pool_size=WRITERS + 4) as store:
        yield store


async def enqueue(store: SqlStore, job: Job) -> None:
    async with store.unit() as unit:
        await unit.enqueue(job)


async def test_a_job_waits_in_its_queue_with_its_lane_and_time(store: SqlStore) -> None:
    await enqueue(store, CARRY_OUT)
    await enqueue(store, Job("expire", "timer", {"request_id": 17}, at=NOW + MINUTE))

    found = await ask(
        store, "SELECT queue_name, task_name, args, lock, scheduled_at, status::text FROM jobs.procrastinate_jobs ORDER BY id"
    )
    assert found == [
        ("engine:orders", "carry_out", {"request_id": 17}, "orders:run-1:17", None, "todo"),
        ("timer", "expire", {"request_id": 17}, None, NOW + MINUTE, "todo"),
    ]


async def test_a_job_is_the_one_that_the_job_engine_itself_would_have_made(store: SqlStore) -> None:
    await enqueue(store, CARRY_OUT)
    async with store.engine.begin() as connection:
        theirs = App(connector=PsycopgConnector()).configure_task(
            CARRY_OUT.task, queue=CARRY_OUT.queue, lock=CARRY_OUT.lane, connection=driver_of(connection)
        )
        await theirs.defer_async(**dict(CARRY_OUT.args))

    ours, wanted = await ask(store, "SELECT to_jsonb(job) - 'id' FROM jobs.procrastinate_jobs AS job ORDER BY id")
    assert ours == wanted
    events = "SELECT array_agg(type::text) FROM jobs.procrastinate_events GROUP BY job_id ORDER BY job_id"
    ours, wanted = await ask(store, events)
    assert ours == wanted


async def test_a_job_behind_a_lock_is_never_scheduled(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="would block everything behind it"):
        await enqueue(store, Job("deliver", "slack", {"lane": LANE}, lane=LANE, at=NOW))

    assert await count(store, "jobs.procrastinate_jobs") == 0


async def test_no_job_carries_a_queueing_lock(store: SqlStore) -> None:
    for job in (DELIVER, CARRY_OUT, Job("watch", "engine:orders", {"request_id": 17})):
        await enqueue(store, job)

    assert await ask(store, "SELECT queueing_lock FROM jobs.procrastinate_jobs") == [None] * 3


async def test_a_delivery_that_waits_does_a_further_ones_work(store: SqlStore) -> None:
    for _ in range(3):
        await enqueue(store, DELIVER)
    await enqueue(store, Job("deliver", "slack", {"lane": "other"}, lane="other", collapses=True))

    assert await jobs(store) == [("slack", "deliver", {"lane": lane}) for lane in (LANE, "other")]


async def test_a_delivery_that_runs_does_not_do_a_further_ones_work(store: SqlStore) -> None:
    await enqueue(store, DELIVER)
    await ask(store, "UPDATE jobs.procrastinate_jobs SET status = 'doing'")

    await enqueue(store, DELIVER)

    assert await count(store, "jobs.procrastinate_jobs") == 2


async def test_calls_never_collapse(store: SqlStore) -> None:
    for _ in range(2):
        await enqueue(store, CARRY_OUT)

    assert await count(store, "jobs.procrastinate_jobs") == 2


async def test_a_job_that_waits_or_runs_is_not_enqueued_once_more_where_once_is_enough(store: SqlStore) -> None:
    async def once(job: Job) -> None:
        async with store.unit() as unit:
            await unit.enqueue_once(job)

    watch = Job("watch", "engine:orders", {"request_id": 17})
    await once(watch)
    await once(watch)
    await ask(store, "UPDATE jobs.procrastinate_jobs SET status = 'doing'")
    await once(watch)
    assert await count(store, "jobs.procrastinate_jobs") == 1

    await once(Job("watch", "engine:orders", {"request_id": 18}))
    await once(Job("watch", "engine:billing", {"request_id": 17}))
    await ask(store, "UPDATE jobs.procrastinate_jobs SET status = 'failed' WHERE id = 1")
    await once(watch)

    assert await count(store, "jobs.procrastinate_jobs") == 4


# ---- a worker beside the writers -------------------------------------------------------------


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 — the database tells nobody of it
            await asyncio.sleep(0.02)


def worker_of(database: str, deliver: Callable[[str], Awaitable[None]]) -> App:
    conninfo = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=make_conninfo(conninfo, options=SEARCH_PATH), min_size=2, max_size=6))

    async def run(lane: str) -> None:
        await deliver(lane)

    app.task(name="deliver", queue="slack")(run)
    return app


@pytest.mark.parametrize("rows", [1, WRITERS], ids=["one row", "a row each"])
async def test_eight_writers_on_a_lane_lose_no_wake_up(store: SqlStore, database: str, rows: int) -> None:
    async def deliver(lane: str) -> None:
        late = "SELECT id, wanted FROM messages WHERE wanted > posted AND lane = :lane"
        for message, wanted in await ask(store, late, lane=lane):
            await ask(store, "UPDATE messages SET posted = :wanted WHERE id = :id", wanted=wanted, id=message)

    async def write(writer: int) -> None:
        for _ in range(CHANGES):
            async with store.unit() as unit:
                unit.messages.change(f"inc-{writer % rows}", "card")

    async def is_quiet() -> bool:
        return await ask(store, "SELECT 1 FROM jobs.procrastinate_jobs WHERE status IN ('todo', 'doing') LIMIT 1") == []

    for row in range(rows):
        await want(store, f"inc-{row}")
    app = worker_of(database, deliver)
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=4, fetch_job_polling_interval=0.05, install_signal_handlers=False)
        )
        await asyncio.gather(*[write(writer) for writer in range(WRITERS)])
        await until(is_quiet)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    assert await ask(store, "SELECT sum(wanted), sum(posted) FROM messages") == [
        (WRITERS * CHANGES + rows, WRITERS * CHANGES + rows)
    ]
    assert await count(store, "jobs.procrastinate_jobs") < WRITERS * CHANGES


async def test_a_waiting_delivery_does_not_start_before_the_change_it_stands_for_is_committed(
    store: SqlStore, database: str
) -> None:
    seen: list[int] = []

    async def deliver(lane: str) -> None:
        seen.extend(await ask(store, "SELECT wanted FROM messages"))

    async def drain() -> None:
        app = worker_of(database, deliver)
        async with app.open_async():
            await app.run_worker_async(wait=False, install_signal_handlers=False)

    await want(store, "inc-1")
    async with store.unit() as unit:
        unit.messages.change("inc-1", "card")
        await DEFER.rows(driver_of(unit.connection), **arguments_of([DELIVER]))  # as it is sent together with the commit
        await drain()
        assert seen == []
    await drain()

    assert seen == [2]
