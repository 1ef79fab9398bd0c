"""Ending what runs: a request like any other, where a policy names it."""

from collections.abc import AsyncIterator

import pytest

from bot.domain.choices import choice_value
from bot.domain.errors import OutcomeUnknown, Refusal
from bot.domain.execution import Action, ExecutionRef, ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.messages import PickPoint
from bot.domain.policy import Policy
from bot.domain.request import Request, RequestState
from bot.service import kills
from bot.service.presses import Outcome, Verb
from tests.fake_engine import EndingEngine, FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, LEA, RITA, World, open_world

pytestmark = pytest.mark.anyio

S = RequestState


@pytest.fixture
async def ending(database: str) -> AsyncIterator[World]:
    """An engine that can end what runs, and a policy that names it."""
    clock = FakeClock()
    policies = (Policy("kill", {"action": ("kill",)}, approvers=(LEA,)), Policy("default"))
    async with open_world(database, *policies, engines=[EndingEngine("orders", clock)], clock=clock) as world:
        yield world


async def running(world: World) -> Request:
    """A resumed run that goes on and on; the request that ends it."""
    resumed = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, resumed)
    await world.wait(2)
    world.engine.end("run-1", ExecutionStatus.FAILED)
    await world.wait(5)
    world.engine.runs["run-1"].move(ExecutionStatus.RUNNING)
    await world.run_task("engine:orders", "describe", incident_id=1)
    outcome = await world.press(RITA, Verb.KILL, await world.incident())
    assert not outcome.is_refusal, outcome
    await world.work()
    return await world.newest(await world.incident())


async def test_what_runs_is_ended_once_its_own_policy_lets_it(ending: World) -> None:
    request = await running(ending)
    assert (request.action, request.rules.names) == (Action.KILL, "kill")
    assert (await ending.press(ARNO, Verb.APPROVE, request)).is_refusal

    await ending.press(LEA, Verb.APPROVE, request)
    await ending.wait(20)

    assert ending.engine.runs["run-1"].status is ExecutionStatus.CANCELLED
    assert (await ending.again(request)).state is S.SUCCEEDED
    assert (await ending.tags(request=request.label))[0] == "request:kill:requested"
    assert len(await ending.trail(action="request:call:sent", request=request.label)) == 1


async def test_what_we_resumed_can_be_ended_while_we_watch_it(ending: World) -> None:
    resumed = await ending.asked(await ending.failed())
    await ending.press(ARNO, Verb.APPROVE, resumed)
    await ending.wait(5)
    card = ending.card().text

    outcome = await ending.press(RITA, Verb.KILL, await ending.incident())
    await ending.work()
    kill = await ending.newest(await ending.incident())
    await ending.press(LEA, Verb.APPROVE, kill)
    await ending.wait(60)

    assert "Kill it" in card
    assert not outcome.is_refusal
    assert kill.root == resumed.root
    assert ((await ending.again(kill)).state, (await ending.again(resumed)).state) == (S.SUCCEEDED, S.FAILED)
    assert [call.point for call in ending.engine.calls] == ["from:deploy", "kill"]
    assert (await ending.incident()).state is IncidentState.CLOSED


async def test_a_second_kill_and_a_resume_are_refused_while_one_is_asked_for(ending: World) -> None:
    resumed = await ending.asked(await ending.failed())
    await ending.press(ARNO, Verb.APPROVE, resumed)
    await ending.wait(5)
    await ending.press(RITA, Verb.KILL, await ending.incident())

    again = await ending.press(RITA, Verb.KILL, await ending.incident())
    ending.engine.end("run-1", ExecutionStatus.FAILED)
    await ending.wait(30)
    retry = await ending.press(RITA, Verb.RETRY, await ending.incident())

    assert again.answer is not None
    assert "req-2 asks for this already" in again.answer.text
    assert retry.answer is not None
    assert "req-2 asks for this already" in retry.answer.text


async def test_a_resume_that_is_not_sent_yet_stands_in_the_way_of_a_kill(ending: World) -> None:
    incident = await ending.failed()
    await ending.asked(incident)
    ending.engine.runs["run-1"].move(ExecutionStatus.RUNNING)
    await ending.run_task("engine:orders", "describe", incident_id=1)

    outcome = await ending.press(RITA, Verb.KILL, await ending.incident())

    assert outcome.answer is not None
    assert "req-1 asks for this already" in outcome.answer.text


