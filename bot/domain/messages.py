"""What is shown to people, as plain data: the service says what, `slack/views` says how.

All texts are cleaned and raw: escaping belongs to the view.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.execution import ResumePoint, StartTarget
from bot.domain.incident import Incident
from bot.domain.request import Request


@dataclass(frozen=True)
class Card:
    """The one message of an incident, outside threads. `may_kill`: it runs, and a policy names the action.

    `request` is the newest request, live or ended. `may_retry`: the button and the stages are offered (the execution has
    points and no live request stands in the way). `since`: trouble reading the engine has lasted since then.
    """

    incident: Incident
    request: Request | None = None
    may_retry: bool = False
    engine_title: str = ""
    may_kill: bool = False


@dataclass(frozen=True)
class Approval:
    """The approval message in the card's thread; with buttons while the request is pending (Withdraw also once approved)."""

    request: Request
    missing: Mapping[str, int] = field(default_factory=dict)
    mentions: tuple[str, ...] = ()  # whom to mention, as policy words; only in the first version of the message
    link: str = ""


class NoteKind(StrEnum):
    """What a line in the thread is about."""

    DECIDED = "decided"  # approved or rejected, by whom
    ENDED_EARLY = "ended_early"  # refused, expired, withdrawn, superseded
    HELD_BACK = "held_back"  # approved and cannot be sent yet, with the reason
    UNKNOWN = "unknown"  # with Press again and Close as not run
    RESULT = "result"  # succeeded or failed again
    REMINDER = "reminder"


@dataclass(frozen=True)
class Note:
    """One line in the card's thread on how a request went; `request` as it is now."""

    kind: NoteKind
    request: Request
    incident: Incident | None = None


@dataclass(frozen=True)
class Storm:
    """Many new incidents of one channel in one message, each named on a line of its own."""

    incidents: tuple[Incident, ...]


@dataclass(frozen=True)
class StartCard:
    """The message of a start request, outside threads: what was asked, by whom, and how it stands."""

    request: Request
    link: str = ""


class Tone(StrEnum):
    """How a private answer or announcement is meant."""

    INFO = "info"
    REFUSED = "refused"
    TROUBLE = "trouble"
    DONE = "done"


@dataclass(frozen=True)
class Answer:
    """A private answer to one person, or an announcement in the audit channel: `text` is our own mrkdwn.

    `foreign` is text of others shown as quoted, literal lines below. `points` offers stages with a Retry for `incident`.
    """

    text: str
    tone: Tone = Tone.INFO
    foreign: str = ""
    incident: Incident | None = None
    points: tuple[ResumePoint, ...] = ()
    choices: tuple["Choice", ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of several things a person may have meant, offered as a button."""

    label: str
    argument: str  # connection:id [stage]; of what can be started START_CHOICE and what was wanted


START_CHOICE = "start "


@dataclass(frozen=True)
class Line:
    """One row of a list: an incident or a request, as one line of our own mrkdwn with literal foreign parts."""

    incident: Incident | None = None
    request: Request | None = None
    link: str = ""


@dataclass(frozen=True)
class Listing:
    """A private list with a heading; `more` counts what is not shown."""

    heading: str
    lines: tuple[Line, ...] = ()
    empty: str = "Nothing."
    more: int = 0
    foreign: tuple[str, ...] = ()  # further literal lines (what was paused before the bot's first start)


@dataclass(frozen=True)
class Trail:
    """The audit entries of one subject for a person to read."""

    heading: str
    entries: tuple["TrailEntry", ...] = ()
    more: int = 0


@dataclass(frozen=True)
class TrailEntry:
    """One line of a trail."""

    at: datetime
    actor: str
    action: str
    detail: str = ""


@dataclass(frozen=True)
class Home:
    """The App Home of one person: what waits for them, what they asked for, what is open."""

    waiting: tuple[Line, ...] = ()
    asked: tuple[Line, ...] = ()
    open: tuple[Line, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class PickFailure:
    """Modal of `/resume` alone: choose one of the open failures, or type an execution."""

    incidents: tuple[Incident, ...]
    channel: str  # where the command was typed
    error: str = ""


@dataclass(frozen=True)
class PickPoint:
    """Modal to choose the stage of an incident, and to give a reason where policy wants one."""

    incident: Incident
    points: tuple[ResumePoint, ...]
    selected: str = ""  # key of the preselected point
    wants_reason: bool = False
    again_of: int | None = None  # id of the unknown request that is pressed again


@dataclass(frozen=True)
class RejectReason:
    """Modal that asks why a request is rejected."""

    request: Request


@dataclass(frozen=True)
class StartForm:
    """Modal with the inputs of a start."""

    target: StartTarget
    channel: str
    wants_reason: bool = False


@dataclass(frozen=True)
class Word:
    """Modal that loads, or says the last word."""

    text: str
    tone: Tone = Tone.INFO
    foreign: str = ""
    choices: tuple[Choice, ...] = ()


Modal = PickFailure | PickPoint | RejectReason | StartForm | Word
Shown = Card | Approval | Note | Storm | StartCard | Answer | Listing | Trail
