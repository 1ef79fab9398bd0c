"""What the simulated Digdag server remembers: projects, workflows, sessions, attempts and their tasks."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Config = dict[str, Any]


class TaskState(StrEnum):
    """The states of a task, in the server's words."""

    BLOCKED = "blocked"
    RUNNING = "running"
    RETRY_WAITING = "retry_waiting"
    GROUP_RETRY_WAITING = "group_retry_waiting"
    PLANNED = "planned"
    SUCCESS = "success"
    ERROR = "error"
    GROUP_ERROR = "group_error"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self in {TaskState.SUCCESS, TaskState.ERROR, TaskState.GROUP_ERROR, TaskState.CANCELED}


@dataclass(eq=False)
class Project:
    """A project with its revisions, oldest first."""

    id: int
    name: str
    created_at: datetime
    revisions: list["Revision"] = field(default_factory=list)
    deleted_at: datetime | None = None


@dataclass(eq=False)
class Revision:
    """One push of a project: the workflows it held, by name."""

    id: int
    name: str
    workflows: dict[str, "Workflow"] = field(default_factory=dict)


@dataclass(eq=False)
class Workflow:
    """One revision of one workflow."""

    id: int
    name: str
    project: Project
    revision: Revision
    timezone: str
    config: Config


@dataclass(eq=False)
class Session:
    """One (project, workflow name, session time) with its attempts by index."""

    id: int
    uuid: str
    project: Project
    workflow_name: str
    time: datetime
    attempts: list["Attempt"] = field(default_factory=list)


@dataclass(eq=False)
class Task:
    """One task of one attempt."""

    id: int
    full_name: str
    parent: "Task | None"
    config: Config
    is_group: bool
    updated_at: datetime
    upstreams: list["Task"] = field(default_factory=list)
    is_generated: bool = False
    state: TaskState = TaskState.BLOCKED
    cancel_requested: bool = False
    export_params: Config = field(default_factory=dict)
    store_params: Config = field(default_factory=dict)
    state_params: Config = field(default_factory=dict)
    retry_at: datetime | None = None
    started_at: datetime | None = None
    error: Config = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Attempt:
    """One run of a session; `skips` are the tasks of the resumed attempt that count as already successful."""

    id: int
    index: int
    session: Session
    workflow: Workflow
    retry_name: str | None
    params: Config
    created_at: datetime
    skips: dict[str, Task] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    is_queued: bool = False
    cancel_requested: bool = False
    success: bool = False
    finished_at: datetime | None = None
    logs: dict[str, bytes] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_done(self) -> bool:
        return self.finished_at is not None

    @property
    def ran(self) -> set[str]:
        """Full names of the tasks that really started in this attempt."""
        return {task.full_name for task in self.tasks if task.started_at is not None}


class Refused(Exception):
    """The server answers with its error envelope."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Conflict(Exception):
    """The session has an attempt of that retry name: 409 with the attempt itself."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(f"attempt {attempt.id}")
        self.attempt = attempt


class Broken(Exception):
    """The server has no mapper for its own exception: a 500 page of HTML with a stack trace."""
