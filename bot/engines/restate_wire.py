"""What the Restate admin API says: its rows and bodies as objects, and the few queries that ask for them.

Contract: the admin API of restate-server 1.6 and 1.7. Rows leave null columns out; there are no bind parameters, so that
only ids of the server's own form ever reach a query.
"""

# ruff: noqa: S608 — what stands in a query is a checked id, a time made here, or a number

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Json
from pydantic_core import from_json

from bot.domain.errors import NotFound
from bot.engines._http import EngineClient

INVOCATION_ID = re.compile(r"inv_1[0-9A-Za-z]{20,60}")
DEPLOYMENT_ID = re.compile(r"dp_1[0-9A-Za-z]{10,60}")
ENDED_BY_PEOPLE = frozenset({"[409] cancelled", "[409] killed"})

_EVENTS_AT_ONCE = 50
_JOURNAL_LIMIT = 5000

_INVOCATION_COLUMNS = (
    "id, target, target_service_name, target_handler_name, target_service_ty, status, created_at, modified_at, completed_at,"
    " pinned_deployment_id, pinned_service_protocol_version, invoked_by_id, invoked_by_target, restarted_from,"
    " completion_result, completion_failure, last_failure, last_failure_related_command_index,"
    " last_failure_related_command_name"
)
_FAILURE_COLUMNS = "id, target, status, completion_failure, modified_at"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


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


def _completion_of(lite: Any) -> Any:
    """The id that ties a Run to its result, out of either form of `entry_lite_json`."""
    entry = from_json(lite) if isinstance(lite, str) else lite
    if isinstance(entry, Mapping):
        match entry:
            case {"Command": {"Run": {"completion_id": number}}}:
                return {"completion_id": number}
            case {"Notification": {"id": {"CompletionId": number}, "result": result}}:
                return {"completion_id": number, "result": result}
            case {"Command": {"Call": {"invocation_id": called, "result_completion_id": number}}}:
                return {"completion_id": number, "called": called}
    return {}


class Completion(_Row):
    """What a journal row says about a result: whose it is, and which."""

    completion_id: int | None = None
    result: str | None = None
    called: str | None = None


class JournalRow(_Row):
    """One row of a journal."""

    index: int
    kind: str = Field(alias="entry_type")
    name: str = ""
    completion: Annotated[Completion, BeforeValidator(_completion_of)] = Field(alias="entry_lite_json", default=Completion())


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


class Version(_Row):
    """What the server says of itself."""

    version: str
    min_admin_api_version: int
    max_admin_api_version: int


class _Deployments(_Row):
    deployments: tuple[DeploymentRow, ...]


class _Handler(_Row):
    name: str


class _Service(_Row):
    name: str
    handlers: tuple[_Handler, ...]


class _Deployment(_Row):
    services: tuple[_Service, ...]


Row = TypeVar("Row", bound=_Row)


class Rows(_Row, Generic[Row]):
    """The answer to a query."""

    rows: tuple[Row, ...]


