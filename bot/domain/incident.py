"""Incident: our record that one execution needs a human, from the first notice until it succeeded or was let go."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.execution import Execution, ExecutionRef, ExecutionStatus, FailureNotice
from bot.domain.policy import BOT_ACTOR
from bot.domain.text import clean


class IncidentState(StrEnum):
    """Whether anybody still has to do something."""

    OPEN = "open"
    RESOLVED = "resolved"  # the execution succeeded, by us or elsewhere
    CLOSED = "closed"  # nothing is left to do: cancelled, or gone from the engine


@dataclass(frozen=True)
class Incident:
    """One failed execution with what was last seen of it; `root` is the exclusion key of its chain (empty = not yet read).

    `execution_id` is the newest of the chain that we know. `seen` is the newest description, None until the engine was
    read once. `trouble` says why it could not be read. `channel` is None until a route was found.
    """

    id: int
    workspace: str
    connection: str
    execution_id: str
    root: str = ""
    name: str = ""
    stage: str = ""
    error: str = ""
    state: IncidentState = IncidentState.OPEN
    version: int = 1
    channel: str | None = None
    seen: Execution | None = None
    trouble: str = ""
    failures: int = 1
    acknowledged_by: str | None = None
    assigned_to: str | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str | None = None
    opened_at: datetime | None = None
    failed_at: datetime | None = None
    read_at: datetime | None = None
    closed_at: datetime | None = None
    closed_because: str = ""

    @property
    def label(self) -> str:
        """`inc-42`."""
        return f"inc-{self.id}"

    @property
    def is_doubtful(self) -> bool:
        """Something came to its end, and neither a notice nor the engine has said yet that it failed."""
        return self.failures == 0 and self.failed_at is not None

    @property
    def ref(self) -> ExecutionRef:
        """The newest execution."""
        return ExecutionRef(self.connection, self.execution_id)


def entry(
    incident: Incident, action: AuditAction, actor: str, now: datetime, execution: str | None = None, **data: object
) -> AuditEntry:
    """An audit entry about the incident."""
    return AuditEntry(
        at=now,
        actor=actor,
        action=action,
        subject=incident.label,
        incident=incident.label,
        connection=incident.connection,
        execution=execution or incident.execution_id,
        data={key: value for key, value in data.items() if value not in (None, "")},
    )


def opened_by(notice: FailureNotice, workspace: str, now: datetime) -> Incident:
    """The incident a first notice opens; its id is given by the store."""
    return Incident(
        id=0,
        workspace=workspace,
        connection=notice.ref.connection,
        execution_id=notice.ref.id,
        name=clean(notice.name, 300),
        stage=clean(notice.stage, 300),
        error=clean(notice.message),
        failures=int(notice.is_certain),
        opened_at=now,
        failed_at=notice.at or now,
    )


def merged(incident: Incident, notice: FailureNotice, now: datetime) -> tuple[Incident, tuple[AuditEntry, ...]]:
    """The incident after one more notice of the same chain: reopened where it had ended, counted unless it was seen already."""
    is_news = not _has_seen(incident, notice) and not _is_counted(incident, notice)
    after = replace(
        incident,
        execution_id=notice.ref.id,
        name=clean(notice.name, 300) or incident.name,
        stage=clean(notice.stage, 300) or incident.stage,
        error=clean(notice.message) or incident.error,
        failures=incident.failures + is_news,
        failed_at=(notice.at or now) if is_news else incident.failed_at,
    )
    actor = f"engine:{notice.ref.connection}"
    entries = [entry(after, AuditAction.NOTICE_MERGED, actor, now, notice=notice.key)]
    if incident.state is not IncidentState.OPEN:
        after = reopened(after)
        entries.append(entry(after, AuditAction.INCIDENT_REOPENED, actor, now))
    return after, tuple(entries)


def _is_counted(incident: Incident, notice: FailureNotice) -> bool:
    """Whether the failure of this execution was told of before, perhaps one of its stages alone."""
    return notice.ref.id == incident.execution_id and incident.failures > 0 and not notice.may_repeat


def _has_seen(incident: Incident, notice: FailureNotice) -> bool:
    """Whether the engine was read after this failure, and showed it."""
    seen, read_at = incident.seen, incident.read_at
    if seen is None or read_at is None or notice.at is None or seen.ref != notice.ref:
        return False
    return seen.status is ExecutionStatus.FAILED and notice.at <= read_at


def reopened(incident: Incident) -> Incident:
    """Open again, as after a new failure."""
    return replace(awake(incident), state=IncidentState.OPEN, closed_at=None, closed_because="", acknowledged_by=None)


def awake(incident: Incident) -> Incident:
    """Snoozed no more."""
    return replace(incident, snoozed_until=None, snoozed_by=None)


def ended(
    incident: Incident, state: IncidentState, reason: str, now: datetime, actor: str = BOT_ACTOR
) -> tuple[Incident, tuple[AuditEntry, ...]]:
    """The incident at its end, and the entry that says why; nothing when it had ended before."""
    if incident.state is state:
        return incident, ()
    after = replace(awake(incident), state=state, closed_at=now, closed_because=reason)
    action = AuditAction.INCIDENT_RESOLVED if state is IncidentState.RESOLVED else AuditAction.INCIDENT_CLOSED
    return after, (entry(after, action, actor, now, reason=reason),)


def described(incident: Incident, execution: Execution, now: datetime) -> Incident:
    """The incident with what the engine shows now, texts cleaned."""
    has_failed = execution.status is ExecutionStatus.FAILED or bool(execution.points) or execution.pending_points
    return replace(
        incident,
        seen=execution,
        trouble="",
        read_at=now,
        root=execution.root,
        execution_id=execution.ref.id,
        name=execution.name or incident.name,
        stage=execution.failed_stage or incident.stage,
        error=execution.error or incident.error,
        failures=1 if incident.is_doubtful and has_failed else incident.failures,
    )
