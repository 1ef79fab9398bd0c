"""What the budget of calls promises: all processes share it, what matters most still finds some, no more than was set."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.config_tables import Rate
from bot.domain.errors import NotSent, RateLimited
from bot.domain.ports import Purpose, purpose
from bot.store.throttle import SqlThrottle
from tests.store.trail import StandingClock, opened, tamper

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database) as engine:
        yield engine


async def count(throttle: SqlThrottle, reason: Purpose, tries: int = 50) -> int:
    """How many calls for this purpose are admitted."""
    purpose.set(reason)
    admitted = 0
    for _ in range(tries):
        try:
            await throttle.admit()
        except RateLimited:
            break
        admitted += 1
    return admitted


async def test_what_matters_more_still_finds_some(engine: AsyncEngine) -> None:
    throttle = SqlThrottle(engine, "orders", 0.5, 20, StandingClock())

    admitted = {reason: await count(throttle, reason) for reason in reversed(Purpose)}

    assert admitted == {Purpose.POLL: 10, Purpose.WATCH: 5, Purpose.DESCRIBE: 3, Purpose.CARRY_OUT: 2}


async def test_a_refusal_says_how_long_to_wait_and_then_it_is_admitted(engine: AsyncEngine) -> None:
    clock = StandingClock()
    throttle = SqlThrottle(engine, "orders", 0.5, 1, clock)
    await throttle.admit()

    with pytest.raises(RateLimited, match="connection orders") as refused:
        await throttle.admit()
    clock.move(refused.value.wait or 0)
    await throttle.admit()

    assert refused.value.wait == 2


async def test_the_smallest_rate_lets_every_purpose_through(engine: AsyncEngine) -> None:
    rate = Rate(1, 60)

    admitted = await count(SqlThrottle(engine, "orders", rate.a_second, rate.burst, StandingClock()), Purpose.POLL)

    assert admitted == 1


@pytest.mark.parametrize("calls", [1, 2, 3, 5, 30, 600])
async def test_in_no_minute_more_calls_are_made_than_were_set(engine: AsyncEngine, calls: int) -> None:
    clock, rate = StandingClock(), Rate(calls, 60)
    throttle = SqlThrottle(engine, "orders", rate.a_second, rate.burst, clock)

    admitted = await count(throttle, Purpose.CARRY_OUT, 1000)
    for _ in range(12):
        clock.move(4.99)
        admitted += await count(throttle, Purpose.CARRY_OUT, 1000)

    assert admitted <= max(calls, 2)


async def test_processes_share_one_budget_and_connections_do_not(engine: AsyncEngine) -> None:
    clock = StandingClock()
    throttles = [SqlThrottle(engine, "orders", 0.1, 3, clock) for _ in range(2)]
    purpose.set(Purpose.CARRY_OUT)

    answers = await asyncio.gather(*[each.admit() for each in throttles * 3], return_exceptions=True)

    assert [type(answer) for answer in answers].count(RateLimited) == 3
    await SqlThrottle(engine, "billing", 0.1, 3, clock).admit()


async def test_without_a_rate_nothing_is_asked(engine: AsyncEngine) -> None:
    await engine.dispose()
    throttle = SqlThrottle(engine.execution_options(schema_translate_map={None: "nowhere"}), "orders", 0, 0, StandingClock())

    assert await count(throttle, Purpose.POLL) == 50


async def test_a_budget_that_cannot_be_read_stops_the_call_before_it_leaves(engine: AsyncEngine) -> None:
    await tamper(engine, "DROP TABLE budgets")

    with pytest.raises(NotSent, match="could not be read"):
        await SqlThrottle(engine, "orders", 1, 1, StandingClock()).admit()
