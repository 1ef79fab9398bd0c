"""The ids and values of all that people can press or fill in: the views write them, `slack/payloads.py` reads them.

An action id is `rb:<control>`, with `:<n>` behind it where one block holds several of a kind. A button's value is a
handle (`inc-42:3`: which incident or request, in which version); a choice of a stage is `<index>-<hash of the key>`.
All of it comes back through other people's clients, so it names and never authorises.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.choices import short_hash
from bot.domain.execution import ResumePoint
from bot.domain.incident import Incident
from bot.domain.request import Request

ANY_ACTION = re.compile(r"^rb:")
ANY_FORM = re.compile(r"^rb-form:")


class Control(StrEnum):
    """Every action id, without the number behind it."""

    RETRY = "rb:retry"
    STAGE = "rb:stage"  # a choice that waits for a press of Retry, or a field of a form
    MORE = "rb:more"
    APPROVE = "rb:approve"
    REJECT = "rb:reject"
    WITHDRAW = "rb:withdraw"
    PRESS_AGAIN = "rb:press_again"
    CLOSE = "rb:close"
    SHOW_CARD = "rb:show_card"
    CHOOSE = "rb:choose"  # one of several executions; the value is `connection:id`
    OPEN = "rb:open"  # follows a link; there is nothing to do
    RESUME = "rb:resume"  # opens the form of `/resume` alone
    FAILURE = "rb:failure"
    EXECUTION = "rb:execution"
    REASON = "rb:reason"
    INPUT = "rb:input"


class More(StrEnum):
    """The entries of a card's overflow menu."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    ASSIGN = "assign"
    KILL = "kill"
    OPEN = "open"


class Form(StrEnum):
    """Callback ids of modals."""

    PICK_FAILURE = "rb-form:pick_failure"
    PICK_POINT = "rb-form:pick_point"
    REJECT = "rb-form:reject"
    START = "rb-form:start"
    WORD = "rb-form:word"  # without a submit button


EXECUTION_BLOCK = "execution"  # where an error of the form of `/resume` is shown
INPUT_BLOCK = re.compile(r"input-\d+-(?P<key>.+)", re.DOTALL)


class HandleKind(StrEnum):
    """What a handle points to."""

    INCIDENT = "inc"
    REQUEST = "req"


@dataclass(frozen=True)
class Handle:
    """The incident or request a control was made for, and its version at that time."""

    kind: HandleKind
    id: int
    version: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.id}:{self.version}"


_HANDLE = re.compile(r"(?P<kind>inc|req)-(?P<id>\d{1,18}):(?P<version>\d{1,9})")


def handle_of(subject: Incident | Request) -> Handle:
    """The handle that the controls of this incident or request carry."""
    kind = HandleKind.INCIDENT if isinstance(subject, Incident) else HandleKind.REQUEST
    return Handle(kind, subject.id, subject.version)


def read_handle(value: str) -> Handle | None:
    """The handle in a value, None when there is none."""
    found = _HANDLE.fullmatch(value)
    return Handle(HandleKind(found["kind"]), int(found["id"]), int(found["version"])) if found else None


def control_of(action_id: str) -> Control | None:
    """The control of an action id, None when it is none of ours."""
    name = re.sub(r":\d+$", "", action_id)
    return Control(name) if name in set(Control) else None


def points_mark(points: tuple[ResumePoint, ...], baseline: str) -> str:
    """A short word that changes when the choice does, so that Slack forgets what was chosen before."""
    return short_hash("\x1e".join([baseline, *[f"{point.key}\x1f{point.label}" for point in points]]))


def memo(**facts: str | int | None) -> str:
    """What a form remembers, as its private metadata."""
    return json.dumps({name: fact for name, fact in facts.items() if fact not in (None, "")}, separators=(",", ":"))
