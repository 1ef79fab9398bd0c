"""The rows and bodies of the Restate admin API as objects. Rows leave null columns out, so nearly every field may be missing.

Contract: the admin API of restate-server 1.6 and 1.7.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import from_json

INVOCATION_ID = re.compile(r"inv_1[0-9A-Za-z]{20,60}")
DEPLOYMENT_ID = re.compile(r"dp_1[0-9A-Za-z]{10,60}")
JOURNAL_LIMIT = 5000  # entries that are read of a journal
KILLED = "[409] killed"
ENDED_BY_PEOPLE = frozenset({"[409] cancelled", KILLED})


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


def _retention_of(value: Any, read: ValidatorFunctionWrapHandler) -> timedelta:
    """A time to keep things; "for ever" is written as more days than a duration here holds."""
    try:
        kept: timedelta = read(value)
    except ValidationError:
        return timedelta.max
    return kept


class InvocationRow(_Row):
    """One invocation; `failure_*` are filled only while the server itself tries again."""

    id: str
    target: str
    service: str = Field(alias="target_service_name")
    handler: str = Field(alias="target_handler_name", default="")
    service_kind: str = Field(alias="target_service_ty", default="service")
    status: str
    created_at: AwareDatetime | None = None
    modified_at: AwareDatetime
    completed_at: AwareDatetime | None = None
    deployment_id: str | None = Field(alias="pinned_deployment_id", default=None)
    protocol: int | None = Field(alias="pinned_service_protocol_version", default=None)
    parent_id: str | None = Field(alias="invoked_by_id", default=None)
    parent_target: str = Field(alias="invoked_by_target", default="")
    restarted_from: str | None = None
    completion_result: str | None = None
    completion_failure: str = ""
    completion_retention: Annotated[timedelta, WrapValidator(_retention_of)] = timedelta.max
    journal_retention: Annotated[timedelta, WrapValidator(_retention_of)] = timedelta.max
    failure: str = Field(alias="last_failure", default="")
    failure_index: int | None = Field(alias="last_failure_related_command_index", default=None)
    failure_name: str | None = Field(alias="last_failure_related_command_name", default=None)


class FailureRow(_Row):
    """One row of the poll."""

    id: str
    target: str
    status: str
    completion_failure: str = ""
    modified_at: AwareDatetime


class LastFailure(_Row):
    """Why a try failed; every field may be missing."""

    message: str = Field(alias="error_message", default="")
    code: str = Field(alias="restate_doc_error_code", default="")
    index: int | None = Field(alias="related_command_index", default=None)
    name: str | None = Field(alias="related_command_name", default=None)
    kind: str = Field(alias="related_command_type", default="")


class PausedBody(_Row):
    """The text inside a Paused event; without `last_failure` it was paused by hand."""

    last_failure: LastFailure | None = None


class PausedRow(_Row):
    """One Paused event."""

    id: str = ""
    appended_at: AwareDatetime
    body: Json[PausedBody] = Field(alias="event_json")


class IdRow(_Row):
    """An invocation named by another row."""

    id: str
    target: str = ""


class RestartRow(IdRow):
    """An invocation that was begun anew from another one."""

    created_at: AwareDatetime


def _completion_of(lite: Any) -> Any:
    """What ties a command to its results and a result to its command, out of either form of `entry_lite_json`."""
    entry = from_json(lite) if isinstance(lite, str) else lite
    match entry:
        case {"Notification": {"id": {"CompletionId": number}, "result": result}}:
            return {"completion_id": number, "result": result}
        case {"Command": Mapping() as command} if len(command) == 1:
            body = next(iter(command.values()))
            if isinstance(body, Mapping):
                awaits = tuple(value for name, value in body.items() if name.endswith("completion_id"))
                own, called = body.get("completion_id", body.get("result_completion_id")), body.get("invocation_id")
                is_id = isinstance(called, str) and INVOCATION_ID.fullmatch(called)
                return {"completion_id": own, "called": called if is_id else None, "awaits": awaits}
    return {}


class Completion(_Row):
    """What a journal row says of results: of a command those it `awaits`, of a notification whose it is, and which."""

    completion_id: int | None = None
    result: str | None = None
    called: str | None = None
    awaits: tuple[int, ...] = ()


class JournalRow(_Row):
    """One row of a journal."""

    index: int
    kind: str = Field(alias="entry_type")
    name: str = ""
    completion: Annotated[Completion, BeforeValidator(_completion_of)] = Field(alias="entry_lite_json", default=Completion())


def _failure_in(full: Any) -> str:
    """The words of a failure as `completion_failure` writes them; empty for anything else."""
    match from_json(full) if isinstance(full, str) else full:
        case {"Notification": {"Completion": Mapping() as kinds}} if len(kinds) == 1:
            match next(iter(kinds.values())):
                case {"result": {"Failure": {"code": code, "message": message}}}:
                    return f"[{code}] {message}"
    return ""


class StepFailureRow(_Row):
    """How a step failed for good: where in the journal that stands, and in which words."""

    index: int
    failure: Annotated[str, BeforeValidator(_failure_in)] = Field(alias="entry_json", default="")


class ServedRow(_Row):
    """A service as a deployment lists it; the highest revision of all deployments is the latest."""

    name: str
    revision: int


class DeploymentRow(_Row):
    """One registered endpoint."""

    id: str
    created_at: AwareDatetime
    min_protocol: int = Field(alias="min_protocol_version", default=0)
    max_protocol: int = Field(alias="max_protocol_version", default=1_000)
    services: tuple[ServedRow, ...] = ()

    def revision(self, service: str) -> int | None:
        """The revision of a service it serves; None when it does not."""
        return next((one.revision for one in self.services if one.name == service), None)


class Refusal(_Row):
    """The body of an error that the API itself makes."""

    message: str


class Begun(_Row):
    """The answer to restart-as-new."""

    new_invocation_id: str = Field(pattern=f"^{INVOCATION_ID.pattern}$")


class Version(_Row):
    """What the server says of itself."""

    version: str
    min_admin_api_version: int
    max_admin_api_version: int


class Deployments(_Row):
    """All registered endpoints."""

    deployments: tuple[DeploymentRow, ...]


class _Handler(_Row):
    name: str


class _Service(_Row):
    name: str
    handlers: tuple[_Handler, ...]


class Deployment(_Row):
    """One endpoint with the handlers of its services."""

    services: tuple[_Service, ...]


Row = TypeVar("Row", bound=_Row)


class Rows(_Row, Generic[Row]):
    """The answer to a query."""

    rows: tuple[Row, ...]
