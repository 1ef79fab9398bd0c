"""Calls to Harness FirstGen: made once, proved afterwards, and what each refusal means."""

from typing import Any

import pytest

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.domain.execution import Finding, ResumePoint
from bot.engines.harness_firstgen_view import PointKey
from bot.simulators.harness_samples import APPLICATION
from bot.simulators.harness_world import Member, Progress, Run
from tests.engines.harness_stand import FirstGenStand, Socket, firstgen_stand

pytestmark = pytest.mark.anyio

FAILED_US = ("el-deploy-us", Progress.FAILED)


@pytest.fixture
def stand(firstgen: FirstGenStand) -> FirstGenStand:
    return firstgen


async def test_an_unknown_id_is_not_found(stand: FirstGenStand) -> None:
    for identifier in ("A" * 22, "x' } {"):
        with pytest.raises(NotFound):
            await stand.describe(identifier)


async def test_a_read_that_shows_nothing_is_made_again(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.deny("execution", 1)

    shown = await stand.describe(run)

    assert shown.points


async def test_a_read_that_is_denied_twice_is_forbidden(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.deny("execution", 2)

    with pytest.raises(Forbidden):
        await stand.describe(run)


async def test_null_without_an_error_is_unknown_and_never_sent_again(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    shown = await stand.describe(run)
    stand.simulator.deny("resumeExecution", 1)

    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, shown.points[0])

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")
    (new,) = [one for one in stand.world.runs.values() if one is not run]
    assert stand.sent == 1
    assert (found.finding, found.is_probable, found.ref) == (Finding.HAPPENED, True, stand.ref(new))


@pytest.mark.parametrize(
    "kind", ["lost", "cut", "server_fault", "html-502", "html-503", "html-504", "null", "no_id", "empty_object"]
)
async def test_an_answer_that_says_nothing_leaves_the_outcome_unknown(stand: FirstGenStand, kind: str) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    stand.simulator.faults.fail("resumeExecution", kind)

    with pytest.raises((OutcomeUnknown, ContractViolation)):
        await stand.resume(run, point)

    assert stand.sent == 1


async def test_nothing_newer_is_unclear(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR


async def test_several_newer_executions_are_unclear(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))
    await stand.failed()
    await stand.failed()

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR
    assert found.sentence.startswith("2 newer executions")


async def test_an_execution_with_other_inputs_is_no_evidence(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    shown = await stand.describe(run)
    other = await stand.world.over(stand.world.start(stand.shop, variables={"version": "9"}))

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR
    assert found.sentence.startswith("No newer execution")
    assert other.progress is Progress.PASSED


async def test_an_execution_of_other_stages_is_no_evidence(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))
    stand.shop.groups = stand.shop.groups[:1]
    await stand.failed()

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR


async def test_beside_an_execution_with_other_inputs_the_lost_one_is_probable(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    shown = await stand.describe(run)
    stand.simulator.faults.fail("resumeExecution", "lost")
    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, shown.points[0])
    await stand.world.over(stand.world.chain(run)[0])
    await stand.world.over(stand.world.start(stand.shop, variables={"version": "9"}))

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert (found.ref, found.is_probable) == (stand.ref(stand.world.chain(run)[0]), True)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limited", RateLimited),
        ("invalid_token", Forbidden),
        ("invalid_api_key", Forbidden),
        ("invalid_query", Unsupported),
    ],
)
async def test_answers_from_before_the_engine_mean_that_nothing_happened(
    stand: FirstGenStand, kind: str, error: type[EngineError]
) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    stand.simulator.faults.fail("resumeExecution", kind)

    with pytest.raises(error) as caught:
        await stand.resume(run, point)

    assert len(stand.world.runs) == 1
    assert "fg-key" not in str(caught.value)


