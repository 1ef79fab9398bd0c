"""What the audit trail says: one immutable entry a step, its action out of a closed list of `subject:part:verb_past`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.domain.execution import Action


class AuditAction(StrEnum):
    """Every tag; docs/audit.md says of each when it is written and what its data holds."""

    RESUME_REQUESTED = "request:resume:requested"
    RESTART_REQUESTED = "request:restart:requested"
    START_REQUESTED = "request:start:requested"
    KILL_REQUESTED = "request:kill:requested"
    APPROVED = "request:decision:approved"
    REJECTED = "request:decision:rejected"
    DECISION_REFUSED = "request:decision:refused"
    REQUEST_REFUSED = "incident:request:refused"
    PREPARING = "request:preparation:begun"
    PREPARED = "request:preparation:ended"
    CALL_SENT = "request:call:sent"
    RECEIPT_RUNNING = "request:receipt:running"
    RECEIPT_REFUSED = "request:receipt:refused"
    RECEIPT_NOT_SENT = "request:receipt:not_sent"
    RECEIPT_UNKNOWN = "request:receipt:unknown"
    EVIDENCE_HAPPENED = "request:evidence:happened"
    EVIDENCE_HARMLESS = "request:evidence:harmless"
    EVIDENCE_UNCLEAR = "request:evidence:unclear"
    SUCCEEDED = "request:outcome:succeeded"
    FAILED = "request:outcome:failed"
    CANCELLED = "request:life:cancelled"
    EXPIRED = "request:life:expired"
    SUPERSEDED = "request:life:superseded"
    HELD_BACK = "request:life:held_back"
    PRESSED_AGAIN = "request:unknown:pressed_again"
    CLOSED_AS_NOT_RUN = "request:unknown:closed"
    NOTICE_RECEIVED = "incident:notice:received"
    NOTICE_MERGED = "incident:notice:merged"
    NOTICE_REJECTED = "incident:notice:rejected"
    INCIDENT_OPENED = "incident:life:opened"
    INCIDENT_RESOLVED = "incident:life:resolved"
    INCIDENT_REOPENED = "incident:life:reopened"
    INCIDENT_CLOSED = "incident:life:closed"
    INCIDENT_ACKNOWLEDGED = "incident:care:acknowledged"
    INCIDENT_SNOOZED = "incident:care:snoozed"
    INCIDENT_ASSIGNED = "incident:care:assigned"
    COMMAND_RECEIVED = "bot:command:received"
    MESSAGE_UNDELIVERABLE = "bot:message:undeliverable"
    ENGINE_LOST = "bot:engine:lost"
    ENGINE_FOUND = "bot:engine:found"
    JOB_FAILED = "bot:job:failed"
    STARTED = "bot:process:started"
    STOPPED = "bot:process:stopped"


REQUESTED = {
    Action.RESUME: AuditAction.RESUME_REQUESTED,
    Action.RESTART: AuditAction.RESTART_REQUESTED,
    Action.START: AuditAction.START_REQUESTED,
    Action.KILL: AuditAction.KILL_REQUESTED,
}


@dataclass(frozen=True)
class AuditEntry:
    """One line: who did what to which subject (`req-17`, `inc-42`, `bot`), and the ids it concerns. Never inputs or secrets."""

    at: datetime
    actor: str
    action: AuditAction
    subject: str
    request: str | None = None
    incident: str | None = None
    connection: str | None = None
    execution: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
