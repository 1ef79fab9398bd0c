"""What is asked of the Restate admin API: the few queries, and what an answer of it says.

There are no bind parameters, so that only ids of the server's own form ever reach a query.
"""

# ruff: noqa: S608 — what stands in a query is a checked id, a time made here, or a number

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from bot.domain.errors import ContractViolation, EngineError, NotFound, NotSent
from bot.engines._http import Answer, EngineClient
from bot.engines.restate_rows import (
    DEPLOYMENT_ID,
    ENDED_BY_PEOPLE,
    INVOCATION_ID,
    JOURNAL_LIMIT,
    Deployment,
    DeploymentRow,
    Deployments,
    FailureRow,
    IdRow,
    InvocationRow,
    JournalRow,
    PausedRow,
    Refusal,
    RestartRow,
    Row,
    Rows,
    StepFailureRow,
    Version,
)

LONGEST_CHAIN = 20
_IDS_AT_ONCE = 50
_RESTARTS_LIMIT = 50

_INVOCATION_COLUMNS = (
    "id, target, target_service_name, target_handler_name, target_service_ty, status, created_at, modified_at, completed_at,"
    " pinned_deployment_id, pinned_service_protocol_version, invoked_by_id, invoked_by_target, restarted_from,"
    " completion_result, completion_failure, completion_retention, journal_retention,"
    " last_failure, last_failure_related_command_index, last_failure_related_command_name"
)
_FAILURE_COLUMNS = "id, target, status, completion_failure, modified_at"


class RestateReader:
    """The reads of one server."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._handlers: dict[str, frozenset[str]] = {}

    async def invocation(self, invocation_id: str) -> InvocationRow:
        """One invocation; NotFound when the server does not know it."""
        found = await self.find(invocation_id)
        if found is None:
            raise unknown(invocation_id)
        return found

    async def find(self, invocation_id: str) -> InvocationRow | None:
        """One invocation, or None; also None for an id that the server cannot decode, which it answers with 500."""
        sql = f"SELECT {_INVOCATION_COLUMNS} FROM sys_invocation WHERE id = '{checked(invocation_id)}'"
        try:
            return next(iter(await self._rows(sql, Rows[InvocationRow])), None)
        except NotSent:
            await self.can_query()  # it answers others: only then is this one looked at again
            answer = await self._client.read("POST", "/query", json={"query": sql}, expect={500})
        return None if answer.status == 500 else next(iter(self._client.parse(answer, Rows[InvocationRow]).rows), None)

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
        for start in range(0, len(invocation_ids), _IDS_AT_ONCE):
            listed = _listed(invocation_ids[start : start + _IDS_AT_ONCE])
            sql = (
                "SELECT id, appended_at, event_json FROM sys_journal_events"
                f" WHERE id IN ({listed}) AND event_type = 'Paused' ORDER BY appended_at"
            )
            newest |= {row.id: row for row in await self._rows(sql, Rows[PausedRow])}
        return newest

    async def journal(self, invocation_id: str) -> tuple[JournalRow, ...]:
        """The journal from its beginning, as much of it as is read."""
        sql = (
            "SELECT index, entry_type, name, entry_lite_json FROM sys_journal"
            f" WHERE id = '{checked(invocation_id)}' ORDER BY index LIMIT {JOURNAL_LIMIT}"
        )
        return await self._rows(sql, Rows[JournalRow])

    async def step_failures(self, row: InvocationRow, journal: Sequence[JournalRow]) -> Mapping[int, str]:
        """How steps of an ended one failed for good, by their place in the journal; asked only where that tells the end."""
        failed = [one.index for one in journal if one.kind == "Notification: Run" and one.completion.result == "Failure"]
        if not failed or row.completion_result != "failure" or row.completion_failure in ENDED_BY_PEOPLE:
            return {}
        newest = ", ".join(str(index) for index in failed[-_IDS_AT_ONCE:])
        sql = f"SELECT index, entry_json FROM sys_journal WHERE id = '{checked(row.id)}' AND index IN ({newest})"
        return {one.index: one.failure for one in await self._rows(sql, Rows[StepFailureRow])}

    async def restarts_of(self, invocation_ids: Sequence[str]) -> tuple[RestartRow, ...]:
        """What was begun anew from any of them, oldest first."""
        sql = (
            f"SELECT id, target, created_at FROM sys_invocation WHERE restarted_from IN ({_listed(invocation_ids)})"
            f" ORDER BY created_at LIMIT {_RESTARTS_LIMIT}"
        )
        return await self._rows(sql, Rows[RestartRow])

    async def unfinished(self, invocation_ids: Sequence[str]) -> tuple[IdRow, ...]:
        """Those of them that have not ended, as far as the server knows them."""
        found: list[IdRow] = []
        for start in range(0, len(invocation_ids), _IDS_AT_ONCE):
            listed = _listed(invocation_ids[start : start + _IDS_AT_ONCE])
            sql = f"SELECT id, target FROM sys_invocation_status WHERE id IN ({listed}) AND status <> 'completed'"
            found += await self._rows(sql, Rows[IdRow])
        return tuple(found)

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
        return self._client.parse(await self._client.read("GET", "/deployments"), Deployments).deployments

    async def serves(self, deployment_id: str, service: str, handler: str) -> bool:
        """Whether a deployment has a handler; asked once, since a deployment does not change."""
        if deployment_id not in self._handlers:
            answer = await self._client.read("GET", f"/deployments/{checked(deployment_id, DEPLOYMENT_ID)}")
            found = self._client.parse(answer, Deployment)
            self._handlers[deployment_id] = frozenset(
                f"{one.name}/{each.name}" for one in found.services for each in one.handlers
            )
        return f"{service}/{handler}" in self._handlers[deployment_id]

    async def version(self) -> Version:
        """What the server says of itself."""
        return self._client.parse(await self._client.read("GET", "/version"), Version)

    async def conflict(self, invocation_id: str, said: str, told: Callable[[InvocationRow], str]) -> str:
        """What a 409 means, told by the state: the same status stands for several things, and texts are for people."""
        try:
            row = await self.find(invocation_id)
        except EngineError:
            row = None
        return (told(row) if row else "") or f"Restate refuses this: {said or 'its state does not allow it'}"

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


def unknown(invocation_id: str) -> NotFound:
    """The refusal of an id that the server does not know."""
    return NotFound(f"Restate does not know {invocation_id}: another server's, or past its retention.")


def not_known_here(answer: Answer) -> ContractViolation:
    """The refusal of an answer that nothing is known of."""
    return ContractViolation(f"Restate gave an answer that is not known here (HTTP {answer.status}).")


def is_acceptance(answer: Answer) -> bool:
    """Whether a 200 is the server's: it says nothing at all; a page of something in between accepts nothing."""
    return not answer.body or answer.headers.get("content-type", "").startswith("application/json")


def said_in(client: EngineClient, answer: Answer) -> str:
    """The API's own words in a refusal, fit for an error; empty when it was not the API that answered."""
    try:
        return client.redact(client.parse(answer, Refusal).message)
    except ContractViolation:
        return ""


def _listed(invocation_ids: Sequence[str]) -> str:
    return ", ".join(f"'{checked(one)}'" for one in invocation_ids)


def _wire_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
