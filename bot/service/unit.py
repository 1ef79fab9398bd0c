"""The store as the services need it: one Unit is one transaction over incidents, requests, messages, people, audit and jobs.

    async with store.unit() as unit:      # commits at the end, rolls back on any error
        incident = await unit.incidents.lock(42)
        …
Locks are always taken in the order incident, request, message. No error of the database is caught inside a unit.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from bot.domain.audit import AuditEntry
from bot.domain.incident import Incident
from bot.domain.messages import Modal, Shown
from bot.domain.policy import Person, PersonKind
from bot.domain.request import Request


class Rank(IntEnum):
    """What goes first on a lane."""

    APPROVAL = 0
    DECISION = 1
    RESULT = 2
    CARD = 3
    UPDATE = 4


@dataclass(frozen=True)
class Job:
    """One deferred piece of work: ids only. `lane` keeps jobs of one lane apart; such a job is never scheduled.

    `collapses`: one that waits on the lane and is due will do this one's work too.
    """

    task: str
    queue: str
    args: Mapping[str, int | str]
    lane: str | None = None
    at: datetime | None = None
    collapses: bool = False


@dataclass(frozen=True)
class Place:
    """Where a private answer goes: a response_url, else an open view, else an ephemeral message to the person in a channel."""

    workspace: str
    user: str
    channel: str | None = None
    thread_ts: str | None = None
    response_url: str | None = None
    view_id: str | None = None


@dataclass(frozen=True)
class PressedOn:
    """What a press is about: an incident or a request."""

    id: int
    is_request: bool


@dataclass(frozen=True)
class Opening:
    """What has to be known before a press is looked at; `stands`: a message that we know stands where it was made."""

    is_first: bool
    person: Person
    stands: bool


@dataclass(frozen=True)
class Message:
    """A message that stands, or should stand, in the chat; `ts` is None until it was posted."""

    id: int
    workspace: str
    subject: str
    surface: str
    lane: str
    rank: int
    channel: str | None
    parent_id: int | None
    parent_ts: str | None
    folded_into: int | None
    user: str | None
    response_url: str | None
    view_id: str | None
    shown: Shown | Modal | None  # what private answers and announcements show: it does not change
    numbers: tuple[int, ...]  # ids of the incidents in a storm
    ts: str | None
    wanted: int
    posted: int
    tries: int
    created_at: datetime
    expires_at: datetime | None

    @property
    def is_private(self) -> bool:
        """It is for one person: on a lane of its own, outside the pace of channels."""
        return bool(self.user or self.response_url or self.view_id)

    @property
    def method_key(self) -> str:
        """What has to pause when the chat asks to wait: posts of the lane, or updates of the workspace."""
        return f"post:{self.lane}" if self.ts is None else f"update:{self.workspace}"


@dataclass(frozen=True)
class Lookup:
    """A command that waits for engines to answer; `verb` is resume, start, status, why or list."""

    id: int
    place: Place
    verb: str
    argument: str
    stage: str
    at: datetime
    expires_at: datetime

    @property
    def label(self) -> str:
        """`lookup-9`."""
        return f"lookup-{self.id}"


@dataclass(frozen=True)
class ConnectionHealth:
    """How an engine was last reached, and up to when it was polled."""

    name: str
    polled_to: datetime | None = None
    watched_from: datetime | None = None  # what failed before that was there before us
    poll_next_at: datetime | None = None
    answered_at: datetime | None = None
    silent_since: datetime | None = None
    silence: str = ""
    told_at: datetime | None = None


class Incidents(Protocol):
    """Incidents, locked when loaded."""

    async def lock(self, incident_id: int) -> Incident | None: ...
    async def lock_by_execution(self, connection: str, execution_id: str) -> Incident | None: ...
    async def lock_linked(self, connection: str, execution_id: str) -> Incident | None: ...
    async def lock_by_root(self, connection: str, root: str) -> Incident | None: ...
    async def add(self, incident: Incident) -> Incident: ...
    async def save(self, before: Incident, after: Incident) -> Incident: ...
    async def link(self, incident: Incident, executions: Iterable[str]) -> None: ...
    async def read_again_at(self, incident_id: int, at: datetime | None) -> None: ...
    async def absorb(self, into: Incident, other: Incident) -> None: ...


class Requests(Protocol):
    """Requests; `lock` locks them, their incident before them, the others lock nothing."""

    async def lock(self, request_id: int) -> tuple[Request, Incident | None] | None: ...
    async def look(self, request_id: int) -> Request | None: ...
    async def live(self, connection: str, root: str) -> Request | None: ...
    async def live_of(self, incident: Incident) -> Request | None: ...
    async def newest(self, incident_id: int) -> Request | None: ...
    async def running(self, connection: str, root: str) -> Sequence[Request]: ...
    async def in_doubt(self, connection: str) -> Sequence[Request]: ...
    async def begun_by(self, connection: str, execution_id: str) -> int | None: ...
    async def newest_of(self, connection: str, execution_id: str) -> str: ...
    async def new_id(self) -> int: ...
    async def add(self, request: Request) -> None: ...
    async def save(self, before: Request, after: Request) -> None: ...


class Messages(Protocol):
    """Rows of the chat: wanting one enqueues its delivery in the same transaction."""

    def want(
        self,
        subject: str,
        surface: str,
        rank: Rank,
        *,
        workspace: str,
        channel: str,
        parent: str | None = None,
        not_before: datetime | None = None,
    ) -> None: ...
    def change(self, subject: str, surface: str) -> None: ...
    async def whisper(self, key: str, place: Place, shown: Shown | Modal, expires_at: datetime) -> None: ...
    async def announce(self, key: str, workspace: str, channel: str, shown: Shown, parent: str | None = None) -> None: ...
    async def want_home(self, workspace: str, user: str) -> None: ...
    async def at(self, channel: str, ts: str) -> Message | None: ...
    async def unfold(self, subject: str) -> bool: ...
    async def renew(self, subject: str) -> None: ...
    async def is_orphan(self, subject: str, channel: str, ts: str) -> bool: ...
    async def bury(self, message_id: int, reason: str, now: datetime) -> None: ...
    async def revive(self, channel: str) -> None: ...


class Directory(Protocol):
    """What the store knows of people."""

    async def person(self, workspace: str, user: str) -> Person: ...
    async def people(self, actors: Iterable[str]) -> list[Person]: ...
    def save_kind(self, workspace: str, user: str, kind: PersonKind, now: datetime) -> None: ...
    def save_members(self, workspace: str, group: str, members: Iterable[str], now: datetime) -> None: ...
    def save_trouble(self, workspace: str, group: str, trouble: str, now: datetime) -> None: ...


class Commands(Protocol):
    """Commands that wait for engines."""

    async def add(
        self, place: Place, verb: str, argument: str, stage: str, *, now: datetime, expires_at: datetime
    ) -> Lookup: ...
    async def lock(self, lookup_id: int) -> Lookup | None: ...
    async def answered(self, lookup_id: int, now: datetime) -> None: ...


class Connections(Protocol):
    """How engines were reached."""

    async def lock(self, name: str) -> ConnectionHealth: ...
    async def save(self, health: ConnectionHealth) -> None: ...


class Unit(Protocol):
    """One transaction."""

    @property
    def incidents(self) -> Incidents: ...
    @property
    def requests(self) -> Requests: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def commands(self) -> Commands: ...
    @property
    def connections(self) -> Connections: ...

    async def first_time(self, kind: str, key: str, now: datetime) -> bool:
        """Whether this was never seen before; it counts as seen once the unit commits."""
        ...

    async def open_press(
        self, key: str, now: datetime, person: tuple[str, str], place: tuple[str, str], on: PressedOn
    ) -> Opening:
        """Count a press as seen, in one look with what is known of the person (workspace, id) and the place (channel, ts).

        What it was made on is locked along with that, for the `lock` that follows.
        """
        ...

    def record(self, *entries: AuditEntry) -> None:
        """Add audit entries; they are written with the commit."""
        ...

    async def enqueue(self, job: Job) -> None:
        """Defer a job with the commit."""
        ...

    async def enqueue_once(self, job: Job) -> None:
        """Defer a lockless job unless the same one waits already."""
        ...

    async def keep_rejected(self, connection: str, reason: str, body: bytes, now: datetime) -> None:
        """Keep what was authenticated and cannot be read."""
        ...


class Store(Protocol):
    """Makes units."""

    def unit(self, *, hurried: bool = False) -> AbstractAsyncContextManager[Unit]:
        """A transaction; `hurried` for a person who waits: statements end after 1.5 s, waits for locks after 1 s."""
        ...


def engine_queue(connection: str) -> str:
    """The queue of a connection's own workers."""
    return f"engine:{connection}"


def lane_of(request_connection: str, root: str) -> str:
    """The lane that keeps calls for one chain of executions apart."""
    return f"{request_connection}:{root}"


SLACK_QUEUE, TIMER_QUEUE, LOOKUP_QUEUE = "slack", "timer", "lookup"
