"""The state machine of a resume request: facts in, a new request and its audit entries out, or a Refusal.

pending ─▶ approved ─▶ resuming ─▶ running ─▶ succeeded | failed
   │          │ ▲         │ └────▶ refused
   │          │ └─────────┤ not_sent, or proven harmless
   │          │           └──────▶ unknown ─▶ running | approved | superseded (pressed again) | cancelled (closed as not run)
   └──────────┴─▶ rejected | expired | cancelled | superseded | refused
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

from bot.domain.errors import Refusal
from bot.domain.execution import Action, ExecutionRef, ResumePoint
from bot.domain.policy import Rules


class RequestState(StrEnum):
    """How a request stands; *unknown* is honest: a call may have left and no answer came."""

    PENDING = "pending"
    APPROVED = "approved"
    RESUMING = "resuming"
    RUNNING = "running"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def is_live(self) -> bool:
        """It may still have an effect, so no other request for the same chain may live beside it."""
        return self in LIVE


S = RequestState
LIVE = frozenset({S.PENDING, S.APPROVED, S.RESUMING, S.RUNNING, S.UNKNOWN})


class Command(StrEnum):
    """What can be done to a request."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    REFUSE = "refuse"
    SEND = "send"
    RECEIVE_RUNNING = "receive_running"
    RECEIVE_REFUSED = "receive_refused"
    RECEIVE_NOT_SENT = "receive_not_sent"
    RECEIVE_UNKNOWN = "receive_unknown"
    FIND_HAPPENED = "find_happened"
    FIND_HARMLESS = "find_harmless"
    PRESS_AGAIN = "press_again"
    CLOSE = "close"
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE = "lose"


C = Command
TRANSITIONS: Mapping[tuple[RequestState, Command], frozenset[RequestState]] = MappingProxyType(
    {
        (S.PENDING, C.APPROVE): frozenset({S.PENDING, S.APPROVED}),
        (S.PENDING, C.REJECT): frozenset({S.REJECTED}),
        (S.PENDING, C.WITHDRAW): frozenset({S.CANCELLED}),
        (S.PENDING, C.EXPIRE): frozenset({S.EXPIRED}),
        (S.PENDING, C.SUPERSEDE): frozenset({S.SUPERSEDED}),
        (S.APPROVED, C.REJECT): frozenset({S.REJECTED}),
        (S.APPROVED, C.WITHDRAW): frozenset({S.CANCELLED}),
        (S.APPROVED, C.EXPIRE): frozenset({S.EXPIRED}),
        (S.APPROVED, C.SUPERSEDE): frozenset({S.SUPERSEDED}),
        (S.APPROVED, C.REFUSE): frozenset({S.REFUSED}),
        (S.APPROVED, C.SEND): frozenset({S.RESUMING}),
        (S.RESUMING, C.RECEIVE_RUNNING): frozenset({S.RUNNING}),
        (S.RESUMING, C.RECEIVE_REFUSED): frozenset({S.REFUSED}),
        (S.RESUMING, C.RECEIVE_NOT_SENT): frozenset({S.APPROVED}),
        (S.RESUMING, C.RECEIVE_UNKNOWN): frozenset({S.UNKNOWN}),
        (S.UNKNOWN, C.RECEIVE_RUNNING): frozenset({S.RUNNING}),
        (S.UNKNOWN, C.FIND_HAPPENED): frozenset({S.RUNNING}),
        (S.UNKNOWN, C.FIND_HARMLESS): frozenset({S.APPROVED}),
        (S.UNKNOWN, C.PRESS_AGAIN): frozenset({S.SUPERSEDED}),
        (S.UNKNOWN, C.CLOSE): frozenset({S.CANCELLED}),
        (S.RUNNING, C.SUCCEED): frozenset({S.SUCCEEDED}),
        (S.RUNNING, C.FAIL): frozenset({S.FAILED}),
        (S.RUNNING, C.LOSE): frozenset({S.UNKNOWN}),
    }
)


CLOSED_AS_NOT_RUN = "closed as not run"
TAKING_BACK = frozenset({C.REJECT, C.WITHDRAW, C.EXPIRE})  # not while the execution is being ended


@dataclass(frozen=True)
class Decision:
    """One approver's approve or reject."""

    actor: str
    is_approval: bool
    at: datetime
    reason: str = ""


