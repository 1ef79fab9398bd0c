"""What a simulated NextGen lets one retry, and what it does then: it checks neither status nor stages nor races."""

from collections.abc import Callable, Sequence

from bot.simulators.harness_nextgen_shapes import Refused, Shape, retry_groups
from bot.simulators.harness_world import Pipeline, Progress, Run, StageRun, World

THIRTY_DAYS = 30 * 24 * 3600 * 1000
# Errored and AbortedByFreeze are not among them: 3.4 of the contract.
KEPT_AS_FAILED = frozenset({Progress.FAILED, Progress.ABORTED, Progress.EXPIRED, Progress.REJECTED})


def check_retryable(world: World, run: Run) -> None:
    """The server's checks of a run in their order; the first that fails raises Refused."""
    if run.root is not None and not run.is_latest:
        raise Refused("This execution is not the latest of all retried execution. You can only retry the latest one")
    if run.is_rolled_back:
        raise Refused("This execution has undergone Pipeline Rollback, and hence cannot be retried")
    if run.pipeline.is_deleted:
        raise Refused(f"Pipeline with the given ID: {run.pipeline.identifier} does not exist or has been deleted")
    if world.now() - run.created_at > THIRTY_DAYS:
        raise Refused("Execution is more than 30 days old. Cannot retry")
    if not run.has_plan:
        raise Refused(f"No Plan Execution exists for id {run.identifier}")
    if _identifiers(run) != [[member.identifier for member in group] for group in run.pipeline.groups]:
        raise Refused("Adding, deleting or changing the name of the stage identifier is not allowed for retrying")


def retry_stages(world: World, run: Run) -> Shape:
    """What can be retried; a refusal is an answer here, not an error."""
    try:
        check_retryable(world, run)
    except Refused as refused:
        return {"resumable": False, "errorMessage": str(refused)}
    groups = retry_groups(run)
    if not groups:
        raise Refused("No stage to retry")
    return {"resumable": True, "groups": groups}


def retry(world: World, run: Run, stages: Sequence[str], *, run_all: bool, notes: str) -> Run:
    """Begin the new run; identifiers that match nothing copy every stage, so that nothing is executed."""
    wanted = list(stages) if run_all or len(stages) < 2 else _only_failed(run, stages)
    return world.resume(run, _reruns(run, wanted), notes=notes)


def _reruns(run: Run, wanted: Sequence[str]) -> Callable[[StageRun], bool]:
    matched = [stage.group for stage in run.stages if stage.member.identifier in wanted]
    if not matched:
        return lambda _stage: False
    target = min(matched)
    return lambda stage: stage.group > target or (stage.group == target and stage.member.identifier in wanted)


def _only_failed(run: Run, stages: Sequence[str]) -> list[str]:
    groups = [run.group(index) for index in sorted({stage.group for stage in run.stages})]
    group = next((one for one in groups if set(stages) <= {stage.member.identifier for stage in one}), None)
    if group is None:
        raise Refused(f"Stages {list(stages)} could not be found in any stage Groups")
    if {stage.member.identifier for stage in group} != set(stages):
        raise Refused("Run only failed stages is applicable only for failed parallel group stages")
    failed = [stage.member.identifier for stage in group if stage.progress in KEPT_AS_FAILED]
    if not failed:
        raise Refused("No failed stage found in parallel group")
    return failed


def _identifiers(run: Run) -> list[list[str]]:
    return [[stage.member.identifier for stage in run.group(index)] for index in sorted({one.group for one in run.stages})]


def retry_history(world: World, run: Run) -> Shape:
    """The chain of a run, newest first; one that was never retried has nothing to show."""
    chain = world.chain(run)
    if len(chain) < 2:
        return {"errorMessage": "Nothing to show in retry history because the pipeline is not retried yet"}
    infos = [
        {
            "uuid": one.identifier,
            "startTs": one.created_at,
            "endTs": one.ended_at,
            "status": one.progress.value.upper(),
            "runSequence": one.sequence,
        }
        for one in chain
    ]
    return {"latestExecutionId": chain[0].identifier, "executionInfos": infos}


def latest_execution(world: World, run: Run) -> Shape:
    """The newest id of a chain."""
    chain = world.chain(run)
    if len(chain) < 2:
        return {"errorMessage": f"This PlanExecution {run.identifier} is not a part of retry execution"}
    return {"latestExecutionId": chain[0].identifier}


def missing_inputs(pipeline: Pipeline, given: str) -> bool:
    """Whether a start leaves a runtime input without a value."""
    return pipeline.template is not None and (not given.strip() or "<+input>" in given)
