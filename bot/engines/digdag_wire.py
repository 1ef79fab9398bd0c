"""What Digdag's REST API and its notices say, read into objects, and its words in ours."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from bot.domain.execution import ExecutionStatus, StageStatus

ATTEMPT_FAILED = "Workflow session attempt failed"

# By the start of the text, because a task time-out goes on with ids. An SLA may be missed by an attempt in good health,
# and anything else is what an author says with `notify>`.
FAILURE_MESSAGES = (ATTEMPT_FAILED, "Workflow execution timeout", "Task execution timeout")

WAITING_WORDS: Mapping[str, ExecutionStatus] = MappingProxyType(
    {
        "blocked": ExecutionStatus.WAITING,
        "queued": ExecutionStatus.WAITING,
        "running": ExecutionStatus.RUNNING,
        "canceling": ExecutionStatus.RUNNING,
    }
)
"""Words for an attempt that is not done; once it is, only its flags count."""

TASK_STATES: Mapping[str, StageStatus] = MappingProxyType(
    {
        "blocked": StageStatus.PENDING,
        "ready": StageStatus.PENDING,
        "running": StageStatus.RUNNING,
        "retry_waiting": StageStatus.RUNNING,
        "group_retry_waiting": StageStatus.RUNNING,
        "planned": StageStatus.RUNNING,
        "success": StageStatus.SUCCEEDED,
        "error": StageStatus.FAILED,
        "group_error": StageStatus.FAILED,
        "canceled": StageStatus.FAILED,
    }
)

_ID = re.compile(r"\d{1,19}")


def _as_id(given: Any) -> Any:
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


def _or_empty(given: Any) -> Any:
    return {} if given is None else given


def _aware(given: datetime) -> datetime:
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


def is_id(text: str) -> bool:
    """Whether a text can be an id of the server."""
    return text.isascii() and _ID.fullmatch(text) is not None


Id = Annotated[str, BeforeValidator(_as_id), Field(pattern=r"^[0-9]{1,19}$")]
"""Strings in the API, numbers in the server's notices."""

Time = Annotated[datetime, AfterValidator(_aware)]
"""The server writes Z; without any offset it is taken as that."""

Object = Annotated[dict[str, Any], BeforeValidator(_or_empty)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ProjectName(_Body):
    """The project an attempt belongs to."""

    id: Id
    name: str


class WorkflowName(_Body):
    """The workflow of an attempt; the id of its revision can be missing."""

    name: str
    id: Id | None = None


class AttemptBody(_Body):
    """One attempt, as every call of the API shows it."""

    id: Id
    index: int = 1
    project: ProjectName
    workflow: WorkflowName
    session_id: Id = Field(alias="sessionId")
    session_time: str = Field(alias="sessionTime")
    retry_name: str | None = Field(None, alias="retryAttemptName")
    done: bool
    success: bool
    cancel_requested: bool = Field(False, alias="cancelRequested")
    params: Object = Field(default_factory=dict)
    created_at: Time | None = Field(None, alias="createdAt")
    finished_at: Time | None = Field(None, alias="finishedAt")
    status_word: str | None = Field(None, alias="status")

    @property
    def status(self) -> ExecutionStatus:
        """How it stands: by its flags once it is done, by its word before."""
        if self.success:
            return ExecutionStatus.SUCCEEDED
        if self.done:
            return ExecutionStatus.CANCELLED if self.cancel_requested else ExecutionStatus.FAILED
        return WAITING_WORDS.get(self.status_word or "running", ExecutionStatus.UNKNOWN)

    @property
    def has_failed(self) -> bool:
        """It came to its end without success, and nobody ended it."""
        return self.done and not self.success and not self.cancel_requested


class AttemptsBody(_Body):
    """A list of attempts."""

    attempts: list[AttemptBody]


class TaskBody(_Body):
    """One task of an attempt."""

    id: Id
    full_name: str = Field(alias="fullName")
    parent_id: Id | None = Field(None, alias="parentId")
    config: Object = Field(default_factory=dict)
    upstreams: list[Id] = Field(default_factory=list)
    is_group: bool = Field(False, validation_alias=AliasChoices("isGroup", "group"))
    state: str
    started_at: Time | None = Field(None, alias="startedAt")
    error: Object = Field(default_factory=dict)

    @property
    def is_parallel(self) -> bool:
        """Whether it is a group whose members run beside each other."""
        return self.is_group and bool(self.config.get("_parallel"))

    @property
    def message(self) -> str:
        """What its operator said when it failed."""
        message = self.error.get("message")
        return message if isinstance(message, str) else ""


class TasksBody(_Body):
    """All tasks of an attempt."""

    tasks: list[TaskBody]


class LastAttempt(_Body):
    """The attempt a session ended with."""

    id: Id


class SessionBody(_Body):
    """One session."""

    id: Id
    last_attempt: LastAttempt | None = Field(None, alias="lastAttempt")


class WorkflowBody(_Body):
    """One revision of a workflow."""

    id: Id
    name: str
    project: ProjectName
    revision: str = ""


class WorkflowsBody(_Body):
    """A list of workflows."""

    workflows: list[WorkflowBody]


class ProjectsBody(_Body):
    """A list of projects."""

    projects: list[ProjectName]


class ErrorBody(_Body):
    """The server's envelope for a refusal."""

    message: str


class NoticeBody(_Body):
    """A notice of the server (`message`), or of an `_error` block as the documentation has it (`source`)."""

    message: str
    source: str | None = None
    timestamp: Time | None = None
    attempt_id: Id | None = None
    session_id: Id | None = None
    workflow_name: str | None = None
    task_name: str | None = None

    @property
    def is_failure(self) -> bool:
        """Whether it tells of a failure; an `_error` block tells of nothing else."""
        return self.source == "error_block" or self.message.startswith(FAILURE_MESSAGES)

    @property
    def name(self) -> str:
        """The workflow's name; an `_error` block has only its own task's name, which begins with it."""
        if self.workflow_name is not None:
            return self.workflow_name
        return re.split(r"[+^]", (self.task_name or "").lstrip("+"), maxsplit=1)[0]
