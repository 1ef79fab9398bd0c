"""Both generations of Harness from a failure to its good end, through the whole bot: notice, card, approval, call, outcome."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.in_process import ARNO, RITA
from tests.journeys.harness_side import CONNECTION, Journey, given_to, on_the_way, rerun, stages_of

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

ASKER, APPROVER, HARNESS = f"slack:T0PLAY/{RITA}", f"slack:T0PLAY/{ARNO}", f"engine:{CONNECTION}"
ONLY_FAILED, WHOLE_GROUP = "Deploy US (prod) (only what failed)", "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)"
STAGES = {
    "firstgen": ["Deploy (prod) (Deploy eu, Deploy us, Deploy ap)", "Build"],
    "nextgen": [ONLY_FAILED, WHOLE_GROUP, "Build"],
}
SCOPE = {"accountIdentifier", "orgIdentifier", "projectIdentifier"}
LARGE_INPUTS = "pipeline:\n" + "".join(f"  - {{name: 'key {n}',\tvalue: \"žluť \\n <+x>\"}} \r\n" for n in range(4500))
GROUP = ("deploy_eu", "deploy_us", "deploy_ap")


@pytest.fixture(params=["firstgen", "nextgen"])
def generation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def journey(generation: str, database: str, tmp_path: Path) -> AsyncIterator[Journey]:
    async with on_the_way(generation, database, tmp_path) as begun:
        yield begun


async def test_a_failure_is_resumed_from_the_chosen_stage_and_the_new_execution_followed_to_its_end(
    journey: Journey, generation: str
) -> None:
    side = journey.side

    run, card = await journey.failed()
    offered = stages_of(card)
    await journey.choose(card, offered[-2])
    question = await journey.ask(card)
    await journey.approve(question, RITA)
    refusal = await journey.bot.told(RITA, words="somebody else has to decide")
    assert side.resumes == []
    side.repair()
    await journey.approve(question, ARNO)
    await journey.reads(card, "succeeded (req-1)")

    (new,) = side.after(run)
    ended = await journey.card(new, words="Succeeded")
    assert refusal
    assert offered == STAGES[generation]
    assert rerun(new) == [member.identifier for member in side.shop.members[1:]]
    assert len(side.resumes) == 1
    assert (ended.ts, len(journey.cards())) == (card.ts, 1)
    assert "Retry" not in str(ended.blocks)
    lines = await journey.trail("req-1")
    assert [(line["action"], line["actor"]) for line in lines] == [
        ("request:resume:requested", ASKER),
        ("request:decision:refused", ASKER),
        ("request:decision:approved", APPROVER),
        ("request:call:sent", "bot"),
        ("request:receipt:running", HARNESS),
        ("request:outcome:succeeded", HARNESS),
    ]
    assert {(line["execution"], line["incident"], line["connection"]) for line in lines} == {
        (run.identifier, "inc-1", CONNECTION)
    }
    assert [line["data"].get("new_execution") for line in lines[-2:]] == [new.identifier] * 2


async def test_what_fails_again_is_offered_anew_on_the_same_card_and_resumed_from_the_newer_execution(journey: Journey) -> None:
    side = journey.side

    run, card = await journey.failed()
    await journey.approve(await journey.ask(card))
    await journey.reads(card, "failed again (req-1)")
    (second,) = side.after(run)
    again = await journey.card(second, "Retry", "Failed again")
    await journey.choose(again, "Build")
    side.repair()
    await journey.approve(await journey.ask(again))
    await journey.reads(card, "succeeded (req-2)")

    (third,) = side.after(second)
    await journey.card(third, words="Succeeded")
    assert (again.ts, len(journey.cards())) == (card.ts, 1)
    assert (len(rerun(second)) < len(rerun(third)), len(rerun(third))) == (True, 5)
    assert len(side.resumes) == 2
    for request, old, new, end in (("req-1", run, second, "failed"), ("req-2", second, third, "succeeded")):
        lines = await journey.trail(request)
        assert {line["execution"] for line in lines} == {old.identifier}
        assert (lines[-1]["action"], lines[-1]["data"]["new_execution"]) == (f"request:outcome:{end}", new.identifier)


async def test_hook_watch_and_poll_of_the_new_execution_are_one_incident_and_one_card(
    generation: str, database: str, tmp_path: Path
) -> None:
    async with on_the_way(generation, database, tmp_path, poll_seconds=1, copies=2) as journey:
        side = journey.side
        run, card = await journey.failed()

        await journey.approve(await journey.ask(card))
        await journey.reads(card, "failed again (req-1)")
        (new,) = side.after(run)
        await side.rules.settled()
        await journey.polled_since(new)
        await journey.card(new, "Retry", "Failed again")

        assert len(side.rules.answers) >= 4
        assert [one.ts for one in journey.cards()] == [card.ts]
        assert await journey.bot.ask("SELECT count(*) FROM incidents") == [1]
        assert len(await journey.bot.trail("incident:notice:received")) == 1


async def test_a_lost_answer_is_cleared_up_and_the_new_execution_followed_without_a_second_call(journey: Journey) -> None:
    side = journey.side
    run, card = await journey.failed()
    side.repair()
    side.calls.fail(side.resume, "lost")

    await journey.approve(await journey.ask(card))
    await journey.reads(card, "succeeded (req-1)")

    (new,) = side.after(run)
    lines = await journey.trail("req-1")
    assert [line["action"] for line in lines[-4:]] == [
        "request:call:sent",
        "request:receipt:unknown",
        "request:evidence:happened",
        "request:outcome:succeeded",
    ]
    assert lines[-1]["data"]["new_execution"] == new.identifier
    assert (len(side.resumes), len(journey.cards())) == (1, 1)


async def test_an_execution_that_somebody_resumed_in_harness_meanwhile_is_not_resumed_again(journey: Journey) -> None:
    side = journey.side
    run, card = await journey.failed()
    question = await journey.ask(card)
    side.repair()
    theirs = await side.world.over(side.world.resume(run, lambda stage: stage.group > 0))

    await journey.approve(question)
    await journey.request(1, "superseded")
    await journey.reads(card, "Overtaken (req-1)")

    assert side.resumes == []
    assert side.after(run) == [theirs]
    assert [line["action"] for line in await journey.trail("req-1")] == [
        "request:resume:requested",
        "request:decision:approved",
        "request:life:superseded",
    ]


@pytest.mark.parametrize("generation", ["firstgen"])
async def test_firstgen_is_given_the_stages_name_as_the_literal_it_is(journey: Journey) -> None:
    side = journey.side
    run, card = await journey.failed()
    side.repair()

    await journey.approve(await journey.ask(card))
    await journey.reads(card, "succeeded (req-1)")

    (call,) = side.resumes
    assert given_to(call) == {
        "clientMutationId": "req-1-1",
        "applicationId": side.shop.scope,
        "pipelineExecutionId": run.identifier,
        "pipelineStageName": "\\QDeploy (prod)\\E",
    }


@pytest.mark.parametrize("generation", ["nextgen"])
@pytest.mark.parametrize(
    ("choice", "run_all", "again"), [(ONLY_FAILED, "false", ["deploy_us", "verify"]), (WHOLE_GROUP, "true", [*GROUP, "verify"])]
)
async def test_nextgen_is_given_the_group_the_inputs_byte_for_byte_and_who_is_behind_it(
    journey: Journey, choice: str, run_all: str, again: list[str]
) -> None:
    side, inputs = journey.side, LARGE_INPUTS

    run, card = await journey.failed(inputs=inputs)
    await journey.choose(card, choice)
    side.repair()
    await journey.approve(await journey.ask(card))
    await journey.reads(card, "succeeded (req-1)")

    (call,) = side.resumes
    asked = [(name, value) for name, value in call.query if name not in SCOPE]
    assert asked == [
        ("planExecutionId", run.identifier),
        *(("retryStages", stage) for stage in GROUP),
        ("runAllStages", run_all),
        ("notesForPipelineExecution", f"Resumed from Slack (asked for by {ASKER}, approved by {APPROVER}) [req-1-1]"),
    ]
    assert call.body == inputs.encode()
    (new,) = side.after(run)
    assert rerun(new) == again
    assert new.inputs == inputs