class RestateReader:
    """The reads of one server."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._handlers: dict[str, frozenset[str]] = {}

    async def invocation(self, invocation_id: str) -> InvocationRow:
        """One invocation; NotFound when the server does not know it."""
        found = await self.find(invocation_id)
        if found is None:
            raise NotFound(f"Restate does not know {invocation_id}: another server's, or past its retention.")
        return found

    async def find(self, invocation_id: str) -> InvocationRow | None:
        """One invocation, or None."""
        sql = f"SELECT {_INVOCATION_COLUMNS} FROM sys_invocation WHERE id = '{checked(invocation_id)}'"
        return next(iter(await self._rows(sql, Rows[InvocationRow])), None)

    async def newest_paused(self, invocation_id: str) -> PausedRow | None:
        """The event of the last pause, which holds the failed stage; None when it was never paused."""
        sql = (
            "SELECT id, appended_at, event_json FROM sys_journal_events"
            f" WHERE id = '{checked(invocation_id)}' AND event_type = 'Paused' ORDER BY appended_at DESC LIMIT 1"
        )
        return next(iter(await self._rows(sql, Rows[PausedRow])), None)

    async def newest_paused_of(self, invocation_ids: Sequence[str]) -> dict[str, PausedRow]:
        """The event of the last pause of each."""
        newest: dict[str, PausedRow] = {}
        for start in range(0, len(invocation_ids), _EVENTS_AT_ONCE):
            listed = ", ".join(f"'{checked(one)}'" for one in invocation_ids[start : start + _EVENTS_AT_ONCE])
            sql = (
                "SELECT id, appended_at, event_json FROM sys_journal_events"
                f" WHERE id IN ({listed}) AND event_type = 'Paused' ORDER BY appended_at"
            )
            newest |= {row.id: row for row in await self._rows(sql, Rows[PausedRow])}
        return newest

    async def journal(self, invocation_id: str) -> tuple[JournalRow, ...]:
        """The journal from its beginning."""
        sql = (
            "SELECT index, entry_type, name, entry_lite_json FROM sys_journal"
            f" WHERE id = '{checked(invocation_id)}' ORDER BY index LIMIT {_JOURNAL_LIMIT}"
        )
        return await self._rows(sql, Rows[JournalRow])

    async def restarts_of(self, invocation_id: str) -> tuple[IdRow, ...]:
        """What was begun anew from an invocation, oldest first."""
        sql = f"SELECT id, target FROM sys_invocation WHERE restarted_from = '{checked(invocation_id)}' ORDER BY created_at"
        return await self._rows(sql, Rows[IdRow])

    async def failures(self, since: datetime | None, limit: int) -> tuple[FailureRow, ...]:
        """Paused and failed ones since a moment (whoever asks adds the overlap), or all that are paused now; oldest first."""
        if since is None:
            test = "status = 'paused'"
        else:
            by_people = " AND ".join(f"completion_failure <> '{text}'" for text in sorted(ENDED_BY_PEOPLE))
            test = (
                f"modified_at >= '{_wire_time(since)}' AND (status = 'paused'"
                f" OR (status = 'completed' AND completion_result = 'failure' AND {by_people}))"
            )
        sql = f"SELECT {_FAILURE_COLUMNS} FROM sys_invocation_status WHERE {test} ORDER BY modified_at LIMIT {int(limit)}"
        return await self._rows(sql, Rows[FailureRow])

    async def deployments(self) -> tuple[DeploymentRow, ...]:
        """All registered deployments."""
        return self._client.parse(await self._client.read("GET", "/deployments"), _Deployments).deployments

    async def serves(self, deployment_id: str, service: str, handler: str) -> bool:
        """Whether a deployment has a handler; asked once, since a deployment does not change."""
        if deployment_id not in self._handlers:
            answer = await self._client.read("GET", f"/deployments/{checked(deployment_id, DEPLOYMENT_ID)}")
            found = self._client.parse(answer, _Deployment)
            self._handlers[deployment_id] = frozenset(
                f"{one.name}/{each.name}" for one in found.services for each in one.handlers
            )
        return f"{service}/{handler}" in self._handlers[deployment_id]

    async def version(self) -> Version:
        """What the server says of itself."""
        return self._client.parse(await self._client.read("GET", "/version"), Version)

    async def can_query(self) -> None:
        """Return when the server answers queries."""
        await self._rows("SELECT id FROM sys_deployment LIMIT 1", Rows[IdRow])

    async def _rows(self, sql: str, shape: type[Rows[Row]]) -> tuple[Row, ...]:
        return self._client.parse(await self._client.read("POST", "/query", json={"query": sql}), shape).rows


def checked(value: str, form: re.Pattern[str] = INVOCATION_ID) -> str:
    """An id that may stand in a query or a path; NotFound for anything else."""
    if not form.fullmatch(value):
        raise NotFound("This is not an id that Restate gives.")
    return value


def _wire_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
