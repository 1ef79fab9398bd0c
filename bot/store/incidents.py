"""Rows of incidents and of the executions that lead to them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.incident import Incident, IncidentState
from bot.store.codec import EXECUTION, dump
from bot.store.tables import incident_executions, incidents, messages, requests

HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
COLUMNS = tuple(column for column in incidents.c if column.name != "read_next_at")


class StaleWrite(RuntimeError):
    """The row has moved on since it was loaded; the unit must not commit."""


def incident_from(row: Row[Any]) -> Incident:
    """The incident of a row that holds COLUMNS."""
    values = {column.name: getattr(row, column.name) for column in COLUMNS}
    seen = values.pop("seen")
    state = IncidentState(values.pop("state"))
    return Incident(**values, state=state, seen=EXECUTION.validate_python(seen) if seen else None)


def _values(incident: Incident) -> dict[str, Any]:
    skipped = {"id", "version", "seen", "state"}
    values = {column.name: getattr(incident, column.name) for column in COLUMNS if column.name not in skipped}
    return values | {
        "state": incident.state.value,
        "seen": dump(EXECUTION, incident.seen) if incident.seen else None,
    }


class IncidentRows:
    """The unit's incidents; every load takes the row's lock."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, incident_id: int) -> Incident | None:
        """The incident, locked until the unit ends."""
        statement = select(*COLUMNS).where(incidents.c.id == incident_id).with_for_update()
        row = (await self._connection.execute(statement)).one_or_none()
        return incident_from(row) if row else None

    async def lock_by_execution(self, connection: str, execution_id: str) -> Incident | None:
        """The incident an execution leads to, locked; where there is none, nobody else opens one until the unit ends."""
        await self._connection.execute(HOLD, {"key": f"{connection}:{execution_id}"})
        found = await self._connection.execute(
            select(incident_executions.c.incident_id).where(
                incident_executions.c.connection == connection, incident_executions.c.execution_id == execution_id
            )
        )
        incident_id = found.scalar_one_or_none()
        return await self.lock(incident_id) if incident_id else None

    async def lock_by_root(self, connection: str, root: str) -> Incident | None:
        """The oldest incident of a chain, locked."""
        found = await self._connection.execute(
            select(incidents.c.id)
            .where(incidents.c.connection == connection, incidents.c.root == root)
            .order_by(incidents.c.id)
            .limit(1)
        )
        incident_id = found.scalar_one_or_none()
        return await self.lock(incident_id) if incident_id else None

    async def add(self, incident: Incident) -> Incident:
        """Store a new incident and link its execution; with its id."""
        made = await self._connection.execute(insert(incidents).values(_values(incident)).returning(incidents.c.id))
        stored = replace(incident, id=made.scalar_one())
        await self.link(stored, [stored.execution_id])
        return stored

    async def save(self, before: Incident, after: Incident) -> Incident:
        """Store a change; raises StaleWrite when the row is not the one that was loaded."""
        statement = (
            update(incidents)
            .where(incidents.c.id == before.id, incidents.c.version == before.version)
            .values(_values(after) | {"version": before.version + 1})
        )
        if (await self._connection.execute(statement)).rowcount != 1:
            raise StaleWrite(before.label)
        if after.execution_id != before.execution_id:
            await self.link(after, [after.execution_id])
        return replace(after, version=before.version + 1)

    async def link(self, incident: Incident, executions: Iterable[str]) -> None:
        """Make executions lead to the incident, unless they lead to one already."""
        rows = [
            {"connection": incident.connection, "execution_id": execution, "incident_id": incident.id}
            for execution in dict.fromkeys(executions)
            if execution
        ]
        if rows:
            await self._connection.execute(upsert(incident_executions).values(rows).on_conflict_do_nothing())

    async def read_again_at(self, incident_id: int, at: datetime | None) -> None:
        """When the engine is to be asked about it by itself; None = not."""
        await self._connection.execute(update(incidents).where(incidents.c.id == incident_id).values(read_next_at=at))

    async def absorb(self, into: Incident, other: Incident) -> None:
        """Lead the executions and requests of another incident of the same chain to this one."""
        for table in (incident_executions, requests):
            await self._connection.execute(update(table).where(table.c.incident_id == other.id).values(incident_id=into.id))
        await self._connection.execute(
            update(messages).where(messages.c.subject == other.label, messages.c.ts.is_(None)).values(wanted=messages.c.posted)
        )
