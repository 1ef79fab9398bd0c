"""What is told of an execution of Harness FirstGen, which points it offers, and what they run again."""

import pytest

from bot.domain.execution import ExecutionStatus, StageStatus
from bot.engines.harness_firstgen_wire import quoted
from bot.simulators.harness_firstgen_resume import java_pattern
from bot.simulators.harness_firstgen_shapes import Application
from bot.simulators.harness_samples import APPLICATION, firstgen_cleanup
from bot.simulators.harness_world import Member, Pipeline, Progress
from tests.engines.harness_stand import SLOWLY, FirstGenStand, rerun

pytestmark = pytest.mark.anyio

DEPLOY = ["el-deploy-eu", "el-deploy-us", "el-deploy-ap"]
FAILED_US = ("el-deploy-us", Progress.FAILED)


@pytest.fixture
def stand(firstgen: FirstGenStand) -> FirstGenStand:
    return firstgen


async def test_a_parallel_group_is_one_point_that_names_its_members(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    assert [point.label for point in shown.points] == ["Deploy (prod) (Deploy eu, Deploy us, Deploy ap)", "Build"]
    assert shown.points[0].stages == ("Deploy (prod)", "Deploy eu", "Deploy us", "Deploy ap")
    assert "members that succeeded run again" in shown.points[0].sentence
    assert shown.stages[1].status is StageStatus.FAILED
    assert shown.stages[1].members == ("Deploy eu", "Deploy us", "Deploy ap")
    assert (shown.failed_stage, shown.error) == ("Deploy (prod)", "the step did not pass")
    assert shown.labels["Failed in"] == "Deploy us"


async def test_no_stage_after_the_failed_group_is_offered(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    (refused,) = shown.refused_points
    assert refused.name == "Verify"
    assert "after the stage that failed" in refused.reason


async def test_resuming_runs_the_group_and_what_follows_under_a_new_id(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.world.step_seconds = SLOWLY

    receipt = await stand.resume(run)

    fresh = await stand.engine.describe(receipt.ref)
    new = await stand.world.over(stand.world.runs[receipt.ref.id])
    assert receipt.ref.id != run.identifier
    assert fresh.status is ExecutionStatus.WAITING
    assert rerun(new) == [*DEPLOY, "el-verify"]
    assert (await stand.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


STRANGE_NAMES = [
    "Deploy (prod)",
    ".*",
    "v1.2",
    'say "hello"',
    r"a\Eb\Qc",
    "$x",
    "} ... on Query { __typename } {",
    "日本 deploy",
    "a\\",
    "tab\there",
]


@pytest.mark.parametrize("name", STRANGE_NAMES)
async def test_a_stage_is_meant_literally_whatever_its_name(stand: FirstGenStand, name: str) -> None:
    groups = [[Member("e0", "v1x2")], [Member("e1", "first")], [Member("e2", name)], [Member("e3", "last")]]
    pipeline = stand.world.add(Pipeline("odd", "odd", groups, APPLICATION))
    run = await stand.failed(("e2", Progress.FAILED), pipeline=pipeline)

    new = await stand.resume_from(run, name)

    assert rerun(new) == ["e2", "e3"]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_quoting_hits_the_name_and_nothing_else(name: str) -> None:
    pattern = java_pattern(quoted(name))

    assert pattern.fullmatch(name)
    assert not pattern.fullmatch(name + "x")
    assert not pattern.fullmatch("x")


async def test_values_travel_as_variables_never_in_the_query(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    await stand.resume(run)

    (call,) = [one for one in stand.simulator.faults.calls if one.label == "resumeExecution"]
    assert b"Deploy (prod)" not in call.body.partition(b'"variables"')[0]
    assert run.identifier.encode() not in call.body.partition(b'"variables"')[0]


async def test_forty_stages_are_all_offered_up_to_the_failed_one(stand: FirstGenStand) -> None:
    groups = [[Member(f"e{number}", f"Stage {number}")] for number in range(40)]
    pipeline = stand.world.add(Pipeline("long", "long", groups, APPLICATION))
    run = await stand.failed(("e38", Progress.FAILED), pipeline=pipeline)

    shown = await stand.describe(run)

    assert len(shown.points) == 39
    assert shown.points[0].label == "Stage 38"
    assert [one.name for one in shown.refused_points] == ["Stage 39"]


async def test_a_second_stage_of_the_same_name_is_out_of_reach(stand: FirstGenStand) -> None:
    groups = [[Member("e0", "Deploy")], [Member("e1", "Test")], [Member("e2", "Deploy")]]
    pipeline = stand.world.add(Pipeline("twice", "twice", groups, APPLICATION))
    run = await stand.failed(("e2", Progress.FAILED), pipeline=pipeline)

    shown = await stand.describe(run)

    assert [point.label for point in shown.points] == ["Test", "Deploy"]


@pytest.mark.parametrize("end", [Progress.FAILED, Progress.ABORTED, Progress.EXPIRED, Progress.REJECTED, Progress.ERRORED])
async def test_five_states_are_failures_with_points(stand: FirstGenStand, end: Progress) -> None:
    shown = await stand.describe(await stand.failed(("el-deploy-eu", end)))

    assert shown.status is ExecutionStatus.FAILED
    assert shown.points
    assert shown.error


async def test_success_is_refused_with_its_reason_before_any_call(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed())

    assert (shown.status, shown.points) == (ExecutionStatus.SUCCEEDED, ())
    assert "succeeded" in shown.no_points


async def test_a_pause_is_refused_with_what_it_waits_for(stand: FirstGenStand) -> None:
    groups = [[Member("ask", "Ask", "Ask", "Approval")]]
    pipeline = stand.world.add(Pipeline("ask", "ask", groups, APPLICATION))
    stand.world.plan("ask", Progress.PAUSED)
    run = stand.world.start(pipeline)
    await stand.world.until(lambda: run.progress is Progress.PAUSED)

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (ExecutionStatus.SUSPENDED, ())
    assert "paused" in shown.no_points
    assert shown.notes == ("“Ask” waits for an approval in Harness.",)


async def test_missing_runtime_inputs_are_named(stand: FirstGenStand) -> None:
    stand.world.plan("el-build", Progress.PAUSED)
    run = stand.world.start(stand.shop)
    await stand.world.until(lambda: run.progress is Progress.PAUSED)

    shown = await stand.describe(run)

    assert "waits for the inputs version, environment" in shown.notes[0]


async def test_a_workflow_alone_is_shown_without_points(stand: FirstGenStand) -> None:
    workflow = firstgen_cleanup(stand.simulator)
    run = await stand.failed(("el-cleanup", Progress.FAILED), pipeline=workflow)

    shown = await stand.describe(run)

    assert (shown.name, shown.points) == ("Clean up", ())
    assert "started anew" in shown.no_points


async def test_the_environment_is_known_only_when_every_stage_says_it(stand: FirstGenStand) -> None:
    stand.world.plan("el-build", Progress.FAILED, Progress.FAILED)
    said = await stand.world.over(stand.world.start(stand.shop, variables={"environment": "env-production"}))
    unsaid = await stand.world.over(stand.world.start(stand.shop))

    assert (await stand.describe(said)).environment == "env-production"
    assert (await stand.describe(unsaid)).environment is None


async def test_a_newer_run_of_the_pipeline_is_told_and_moves_the_baseline(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    before = await stand.describe(run)
    newer = await stand.failed()

    after = await stand.describe(run)

    assert after.notes == (f"The pipeline ran again since: execution {newer.identifier} is success.",)
    assert (before.notes, before.baseline != after.baseline) == ((), True)


async def test_names_that_harness_leaves_null_do_not_hide_an_execution(stand: FirstGenStand) -> None:
    stand.simulator.estate.applications[APPLICATION] = Application(APPLICATION, None)  # type: ignore[arg-type]
    run = await stand.failed(("el-build", Progress.FAILED))
    stand.shop.name = None  # type: ignore[assignment]
    run.stages[0].member = Member("el-build", None, None)  # type: ignore[arg-type]

    shown = await stand.describe(run)

    assert (shown.name, shown.status, shown.stages[0].name) == ("", ExecutionStatus.FAILED, "")
    assert [one.ref.id for one in await stand.engine.find_failures(None)] == [run.identifier]
    assert "Account" in await stand.engine.check()
