"""Failures of Harness NextGen that are found by asking, however long they ran and however many there are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.simulators.harness_world import Progress, Run, new_id
from tests.engines.harness_stand import NextGenStand

pytestmark = pytest.mark.anyio

FAILED_US = ("deploy_us", Progress.FAILED)


@pytest.fixture
def stand(nextgen: NextGenStand) -> NextGenStand:
    return nextgen


async def test_failures_that_were_retried_are_not_found_any_more(stand: NextGenStand) -> None:
    first = await stand.failed(FAILED_US)
    second = await stand.failed(("build", Progress.ABORTED))
    since = datetime.now(UTC) - timedelta(minutes=1)
    before = await stand.engine.find_failures(since)
    await stand.resume(first)
    await stand.world.until(lambda: not first.is_latest)

    after = await stand.engine.find_failures(since)

    assert [notice.ref.id for notice in before] == [first.identifier, second.identifier]
    assert [notice.ref.id for notice in after] == [second.identifier]
    assert await stand.engine.find_failures(datetime.now(UTC) + timedelta(hours=1)) == []


DAY = 24 * 3600 * 1000


async def standing(stand: NextGenStand, count: int, *, days: float = 1) -> list[Run]:
    """Failures that ended so many days ago and nobody retried."""
    first = await stand.failed(FAILED_US)
    runs = [replace(first, identifier=new_id()) for _ in range(count - 1)]
    for run in runs:
        stand.world.runs[run.identifier] = run
    for number, run in enumerate((first, *runs)):
        run.created_at = run.started_at = run.ended_at = (first.ended_at or 0) - int(days * DAY) + number
    return [first, *runs]


async def test_a_run_of_days_is_found_when_it_ends(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= 2 * DAY
    run.started_at = run.created_at

    found = await stand.engine.find_failures(datetime.now(UTC) - timedelta(minutes=2))

    assert [notice.ref.id for notice in found] == [run.identifier]


async def test_a_long_run_is_found_below_many_failures_that_stand(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= 20 * DAY
    run.started_at = run.created_at
    await standing(stand, 180)
    calls, found = [], set[str]()
    since = datetime.now(UTC) - timedelta(minutes=2)

    for _ in range(6):
        before = len(stand.simulator.faults.calls)
        found |= {notice.ref.id for notice in await stand.engine.find_failures(since)}
        calls.append(len(stand.simulator.faults.calls) - before)

    assert found == {run.identifier}
    assert max(calls) == 2  # the first page and one further down


async def test_all_failures_of_an_outage_are_told_the_oldest_first(stand: NextGenStand) -> None:
    runs = await standing(stand, 130, days=0)
    since = datetime.now(UTC) - timedelta(minutes=2)

    some = await stand.engine.find_failures(since, 120)
    rest = await stand.engine.find_failures(some[-1].at)

    assert [notice.ref.id for notice in some] == [run.identifier for run in runs[:120]]
    assert {notice.ref.id for notice in [*some, *rest]} == {run.identifier for run in runs}


async def test_what_a_budget_keeps_from_being_read_is_found_later(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= 20 * DAY
    run.started_at = run.created_at
    await standing(stand, 60)
    since = datetime.now(UTC) - timedelta(minutes=2)
    stand.simulator.faults.fail("POST /pipelines/execution/summary", "slow", seconds=0)
    stand.simulator.faults.fail("POST /pipelines/execution/summary", "rate_limited")

    held_back = await stand.engine.find_failures(since)
    found = await stand.engine.find_failures(datetime.now(UTC) + timedelta(hours=1))

    assert [notice.ref.id for notice in held_back] == []
    assert [notice.ref.id for notice in found] == [run.identifier]
