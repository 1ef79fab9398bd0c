"""What a look at a Restate invocation amounts to in our words: status, stages, resume points, baseline, evidence.

rows ─> Picture ─> execution_of ─> Execution
                └> Baseline ─> evidence_of(before, now) ─> Evidence
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bot.domain.execution import (
    Evidence,
    Execution,
    ExecutionRef,
    ExecutionStatus,
    Finding,
    RefusedPoint,
    ResumePoint,
    Stage,
    StageStatus,
)
from bot.engines.restate_wire import ENDED_BY_PEOPLE, DeploymentRow, IdRow, InvocationRow, JournalRow, LastFailure, PausedRow

STATUSES: Mapping[str, ExecutionStatus] = MappingProxyType(
    {
        "scheduled": ExecutionStatus.WAITING,
        "pending": ExecutionStatus.WAITING,
        "ready": ExecutionStatus.RUNNING,
        "running": ExecutionStatus.RUNNING,
        "backing-off": ExecutionStatus.RETRYING,
        "suspended": ExecutionStatus.SUSPENDED,
        "paused": ExecutionStatus.FAILED,
        "completed/success": ExecutionStatus.SUCCEEDED,
        "completed/failure": ExecutionStatus.FAILED,
        "completed/by people": ExecutionStatus.CANCELLED,
    }
)
NO_POINTS: Mapping[ExecutionStatus, str] = MappingProxyType(
    {
        ExecutionStatus.WAITING: "It has not begun: there is nothing to resume.",
        ExecutionStatus.RUNNING: "It is running.",
        ExecutionStatus.SUCCEEDED: "It has succeeded.",
        ExecutionStatus.CANCELLED: "It was ended by people; Restate cannot resume what is completed.",
        ExecutionStatus.FAILED: "It ended with a final failure; Restate cannot resume what is completed.",
        ExecutionStatus.UNKNOWN: "Restate gives it a status that is not known here.",
    }
)
KEEP = "keep"
LATEST = "latest"
OUTSIDE = "(outside any step)"
UNNAMED = "(unnamed)"
MOST_DEPLOYMENTS = 10
# Statuses that the server itself goes to and fro between while it tries again: one and the same state when stored.
_MOVING = frozenset({"running", "backing-off", "ready"})


class Baseline(BaseModel):
    """What changes whenever an invocation has moved."""

    model_config = ConfigDict(frozen=True)

    stored: str
    modified_at: AwareDatetime
    paused_at: AwareDatetime | None = None
    restarts: int = 0


@dataclass(frozen=True)
class Picture:
    """All that one look at an invocation brought; `deployments` are those it could be moved to, newest first."""

    row: InvocationRow
    paused: PausedRow | None = None
    journal: tuple[JournalRow, ...] = ()
    deployments: tuple[DeploymentRow, ...] = ()
    latest_id: str = ""
    awaited: tuple[InvocationRow, ...] = ()
    ancestors: tuple[str, ...] = ()
    restarts: tuple[IdRow, ...] = ()

    @property
    def failure(self) -> LastFailure | None:
        """Why it does not go on, where the server says so."""
        if self.row.status == "paused":
            return self.paused.body.last_failure if self.paused else None
        if self.row.failure:
            first_line = self.row.failure.splitlines()[0]
            return LastFailure(
                error_message=first_line,
                related_command_index=self.row.failure_index,
                related_command_name=self.row.failure_name,
                related_command_type="Run" if self.row.failure_name else "",
            )
        return None


def status_of(row: InvocationRow) -> ExecutionStatus:
    """How it stands in our words."""
    word = row.status
    if word == "completed":
        word = f"completed/{row.completion_result}"
        word = "completed/by people" if row.completion_failure in ENDED_BY_PEOPLE else word
    if word in {"running", "ready"} and row.failure:
        return ExecutionStatus.RETRYING
    return STATUSES.get(word, ExecutionStatus.UNKNOWN)


def baseline_of(picture: Picture) -> Baseline:
    """What a later look is compared with."""
    row = picture.row
    return Baseline(
        stored="invoked" if row.status in _MOVING else row.status,
        modified_at=row.modified_at,
        paused_at=picture.paused.appended_at if picture.paused else None,
        restarts=len(picture.restarts),
    )


def execution_of(picture: Picture, ref: ExecutionRef, link: str) -> Execution:
    """The description the core asked for."""
    row, status = picture.row, status_of(picture.row)
    failed = failed_stage_of(picture)
    points = _points(picture, status, failed)
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
        refused_points=_refused_points(picture, failed),
        no_points="" if points else _reason(picture, status),
        chain=chain,
        newest=picture.restarts[-1].id if picture.restarts else "",
        link=link,
        notes=_notes(picture),
        started_at=row.created_at,
        ended_at=row.completed_at,
        labels=_labels(row),
    )


def stages_of(picture: Picture) -> tuple[Stage, ...]:
    """The named steps reached so far; what would come after them the journal does not know."""
    results = {
        one.completion.completion_id: one.completion.result for one in picture.journal if one.kind == "Notification: Run"
    }
    failed, stages = failed_stage_of(picture), []
    for run, name in _named_runs(picture.journal):
        result = results.get(run.completion.completion_id)
        status = {"Success": StageStatus.SUCCEEDED, "Failure": StageStatus.FAILED}.get(result or "", StageStatus.RUNNING)
        if result is None and name == failed:
            status = StageStatus.FAILED
        elif result is None and picture.row.status in {"completed", "paused"}:
            status = StageStatus.UNKNOWN
        stages.append(Stage(name, status))
    return tuple(stages)


def failed_stage_of(picture: Picture) -> str:
    """The step that failed; a sentence in brackets when it was none, and empty when nothing failed."""
    failure, runs = picture.failure, _named_runs(picture.journal)
    if picture.row.status == "completed":
        failures = {one.completion.completion_id for one in picture.journal if one.completion.result == "Failure"}
        ended = [name for run, name in runs if run.completion.completion_id in failures]
        return ended[-1] if ended and picture.row.completion_result == "failure" else ""
    if failure is None:
        return ""
    if failure.kind != "Run":
        return OUTSIDE
    # The index counts commands only, the input being 0; it is not an index of the journal.
    commands = [one for one in picture.journal if one.kind.startswith("Command: ")]
    at = commands[failure.index].index if failure.index is not None and failure.index < len(commands) else None
    return next((name for run, name in runs if run.index == at), failure.name or UNNAMED)


def error_of(picture: Picture) -> str:
    """Why it failed, in the server's words."""
    if picture.row.status == "completed":
        return picture.row.completion_failure
    return picture.failure.message if picture.failure else ""


