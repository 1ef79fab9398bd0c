"""Beginning anew, in two calls: the first may be repeated and is checked before every try, the second is made once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from bot.domain.errors import NotResumable, NotSent, OutcomeUnknown, RateLimited
from bot.domain.execution import ExecutionStatus
from bot.domain.request import Request, RequestState
from bot.service.carry_out import carry_out
from bot.service.presses import Outcome, Verb
from tests.fake_engine import RestartingEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, LEA, RITA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState
AWAY, LOST = NotSent("connection refused"), OutcomeUnknown("no answer in 20 s")
ENDED = "run-1 has been ended already"


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    """An engine that ends a run before it begins anew."""
    clock = FakeClock()
    async with open_world(database, engines=[RestartingEngine("orders", clock)], clock=clock) as opened:
        yield opened


def engine(world: World) -> RestartingEngine:
    assert isinstance(world.engine, RestartingEngine)
    return world.engine


async def approved(world: World) -> Request:
    request = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, request)
    return request


async def held_back(world: World) -> Request:
    """A request whose first call did not leave, and is tried again later."""
    request = await world.asked(await world.failed())
    world.clock.let_pass(6)
    await world.press(ARNO, Verb.APPROVE, request)
    engine(world).faults.add("prepare", AWAY, AWAY)
    await world.work()
    return await world.again(request)


async def ended(world: World) -> Request:
    """A request whose execution has been ended, and whose second call has to wait."""
    request = await approved(world)
    engine(world).faults.add("resume", RateLimited("slow down", 30.0))
    await world.work()
    return await world.again(request)


async def being_ended(world: World) -> asyncio.Task[None]:
    """A worker that holds the first call and has not sent it."""
    request = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, request)
    await world.drop_jobs()
    engine(world).held = asyncio.Event()
    sending = asyncio.create_task(carry_out(world.core, request.id))
    async with asyncio.timeout(5):
        await engine(world).holds.wait()
    return sending


def refusal(outcome: Outcome) -> str:
    assert outcome.is_refusal
    assert outcome.answer is not None
    return outcome.answer.text


# ---- two calls -------------------------------------------------------------------------------


async def test_the_first_call_is_recorded_before_the_one_that_counts(world: World) -> None:
    request = await approved(world)
    await world.wait(5)

    assert (await world.again(request)).watched.id == "run-1-2"
    assert await world.tags(request="req-1") == [
        "request:restart:requested",
        "request:decision:approved",
        "request:preparation:begun",
        "request:preparation:ended",
        "request:call:sent",
        "request:receipt:running",
    ]
    assert len(world.engine.calls) == 1
    assert len(world.chat.in_channel(DEPLOYS)) == 1


async def test_each_try_of_the_first_call_has_its_intent_and_what_came_of_it(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("prepare", AWAY, LOST)
    await world.wait(60)

    assert (await world.again(request)).state is S.RUNNING
    assert (await world.tags(request="req-1"))[2:8] == [
        *["request:preparation:begun", "request:life:held_back"] * 2,
        "request:preparation:begun",
        "request:preparation:ended",
    ]
    assert len(world.engine.calls) == 1


async def test_a_first_call_that_the_engine_refuses_ends_the_request(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("prepare", NotResumable("somebody else began it anew"))
    await world.wait(5)

    after = await world.again(request)
    assert (after.state, after.outcome) == (S.REFUSED, "somebody else began it anew")
    assert world.engine.calls == []


async def test_what_had_ended_before_is_not_said_to_have_been_ended(world: World) -> None:
    request = await approved(world)
    engine(world).runs["run-1"].status = ExecutionStatus.CANCELLED  # as it was when people decided
    world.engine.faults.add("resume", NotResumable("no"))
    await world.wait(5)

    assert (await world.again(request)).outcome != f"no; {ENDED}"


async def test_a_lost_answer_to_the_second_call_is_never_called_harmless(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("resume", LOST)
    await world.wait(300)

    assert (await world.again(request)).state is S.UNKNOWN
    assert len(await world.trail(action="request:call:sent")) == 1


# ---- before every try ------------------------------------------------------------------------


async def test_an_approver_who_left_keeps_a_first_call_that_was_held_back_from_being_made(world: World) -> None:
    request = await held_back(world)
    world.people.channels[DEPLOYS].discard(ARNO)
    await world.wait(60)

    after = await world.again(request)
    assert after.state is S.REFUSED
    assert "ended already" not in after.outcome
    assert (engine(world).prepared, world.engine.calls) == ([], [])


async def test_what_moved_keeps_a_first_call_that_was_held_back_from_being_made(world: World) -> None:
    request = await held_back(world)
    world.engine.runs["run-1"].move(ExecutionStatus.FAILED)
    await world.wait(60)

    assert (await world.again(request)).state is S.SUPERSEDED
    assert (engine(world).prepared, world.engine.calls) == ([], [])


async def test_a_first_call_that_was_held_back_is_not_made_after_its_time(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("prepare", *[AWAY] * 70)
    await world.wait(3700)

    after = await world.again(request)
    assert (after.state, after.outcome) == (S.EXPIRED, "it could not be sent in time")
    assert (engine(world).prepared, world.engine.calls) == ([], [])


async def test_an_end_whose_answer_was_lost_is_not_asked_for_twice(world: World) -> None:
    request = await approved(world)
    engine(world).end_lost = LOST
    await world.wait(20)

    assert (await world.again(request)).state is S.RUNNING
    assert engine(world).prepared == ["run-1"]
    assert (await world.tags(request="req-1")).count("request:preparation:begun") == 1


async def test_after_an_end_whose_answer_was_lost_people_are_checked_before_the_second_call(world: World) -> None:
    request = await world.asked(await world.failed())
    world.clock.let_pass(6)
    await world.press(ARNO, Verb.APPROVE, request)
    engine(world).end_lost = LOST
    await world.work()
    world.engine.down = AWAY
    await world.wait(6)
    world.engine.down = None
    world.people.channels[DEPLOYS].discard(ARNO)
    await world.wait(60)

    after = await world.again(request)
    assert after.state is S.REFUSED
    assert after.outcome.endswith(ENDED)
    assert (engine(world).prepared, world.engine.calls) == (["run-1"], [])


async def test_what_somebody_else_did_after_the_end_keeps_the_second_call_from_being_made(world: World) -> None:
    request = await ended(world)
    world.engine.runs["run-1"].move(ExecutionStatus.CANCELLED)
    await world.wait(60)

    after = await world.again(request)
    assert after.state is S.SUPERSEDED
    assert after.outcome.endswith(ENDED)
    assert world.engine.calls == []


async def test_what_moved_beside_an_end_of_unknown_effect_says_that_it_may_have_been_ended(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("prepare", LOST)
    await world.work()
    world.engine.runs["run-1"].move(ExecutionStatus.FAILED)
    await world.wait(60)

    after = await world.again(request)
    assert after.state is S.SUPERSEDED
    assert after.outcome.endswith("run-1 may have been ended already: the engine was asked to")
    assert world.engine.calls == []


# ---- taking it back --------------------------------------------------------------------------


async def test_nobody_takes_a_request_back_while_its_execution_is_being_ended(world: World) -> None:
    sending = await being_ended(world)
    request = await world.newest(await world.incident())

    withdrawn = await world.press(RITA, Verb.WITHDRAW, request)
    asked = await world.press(LEA, Verb.ASK_REJECT, request)
    rejected = await world.press(LEA, Verb.REJECT, request, reason="no")
    engine(world).go_on()
    await sending

    for outcome in (withdrawn, asked, rejected):
        assert "Nothing was done" in refusal(outcome)
        assert "is being ended right now" in refusal(outcome)
    assert (await world.again(request)).state is S.RUNNING
    assert (engine(world).prepared, len(world.engine.calls)) == (["run-1"], 1)


async def test_a_request_that_was_taken_back_ends_nothing(world: World) -> None:
    request = await held_back(world)

    assert not (await world.press(RITA, Verb.WITHDRAW, request)).is_refusal
    await world.wait(60)

    after = await world.again(request)
    assert (after.state, after.outcome) == (S.CANCELLED, "withdrawn by the requester")
    assert (engine(world).prepared, world.engine.calls) == ([], [])


async def test_a_request_that_is_taken_back_after_the_end_says_so_and_the_card_shows_what_is_left(world: World) -> None:
    request = await ended(world)

    assert not (await world.press(RITA, Verb.WITHDRAW, request)).is_refusal
    await world.wait(5)

    after, incident = await world.again(request), await world.incident()
    assert (after.state, after.outcome) == (S.CANCELLED, f"withdrawn by the requester; {ENDED}")
    assert "Withdrawn" in world.thread()[-1]
    assert ENDED in world.thread()[-1]
    assert incident.seen is not None
    assert incident.seen.status is ExecutionStatus.CANCELLED
    assert world.engine.calls == []


async def test_a_request_that_is_rejected_after_the_end_says_so(world: World) -> None:
    request = await ended(world)

    await world.press(LEA, Verb.REJECT, request, reason="not today")
    await world.wait(5)

    assert (await world.again(request)).outcome == f"not today; {ENDED}"
    assert any(ENDED in said for said in world.thread())
    incident = await world.incident()
    assert incident.seen is not None
    assert incident.seen.status is ExecutionStatus.CANCELLED


async def test_what_expires_after_the_end_says_so(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("resume", *[RateLimited("slow down", 60.0)] * 70)
    await world.wait(3700)

    after = await world.again(request)
    assert (after.state, after.outcome) == (S.EXPIRED, f"it could not be sent in time; {ENDED}")


async def test_what_expires_while_an_end_may_be_on_its_way_waits_for_that(world: World) -> None:
    request = await world.asked(await world.failed())
    world.clock.let_pass(3590)
    await world.run_task("slack", "read_people")
    await world.press(ARNO, Verb.APPROVE, request)
    world.engine.faults.add("prepare", LOST, LOST)
    await world.wait(30)
    await world.sweep()
    waiting = await world.again(request)
    await world.wait(90)

    assert waiting.is_being_ended
    after = await world.again(request)
    assert (after.state, after.outcome) == (S.EXPIRED, "it could not be sent in time")
    assert (engine(world).prepared, world.engine.calls) == ([], [])


async def test_an_end_that_a_worker_left_on_its_way_is_taken_up_by_the_next(world: World) -> None:
    sending = await being_ended(world)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    request = await world.newest(await world.incident())
    assert request.is_being_ended

    engine(world).go_on()
    await world.live(60)

    assert (await world.again(request)).state is S.RUNNING
    assert (engine(world).prepared, len(world.engine.calls)) == (["run-1"], 1)


async def test_a_worker_that_wakes_too_late_ends_nothing(world: World) -> None:
    frozen = await being_ended(world)
    request = await world.newest(await world.incident())
    world.people.channels[DEPLOYS].discard(ARNO)
    world.clock.let_pass(6)
    engine(world).go_on()
    await frozen
    await world.live(60)

    assert (await world.again(request)).state is S.REFUSED
    assert (engine(world).prepared, world.engine.calls) == ([], [])