@pytest.mark.parametrize("kind", ["invalid_token", "invalid_api_key"])
async def test_both_envelopes_of_401_are_forbidden_on_reads(stand: FirstGenStand, kind: str) -> None:
    stand.simulator.faults.fail("execution", kind)

    with pytest.raises(Forbidden) as caught:
        await stand.describe("A" * 22)

    assert "Token is not valid" in str(caught.value) or "Invalid Api Key" in str(caught.value)


async def test_a_read_over_the_budget_is_rate_limited_without_a_wait(socket: Socket) -> None:
    async with firstgen_stand(socket, budget=0) as stand:
        with pytest.raises(RateLimited) as caught:
            await stand.describe("A" * 22)

    assert caught.value.wait is None


async def test_the_api_switched_off_is_forbidden(stand: FirstGenStand) -> None:
    stand.simulator.has_api = False

    with pytest.raises(Forbidden):
        await stand.describe("A" * 22)


async def test_a_gateway_page_on_a_read_is_retried_and_then_not_sent(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail("execution", "html-502", times=1)
    healed = await stand.describe(run)
    stand.simulator.faults.fail("execution", "html-502", times=9)

    with pytest.raises(NotSent):
        await stand.describe(run)

    assert healed.points


async def test_too_late_is_not_sent(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotSent):
        await stand.resume(run, seconds=-1)

    assert stand.sent == 0


def succeeded(_: FirstGenStand, run: Run) -> None:
    run.progress = Progress.PASSED


def superseded(_: FirstGenStand, run: Run) -> None:
    run.root, run.is_latest = run.identifier, False


def edited_pipeline(stand: FirstGenStand, _: Run) -> None:
    stand.shop.groups = [[Member("el-other", "Build")], *stand.shop.groups[1:]]


def deleted_pipeline(stand: FirstGenStand, _: Run) -> None:
    stand.shop.is_deleted = True


def emptied_pipeline(stand: FirstGenStand, _: Run) -> None:
    stand.shop.groups = []


def frozen(stand: FirstGenStand, _: Run) -> None:
    stand.simulator.estate.freeze = "Black Friday"


def denied(stand: FirstGenStand, _: Run) -> None:
    stand.simulator.deny("resumeExecution", 2)


def gone(stand: FirstGenStand, run: Run) -> None:
    del stand.world.runs[run.identifier]


REFUSALS = [
    (succeeded, NotResumable, "Pipeline resume is not available"),
    (superseded, NotResumable, "latest iteration"),
    (edited_pipeline, NotResumable, "has been modified"),
    (deleted_pipeline, NotResumable, "Pipeline does not exist"),
    (emptied_pipeline, NotResumable, "empty pipeline"),
    (frozen, NotResumable, "Black Friday"),
    (denied, Forbidden, "not authorized"),
    (gone, NotFound, "doesn't exist"),
]


@pytest.mark.parametrize(("change", "error", "words"), REFUSALS)
async def test_the_servers_refusals_are_told_in_its_words(
    stand: FirstGenStand, change: Any, error: type[EngineError], words: str
) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    change(stand, run)

    with pytest.raises(error) as caught:
        await stand.resume(run, point)

    assert words in str(caught.value)
    assert "Invalid request" not in str(caught.value)


async def test_a_stage_that_hits_nothing_is_not_resumable(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotResumable):
        await stand.resume(run, ResumePoint(PointKey(APPLICATION, "nothing").text(), "nothing", ""))


async def test_a_key_that_is_none_of_ours_is_not_resumable(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotResumable):
        await stand.resume(run, ResumePoint("nonsense", "nonsense", ""))

    assert stand.sent == 0


async def test_a_generic_complaint_may_hide_an_effect(stand: FirstGenStand) -> None:
    run = await stand.failed(("el-build", Progress.FAILED))

    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, ResumePoint(PointKey(APPLICATION, "Verify").text(), "Verify", ""))


async def test_runs_from_before_the_call_are_no_evidence_of_it(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    await stand.failed()
    shown = await stand.describe(run)
    stand.simulator.faults.fail("resumeExecution", "lost")
    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, shown.points[0])

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.ref == stand.ref(stand.world.chain(run)[0])
