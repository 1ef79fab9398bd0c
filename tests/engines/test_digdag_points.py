"""What is told of a Digdag attempt, and which points it offers."""

import pytest

from bot.domain.errors import NotFound
from bot.domain.execution import ExecutionRef, ExecutionStatus, StageStatus
from bot.engines._http import boot_time
from bot.simulators.digdag_faults import Fault, FaultKind
from tests.engines.digdag_stand import CONNECTION, digdag, point_of, switchboard  # noqa: F401 — a fixture

pytestmark = pytest.mark.anyio


async def test_a_failed_attempt_is_described_with_its_stages_and_failed_task() -> None:
    async with digdag() as stand:
        failed = await stand.run("resume_demo", {"break_right": True})

        execution = await stand.engine.describe(failed)

    assert (execution.name, execution.status, execution.root) == ("resume_demo", ExecutionStatus.FAILED, "1")
    assert (execution.failed_stage, execution.error) == ("+resume_demo+load+right^sub", "right side is told to fail")
    assert [(stage.name, stage.status) for stage in execution.stages] == [
        ("+resume_demo+prepare", StageStatus.SUCCEEDED),
        ("+resume_demo+load", StageStatus.FAILED),
        ("+resume_demo+publish", StageStatus.PENDING),
        ("+resume_demo+load+right^sub", StageStatus.FAILED),
    ]
    assert execution.stages[1].members == ("+resume_demo+load+left", "+resume_demo+load+right")
    assert execution.link == f"{stand.base_url}/attempts/{failed.id}"
    assert execution.labels["Project"] == "lab"
    assert execution.environment is None


async def test_the_points_are_the_failed_tasks_first_then_from_tasks_then_everything() -> None:
    async with digdag() as stand:
        failed = await stand.run("release")

        execution = await stand.engine.describe(failed)

    assert [point.label for point in execution.points] == [
        "Failed tasks: +release+deploy",
        "From +release+deploy",
        "From +release+test (+unit, +lint)",
        "Everything, from +release+build",
    ]
    assert [refused.name for refused in execution.refused_points] == ["+release+verify"]
    assert "+deploy comes before it" in execution.refused_points[0].reason


async def test_a_generated_task_is_offered_as_the_part_of_the_text_that_made_it() -> None:
    async with digdag() as stand:
        failed = await stand.run("resume_demo", {"break_right": True})

        execution = await stand.engine.describe(failed)

    by_generated, by_maker = (point_of(execution, name) for name in ("+resume_demo+load+right^sub", "+load+right"))
    assert by_generated is by_maker
    assert by_maker.label == "From +resume_demo+load (+left, +right)"


@pytest.mark.parametrize(
    "typed", ["+release+test+lint", "+test+lint", "test+LINT", "test", "From +release+test (+unit, +lint)"]
)
async def test_a_parallel_group_is_one_choice_under_the_names_of_its_members(typed: str) -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))

    assert point_of(execution, typed).label == "From +release+test (+unit, +lint)"


async def test_points_that_run_the_same_tasks_are_one() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("begins_badly"))

    assert [point.label for point in execution.points] == [
        "Failed tasks: +begins_badly+one",
        "Everything, from +begins_badly+one",
    ]


async def test_a_group_retry_that_doubled_a_success_leaves_everything_only() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("retried"))

    assert [point.label for point in execution.points] == ["Everything, from +retried+group"]
    assert "failed" in {refused.name for refused in execution.refused_points}


async def test_a_group_retry_that_doubled_failures_only_leaves_the_failed_tasks() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("only_bad"))
        receipt = await stand.resume(execution, execution.points[0])

    assert [point.label for point in execution.points] == [
        "Failed tasks: +only_bad+group+bad",
        "Everything, from +only_bad+before",
    ]
    assert {refused.name for refused in execution.refused_points} == {"+only_bad+group", "+only_bad+group+bad"}
    assert receipt.ref.id != execution.ref.id


async def test_a_name_that_another_task_ends_with_is_not_offered() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("alike"))
        names = {name for point in execution.points for name in point.stages}

    assert "+alike+a" in names  # the first part: it is everything, which needs no name
    assert "+alike+b+alike+a" in names  # the full name of the deeper one is the end of no other
    assert all(" from +alike+a" not in point.key for point in execution.points)


