"""What engines run, in our words: executions, their stages, and the points they can be resumed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


class ExecutionStatus(StrEnum):
    """How an execution stands, whatever the engine calls it."""

    WAITING = "waiting"  # accepted, not begun
    RUNNING = "running"
    RETRYING = "retrying"  # the engine itself tries again
    SUSPENDED = "suspended"  # waits for something outside of it
    FAILED = "failed"  # stopped on a failure: it needs a human
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"  # ended by people
    UNKNOWN = "unknown"  # a word the mapping table does not know

    @property
    def is_terminal(self) -> bool:
        """Nothing more happens by itself."""
        return self in {ExecutionStatus.FAILED, ExecutionStatus.SUCCEEDED, ExecutionStatus.CANCELLED}


class StageStatus(StrEnum):
    """How a stage stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What a request asks of an engine; policies match on it."""

    RESUME = "resume"
    RESTART = "restart"  # ends the execution and begins a new one that keeps what was done
    START = "start"
    KILL = "kill"


@dataclass(frozen=True)
class ExecutionRef:
    """One execution: a connection's name, and the id as its engine gives it."""

    connection: str
    id: str

    def __str__(self) -> str:
        return f"{self.connection}:{self.id}"


@dataclass(frozen=True)
class Stage:
    """A named part of an execution, as the engine names parts; `members` of a parallel group."""

    name: str
    status: StageStatus
    message: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResumePoint:
    """A place the engine offers to resume from.

    `key` is opaque to all but the engine and stays valid while the execution's baseline does; `label` names the stages
    it covers and is what people choose by; `sentence` says what will happen; `stages` are the names that a person may
    type for it.
    """

    key: str
    label: str
    sentence: str
    stages: tuple[str, ...] = ()
    action: Action = Action.RESUME


@dataclass(frozen=True)
class RefusedPoint:
    """A stage a person may ask for that cannot be resumed from, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Execution:
    """One run as it stands now, described by its engine. Texts are raw; the core cleans them.

    `points`: first is the preselected one; empty when it cannot be resumed, then `no_points` says why in one sentence.
    `root`: exclusion key, the same for all executions that continue one another. `chain`: every id known to belong to
    it, this one included. `baseline`: changes whenever the engine has moved, by whomever: compared, never read.
    `pending_points`: it failed and will offer points once it has come to its end (shown without Retry).
    `newest`: the id of the newest execution of the chain where it is another one than this.
    `environment`: the engine's own id or name of it, None where it has none.
    """

    ref: ExecutionRef
    name: str
    status: ExecutionStatus
    root: str
    baseline: str
    stages: tuple[Stage, ...] = ()
    failed_stage: str = ""
    error: str = ""
    points: tuple[ResumePoint, ...] = ()
    refused_points: tuple[RefusedPoint, ...] = ()
    no_points: str = ""
    pending_points: bool = False
    chain: tuple[str, ...] = ()
    newest: str = ""
    link: str = ""
    environment: str | None = None
    inputs: str = ""  # a stable text of what a resume sends along, for the digest only
    notes: tuple[str, ...] = ()  # sentences worth knowing before anyone presses
    started_at: datetime | None = None
    ended_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)  # further facts shown on the card
    earlier: Mapping[str, str] = field(default_factory=lambda: NOTHING)  # executions it continues: id -> link, newest first


@dataclass(frozen=True)
class FailureNotice:
    """One normalised message that something failed; `key` is the same for every delivery of the same failure.

    `is_certain`: it says that it failed; else only that it ended, and nothing is posted before the engine says how.
    `may_repeat`: the same execution can fail again after a resume; elsewhere each failure is one of a new execution.
    """

    ref: ExecutionRef
    key: str
    name: str = ""
    stage: str = ""
    message: str = ""
    at: datetime | None = None
    is_certain: bool = True
    may_repeat: bool = False


@dataclass(frozen=True)
class Receipt:
    """The engine's answer to a resume call it accepted: the execution to watch from now on."""

    ref: ExecutionRef
    note: str = ""  # what the answer leaves open, for people


class Finding(StrEnum):
    """What a look at the engine says of a call whose answer was lost."""

    HAPPENED = "happened"
    HARMLESS = "harmless"  # it cannot have happened, or a second call would do no harm
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Evidence:
    """A finding with what was seen; `ref` names the execution to watch where it happened."""

    finding: Finding
    sentence: str
    ref: ExecutionRef | None = None
    is_probable: bool = False  # it looks so, and nothing proves it


class InputKind(StrEnum):
    """How an input of a start is asked for."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    SECRET = "secret"  # cannot be given through chat  # noqa: S105


@dataclass(frozen=True)
class StartInput:
    """One value a start wants or takes; `key` is the engine's, opaque to the core."""

    key: str
    label: str
    kind: InputKind = InputKind.TEXT
    is_required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    hint: str = ""
    is_environment: bool = False  # its value says where it will run
    is_list: bool = False  # several of the choices, separated by commas


@dataclass(frozen=True)
class StartTarget:
    """Something that can be started, with what it wants to know; `refusal` says why it cannot from chat.

    `version`: changes whenever what a start would send for the same inputs may; compared, never read.
    """

    connection: str
    key: str
    name: str
    inputs: tuple[StartInput, ...] = ()
    link: str = ""
    refusal: str = ""
    environment: str | None = None
    version: str = ""
    place: str = ""  # what kind of thing it is, and where: tells it from others of its name


def listed_in(value: str) -> tuple[str, ...]:
    """The values that a person separated by commas."""
    return tuple(part for one in value.split(",") if (part := one.strip()))


def is_allowed(asked: StartInput, value: str) -> bool:
    """Whether a given value is one of the choices, each of it where it may be several; anything where there are none."""
    values = listed_in(value) if asked.is_list else (value,)
    return not asked.choices or all(one in asked.choices for one in values)


def find_point(points: tuple[ResumePoint, ...], wanted: str) -> ResumePoint | None:
    """The point of a stage as a person types it: exact after case-folding, the first where several have it."""
    folded = wanted.strip().casefold()
    for point in points:
        if folded in {name.casefold() for name in (*point.stages, point.label, point.key)}:
            return point
    return None
