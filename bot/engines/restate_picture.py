"""What a look at a Restate invocation amounts to in our words: status, stages, baseline, evidence.

rows ─> Picture ─> status, stages, failed stage
                └> Baseline ─> evidence_of(before, now) ─> Evidence
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bot.domain.execution import Evidence, ExecutionRef, ExecutionStatus, Finding, Stage, StageStatus
from bot.engines.restate_rows import (
    ENDED_BY_PEOPLE,
    JOURNAL_LIMIT,
    KILLED,
    DeploymentRow,
    IdRow,
    InvocationRow,
    JournalRow,
    LastFailure,
    PausedRow,
    RestartRow,
)

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
OUTSIDE = "(outside any step)"
UNNAMED = "(unnamed)"
# Statuses that the server itself goes to and fro between while it tries again: one and the same state when stored.
_MOVING = frozenset({"running", "backing-off", "ready"})


class Baseline(BaseModel):
    """What changes whenever an invocation has moved.

    `commands` counts what its code has written into the journal, once that rests.
    """

    model_config = ConfigDict(frozen=True)

    stored: str
    modified_at: AwareDatetime
    paused_at: AwareDatetime | None = None
    restarts: int = 0
    commands: int | None = None
    is_killed: bool = False


@dataclass(frozen=True)
class Picture:
    """All that one look at an invocation brought.

    `deployments` are those it could be moved to, newest first; `restarts` what was begun anew from it and from those, oldest
    first; `step_failures` how steps of an ended one failed, by their place in the journal; `below` what it called or sent
    and has not ended; `server_refusal` why this server begins nothing anew, or empty.
    """

    row: InvocationRow
    paused: PausedRow | None = None
    journal: tuple[JournalRow, ...] = ()
    deployments: tuple[DeploymentRow, ...] = ()
    latest_id: str = ""
    awaited: tuple[InvocationRow, ...] = ()
    ancestors: tuple[str, ...] = ()
    restarts: tuple[RestartRow, ...] = ()
    step_failures: Mapping[int, str] = field(default_factory=dict)
    below: tuple[IdRow, ...] = ()
    server_refusal: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether its journal may be longer than what was read of it."""
        return len(self.journal) >= JOURNAL_LIMIT

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
        commands=len(_commands(picture)) if row.status in {"paused", "completed"} and picture.journal else None,
        is_killed=row.completion_failure == KILLED,
    )


def is_only_killed(before: Baseline, now: Baseline) -> bool:
    """Whether a kill and nothing else lies between two looks."""
    is_still_there = (now.paused_at, now.restarts) == (before.paused_at, before.restarts)
    has_stood_still = before.commands in {None, now.commands}
    return before.stored != "completed" and now.is_killed and is_still_there and has_stood_still


def stages_of(picture: Picture) -> tuple[Stage, ...]:
    """The named steps reached so far; what would come after them the journal does not know."""
    results = {
        one.completion.completion_id: one.completion.result for one in picture.journal if one.kind == "Notification: Run"
    }
    failed, stages = failed_stage_of(picture), []
    for run, name in named_runs(picture.journal):
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
    failure, runs = picture.failure, named_runs(picture.journal)
    if picture.row.status == "completed":
        # Many failures of steps are ones that the code lived with: this one ended it only if it ended in the same words.
        own = {index for index, text in picture.step_failures.items() if text and text == picture.row.completion_failure}
        ends = {one.completion.completion_id for one in picture.journal if one.index in own}
        return next((name for run, name in reversed(runs) if run.completion.completion_id in ends), "")
    if failure is None:
        return ""
    if failure.kind != "Run":
        return OUTSIDE
    # The index counts commands only, the input being 0; it is not an index of the journal.
    commands = _commands(picture)
    at = commands[failure.index].index if failure.index is not None and failure.index < len(commands) else None
    return next((name for run, name in runs if run.index == at), failure.name or UNNAMED)


def _commands(picture: Picture) -> list[JournalRow]:
    return [one for one in picture.journal if one.kind.startswith("Command: ")]


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
    if now == before.model_copy(update={"commands": now.commands, "is_killed": now.is_killed}):
        return Evidence(Finding.HARMLESS, f"It is still {now.stored} as it was before the call.")
    if before.stored == "suspended":
        return Evidence(Finding.HAPPENED, "It has been woken since the call and waits again.", ref)
    return Evidence(Finding.UNCLEAR, f"It is {now.stored}, and was changed at {now.modified_at:%H:%M:%S} UTC in another way.")


_NEVER = datetime.min.replace(tzinfo=UTC)


def named_runs(journal: tuple[JournalRow, ...]) -> list[tuple[JournalRow, str]]:
    """The steps with names that tell them apart: loops repeat them."""
    runs = [one for one in journal if one.kind == "Command: Run"]
    total, seen, named = Counter(one.name for one in runs), Counter[str](), []
    for run in runs:
        seen[run.name] += 1
        plain = run.name or UNNAMED
        named.append((run, f"{plain} (#{seen[run.name]})" if total[run.name] > 1 else plain))
    return named
