"""Plain reads for what is shown and listed; nothing is locked, and lists are cut by key, never by offset."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.errors import Refusal
from bot.domain.incident import Incident, IncidentState
from bot.domain.messages import Home, Line, TrailEntry
from bot.domain.policy import Person, may_decide
from bot.domain.request import LIVE, Request, RequestState
from bot.store.incidents import COLUMNS, incident_from
from bot.store.messages import PARENT_SURFACES, due, parents
from bot.store.people import KnownPeople
from bot.store.requests import decisions_of, request_from
from bot.store.tables import audit_entries, incidents, lookups, messages, requests, seen, workspaces
from bot.store.tables import incident_executions as links

HOME_LINES = 15
SWEPT = 500


class SqlReadings:
    """Readings over an engine; see `bot.service.outbox`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def incident(self, incident_id: int) -> Incident | None:
        """One incident."""
        return next(iter(await self.incidents([incident_id])), None)

    async def incidents(self, incident_ids: Sequence[int]) -> list[Incident]:
        """Several, in the order of their ids."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(*COLUMNS).where(incidents.c.id.in_(incident_ids)).order_by(incidents.c.id))
            return [incident_from(row) for row in rows]

    async def open_incidents(self, limit: int, channels: Sequence[str] | None = None) -> list[Incident]:
        """The newest open ones, of these channels only where some are given."""
        statement = select(*COLUMNS).where(incidents.c.state == IncidentState.OPEN.value)
        if channels is not None:
            statement = statement.where(incidents.c.channel.in_(channels))
        async with self._engine.connect() as connection:
            rows = await connection.execute(statement.order_by(incidents.c.id.desc()).limit(limit))
            return [incident_from(row) for row in rows]

    async def request(self, request_id: int) -> Request | None:
        """One request with its decisions."""
        return next(iter(await self._requests(requests.c.id == request_id, 1)), None)

    async def newest_request(self, incident_id: int) -> Request | None:
        """The newest request of an incident."""
        return next(iter(await self._requests(requests.c.incident_id == incident_id, 1)), None)

    async def requests_of(self, actor: str, limit: int) -> list[Request]:
        """The newest requests somebody made."""
        return await self._requests(requests.c.requester == actor, limit)

    async def pending_requests(self, limit: int) -> list[Request]:
        """The newest that wait for approval."""
        return await self._requests(requests.c.state == RequestState.PENDING.value, limit)

    async def live_requests(self, limit: int) -> list[Request]:
        """The newest that are not at their end."""
        return await self._requests(requests.c.state.in_([state.value for state in LIVE]), limit)

    async def requests(self, limit: int) -> list[Request]:
        """The newest of all."""
        return await self._requests(requests.c.id > 0, limit)

    async def _requests(self, condition: object, limit: int) -> list[Request]:
        statement = select(requests).where(condition).order_by(requests.c.id.desc()).limit(limit)  # type: ignore[arg-type]
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
            return [request_from(row, await decisions_of(connection, row.id)) for row in rows]

    async def approvers_of(self, request: Request) -> list[Person]:
        """Who approved, with today's facts."""
        async with self._engine.connect() as connection:
            return await KnownPeople(connection).people(request.approvers)

    async def person(self, workspace: str, user: str) -> Person:
        """What is known of a person."""
        async with self._engine.connect() as connection:
            return await KnownPeople(connection).person(workspace, user)

    async def place_of(self, subject: str) -> tuple[str, str] | None:
        """Channel and ts of the message a subject's thread hangs on."""
        statement = select(messages.c.channel, messages.c.ts).where(
            messages.c.subject == subject, messages.c.surface.in_(PARENT_SURFACES), messages.c.ts.is_not(None)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return (row.channel, row.ts) if row else None

    async def find_incident(self, connection_name: str | None, execution_id: str) -> Incident | None:
        """The incident an execution id leads to, on this connection or any."""
        statement = select(links.c.incident_id).where(links.c.execution_id == execution_id)
        if connection_name:
            statement = statement.where(links.c.connection == connection_name)
        async with self._engine.connect() as connection:
            found = (await connection.execute(statement.limit(1))).scalar_one_or_none()
        return await self.incident(found) if found else None

    async def waiting_for(self, person: Person, now: datetime, limit: int) -> list[Request]:
        """Pending requests this person may decide on and has not."""
        async with self._engine.connect() as connection:
            known = await KnownPeople(connection).person(person.workspace, person.id)
        waiting = []
        for request in await self.pending_requests(200):
            if any(decision.actor == person.actor for decision in request.decisions):
                continue
            try:
                may_decide(request.rules, known, request.requester, request.channel, now)
            except Refusal:
                continue
            waiting.append(request)
        return waiting[:limit]

    async def home(self, person: Person, now: datetime) -> Home:
        """What a person's App Home shows: only failures of channels they are in."""
        known = await self.person(person.workspace, person.id)
        channels = sorted(known.groups)
        open_ones = await self.open_incidents(HOME_LINES + 1, channels)
        asked = [request for request in await self.requests_of(person.actor, HOME_LINES) if request.state.is_live]
        waiting = await self.waiting_for(person, now, HOME_LINES)
        return Home(
            waiting=await self.lines((), waiting),
            asked=await self.lines((), asked),
            open=await self.lines(open_ones[:HOME_LINES], ()),
            more=max(len(open_ones) - HOME_LINES, 0),
        )

    async def lines(self, incidents: Sequence[Incident], requests: Sequence[Request]) -> tuple[Line, ...]:
        """Rows of a list, each with the address of the message it is about."""
        async with self._engine.connect() as connection:
            addresses = await _addresses_of(
                connection, [*(each.label for each in incidents), *(each.label for each in requests)]
            )
        return (
            *[Line(incident=incident, link=addresses.get(incident.label, "")) for incident in incidents],
            *[Line(request=request, link=addresses.get(request.label, "")) for request in requests],
        )

    async def audit_of(self, key: str, value: str, limit: int) -> tuple[list[TrailEntry], int]:
        """The newest entries about a request, incident or execution, oldest first, and how many there are."""
        about = audit_entries.c[key] == value
        async with self._engine.connect() as connection:
            total = (await connection.execute(select(func.count()).select_from(audit_entries).where(about))).scalar_one()
            newest = select(audit_entries.c.entry).where(about).order_by(audit_entries.c.id.desc()).limit(limit)
            rows = (await connection.execute(newest)).all()
        return [_trail_entry(json.loads(row.entry)) for row in reversed(rows)], total

    async def known_executions(self, connection_name: str, ids: list[str]) -> set[str]:
        """Those of the ids that lead to an incident."""
        statement = select(links.c.execution_id).where(links.c.connection == connection_name, links.c.execution_id.in_(ids))
        async with self._engine.connect() as connection:
            return {row.execution_id for row in await connection.execute(statement)}


async def _addresses_of(connection: AsyncConnection, subjects: Sequence[str]) -> dict[str, str]:
    """Where people read the messages of these incidents and requests, as Slack makes its own links."""
    of_ours = workspaces.c.id == messages.c.workspace
    rows = await connection.execute(
        select(messages.c.subject, messages.c.channel, messages.c.ts, parents.c.ts.label("parent_ts"), workspaces.c.url)
        .join_from(messages, workspaces, of_ours)
        .outerjoin(parents, parents.c.id == messages.c.parent_id)
        .where(messages.c.subject.in_(subjects), messages.c.surface.in_((*PARENT_SURFACES, "approval")))
        .where(messages.c.ts.is_not(None), workspaces.c.url != "")
    )
    addresses = {}
    for row in rows:
        thread = f"?thread_ts={row.parent_ts}&cid={row.channel}" if row.parent_ts else ""
        addresses[row.subject] = f"{row.url}archives/{row.channel}/p{row.ts.replace('.', '')}{thread}"
    return addresses


SHOWN_FIRST = ("reason", "error", "missing", "point", "call", "new_execution", "seen", "note", "code")


def _trail_entry(entry: dict[str, Any]) -> TrailEntry:
    data = entry.get("data") or {}
    detail = ", ".join(f"{key}: {data[key]}" for key in SHOWN_FIRST if data.get(key))
    return TrailEntry(datetime.fromisoformat(entry["at"]), entry["actor"], entry["action"], detail)


class SqlSweepReadings(SqlReadings):
    """Further reads: what is due by the tables alone, and the figures of /metrics."""

    async def due_lanes(self, now: datetime) -> list[str]:
        """Lanes with something to send at this moment."""
        statement = (
            select(messages.c.lane)
            .outerjoin_from(messages, parents, parents.c.id == messages.c.parent_id)
            .where(due(now))
            .distinct()
            .limit(SWEPT)
        )
        async with self._engine.connect() as connection:
            return [row.lane for row in await connection.execute(statement)]

    async def incidents_to_read(self, now: datetime, limit: int) -> list[int]:
        """Open incidents whose time to be read again has come."""
        due_now = (incidents.c.state == IncidentState.OPEN.value) & (incidents.c.read_next_at <= now)
        statement = select(incidents.c.id).where(due_now).order_by(incidents.c.read_next_at).limit(limit)
        async with self._engine.connect() as connection:
            return [row.id for row in await connection.execute(statement)]

    async def snoozes_over(self, now: datetime) -> list[int]:
        """Incidents whose snooze is over."""
        async with self._engine.connect() as connection:
            over = select(incidents.c.id).where(incidents.c.snoozed_until <= now).limit(SWEPT)
            return [row.id for row in await connection.execute(over)]

    async def unrouted_incidents(self, before: datetime) -> list[int]:
        """Open incidents that have had no channel since before then."""
        lost = (
            (incidents.c.state == IncidentState.OPEN.value) & incidents.c.channel.is_(None) & (incidents.c.opened_at < before)
        )
        async with self._engine.connect() as connection:
            return [row.id for row in await connection.execute(select(incidents.c.id).where(lost).limit(SWEPT))]

    async def waiting_lookups(self, before: datetime) -> list[int]:
        """Commands that have waited since before then."""
        waits = lookups.c.answered_at.is_(None) & (lookups.c.at < before)
        async with self._engine.connect() as connection:
            return [row.id for row in await connection.execute(select(lookups.c.id).where(waits).limit(SWEPT))]

    async def forget_seen(self, before: datetime) -> None:
        """Drop what was seen long before any redelivery."""
        forgettable = (seen.c.at < before) & seen.c.kind.in_(("press", "command"))
        async with self._engine.begin() as connection:
            await connection.execute(delete(seen).where(forgettable))
