"""The resume points of a Restate invocation and, around them, the description that the core asked for.

Picture ─> at the failed step: as it is, on the latest, on another deployment   (resume: the same id)
        ├> from an earlier step, from the beginning                             (restart: a new id)
        └> no point: a sentence that says why
"""

from collections.abc import Mapping
from types import MappingProxyType

from bot.domain.execution import Execution, ExecutionRef, ExecutionStatus, ResumePoint
from bot.engines.restate_picture import (
    OUTSIDE,
    Picture,
    baseline_of,
    error_of,
    failed_stage_of,
    stages_of,
    status_of,
)
from bot.engines.restate_restart import restart_offer, restart_refusal
from bot.engines.restate_rows import InvocationRow

KEEP = "keep"
LATEST = "latest"
MOST_DEPLOYMENTS = 10
MOST_NAMED = 5
NO_POINTS: Mapping[ExecutionStatus, str] = MappingProxyType(
    {
        ExecutionStatus.WAITING: "It has not begun: there is nothing to resume.",
        ExecutionStatus.RUNNING: "It is running.",
        ExecutionStatus.SUCCEEDED: "It has succeeded.",
        ExecutionStatus.CANCELLED: "It was ended by people, and Restate cannot resume what is completed.",
        ExecutionStatus.FAILED: "It ended with a final failure, and Restate cannot resume what is completed.",
        ExecutionStatus.UNKNOWN: "Restate gives it a status that is not known here.",
    }
)


def execution_of(picture: Picture, ref: ExecutionRef, link: str) -> Execution:
    """The description the core asked for."""
    row, status = picture.row, status_of(picture.row)
    failed = failed_stage_of(picture)
    offer = restart_offer(picture)
    points = (*_points(picture, status, failed), *offer.points)
    chain = (*picture.ancestors, row.id, *(one.id for one in picture.restarts))
    return Execution(
        ref=ref,
        name=row.target,
        status=status,
        root=chain[0],
        baseline=baseline_of(picture).model_dump_json(),
        stages=stages_of(picture),
        failed_stage=failed,
        error=error_of(picture),
        points=points,
        refused_points=offer.refused,
        no_points="" if points else _reason(picture, status),
        chain=chain,
        newest=picture.restarts[-1].id if picture.restarts else "",
        link=link,
        notes=_notes(picture),
        started_at=row.created_at,
        ended_at=row.completed_at,
        labels=_labels(row),
        earlier={one: link.replace(row.id, one) for one in reversed(picture.ancestors)},
    )


def _points(picture: Picture, status: ExecutionStatus, failed: str) -> tuple[ResumePoint, ...]:
    row = picture.row
    if row.status == "paused":
        place = failed or "where it was paused"
        again = f"Runs {failed} again and goes on from there" if failed and failed != OUTSIDE else "Goes on where it stopped"
        return _with_deployments(picture, place, f"{again}; finished steps are not run again.", failed)
    if status is ExecutionStatus.RETRYING:
        label = f"{failed or OUTSIDE}, now"
        sentence = "Restate is waiting to try again by itself; this makes it try at once."
        return (ResumePoint(KEEP, label, sentence, _stage(failed)),)
    if status is ExecutionStatus.SUSPENDED and not _paused_children(picture):
        sentence = "Wakes it; while what it waits for is missing, it is suspended again."
        return _with_deployments(picture, "wake it up", sentence, "")
    return ()


def _with_deployments(picture: Picture, place: str, sentence: str, failed: str) -> tuple[ResumePoint, ...]:
    pinned, stages = picture.row.deployment_id, _stage(failed)
    where = f"It stays on deployment {pinned}." if pinned else "It is not tied to a deployment yet: the latest is taken."
    points = [ResumePoint(KEEP, place, f"{sentence} {where}", stages)]
    for one in picture.deployments if pinned else ():
        is_latest = one.id == picture.latest_id
        label = f"{place}, on the latest deployment" if is_latest else f"{place}, on {one.id}"
        move = f"It moves from {pinned} to {one.id} of {one.created_at:%Y-%m-%d %H:%M} UTC"
        risk = "if the code there takes other steps, it pauses again."
        points.append(ResumePoint(LATEST if is_latest else one.id, label, f"{sentence} {move}; {risk}", stages))
    return tuple(sorted(points, key=lambda point: {KEEP: 0, LATEST: 1}.get(point.key, 2)))


def _stage(failed: str) -> tuple[str, ...]:
    return (failed,) if failed and failed != OUTSIDE else ()


def _paused_children(picture: Picture) -> list[InvocationRow]:
    return [one for one in picture.awaited if one.status == "paused"]


def _reason(picture: Picture, status: ExecutionStatus) -> str:
    if children := _paused_children(picture):
        named = ", ".join(f"{one.target} ({one.id})" for one in children)
        return f"It waits for {named}, which is paused: resume that one."
    told = NO_POINTS.get(status, NO_POINTS[ExecutionStatus.UNKNOWN])
    return f"{told} {restart_refusal(picture)}" if status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED} else told


def _notes(picture: Picture) -> tuple[str, ...]:
    row, notes = picture.row, []
    if row.parent_id and row.status != "completed":
        notes.append(f"{row.parent_target} ({row.parent_id}) called it and may be waiting for it.")
    if row.status == "paused" and picture.failure is None:
        notes.append("It was paused by hand, or without a failure that Restate names.")
    if picture.failure and picture.failure.code == "RT0010":
        notes.append("Its service could not be reached.")
    if picture.below:
        named = ", ".join(f"{one.target} ({one.id})" for one in picture.below[:MOST_NAMED])
        more = f" and {len(picture.below) - MOST_NAMED} more" if len(picture.below) > MOST_NAMED else ""
        notes.append(f"It called or sent {named}{more}, still running: to begin it anew would end that as well.")
    return tuple(notes)


def _labels(row: InvocationRow) -> Mapping[str, str]:
    labels = {
        "Deployment": row.deployment_id or "",
        "Called by": f"{row.parent_target} ({row.parent_id})" if row.parent_id else "",
    }
    return MappingProxyType({name: value for name, value in labels.items() if value})