def evidence_of(before: Baseline, now: Baseline, ref: ExecutionRef) -> Evidence:
    """What two looks say of a resume call between them."""
    if now.stored != before.stored or (now.paused_at or _NEVER) > (before.paused_at or _NEVER):
        return Evidence(Finding.HAPPENED, "It has moved on since the call.", ref)
    if before.stored == "invoked":
        return Evidence(
            Finding.HAPPENED, "It is still being tried by Restate itself, with or without the call.", ref, is_probable=True
        )
    if now == before:
        return Evidence(Finding.HARMLESS, f"It is still {now.stored} as it was before the call.")
    if before.stored == "suspended":
        return Evidence(Finding.HAPPENED, "It has been woken since the call and waits again.", ref)
    return Evidence(Finding.UNCLEAR, f"It is {now.stored}, and was changed at {now.modified_at:%H:%M:%S} UTC in another way.")


_NEVER = datetime.min.replace(tzinfo=UTC)


def _named_runs(journal: tuple[JournalRow, ...]) -> list[tuple[JournalRow, str]]:
    """The steps with names that tell them apart: loops repeat them."""
    runs = [one for one in journal if one.kind == "Command: Run"]
    total, seen, named = Counter(one.name for one in runs), Counter[str](), []
    for run in runs:
        seen[run.name] += 1
        plain = run.name or UNNAMED
        named.append((run, f"{plain} (#{seen[run.name]})" if total[run.name] > 1 else plain))
    return named


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


def _refused_points(picture: Picture, failed: str) -> tuple[RefusedPoint, ...]:
    if picture.row.status not in {"paused", "completed"}:
        return ()
    reason = (
        "Restate resumes only where it stopped; from an earlier step it would have to be ended and begun anew under another id."
    )
    if picture.row.service_kind == "workflow":
        reason = "Restate resumes only where it stopped, and begins no workflow anew."
    if picture.row.status == "completed":
        reason = "It is completed: Restate could only begin it anew under another id."
    return tuple(RefusedPoint(name, reason) for _, name in _named_runs(picture.journal) if name != failed)


def _paused_children(picture: Picture) -> list[InvocationRow]:
    return [one for one in picture.awaited if one.status == "paused"]


def _reason(picture: Picture, status: ExecutionStatus) -> str:
    if children := _paused_children(picture):
        named = ", ".join(f"{one.target} ({one.id})" for one in children)
        return f"It waits for {named}, which is paused: resume that one."
    return NO_POINTS.get(status, NO_POINTS[ExecutionStatus.UNKNOWN])


def _notes(picture: Picture) -> tuple[str, ...]:
    row, notes = picture.row, []
    if row.parent_id and row.status != "completed":
        notes.append(f"{row.parent_target} ({row.parent_id}) called it and may be waiting for it.")
    if row.status == "paused" and picture.failure is None:
        notes.append("It was paused by hand, or without a failure that Restate names.")
    if picture.failure and picture.failure.code == "RT0010":
        notes.append("Its service could not be reached.")
    return tuple(notes)


def _labels(row: InvocationRow) -> Mapping[str, str]:
    labels = {
        "Deployment": row.deployment_id or "",
        "Called by": f"{row.parent_target} ({row.parent_id})" if row.parent_id else "",
        "Begun anew from": row.restarted_from or "",
    }
    return MappingProxyType({name: value for name, value in labels.items() if value})
