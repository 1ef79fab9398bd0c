"""A process ends or freezes at a named point; the history checker then finds no promise broken."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.engines import EngineSide, at_hand
from tests.journeys.people import ARNO, RITA
from tests.journeys.points import How
from tests.journeys.stand import Stand, opened

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

POINTS = ["after_decision", "after_intent", "before_bytes", "after_bytes", "before_receipt", "in_receipt"]
END_POINTS = ["after_end_intent", "before_end_bytes", "after_end_bytes", "before_end_receipt"]
RESTARTS = [  # freezes where another worker then does what the frozen one was about to do, or has done
    *[(point, How.KILL) for point in END_POINTS],
    *[(point, How.FREEZE) for point in END_POINTS[:3]],
    ("after_intent", How.KILL),
    ("after_bytes", How.KILL),
    ("after_bytes", How.FREEZE),
]
UNPROVEN = {"after_intent"}  # nobody can say afterwards whether the restart is still on its way
SURFACES = ["card", "approval", "decided", "result"]


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[EngineSide]:
    """The real server behind a counting proxy where there is one."""
    async with at_hand() as side:
        yield side


@pytest.fixture(scope="module")
async def installation(base: Path, engine: EngineSide, journey_database: str) -> AsyncIterator[Stand]:
    """Web and two workers, as separate processes."""
    async with opened(base, engine, database=journey_database) as stand:
        for role in ("web", "worker", "worker"):
            await stand.start_with_points(role)
        yield stand


@pytest.fixture
async def stand(installation: Stand) -> Stand:
    """The same installation, whole again whatever the test before did to it."""
    for bot in list(installation.bots):
        bot.thaw()
        if not bot.is_running:
            await installation.start_again(bot)
    return installation


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("point", POINTS)
async def test_no_promise_is_broken_whoever_ends_or_freezes_on_the_way_to_the_engine(
    stand: Stand, point: str, how: How
) -> None:
    run = await stand.begin()
    await stand.people.press(RITA, "Retry", run.id)
    stand.arming.arm(point, run.id, how)
    if how is How.KILL:
        await stand.repair(run)

    pressing = asyncio.create_task(stand.people.press(ARNO, "Approve", run.id))
    victim = await stand.is_reached(point, run)
    if how is How.KILL:
        await stand.start_again(victim)
    outcome = await stand.is_over(run)
    if how is How.FREEZE:
        await stand.thaw(victim, point, run)
    await pressing

    assert outcome == ("succeeded" if how is How.KILL else "failed")
    assert await stand.complaints(run) == []


@pytest.mark.parametrize(("point", "how"), RESTARTS)
async def test_no_promise_is_broken_whoever_ends_or_freezes_around_the_two_calls_of_a_restart(
    stand: Stand, point: str, how: How
) -> None:
    run = await stand.begin()
    await stand.people.choose(RITA, "build", run.id)
    await stand.people.press(RITA, "Retry", run.id)
    await stand.repair(run)
    stand.arming.arm(point, run.id, how)

    pressing = asyncio.create_task(stand.people.press(ARNO, "Approve", run.id))
    victim = await stand.is_reached(point, run)
    if how is How.KILL:
        await stand.start_again(victim)
    outcome = await stand.is_over(run, among=frozenset({"unknown" if point in UNPROVEN else "succeeded"}))
    if how is How.FREEZE:
        await stand.thaw(victim, point, run)
    await pressing
    if outcome == "unknown":
        await stand.people.press(RITA, "Close as not run", run.id)
        await stand.is_over(run, among=frozenset({"cancelled"}))

    assert await stand.complaints(run) == []
    history = await stand.history(run)
    assert len(history.restarted) == (0 if point in UNPROVEN else 1)
    assert [end.status for end in history.ends if end.may_have_had_effect][-1:] == [200]


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_no_promise_is_broken_whoever_ends_or_freezes_at_each_post(stand: Stand, side: str, how: How) -> None:
    run = await stand.begin()
    for surface in SURFACES:
        stand.arming.arm(f"{side}_{surface}", run.id, how)

    async def strike(surface: str) -> None:
        point = f"{side}_{surface}"
        victim = await stand.is_reached(point, run)
        if how is How.KILL:
            await stand.start_again(victim)
        else:
            await stand.stands(surface, run)
            await stand.thaw(victim, point, run)

    await strike("card")
    await stand.insist(RITA, "Retry", run, "pending")
    await strike("approval")
    await stand.repair(run)
    await stand.insist(ARNO, "Approve", run, "succeeded")
    await strike("decided")
    await strike("result")

    assert await stand.is_over(run) == "succeeded"
    assert await stand.complaints(run) == []
