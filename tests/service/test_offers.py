"""What is offered beside the card: another stage where the first is gone, and a point for one person's eyes."""

import pytest

from bot.domain.errors import OutcomeUnknown
from bot.domain.execution import Evidence, Finding
from bot.domain.messages import Answer, PickPoint
from bot.domain.request import RequestState
from bot.service.presses import Verb
from tests.service.world import ARNO, RITA, World

pytestmark = pytest.mark.anyio

S = RequestState


async def test_pressing_again_asks_for_a_stage_where_the_first_one_is_not_on_offer_any_more(world: World) -> None:
    request = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, request)
    world.engine.faults.add("resume", OutcomeUnknown("no answer in 20 s"))
    world.engine.says = Evidence(Finding.UNCLEAR, "nothing to be seen")
    await world.wait(100)
    world.engine.stages = ("build", "smoke test")
    await world.run_task("engine:orders", "describe", incident_id=1)

    outcome = await world.press(RITA, Verb.PRESS_AGAIN, request)

    assert isinstance(outcome.modal, PickPoint)
    assert (outcome.modal.again_of, [point.label for point in outcome.modal.points]) == (1, ["build", "smoke test"])
    assert (await world.again(request)).state is S.UNKNOWN
    await world.press(RITA, Verb.RETRY, await world.incident(), again_of=1, in_form=True, channel=None)
    assert (await world.newest(await world.incident())).point.label == "build"
    assert (await world.again(request)).state is S.SUPERSEDED


async def test_a_private_offer_is_no_request(world: World) -> None:
    world.engine.fail()

    told = await world.command(RITA, "resume", "run-1")

    assert isinstance(told.shown, Answer)
    assert await world.readings.requests(5) == []