async def test_a_killed_attempt_is_cancelled_and_can_be_resumed() -> None:
    async with digdag() as stand:
        stand.simulator.pace.hold()
        ref = await stand.start("slow", {"pause": "1s"})
        await stand.engine.kill(ref, boot_time() + 5)
        stand.simulator.pace.release()
        await stand.ended(ref)

        execution = await stand.engine.describe(ref)
        await stand.engine.kill(ref, boot_time() + 5)  # already ended is done

    assert execution.status is ExecutionStatus.CANCELLED
    assert execution.points[0].stages[0] == "failed"


async def test_a_running_attempt_that_failed_waits_for_its_end_before_points_are_offered() -> None:
    async with digdag() as stand:
        stand.mailbox.answers = [500] * 5
        ref = await stand.start("release")
        await stand.mailbox.arrived.wait()

        early = await stand.engine.describe(ref)
        await stand.ended(ref)
        late = await stand.engine.describe(ref)

    assert (early.status, early.pending_points, early.points) == (ExecutionStatus.RUNNING, True, ())
    assert early.no_points == f"Attempt {ref.id} has not come to its end yet."
    assert (late.status, late.pending_points) == (ExecutionStatus.FAILED, False)
    assert late.points
    assert late.baseline != early.baseline


async def test_a_healthy_running_attempt_has_no_points_and_none_to_come() -> None:
    async with digdag() as stand:
        stand.simulator.pace.hold()
        execution = await stand.engine.describe(await stand.start("release"))

    assert (execution.status, execution.pending_points, execution.points) == (ExecutionStatus.RUNNING, False, ())


async def test_an_older_attempt_names_the_newest_and_offers_nothing() -> None:
    async with digdag() as stand:
        first = await stand.engine.describe(await stand.run("release"))
        receipt = await stand.resume(first, first.points[0])
        await stand.ended(receipt.ref)

        older = await stand.engine.describe(first.ref)
        newest = await stand.engine.describe(receipt.ref)

    assert (older.points, older.newest, older.chain) == ((), receipt.ref.id, (first.ref.id, receipt.ref.id))
    assert (newest.newest, bool(newest.points), newest.root) == ("", True, older.root)
    assert older.baseline == newest.baseline != first.baseline


@pytest.mark.parametrize("attempt_id", ["999", "abc", "../projects", ""])
async def test_an_unknown_attempt_is_not_found(attempt_id: str) -> None:
    async with digdag() as stand:
        with pytest.raises(NotFound):
            await stand.engine.describe(ExecutionRef(CONNECTION, attempt_id))


async def test_a_404_without_a_body_is_not_found() -> None:
    async with digdag() as stand:
        stand.simulator.script(Fault(FaultKind.REFUSE, "GET", status=404, body="", times=3))

        with pytest.raises(NotFound):
            await stand.engine.describe(ExecutionRef(CONNECTION, "1"))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("blocked", ExecutionStatus.WAITING),
        ("queued", ExecutionStatus.WAITING),
        ("canceling", ExecutionStatus.RUNNING),
        ("pondering", ExecutionStatus.UNKNOWN),
    ],
)
async def test_words_of_other_versions_are_understood_or_unknown(word: str, status: ExecutionStatus) -> None:
    async with digdag() as stand:
        stand.simulator.pace.hold()
        stand.simulator.oddities.status_of = word

        execution = await stand.engine.describe(await stand.start("slow"))

    assert execution.status is status


async def test_a_missing_status_workflow_id_and_group_flag_are_no_hindrance() -> None:
    async with digdag() as stand:
        oddities = stand.simulator.oddities
        oddities.without_status, oddities.without_workflow_id, oddities.group_flag = True, True, "group"

        execution = await stand.engine.describe(await stand.run("release"))
        receipt = await stand.resume(execution, point_of(execution, "test"))
        attempt = await stand.ended(receipt.ref)

    assert (execution.status, execution.points[2].label) == (ExecutionStatus.FAILED, "From +release+test (+unit, +lint)")
    assert attempt.workflow.name == "release"
