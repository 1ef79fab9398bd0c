"""What a simulated FirstGen does with resumeExecution: the server's own order of checks, then a new run."""

import re
from typing import Any

from bot.simulators.harness_firstgen_shapes import RESUMABLE, Estate, Shape, run_shape
from bot.simulators.harness_world import ENDS, Pipeline, Progress, Run, StageRun

INVALID = "Invalid request: "
GENERIC = "An error has occurred. Please contact support with the time of this call."
UNAUTHORIZED = "User not authorized: Not authorized to access the app"


class Refused(Exception):
    """A resolver says no; the text is what the caller reads behind the field's name."""


def resume_execution(estate: Estate, given: dict[str, Any]) -> Shape:
    """Check as the server does, first failure answers, and begin the run that goes on from the stage."""
    application, execution = given["applicationId"], given["pipelineExecutionId"]
    name: str = given["pipelineStageName"]
    for value, what in ((application, "app id"), (name, "pipeline stage name"), (execution, "workflow execution Id")):
        if not value.strip():
            raise Refused(f"{INVALID}Empty {what}")
    run = estate.world.runs.get(execution)
    if run is None or run.pipeline.scope != application:
        raise Refused(f"Execution [{execution}] doesn't exist")
    target = _target_group(run, name)
    _check_resumable(run)
    _check_unchanged(run, target)
    if any(stage.group < target and stage.progress is Progress.NOT_STARTED for stage in run.stages):
        raise Refused(GENERIC)
    if estate.freeze:
        raise Refused(f"Deployment Freeze is active: {estate.freeze}")
    new = estate.world.resume(run, lambda stage: stage.group >= target, notes=run.notes)
    return {"clientMutationId": given.get("clientMutationId"), "execution": run_shape(estate, new)}


def java_pattern(text: str) -> re.Pattern[str]:
    r"""A Java regular expression, as far as \Q…\E quoting goes beyond Python's."""
    parts = re.split(r"\\Q(.*?)(?:\\E|$)", text, flags=re.DOTALL)
    return re.compile("".join(re.escape(part) if number % 2 else part for number, part in enumerate(parts)))


def _target_group(run: Run, name: str) -> int:
    try:
        pattern = java_pattern(name)
    except re.error as error:
        raise Refused(GENERIC) from error
    hit = next((stage for stage in run.stages if pattern.fullmatch(stage.member.name)), None)
    if hit is None:
        raise Refused(f"{INVALID}Pipeline Stage does not exist or has not yet started: [{name}]")
    return hit.group


def _check_resumable(run: Run) -> None:
    if run.pipeline.is_workflow:
        raise Refused(f"{INVALID}Pipeline resume is not available for workflow executions")
    if run.progress not in RESUMABLE:
        raise Refused(
            f"{INVALID}Pipeline resume is not available for [{run.identifier}]: it is only for "
            "failed, expired, rejected, errored or aborted executions"
        )
    if run.root is not None and not run.is_latest:
        raise Refused(f"{INVALID}Pipeline resume is only available on the latest iteration")
    if not run.stages:
        raise Refused(f"{INVALID}You cannot resume an empty pipeline")
    if not any(stage.progress in ENDS for stage in run.stages):
        raise Refused(f"{INVALID}Pipeline resume is not available: it failed during artifact collection")


def _check_unchanged(run: Run, target: int) -> None:
    pipeline = run.pipeline
    if pipeline.is_deleted:
        raise Refused(f"{INVALID}Pipeline does not exist")
    if not pipeline.groups:
        raise Refused(f"{INVALID}You cannot resume an empty pipeline")
    for stage in run.stages:
        if stage.group <= target and stage.progress not in RESUMABLE and not _is_still_there(pipeline, stage):
            raise Refused(
                f"{INVALID}You cannot resume a pipeline which has been modified. "
                f"Pipeline stage [{stage.member.name}] has been changed"
            )


def _is_still_there(pipeline: Pipeline, stage: StageRun) -> bool:
    return stage.group < len(pipeline.groups) and stage.member in pipeline.groups[stage.group]
