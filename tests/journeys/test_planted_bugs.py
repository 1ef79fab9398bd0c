"""The history checker complains about each planted bug, and of the same course of events without it has nothing to say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journeys.engines import EngineSide, simulated
from tests.journeys.people import ARNO, RITA
from tests.journeys.points import How
from tests.journeys.stand import Run, Stand, opened

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[EngineSide]:
    """The simulator: what is checked here is the checker."""
    async with simulated() as side:
        yield side


@pytest.fixture
async def stand(base: Path, engine: EngineSide, database: str) -> AsyncIterator[Stand]:
    """An installation of its own."""
    async with opened(base, engine, database=database) as opened_one:
        yield opened_one


async def asked(stand: Stand) -> Run:
    """A failure whose Retry was pressed and waits for approval."""
    run = await stand.begin()
    await stand.people.press(RITA, "Retry", run.id)
    await stand.people.sees_button(run.id, "Approve")
    return run


async def ends_after_the_answer(stand: Stand, bug: str) -> Run:
    """The web process ends when it has answered an approval."""
    bot = await stand.start_with_points("run", "--bug", bug)
    run = await asked(stand)
    for point in ("before_commit", "after_decision"):
        stand.arming.arm(point, run.id, How.KILL)
    await stand.people.press(ARNO, "Approve", run.id)
    await stand.start_again(bot)
    return run


async def loses_the_answer(stand: Stand, bug: str) -> Run:
    """The engine takes the call, and its answer is lost."""
    await stand.start_with_points("run", "--bug", bug)
    run = await asked(stand)
    stand.engine.door.fail("PATCH */resume", "lost")
    await stand.people.press(ARNO, "Approve", run.id)
    await stand.is_over(run)
    return run


async def freezes_before_the_bytes(stand: Stand, bug: str) -> Run:
    """A worker freezes when it is about to send, and thaws when another one has sent and seen the end."""
    await stand.start_with_points("run", "--bug", bug)
    await stand.start_with_points("worker", "--bug", bug)
    run = await asked(stand)
    stand.arming.arm("before_bytes", run.id, How.FREEZE)
    pressing = asyncio.create_task(stand.people.press(ARNO, "Approve", run.id))
    frozen = await stand.is_reached("before_bytes", run)
    if frozen.role == "run":
        await pressing
    await stand.is_over(run)
    await stand.thaw(frozen, "before_bytes", run)
    await pressing
    return run


async def goes_as_it_should(stand: Stand, bug: str) -> Run:
    """Nothing happens but what people want."""
    await stand.start_with_points("run", "--bug", bug)
    run = await asked(stand)
    await stand.people.press(ARNO, "Approve", run.id)
    with suppress(AssertionError):
        await stand.is_over(run, limit=4)
    return run


async def two_press_while_nobody_works(stand: Stand, bug: str) -> Run:
    """Two failures of one channel are asked for between the end of a worker and the beginning of the next."""
    await stand.start_with_points("web", "--bug", bug)
    worker = await stand.start_with_points("worker")
    first, second = await stand.begin(), await stand.begin()
    for run in (first, second):
        await stand.people.sees_button(run.id, "Retry")
    worker.kill()
    await worker.ended()
    for run in (first, second):
        await stand.people.press(RITA, "Retry", run.id)
    await stand.start_again(worker)
    await stand.people.sees_button(first.id, "Approve")
    with suppress(AssertionError):
        await stand.people.press(ARNO, "Approve", second.id, limit=2)
        await stand.is_over(second)
    return second


Course = Callable[[Stand, str], Awaitable[Run]]
CALLED_TWICE = "1 decisions and 2 calls that may have had an effect"
NOT_DURABLE = "1 presses of {} by slack:T0PLAY/{} were acknowledged and 0 are durable"
COURSES: dict[str, tuple[Course, str]] = {
    "ack before commit": (ends_after_the_answer, NOT_DURABLE.format("Approve", ARNO)),
    "blind second call": (loses_the_answer, CALLED_TWICE),
    "no fence": (freezes_before_the_bytes, CALLED_TWICE),
    "lock on a timer": (goes_as_it_should, "req-1 is left approved: its work is not finished"),
    "queueing lock on a change": (two_press_while_nobody_works, NOT_DURABLE.format("Retry", RITA)),
    "dropped entry": (goes_as_it_should, "request:outcome:failed of req-1, which was resuming"),
}


@pytest.mark.parametrize("bug", COURSES)
async def test_the_checker_finds_the_bug(stand: Stand, bug: str) -> None:
    course, complaint = COURSES[bug]

    run = await course(stand, bug)

    assert complaint in " / ".join(await stand.complaints(run, limit=0))


# the other courses run without a bug in the matrix of fail points and in the main journey
@pytest.mark.parametrize("course", [loses_the_answer, two_press_while_nobody_works])
async def test_the_checker_has_nothing_to_say_where_no_bug_is_planted(stand: Stand, course: Course) -> None:
    run = await course(stand, "none")

    assert await stand.complaints(run) == []