async def test_a_healthy_execution_gets_a_card_without_retry_that_offers_to_end_it(ending: World) -> None:
    run = ending.engine.fail(1, error="", stage="")
    run.move(ExecutionStatus.RUNNING)

    told = await ending.command(RITA, "resume", "run-1")
    await ending.wait(3)
    card = ending.card().text
    outcome = await ending.press(RITA, Verb.KILL, await ending.incident())

    assert "Kill it" in told.text
    assert "Running" in card
    assert "Kill it" in card
    assert "Retry" not in card
    assert "failed" not in card
    assert not outcome.is_refusal


async def test_a_healthy_execution_that_nobody_may_end_is_refused_as_before(world: World) -> None:
    world.engine.fail(1).move(ExecutionStatus.RUNNING)

    told = await world.command(RITA, "resume", "run-1")

    assert "cannot be resumed" in told.text
    assert await world.readings.incident(1) is None


async def test_naming_the_kill_for_one_connection_opens_it_on_no_other(database: str) -> None:
    clock = FakeClock()
    engines: list[FakeEngine] = [EndingEngine("orders", clock), EndingEngine("billing", clock, prefix="bill")]
    kill = Policy("kill", {"connection": ("billing",), "action": ("kill",)})
    async with open_world(database, kill, engines=engines, clock=clock) as world:
        world.engine.fail(1).move(ExecutionStatus.RUNNING)
        execution = await world.engine.describe(ExecutionRef("orders", "run-1"))

        told = await world.command(RITA, "resume", "run-1")

        assert "cannot be resumed" in told.text
        with pytest.raises(Refusal, match="No policy names"):
            kills.rules_for(world.core, execution)


async def test_a_policy_that_wants_a_reason_for_a_kill_is_given_a_form_first(database: str) -> None:
    clock, kill = FakeClock(), Policy("kill", {"action": ("kill",)}, approvers=(LEA,), wants_reason=True)
    async with open_world(database, kill, Policy("default"), engines=[EndingEngine("orders", clock)], clock=clock) as world:
        incident = await world.failed()
        world.engine.runs["run-1"].move(ExecutionStatus.RUNNING)
        await world.run_task("engine:orders", "describe", incident_id=1)

        form = (await world.press(RITA, Verb.KILL, incident)).modal
        assert isinstance(form, PickPoint)
        choice = choice_value(0, form.points[0])
        sent = await world.press(RITA, Verb.RETRY, incident, choice=choice, reason="wrong branch", in_form=True)

        assert sent == Outcome()
        request = await world.newest(await world.incident())
        assert (request.action, request.reason) == (Action.KILL, "wrong branch")


async def test_what_has_ended_meanwhile_is_not_ended(ending: World) -> None:
    request = await running(ending)
    ending.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await ending.press(LEA, Verb.APPROVE, request)
    await ending.wait(5)

    assert (await ending.again(request)).state is S.REFUSED
    assert ending.engine.calls[-1].point != "kill"
    assert (await ending.incident()).state is IncidentState.RESOLVED


async def test_a_lost_answer_to_an_ending_is_asked_again_by_itself_and_not_by_people(ending: World) -> None:
    request = await running(ending)
    ending.engine.faults.add("kill", OutcomeUnknown("no answer in 20 s"))
    await ending.press(LEA, Verb.APPROVE, request)
    await ending.work()
    again = await ending.press(RITA, Verb.PRESS_AGAIN, request)
    assert again.is_refusal

    await ending.wait(120)

    assert (await ending.again(request)).state is S.SUCCEEDED
    assert await ending.readings.request(request.id + 1) is None


async def test_nothing_is_ended_where_no_policy_names_it(database: str) -> None:
    clock = FakeClock()
    async with open_world(database, engines=[EndingEngine("orders", clock)], clock=clock) as world:
        incident = await world.failed()
        world.engine.runs["run-1"].move(ExecutionStatus.RUNNING)
        await world.run_task("engine:orders", "describe", incident_id=1)

        assert (await world.press(RITA, Verb.KILL, incident)).is_refusal
        assert "Kill it" not in world.card().text
