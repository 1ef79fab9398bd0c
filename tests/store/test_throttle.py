"""What the budget of calls promises: all processes share it, what matters most still finds some, no more than was set."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.config_tables import Rate
from bot.domain.errors import NotSent, RateLimited
from bot.domain.ports import LONGEST_PACE, Purpose, purpose
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


RESUME = 5  # calls: four readings and the one that counts


def throttle_for(engine: AsyncEngine, clock: StandingClock, rate: Rate) -> SqlThrottle:
    bucket = rate.bucket(RESUME)
    assert bucket is not None
    return SqlThrottle(engine, "cd", bucket[1], bucket[0], clock, sequence=RESUME)


async def together(throttle: SqlThrottle, reason: Purpose, calls: int) -> Sequence[float] | None:
    """The waits of so many calls for this purpose, None when they are not admitted."""
    purpose.set(reason)
    try:
        return await throttle.take_together(calls)
    except RateLimited:
        return None


async def exhaust(throttle: SqlThrottle) -> None:
    """Let all that is less urgent take what it may."""
    for _ in range(50):
        await together(throttle, Purpose.DESCRIBE, RESUME - 1)
        await together(throttle, Purpose.WATCH, RESUME - 1)
        await count(throttle, Purpose.POLL, 1)


async def test_what_cannot_be_finished_is_not_begun_and_costs_nothing(engine: AsyncEngine) -> None:
    throttle = throttle_for(engine, StandingClock(), Rate(10, 60))

    admitted = [await together(throttle, Purpose.DESCRIBE, 4) for _ in range(5)]

    assert admitted == [[0, 0, 0, 0], None, None, None, None]
    assert await together(throttle, Purpose.CARRY_OUT, 1) == [0]
    (wait,) = await together(throttle, Purpose.CARRY_OUT, 1) or ()
    assert wait == pytest.approx(12)  # of five, and five more a minute


async def test_thirty_a_minute_let_an_approved_resume_through_at_once(engine: AsyncEngine) -> None:
    throttle = throttle_for(engine, StandingClock(), Rate(30, 60))
    await exhaust(throttle)

    waits = await together(throttle, Purpose.CARRY_OUT, RESUME)

    assert waits is not None
    assert waits[-1] <= LONGEST_PACE


@pytest.mark.parametrize("rate", [Rate(7, 60), Rate(10, 60), Rate(20, 60), Rate(1, 1), Rate(20, 3600)], ids=str)
async def test_the_smallest_rates_let_a_resume_through_before_all_that_matters_less(engine: AsyncEngine, rate: Rate) -> None:
    clock = StandingClock()
    throttle = throttle_for(engine, clock, rate)
    await exhaust(throttle)

    for _ in range(200):
        waits = await together(throttle, Purpose.CARRY_OUT, RESUME)
        if waits is not None:
            break
        clock.move(rate.seconds / 40)
        await exhaust_once(throttle)

    assert waits is not None
    assert waits[-1] <= LONGEST_PACE + 1e-6


async def exhaust_once(throttle: SqlThrottle) -> None:
    """The poll, a card and a watch try their luck."""
    await count(throttle, Purpose.POLL, 1)
    await together(throttle, Purpose.DESCRIBE, RESUME - 1)
    await together(throttle, Purpose.WATCH, RESUME - 1)


async def test_the_poll_does_not_keep_cards_from_being_read(engine: AsyncEngine) -> None:
    clock, cards = StandingClock(), 0
    throttle = throttle_for(engine, clock, Rate(10, 60))
    for _ in range(600):
        clock.move(1)
        await count(throttle, Purpose.POLL, 1)
        cards += await together(throttle, Purpose.DESCRIBE, RESUME - 1) is not None

    assert cards >= 5


@pytest.mark.parametrize("rate", [Rate(7, 60), Rate(10, 60), Rate(30, 60), Rate(1, 1), Rate(5, 1), Rate(600, 60)], ids=str)
async def test_calls_that_were_taken_together_keep_to_the_rate_as_well(engine: AsyncEngine, rate: Rate) -> None:
    clock, made = StandingClock(), list[float]()
    throttle = throttle_for(engine, clock, rate)
    for step in range(60):
        clock.move(rate.seconds / 20)
        for reason, calls in ((Purpose.CARRY_OUT, RESUME), (Purpose.DESCRIBE, RESUME - 1), (Purpose.POLL, 1)):
            waits = await together(throttle, reason, calls) or []
            made += [step * rate.seconds / 20 + wait for wait in waits]
    made.sort()

    most = max(sum(begin <= at < begin + rate.seconds for at in made) for begin in made)
    assert most <= max(rate.calls, 2)


async def test_what_was_not_used_is_there_again_and_never_more_than_the_burst(engine: AsyncEngine) -> None:
    throttle = throttle_for(engine, StandingClock(), Rate(30, 60))
    await together(throttle, Purpose.CARRY_OUT, 10)

    await throttle.give_back(3)
    left = await count(throttle, Purpose.CARRY_OUT)
    await throttle.give_back(1000)

    assert (left, await count(throttle, Purpose.CARRY_OUT)) == (3, 10)


async def test_connections_of_one_account_share_one_budget(engine: AsyncEngine) -> None:
    clock = StandingClock()
    purpose.set(Purpose.CARRY_OUT)
    for name in ("team-a", "team-b", "team-c"):
        await SqlThrottle(engine, name, 0.1, 3, clock, key="account 1").admit()

    with pytest.raises(RateLimited, match="connection team-d"):
        await SqlThrottle(engine, "team-d", 0.1, 3, clock, key="account 1").admit()


async def test_without_a_rate_any_number_is_taken_and_given_back(engine: AsyncEngine) -> None:
    await engine.dispose()
    throttle = SqlThrottle(engine.execution_options(schema_translate_map={None: "nowhere"}), "orders", 0, 0, StandingClock())

    assert await throttle.take_together(3) == [0, 0, 0]
    await throttle.give_back(3)
