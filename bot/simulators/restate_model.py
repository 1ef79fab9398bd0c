"""What the simulated Restate server keeps: services, deployments, invocations, their journals and events."""

import asyncio
import json
import random
import re
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

ServiceKind = Literal["service", "virtual_object", "workflow"]
Stored = Literal["scheduled", "inboxed", "invoked", "suspended", "paused", "completed"]
Lite = dict[str, object]

# Lengths seen on the real server: it refuses longer and shorter ids alike.
INVOCATION_ID = re.compile(r"inv_1[0-9A-Za-z]{33}")
DEPLOYMENT_ID = re.compile(r"dp_1[0-9A-Za-z]{22}")
FAILURE = re.compile(r"\[(?P<code>\d+)\] (?P<message>.*)", re.DOTALL)
_BASE62 = string.digits + string.ascii_letters
_PARTITION_CHARACTERS = 12  # how much of an id a restarted invocation shares with its origin


def new_id(prefix: str, length: int) -> str:
    """A fresh id of the form the server hands out."""
    return f"{prefix}_1{''.join(random.choices(_BASE62, k=length))}"


def new_invocation_id(like: str = "") -> str:
    """A fresh invocation id; on the same partition as `like` when that is given."""
    fresh = new_id("inv", 33)
    return like[:_PARTITION_CHARACTERS] + fresh[_PARTITION_CHARACTERS:] if like else fresh


def now_ms() -> datetime:
    """The time as the server keeps it, in milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def wire_time(at: datetime) -> str:
    """RFC 3339 with milliseconds and Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """The code of one service: perhaps it sends to another one, named steps in order, then perhaps a call of another one."""

    name: str
    steps: tuple[str, ...]
    kind: ServiceKind = "service"
    calls: str | None = None
    handler: str = "run"
    sends: str | None = None
    is_parallel: bool = False  # the steps are begun together
    journal_seconds: int = 86_400  # how long a journal is kept after the end
    catches: frozenset[str] = frozenset()  # steps whose terminal failure the code lives with

    def target(self, key: str | None) -> str:
        """How the server writes what an invocation runs."""
        middle = "" if self.kind == "service" else f"/{key}"
        return f"{self.name}{middle}/{self.handler}"


@dataclass(slots=True)
class Deployment:
    """One registered endpoint and the services it serves."""

    id: str
    endpoint: str
    created_at: datetime
    services: dict[str, ServiceSpec]
    min_protocol: int = 5
    max_protocol: int = 7
    reachable: bool = True

    @property
    def spoken_protocol(self) -> int:
        """What a new invocation is pinned to; 7 is opt-in on the real server."""
        return min(self.max_protocol, 6)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed try; a stage is named only when it failed inside a step."""

    message: str
    code: int = 500
    doc_code: str = "RT0007"
    command_index: int | None = None
    command_name: str | None = None
    command_type: str | None = None

    def as_event(self) -> Lite:
        """The fields of an event, absent ones left out."""
        fields: Lite = {
            "error_code": self.code,
            "error_message": self.message,
            "error_stacktrace": f"Traceback (most recent call last):\n{self.message}\n",
            "restate_doc_error_code": self.doc_code,
            "related_command_index": self.command_index,
            "related_command_name": self.command_name,
            "related_command_type": self.command_type,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a journal; its index is its position."""

    entry_type: str
    lite: Lite
    name: str | None
    appended_at: datetime
    completion_id: int | None = None
    result: str | None = None

    @property
    def is_command(self) -> bool:
        """Commands are what `related_command_index` counts."""
        return self.entry_type.startswith("Command: ")

    @property
    def full(self) -> Lite:
        """The entry with the words of a failure; what else `entry_json` adds nobody asks for."""
        found = FAILURE.fullmatch(self.result or "")
        if found is None or self.is_command:
            return self.lite
        kind = self.entry_type.removeprefix("Notification: ")
        failure = {"Failure": {"code": int(found["code"]), "message": found["message"]}}
        return {"Notification": {"Completion": {kind: {"completion_id": self.completion_id, "result": failure}}}}


@dataclass(frozen=True, slots=True)
class Event:
    """One row of sys_journal_events."""

    event_type: str
    fields: Lite
    appended_at: datetime
    after_index: int

    @property
    def event_json(self) -> str:
        """The event as the server stores it: JSON inside a string."""
        return json.dumps({"ty": self.event_type, **self.fields}, separators=(",", ":"))


@dataclass(slots=True)
class Retrying:
    """What is known only while an invocation waits for its next try."""

    count: int
    next_at: datetime | None
    failure: Failure


@dataclass(slots=True)
class Invocation:
    """One run of a handler, from acceptance to the end of its retention."""

    id: str
    spec: ServiceSpec
    key: str
    object_key: str | None
    created_at: datetime
    modified_at: datetime
    stored: Stored
    invoked_by: str = "ingress"
    parent: "Invocation | None" = None
    is_sent: bool = False  # the parent does not wait for it
    restarted_from: str | None = None
    scheduled_start_at: datetime | None = None
    deployment_id: str | None = None
    protocol: int | None = None
    completed_at: datetime | None = None
    completion_failure: str | None = None
    retrying: Retrying | None = None
    journal: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    is_pause_wanted: bool = False
    is_cancel_wanted: bool = False
    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def target(self) -> str:
        """`Service/handler`, with the key between them where there is one."""
        return self.spec.target(self.object_key)

    @property
    def status(self) -> str:
        """The status that sys_invocation shows."""
        if self.stored == "inboxed":
            return "pending"
        if self.stored == "invoked":
            return "backing-off" if self.retrying and self.retrying.next_at else "running"
        return self.stored

    def touch(self) -> None:
        """Mark a change of what is stored."""
        self.modified_at = now_ms()

    def append(
        self,
        entry_type: str,
        lite: Lite,
        name: str | None = None,
        completion_id: int | None = None,
        result: str | None = None,
    ) -> None:
        """Add a journal row."""
        self.journal.append(Entry(entry_type, lite, name, now_ms(), completion_id, result))
        self.touch()

    def note(self, event_type: str, fields: Lite) -> None:
        """Add an event."""
        self.events.append(Event(event_type, fields, now_ms(), len(self.journal) - 1))

    def runs(self) -> list[Entry]:
        """The named steps reached so far."""
        return [entry for entry in self.journal if entry.entry_type == "Command: Run"]

    def command(self, entry_type: str) -> Entry | None:
        """The first command of a type, or None."""
        return next((entry for entry in self.journal if entry.entry_type == entry_type), None)

    def completion_of(self, entry: Entry) -> Entry | None:
        """The notification that ends a command, or None while it has no result."""
        return next(
            (
                other
                for other in self.journal
                if not other.is_command and other.completion_id == entry.completion_id is not None
            ),
            None,
        )

    def command_position(self, entry: Entry) -> int:
        """Where a command stands among the commands, the input being 0."""
        return [other for other in self.journal if other.is_command].index(entry)

    def next_completion_id(self) -> int:
        """A completion id that no row of this journal uses."""
        return 1 + max((entry.completion_id or 0 for entry in self.journal), default=0)
