"""What is told of an execution of Harness NextGen: its state, its stages, its environment."""

import pytest

from bot.domain.errors import ContractViolation, NotFound
from bot.domain.execution import ExecutionStatus
from bot.simulators.harness_nextgen import Token
from bot.simulators.harness_samples import ORG, PROJECT
from bot.simulators.harness_world import Member, Pipeline, Progress
from tests.engines.harness_stand import NextGenStand

pytestmark = pytest.mark.anyio

FAILED_US = ("deploy_us", Progress.FAILED)
SCOPE = f"{ORG}/{PROJECT}"
DETAILS = "GET /pipelines/execution/v2/*"


@pytest.fixture
def stand(nextgen: NextGenStand) -> NextGenStand:
    return nextgen


async def test_inputs_are_described_by_a_fingerprint_only(stand: NextGenStand) -> None:
    inputs = "pipeline:\n  password: hunter2\n"
    shown = await stand.describe(await stand.failed(FAILED_US, inputs=inputs))

    assert "hunter2" not in repr(shown)
    assert len(shown.inputs) == 64


async def test_who_may_see_and_not_execute_is_shown_why(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.tokens[stand.simulator.token] = Token(may_execute=False)

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (ExecutionStatus.FAILED, ())
    assert "core_pipeline_execute" in shown.no_points


async def test_a_new_execution_may_be_missing_for_a_moment(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail(DETAILS, "missing")

    assert (await stand.describe(run)).points


async def test_an_unknown_execution_is_not_found(stand: NextGenStand) -> None:
    for identifier in ("A" * 22, "../../../etc"):
        with pytest.raises(NotFound):
            await stand.describe(identifier)


async def test_a_404_of_somebody_else_is_no_unknown_execution(stand: NextGenStand) -> None:
    stand.simulator.faults.fail(DETAILS, "html-404", times=9)

    with pytest.raises(ContractViolation):
        await stand.describe("A" * 22)


async def test_an_unknown_route_is_no_unknown_execution(stand: NextGenStand) -> None:
    with pytest.raises(ContractViolation):
        await stand.engine._api.ask("GET", "/nonsense")


async def test_words_that_nobody_knows_are_unknown_and_offer_nothing(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.words[run.identifier] = "SomethingNew2027"

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (ExecutionStatus.UNKNOWN, ())


async def test_a_stage_that_failed_while_others_run_is_shown_without_points(stand: NextGenStand) -> None:
    stand.world.plan("deploy_us", Progress.FAILED)
    stand.world.plan("deploy_ap", Progress.WAITING)
    run = stand.world.start(stand.shop)
    await stand.world.until(lambda: run.stages[2].progress is Progress.FAILED and run.progress is Progress.WAITING)

    shown = await stand.describe(run)

    assert (shown.pending_points, shown.failed_stage, shown.points) == (True, "Deploy US (prod)", ())


async def test_the_environment_is_known_only_when_every_deployment_began(stand: NextGenStand) -> None:
    begun = await stand.describe(await stand.failed(("verify_0", Progress.FAILED)))
    before = await stand.describe(await stand.failed(("build", Progress.FAILED)))

    assert (begun.environment, before.environment) == ("production", None)


STAGING = Member("staging", "Staging", environment="staging")


@pytest.mark.parametrize(
    ("groups", "environment"),
    [
        ([[STAGING], [Member("end", "End", kind="Approval")]], "staging"),
        ([[STAGING], [Member("end", "End", kind="CI")]], "staging"),
        ([[STAGING], [Member("end", "End", kind="Custom")]], None),
        ([[STAGING], [Member("end", "End", kind="Approval")], [Member("child", "Child", kind="Pipeline")]], None),
        ([[STAGING], [Member("end", "End", kind="Approval")], [Member("later", "Later", environment="staging")]], None),
        ([[STAGING], [Member("end", "Failed before it knew where")]], None),
        ([[STAGING], [Member("end", "Production", environment="production")]], None),
        ([[STAGING], [Member("end", "Looped", copies=2, environment="staging")]], "staging"),
        ([[STAGING], [Member("end", "Of a kind made later", kind="Robots2030")]], None),
    ],
    ids=range(9),
)
async def test_a_stage_that_may_deploy_elsewhere_makes_the_environment_unknown(
    stand: NextGenStand, groups: list[list[Member]], environment: str | None
) -> None:
    pipeline = stand.world.add(Pipeline("many", "Many", groups, SCOPE, environments=("staging",)))
    stand.world.plan("end_0", Progress.FAILED)

    shown = await stand.describe(await stand.failed(("end", Progress.FAILED), pipeline=pipeline))

    assert (shown.status, shown.environment) == (ExecutionStatus.FAILED, environment)


async def test_a_skipped_deployment_makes_the_environment_unknown(stand: NextGenStand) -> None:
    groups = [[STAGING], [Member("skipped", "Skipped", environment="staging")], [Member("end", "End", kind="CI")]]
    pipeline = stand.world.add(Pipeline("skips", "Skips", groups, SCOPE, environments=("staging",)))

    shown = await stand.describe(await stand.failed(("skipped", Progress.SKIPPED), ("end", Progress.FAILED), pipeline=pipeline))

    assert shown.environment is None
    reasons = {one.name: one.reason for one in shown.refused_points}
    assert reasons["Skipped"] == "It was skipped, and Harness begins at no stage that did not run."


@pytest.mark.parametrize(
    ("word", "status", "words"),
    [
        ("Suspended", ExecutionStatus.CANCELLED, "It was suspended in Harness"),
        ("Skipped", ExecutionStatus.SUCCEEDED, "All of it was skipped"),
        ("IgnoreFailed", ExecutionStatus.SUCCEEDED, "was ignored"),
        ("Success", ExecutionStatus.SUCCEEDED, "It succeeded."),
        ("SomethingNew", ExecutionStatus.UNKNOWN, "“SomethingNew”, which I do not know"),
        ("", ExecutionStatus.UNKNOWN, "“no status”, which I do not know"),
        ("Waiting", ExecutionStatus.SUSPENDED, "It waits in Harness"),
        ("NOT_STARTED", ExecutionStatus.WAITING, "It has not begun yet (NotStarted)"),
        ("INTERVENTION_WAITING", ExecutionStatus.SUSPENDED, "manual intervention"),
        ("APPROVAL_WAITING", ExecutionStatus.SUSPENDED, "It waits for an approval"),
        ("AsyncWaiting", ExecutionStatus.RUNNING, "It is still going on (AsyncWaiting)"),
    ],
)
async def test_what_is_said_of_a_state_is_true(stand: NextGenStand, word: str, status: ExecutionStatus, words: str) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.words[run.identifier] = word

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (status, ())
    assert words in shown.no_points


async def test_a_rejected_approval_is_resumed_whatever_the_server_calls_it(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.words[run.identifier] = "APPROVAL_REJECTED"

    assert (await stand.describe(run)).points


async def test_rollback_stages_are_none(stand: NextGenStand) -> None:
    groups = [[Member("first", "First")], [Member("prb-x", "Rollback")]]
    pipeline = stand.world.add(Pipeline("back", "back", groups, SCOPE))

    shown = await stand.describe(await stand.failed(("first", Progress.FAILED), pipeline=pipeline))

    assert [stage.name for stage in shown.stages] == ["First"]
