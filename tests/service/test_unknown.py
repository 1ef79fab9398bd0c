"""When the answer to a call is lost: nobody calls blindly again, evidence decides at the right time, else people do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.errors import ContractViolation, NotSent, OutcomeUnknown
from bot.domain.execution import Evidence, ExecutionRef, ExecutionStatus, Finding
from bot.domain.request import Request, RequestState
from bot.service.carry_out import carry_out
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, GINA, LEA, RITA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState
NOT_ANSWERED = OutcomeUnknown("no answer in 20 s")


async def approved(world: World) -> Request:
    request = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, request)
    return await world.again(request)


async def unknown(world: World, *, took_effect: bool) -> Request:
    """A request whose call was answered by nothing."""
    request = await approved(world)
    if took_effect:
        world.engine.answer_lost = NOT_ANSWERED
    else:
        world.engine.faults.add("resume", NOT_ANSWERED)
    await world.work()
    return await world.again(request)


@pytest.fixture
async def proving(database: str) -> AsyncIterator[World]:
    """An engine that can prove that a call did nothing."""
    clock = FakeClock()
    async with open_world(database, engines=[FakeEngine("orders", clock, proves_absence=True)], clock=clock) as world:
        yield world


@pytest.fixture
async def chained(database: str) -> AsyncIterator[World]:
    """An engine that begins a new execution for each resume."""
    clock = FakeClock()
    async with open_world(database, engines=[FakeEngine("orders", clock, starts_new=True)], clock=clock) as world:
        yield world


# ---- not knowing -----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [NOT_ANSWERED, ContractViolation("an answer nobody knows")])
async def test_a_lost_answer_is_said_to_be_unknown_and_nothing_is_sent_again(world: World, error: Exception) -> None:
    request = await approved(world)
    world.engine.faults.add("resume", error)
    await world.wait(60)

    assert (await world.again(request)).state is S.UNKNOWN
    assert "Unknown" in world.card().text
    said = world.thread()[-1]
    assert "Unknown" in said
    assert "Press again" in said
    assert "Close as not run" in said
    assert len(await world.trail(action="request:call:sent")) == 1


async def test_an_unknown_request_stands_in_the_way_of_others(world: World) -> None:
    await unknown(world, took_effect=False)

    outcome = await world.press(LEA, Verb.RETRY, await world.incident())

    assert outcome.is_refusal
    assert outcome.answer is not None
    assert "unknown whether it ran" in outcome.answer.text


# ---- evidence --------------------------------------------------------------------------------


async def test_evidence_that_it_happened_counts_at_once(world: World) -> None:
    request = await unknown(world, took_effect=True)

    await world.wait(3)
    assert (await world.again(request)).state is S.RUNNING
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.wait(30)

    assert (await world.again(request)).state is S.SUCCEEDED
    assert (await world.tags(request="req-1"))[2:] == [
        "request:call:sent",
        "request:receipt:unknown",
        "request:evidence:happened",
        "request:outcome:succeeded",
    ]


async def test_probable_evidence_is_said_to_be_probable(world: World) -> None:
    request = await unknown(world, took_effect=False)
    ref = ExecutionRef("orders", "run-1")
    world.engine.says = Evidence(Finding.HAPPENED, "one newer execution", ref, is_probable=True)

    await world.wait(86)

    assert (await world.again(request)).state is S.RUNNING
    assert (await world.trail(action="request:evidence:happened"))[0]["data"]["probable"] is True


async def test_what_is_only_probable_is_not_concluded_before_85_seconds(world: World) -> None:
    request = await unknown(world, took_effect=False)
    world.engine.says = Evidence(Finding.HAPPENED, "one newer execution", ExecutionRef("orders", "run-1"), is_probable=True)

    await world.wait(84)

    assert (await world.again(request)).state is S.UNKNOWN


@pytest.mark.parametrize("end", [ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED])
async def test_what_is_only_probable_is_said_to_be_so_until_the_end(world: World, end: ExecutionStatus) -> None:
    request = await unknown(world, took_effect=False)
    ref = ExecutionRef("orders", "run-1")
    world.engine.says = Evidence(Finding.HAPPENED, "One newer execution.", ref, is_probable=True)
    await world.wait(86)
    running = world.card().text
    world.engine.end("run-1", end)
    await world.wait(60)

    assert (await world.again(request)).state in {S.SUCCEEDED, S.FAILED}
    assert "probably" in running
    assert "robably" in world.card().text
    assert "robably" in world.thread()[-1]
    assert "One newer execution." in world.thread()[-1]
    assert (await world.trail(request="req-1"))[-1]["data"]["probable"] is True


async def test_nobody_concludes_that_it_did_not_happen_before_85_seconds(proving: World) -> None:
    request = await unknown(proving, took_effect=False)

    await proving.wait(84)
    assert (await proving.again(request)).state is S.UNKNOWN
    assert len(await proving.trail(action="request:call:sent")) == 1
    await proving.wait(2)

    assert (await proving.again(request)).state is S.RUNNING
    assert [call.key for call in proving.engine.calls] == ["req-1-2"]
    assert (await proving.tags(request="req-1"))[2:] == [
        "request:call:sent",
        "request:receipt:unknown",
        "request:evidence:harmless",
        "request:call:sent",
        "request:receipt:running",
    ]


async def test_what_is_proven_harmless_is_sent_again_only_while_the_decision_holds(proving: World) -> None:
    request = await unknown(proving, took_effect=False)
    proving.engine.runs["run-1"].move(ExecutionStatus.FAILED)

    await proving.wait(120)

    assert (await proving.again(request)).state is S.SUPERSEDED
    assert len(await proving.trail(action="request:call:sent")) == 1


async def test_a_call_that_arrives_late_is_seen_before_anybody_calls_again(proving: World) -> None:
    request = await unknown(proving, took_effect=False)
    await proving.wait(60)
    proving.engine.says = Evidence(Finding.HAPPENED, "it moved", ExecutionRef("orders", "run-1"))
    proving.engine.runs["run-1"].move(ExecutionStatus.RUNNING)
    await proving.wait(60)

    assert (await proving.again(request)).state is S.RUNNING
    assert len(await proving.trail(action="request:call:sent")) == 1


async def test_unclear_evidence_leaves_it_to_people_with_what_was_seen(world: World) -> None:
    request = await unknown(world, took_effect=False)
    await world.wait(600)

    assert (await world.again(request)).state is S.UNKNOWN
    assert "Nothing newer is to be seen." in world.thread()[-1]
    assert len(await world.trail(action="request:evidence:unclear")) == 1
    assert world.engine.calls == []


async def test_what_was_seen_is_recorded_also_where_the_engine_was_down_at_first(world: World) -> None:
    await unknown(world, took_effect=False)
    world.engine.down = NotSent("connection refused")
    await world.wait(120)
    world.engine.down = None
    await world.wait(60)

    assert len(await world.trail(action="request:evidence:unclear")) == 1


# ---- people ----------------------------------------------------------------------------------


async def test_pressing_again_asks_anew_with_a_warning_and_ends_the_old_one(world: World) -> None:
    request = await unknown(world, took_effect=False)
    await world.wait(100)

    await world.press(RITA, Verb.PRESS_AGAIN, request)
    await world.work()

    anew = await world.newest(await world.incident())
    assert ((await world.again(request)).state, anew.label, anew.state) == (S.SUPERSEDED, "req-2", S.PENDING)
    assert "it may have run" in anew.warning
    assert anew.digest != request.digest
    assert any("it may have run" in text and "Approve" in text for text in world.thread())
    assert (await world.trail(action="request:unknown:pressed_again"))[0]["data"] == {"new_request": "req-2"}
    assert world.engine.calls == []

    await world.press(ARNO, Verb.APPROVE, anew)
    await world.wait(5)
    assert [call.key for call in world.engine.calls] == ["req-2-1"]


async def test_pressing_again_is_for_those_who_may_ask_and_only_once(world: World) -> None:
    request = await unknown(world, took_effect=False)

    assert (await world.press(GINA, Verb.PRESS_AGAIN, request)).is_refusal
    outcomes = await asyncio.gather(*[world.press(user, Verb.PRESS_AGAIN, request) for user in (RITA, LEA, ARNO)])

    assert sorted(outcome.is_refusal for outcome in outcomes) == [False, True, True]
    assert len(await world.trail(action="request:unknown:pressed_again")) == 1


async def test_closing_as_not_run_ends_it_and_the_card_offers_retry_again(world: World) -> None:
    request = await unknown(world, took_effect=False)

    await world.press(ARNO, Verb.CLOSE, request)
    await world.work()

    assert (await world.again(request)).state is S.CANCELLED
    assert (await world.trail(action="request:unknown:closed"))[0]["actor"].endswith(ARNO)
    assert "Retry" in world.card().text
    assert not any("Press again" in text for text in world.thread())
    await world.wait(300)
    assert len(await world.trail(action="request:call:sent")) == 1


async def test_the_requester_may_close_and_a_guest_may_not(world: World) -> None:
    request = await unknown(world, took_effect=False)

    assert (await world.press(GINA, Verb.CLOSE, request)).is_refusal
    assert not (await world.press(RITA, Verb.CLOSE, request)).is_refusal


async def test_what_is_known_again_can_be_neither_pressed_again_nor_closed(world: World) -> None:
    request = await unknown(world, took_effect=True)
    await world.wait(3)

    for verb in (Verb.PRESS_AGAIN, Verb.CLOSE):
        outcome = await world.press(ARNO, verb, request)
        assert outcome.is_refusal
        assert outcome.answer is not None
        assert "moved on" in outcome.answer.text


# ---- workers that die or freeze --------------------------------------------------------------


async def resuming(world: World) -> tuple[Request, asyncio.Task[None], asyncio.Event]:
    """A request whose worker stands right before the bytes leave."""
    request = await approved(world)
    held = world.engine.held = asyncio.Event()
    sending = asyncio.create_task(carry_out(world.core, request.id))
    async with asyncio.timeout(5):
        while (await world.again(request)).state is not S.RESUMING:  # noqa: ASYNC110 — the database tells nobody of it
            await asyncio.sleep(0.005)
    world.engine.held = None
    await world.drop_jobs()
    return request, sending, held


async def test_a_crash_while_it_is_sent_is_found_and_called_unknown(world: World) -> None:
    request, sending, _ = await resuming(world)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)

    await world.live(30)
    assert (await world.again(request)).state is S.UNKNOWN
    await world.live(120)

    assert (await world.again(request)).state is S.UNKNOWN
    assert any("worker that sent the call ended" in entry["data"].get("reason", "") for entry in await world.trail())
    assert world.engine.calls == []


async def test_a_job_that_a_dead_worker_left_does_not_send_a_second_call(world: World) -> None:
    request, sending, _ = await resuming(world)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)

    await carry_out(world.core, request.id)  # as the rescue enqueues it, sooner than anything may be concluded

    assert (await world.again(request)).state is S.RESUMING
    assert len(await world.trail(action="request:call:sent")) == 1


async def test_a_frozen_worker_that_wakes_too_late_sends_nothing(proving: World) -> None:
    request, sending, held = await resuming(proving)
    proving.core._calling.clear()  # whoever goes on is another process: it does not wait for the frozen one's call
    await proving.live(30)
    assert (await proving.again(request)).state is S.UNKNOWN
    await proving.live(90)
    assert (await proving.again(request)).state is S.RUNNING

    held.set()
    await sending

    assert [call.key for call in proving.engine.calls] == ["req-1-2"]
    assert (await proving.again(request)).state is S.RUNNING


async def test_a_receipt_that_comes_after_its_worker_was_given_up_counts(world: World) -> None:
    request, sending, held = await resuming(world)
    before = world.clock.boot()
    await world.live(30)
    assert (await world.again(request)).state is S.UNKNOWN

    world.clock._boot = before  # the call had left in time, its answer was slow
    held.set()
    await sending

    after = await world.again(request)
    assert after.state is S.RUNNING
    assert len(world.engine.calls) == 1
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.live(60)
    assert (await world.again(request)).state is S.SUCCEEDED


async def test_work_whose_jobs_are_lost_at_any_point_is_taken_up_by_the_sweep(world: World) -> None:
    request = await approved(world)
    await world.drop_jobs()
    await world.live(60)
    assert (await world.again(request)).state is S.RUNNING

    await world.drop_jobs()
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.live(60)
    assert (await world.again(request)).state is S.SUCCEEDED

    await world.drop_jobs()
    await world.live(60)
    assert "Succeeded" in world.card().text


async def test_a_request_whose_timer_is_lost_expires_by_the_sweep(world: World) -> None:
    request = await world.asked(await world.failed())
    await world.drop_jobs()
    world.clock.let_pass(3600)

    await world.sweep()

    assert (await world.again(request)).state is S.EXPIRED


async def test_a_call_that_was_answered_is_not_made_again_however_little_is_left_of_it(chained: World) -> None:
    request = await approved(chained)
    await chained.wait(5)
    del chained.engine.runs["run-1-2"]
    chained.engine.says = Evidence(Finding.HARMLESS, "There is no run of that name.")
    await chained.wait(900)

    after = await chained.again(request)
    assert (after.state, len(chained.engine.calls)) == (S.UNKNOWN, 1)
    assert after.outcome == "The engine accepted the call, so it may have run. Nothing is to be seen of it now."
    await chained.run_task("slack", "read_people")
    again = await chained.press(RITA, Verb.PRESS_AGAIN, request)
    assert not again.is_refusal
    assert "may have run" in (await chained.newest(await chained.incident())).warning


async def test_a_request_of_a_connection_that_is_gone_is_left_alone(world: World) -> None:
    request = await approved(world)
    await world.drop_jobs()
    gone = replace(world.core, setup=replace(world.core.setup, connections={}))

    from bot.service.sweep import sweep  # noqa: PLC0415

    await sweep(gone, world.readings, world.outbox)

    assert await world.waiting_jobs("carry_out") == []
    assert (await world.again(request)).state is S.APPROVED
