"""Which points an execution of Harness NextGen offers, what they run again, and which are refused."""

from typing import Any

import pytest

from bot.domain.errors import NotResumable
from bot.domain.execution import ExecutionStatus, ResumePoint, StageStatus
from bot.simulators.harness_nextgen_retry import THIRTY_DAYS
from bot.simulators.harness_samples import ORG, PROJECT
from bot.simulators.harness_world import Member, Pipeline, Progress, Run
from tests.engines.harness_stand import NextGenStand, rerun

pytestmark = pytest.mark.anyio

DEPLOY = ["deploy_eu", "deploy_us", "deploy_ap"]
FAILED_US = ("deploy_us", Progress.FAILED)
SCOPE = f"{ORG}/{PROJECT}"


@pytest.fixture
def stand(nextgen: NextGenStand) -> NextGenStand:
    return nextgen


async def test_a_group_of_which_some_failed_offers_those_alone_and_the_whole(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    assert [point.label for point in shown.points] == [
        "Deploy US (prod) (only what failed)",
        "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)",
        "Build",
    ]
    assert "what succeeded is kept" in shown.points[0].sentence
    assert (shown.failed_stage, shown.error) == ("Deploy US (prod)", "the step did not pass")
    assert [stage.status for stage in shown.stages[1:4]] == [
        StageStatus.SUCCEEDED,
        StageStatus.FAILED,
        StageStatus.SUCCEEDED,
    ]
    assert shown.stages[4].members == ("Verify_0", "Verify_1", "Verify_2")
    assert [one.name for one in shown.refused_points] == ["Verify"]


async def test_only_what_failed_runs_again_and_what_follows(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    receipt = await stand.resume(run)

    new = await stand.world.over(stand.world.runs[receipt.ref.id])
    assert rerun(new) == ["deploy_us", "verify"]
    assert (await stand.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


async def test_the_whole_group_runs_again_when_it_is_asked_for(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    new = await stand.resume_from(run, "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)")

    assert rerun(new) == [*DEPLOY, "verify"]


async def test_a_stage_may_be_typed_by_its_identifier(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    new = await stand.resume_from(run, "deploy_eu")

    assert rerun(new) == [*DEPLOY, "verify"]


async def test_errored_members_run_again_with_their_whole_group(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(("deploy_us", Progress.ERRORED)))

    assert shown.points[0].label == "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)"


async def test_a_looped_stage_is_retried_as_a_whole(stand: NextGenStand) -> None:
    run = await stand.failed(("verify_1", Progress.FAILED))
    shown = await stand.describe(run)

    new = await stand.resume_from(run, "Verify")

    assert (shown.failed_stage, shown.points[0].label) == ("Verify", "Verify")
    assert rerun(new) == ["verify"]


async def test_forty_stages_are_all_offered_up_to_the_failed_one(stand: NextGenStand) -> None:
    groups = [[Member(f"s{number}", f"Stage {number}")] for number in range(40)]
    pipeline = stand.world.add(Pipeline("long", "long", groups, SCOPE))
    run = await stand.failed(("s39", Progress.FAILED), pipeline=pipeline)

    shown = await stand.describe(run)

    assert len(shown.points) == 40
    assert rerun(await stand.resume_from(run, "Stage 0")) == [f"s{number}" for number in range(40)]


@pytest.mark.parametrize("name", ["Deploy (prod)", ".*", 'say "hello"', "} ... on Query {", "a,b"])
async def test_a_stage_is_meant_by_its_identifier_whatever_its_name(stand: NextGenStand, name: str) -> None:
    groups = [[Member("first", "First")], [Member("odd", name)]]
    pipeline = stand.world.add(Pipeline("odd", "odd", groups, SCOPE))
    run = await stand.failed(("odd", Progress.FAILED), pipeline=pipeline)

    new = await stand.resume_from(run, name)

    assert rerun(new) == ["odd"]


@pytest.mark.parametrize(
    "end",
    [Progress.FAILED, Progress.ABORTED, Progress.EXPIRED, Progress.REJECTED, Progress.ERRORED, Progress.FROZEN],
)
async def test_six_states_are_failures_with_points(stand: NextGenStand, end: Progress) -> None:
    shown = await stand.describe(await stand.failed(("build", end)))

    assert shown.status is ExecutionStatus.FAILED
    assert shown.points


async def test_a_freeze_is_told_before_anyone_presses(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(("build", Progress.FROZEN)))

    assert "freeze" in shown.notes[0]


async def test_the_thirty_day_limit_is_told_before_it_passes(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= THIRTY_DAYS - 24 * 3600 * 1000

    shown = await stand.describe(run)

    assert "older than 30 days" in shown.notes[0]
    assert shown.points


@pytest.mark.parametrize("halt", [Progress.PASSED, Progress.WAITING, Progress.PAUSED])
async def test_what_the_server_would_retry_wrongly_we_refuse(stand: NextGenStand, halt: Progress) -> None:
    stand.world.plan("build", halt)
    run = stand.world.start(stand.shop)
    await stand.world.until(lambda: run.progress is halt)

    shown = await stand.describe(run)
    with pytest.raises(NotResumable):
        await stand.resume(run, ResumePoint("all build", "Build", ""))

    assert (shown.points, stand.sent) == ((), 0)
    assert shown.no_points


async def test_identifiers_that_are_not_listed_never_leave(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    for key in ("all nonsense", "all deploy_eu,deploy_us", "all ", "all verify", ""):
        with pytest.raises(NotResumable):
            await stand.resume(run, ResumePoint(key, key, ""))

    assert stand.sent == 0


def rolled_back(_: NextGenStand, run: Run) -> None:
    run.is_rolled_back = True


def deleted(stand: NextGenStand, _: Run) -> None:
    stand.shop.is_deleted = True


def old(_: NextGenStand, run: Run) -> None:
    run.created_at -= THIRTY_DAYS + 1000


def renamed(stand: NextGenStand, _: Run) -> None:
    stand.shop.groups = [[Member("construct", "Build")], *stand.shop.groups[1:]]


def without_plan(_: NextGenStand, run: Run) -> None:
    run.has_plan = False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rolled_back, "undergone Pipeline Rollback"),
        (deleted, "does not exist or has been deleted"),
        (old, "more than 30 days old"),
        (renamed, "Adding, deleting or changing"),
        (without_plan, "No Plan Execution exists"),
    ],
)
async def test_the_servers_refusals_are_shown_before_anyone_presses(stand: NextGenStand, change: Any, words: str) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    change(stand, run)

    shown = await stand.describe(run)
    with pytest.raises(NotResumable) as caught:
        await stand.resume(run, point)

    assert (shown.points, stand.sent) == ((), 0)
    assert words in shown.no_points
    assert words in str(caught.value)


async def test_a_refusal_that_only_the_call_shows_is_told_in_its_words(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.freeze = "Black Friday"

    with pytest.raises(NotResumable) as caught:
        await stand.resume(run)

    assert "Black Friday" in str(caught.value)
    assert "correlation" in str(caught.value)