@dataclass(frozen=True)
class Request:
    """A person's wish to resume (or start, or end) at a point, with all that was shown and decided.

    `digest` is over what people saw when they decided; `warning` is part of it (an earlier call may have run).
    `calls` counts the intents recorded: the call's key is `req-17-<calls>`. Times of the fence are on the boot-time clock.
    """

    id: int
    workspace: str
    channel: str
    incident_id: int | None
    action: Action
    connection: str
    execution_id: str
    root: str
    point: ResumePoint
    baseline: str
    digest: str
    rules: Rules
    requester: str
    requested_at: datetime
    expires_at: datetime
    name: str = ""
    reason: str = ""
    warning: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    input_labels: Mapping[str, str] = field(default_factory=dict)  # what people call the inputs, by key
    state: RequestState = RequestState.PENDING
    version: int = 1
    decisions: tuple[Decision, ...] = ()
    calls: int = 0
    sent_at: datetime | None = None  # when the newest call left; None again once it is on its way no more
    preparing_at: datetime | None = None  # when the first of two calls, which may be repeated, was about to leave
    prepared_at: datetime | None = None  # when its effect was seen
    new_execution: str | None = None
    outcome: str = ""  # a sentence on how it ended, or what is known so far
    doubt: str = ""  # why the watched execution is only probably this request's; empty = it surely is
    not_before: datetime | None = None  # the next try to send, to look for evidence, or to watch
    tries: int = 0  # how often that was put off
    ended_at: datetime | None = None

    @property
    def label(self) -> str:
        """`req-17`."""
        return f"req-{self.id}"

    @property
    def incident_label(self) -> str | None:
        """`inc-42`, None for a start."""
        return None if self.incident_id is None else f"inc-{self.incident_id}"

    @property
    def call_key(self) -> str:
        """The name of the newest call, for engines that keep one."""
        return f"{self.label}-{self.calls}"

    @property
    def ref(self) -> ExecutionRef:
        """The execution the request was made on."""
        return ExecutionRef(self.connection, self.execution_id)

    @property
    def watched(self) -> ExecutionRef:
        """The execution whose end is this request's outcome."""
        return ExecutionRef(self.connection, self.new_execution or self.execution_id)

    @property
    def is_being_ended(self) -> bool:
        """Whether the first of two calls may be on its way: until that is known, nobody can take the request back."""
        return self.state is S.APPROVED and self.preparing_at is not None and self.prepared_at is None

    @property
    def has_ended_it(self) -> bool:
        """Whether the execution was ended for this request."""
        return self.preparing_at is not None and self.prepared_at is not None

    @property
    def is_gone(self) -> bool:
        """Whether a call was answered and what it brought is not there any more: then nothing proves that it did nothing."""
        return self.state is S.UNKNOWN and self.sent_at is None

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who approved, in order."""
        return tuple(decision.actor for decision in self.decisions if decision.is_approval)


def moved(request: Request, command: Command, to: RequestState, **changes: object) -> Request:
    """The request in its next state; raises Refusal when the table does not allow it, or its execution is just being ended."""
    is_in_the_way = request.is_being_ended and command in TAKING_BACK
    if is_in_the_way or to not in TRANSITIONS.get((request.state, command), frozenset()):
        raise Refusal("too_late", f"Nothing was done: {describe_state(request)}")
    return replace(request, state=to, version=request.version + 1, **changes)  # type: ignore[arg-type]  # replace checks names only


STATE_WORDS: Mapping[RequestState, str] = MappingProxyType(
    {
        S.PENDING: "it waits for approval",
        S.APPROVED: "it was approved and is about to be sent",
        S.RESUMING: "it is being sent to the engine",
        S.RUNNING: "the engine accepted it and it is running",
        S.UNKNOWN: "the engine gave no clear answer, so it is unknown whether it ran",
        S.SUCCEEDED: "it succeeded",
        S.FAILED: "it ran and failed again",
        S.REJECTED: "it was rejected",
        S.REFUSED: "it was refused when it was to be sent",
        S.EXPIRED: "it expired",
        S.CANCELLED: "it was withdrawn or closed",
        S.SUPERSEDED: "it was overtaken by something newer",
    }
)


def describe_state(request: Request) -> str:
    """One sentence on how the request stands, with who decided where somebody did."""
    by = ""
    if request.decisions and request.state is not S.PENDING:
        last = request.decisions[-1]
        by = f" ({'approved' if last.is_approval else 'rejected'} by {mention(last.actor)})"
    return f"{request.label} has moved on: {_state_words(request)}{by}."


def _state_words(request: Request) -> str:
    if request.is_being_ended:
        return "its execution is being ended right now"
    if request.state is S.APPROVED and request.has_ended_it:
        return "its execution has been ended, and it is about to be begun anew"
    return STATE_WORDS[request.state]


def mention(actor: str) -> str:
    """An actor as Slack shows people: a mention for its users, the plain word for others."""
    if actor.startswith("slack:"):
        return f"<@{actor.rsplit('/', 1)[-1]}>"
    return actor


def digest_of(ref: ExecutionRef, point: ResumePoint, rules: Rules, *, baseline: str, inputs: str, warning: str) -> str:
    """The fingerprint of what people were shown; what it covers may not change between decision and call."""
    parts = (
        ref.connection,
        ref.id,
        point.action.value,
        point.key,
        point.label,
        point.sentence,
        "\x1f".join(point.stages),
        baseline,
        inputs,
        rules.as_text(),
        warning,
    )
    return sha256("\x1e".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
