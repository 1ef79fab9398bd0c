"""On engines that do not tell which execution continues which, a chain is what our own calls made of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.errors import OutcomeUnknown
from bot.domain.execution import Execution, ExecutionRef, ExecutionStatus, Receipt, ResumePoint
from bot.domain.request import Request, RequestState
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, RITA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState
NEW = "run-1-2"  # what a resume of run-1 begins


class ForgetfulEngine(FakeEngine):
    """One that begins new executions and shows of none what it continues."""

    forgets_chains = True

    def __init__(self, connection: str, clock: FakeClock) -> None:
        super().__init__(connection, clock, starts_new=True)
        self.has_begun = asyncio.Event()
        self.answers = asyncio.Event()  # a resume that has begun something is answered when this is set
        self.answers.set()

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Begin the new run, and answer when it is time."""
        receipt = await super().resume(ref, point, key, send_before)
        self.has_begun.set()
        await self.answers.wait()
        return receipt

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The run, with points whether or not it was resumed since."""
        shown = await super().describe(ref)
        points = self._points(self.runs[ref.id])
        return replace(shown, root=ref.id, chain=(ref.id,), newest="", points=points, started_at=self.clock.now())


@pytest.fixture
async def forgetful(database: str) -> AsyncIterator[World]:
    """Such an engine."""
    clock = FakeClock()
    async with open_world(database, engines=[ForgetfulEngine("orders", clock)], clock=clock) as world:
        yield world


async def approved(world: World) -> Request:
    request = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, request)
    return request


async def test_a_new_execution_heard_of_before_its_receipt_makes_no_second_card(forgetful: World) -> None:
    request = await approved(forgetful)
    engine = forgetful.engine
    assert isinstance(engine, ForgetfulEngine)
    engine.answers.clear()
    working = asyncio.create_task(forgetful.work())
    await engine.has_begun.wait()
    engine.end(NEW, ExecutionStatus.FAILED, "again")
    await forgetful.report(engine.runs[NEW])
    await forgetful.wait(6)
    engine.answers.set()
    await working

    await forgetful.live(120)

    assert (await forgetful.again(request)).new_execution == NEW
    assert len(forgetful.chat.in_channel(DEPLOYS)) == 1
    assert "Failed again" in forgetful.card().text
    assert NEW in forgetful.card().text


async def test_a_new_execution_whose_receipt_is_lost_waits_for_evidence_and_makes_no_second_card(forgetful: World) -> None:
    request = await approved(forgetful)
    forgetful.engine.answer_lost = OutcomeUnknown("no answer in 20 s")
    begun_unseen = forgetful.engine.faults
    begun_unseen.add("evidence", OutcomeUnknown("not yet"), OutcomeUnknown("not yet"))
    await forgetful.work()
    forgetful.engine.end(NEW, ExecutionStatus.FAILED, "again")
    await forgetful.report(forgetful.engine.runs[NEW])

    await forgetful.live(240)

    assert (await forgetful.again(request)).state is S.FAILED
    assert len(forgetful.chat.in_channel(DEPLOYS)) == 1
    assert NEW in forgetful.card().text


async def test_a_failure_that_no_evidence_claims_gets_its_card_in_the_end(forgetful: World) -> None:
    await approved(forgetful)
    forgetful.engine.faults.add("resume", OutcomeUnknown("no answer in 20 s"))
    await forgetful.work()
    await forgetful.report(forgetful.engine.fail(2))

    await forgetful.wait(60)
    before = len(forgetful.chat.in_channel(DEPLOYS))
    await forgetful.live(240)

    assert before == 1
    assert ["run-2" in card.text for card in forgetful.chat.in_channel(DEPLOYS)] == [False, True]


async def test_a_lost_wake_up_does_not_lose_what_is_held_back(forgetful: World) -> None:
    await approved(forgetful)
    forgetful.engine.faults.add("resume", OutcomeUnknown("no answer in 20 s"))
    await forgetful.work()
    await forgetful.report(forgetful.engine.fail(2))
    await forgetful.drop_jobs()

    await forgetful.live(600)

    assert len(forgetful.chat.in_channel(DEPLOYS)) == 2


@pytest.mark.parametrize("details", [{"name": "Other pipeline"}])
async def test_a_failure_of_something_else_is_shown_at_once(forgetful: World, details: dict[str, object]) -> None:
    await approved(forgetful)
    forgetful.engine.faults.add("resume", OutcomeUnknown("no answer in 20 s"))
    await forgetful.work()

    await forgetful.report(forgetful.engine.fail(2, **details))
    await forgetful.wait(3)

    assert len(forgetful.chat.in_channel(DEPLOYS)) == 2


async def test_what_was_resumed_as_another_is_refused_by_its_old_id(forgetful: World) -> None:
    await approved(forgetful)
    await forgetful.wait(2)
    forgetful.engine.end(NEW, ExecutionStatus.FAILED, "again")
    await forgetful.wait(60)

    told = await forgetful.command(RITA, "resume", "run-1", "deploy")

    assert f"was resumed as `orders:{NEW}` already" in told.text
    assert await forgetful.readings.request(2) is None
    assert (await forgetful.incident()).execution_id == NEW


async def test_a_request_on_the_newest_stands_in_the_way_of_others_of_its_chain(forgetful: World) -> None:
    await approved(forgetful)
    await forgetful.wait(2)
    forgetful.engine.end(NEW, ExecutionStatus.FAILED, "again")
    await forgetful.wait(60)

    second = await forgetful.asked(await forgetful.incident())
    told = await forgetful.command(RITA, "resume", NEW, "deploy")

    assert (second.execution_id, second.root) == (NEW, "run-1")
    assert "req-2 asks for this already" in told.text
