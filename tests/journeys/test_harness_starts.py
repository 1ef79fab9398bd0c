"""Both generations of Harness started by a command: form, somebody else's approval, one call, and the run seen to its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.simulators.harness_world import Run
from bot.simulators.slack import Ack, Message
from tests.in_process import ARNO, DEPLOYS, RITA, seen, words_of
from tests.journeys.harness_side import CONNECTION, PATIENCE, Journey, given_to, on_the_way

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

ASKER, APPROVER, HARNESS = f"slack:T0PLAY/{RITA}", f"slack:T0PLAY/{ARNO}", f"engine:{CONNECTION}"
BEHIND = f"asked for by {ASKER}, approved by {APPROVER}"
GIVEN = {"version": "1.0-of-a-journey", "environment": "staging"}


@pytest.fixture(params=["firstgen", "nextgen"])
def generation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def journey(generation: str, database: str, tmp_path: Path) -> AsyncIterator[Journey]:
    async with on_the_way(generation, database, tmp_path) as begun:
        yield begun


async def form(journey: Journey, name: str) -> dict[str, Any]:
    """The form that comes for a name, once it asks for something."""
    ack = await journey.bot.slack.command(RITA, DEPLOYS, "/start", name)
    assert ack.status == 200
    views = journey.bot.slack.views[RITA]
    return await seen(lambda: next((view for view in views if view.get("submit")), None), f"form of {name}", PATIENCE)


async def submit(journey: Journey, view: dict[str, Any]) -> Ack:
    """Rita enters the two values in the fields of these names and sends the form."""
    entered: dict[str, dict[str, Any]] = {}
    for block in view["blocks"]:
        if block["type"] == "input" and block["label"]["text"] in GIVEN:
            element, value = block["element"], GIVEN[block["label"]["text"]]
            is_free = element["type"] == "plain_text_input"
            answer: dict[str, Any] = {"value": value} if is_free else {"selected_option": {"value": value}}
            entered[block["block_id"]] = {element["action_id"]: answer}
    assert len(entered) == len(GIVEN)
    ack = await journey.bot.slack.submit(RITA, entered)
    assert ack.status == 200
    return ack


async def question(journey: Journey) -> Message:
    """The question to those who may approve, under the message of the start."""
    return await seen(lambda: journey.bot.find("req-1", "Approve"), "question to the approvers", PATIENCE)


async def result(journey: Journey) -> Message:
    """The word of the good end."""
    return await seen(lambda: journey.bot.find("succeeded (req-1)"), "result", PATIENCE)


def given(journey: Journey, run: Run) -> dict[str, str]:
    """The values of the two variables that a run was started with."""
    if journey.side.start == "startExecution":
        inputs = given_to(journey.side.starts[0])["variableInputs"]
        return {one["name"]: one["variableValue"]["value"] for one in inputs if one["name"] in GIVEN}
    variables = yaml.safe_load(run.inputs or "")["pipeline"]["variables"]
    return {one["name"]: one["value"] for one in variables}


async def test_a_start_with_two_variables_is_approved_sent_once_and_followed_to_its_result(journey: Journey) -> None:
    bot, side = journey.bot, journey.side

    await submit(journey, await form(journey, f"{CONNECTION}:Deploy shop"))
    approval = await question(journey)
    await journey.approve(approval, RITA)
    await bot.told(RITA, words="somebody else has to decide")
    assert side.world.runs == {}
    await journey.approve(approval, ARNO)
    line = await result(journey)
    (run,) = side.world.runs.values()
    shown = await journey.card(run, words="Succeeded")

    assert given(journey, run) == GIVEN
    assert len(side.starts) == 1
    assert run.notes == f"({BEHIND}) [req-1-1]"
    assert [one.ts for one in journey.cards()] == [shown.ts]
    assert (line.thread_ts, approval.thread_ts) == (shown.ts, shown.ts)
    assert all(value in words_of(approval) for value in GIVEN.values())
    lines = await journey.trail("req-1")
    assert [(line["action"], line["actor"]) for line in lines] == [
        ("request:start:requested", ASKER),
        ("request:decision:refused", ASKER),
        ("request:decision:approved", APPROVER),
        ("request:call:sent", "bot"),
        ("request:receipt:running", HARNESS),
        ("request:outcome:succeeded", HARNESS),
    ]
    assert [line["data"].get("new_execution") for line in lines[-2:]] == [run.identifier] * 2
    assert GIVEN["version"] not in str(await bot.trail())


async def test_a_form_that_is_sent_twice_and_again_and_again_asks_for_one_start(journey: Journey) -> None:
    bot, side = journey.bot, journey.side
    view = await form(journey, "Deploy shop")

    acks = await asyncio.gather(*(submit(journey, view) for _ in range(2)))
    approval = await question(journey)
    acks += await asyncio.gather(*(bot.slack.replay(ack) for ack in acks))
    await journey.approve(approval)
    await result(journey)
    acks.append(await bot.slack.replay(acks[0]))

    assert acks[0].sent.content != acks[1].sent.content
    assert {ack.status for ack in acks} == {200}
    assert await bot.ask("SELECT count(*) FROM lookups WHERE verb = 'start_now'") == [1]
    assert await bot.ask("SELECT count(*) FROM requests") == [1]
    assert (len(side.starts), len(side.world.runs), len(journey.cards())) == (1, 1, 1)
