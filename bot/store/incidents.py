"""Rows of incidents and of the executions that lead to them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.incident import Incident, IncidentState
from bot.store.codec import EXECUTION, dump
from bot.store.prepared import Asked, Driver, Last, Prepared, driver_of, together
from bot.store.tables import incident_executions, incidents, messages, requests

HOLD = Prepared(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"))
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


LOCK = Prepared(select(*COLUMNS).where(incidents.c.id == bindparam("wanted")).with_for_update())
_of_request = select(requests.c.incident_id).where(requests.c.id == bindparam("of")).scalar_subquery()
LOCK_OF_REQUEST = Prepared(select(*COLUMNS).where(incidents.c.id == _of_request).with_for_update())
BY_EXECUTION = Prepared(
    select(incident_executions.c.incident_id).where(
        incident_executions.c.connection == bindparam("on"), incident_executions.c.execution_id == bindparam("execution")
    )
)
BY_ROOT = Prepared(
    select(incidents.c.id)
    .where(incidents.c.connection == bindparam("on"), incidents.c.root == bindparam("chain"))
    .order_by(incidents.c.id)
    .limit(1)
)
_KEPT = [column for column in COLUMNS if column.name not in {"id", "version"}]
ADD = Prepared(insert(incidents).values({column.name: bindparam(column.name) for column in _KEPT}).returning(incidents.c.id))
SAVE = Prepared(
    update(incidents)
    .where(incidents.c.id == bindparam("of"), incidents.c.version == bindparam("was"))
    .values({**{column.name: bindparam(column.name) for column in _KEPT}, "version": incidents.c.version + 1})
)
LINK = Prepared(
    upsert(incident_executions)
    .values({column.name: bindparam(column.name) for column in incident_executions.c})
    .on_conflict_do_nothing()
)
UNWANT = Prepared(
    update(messages).where(messages.c.subject == bindparam("of"), messages.c.ts.is_(None)).values(wanted=messages.c.posted)
)
READ_AGAIN = Prepared(update(incidents).where(incidents.c.id == bindparam("of")).values(read_next_at=bindparam("at")))


class IncidentRows:
    """The unit's incidents; every load takes the row's lock."""

    def __init__(self, connection: AsyncConnection, last: Last) -> None:
        self._connection, self._last = connection, last
        self._ahead: dict[int, Asked] = {}

    @property
    def _driver(self) -> Driver:
        return driver_of(self._connection)

    async def lock(self, incident_id: int) -> Incident | None:
        """The incident, locked until the unit ends."""
        asked = self._ahead.pop(incident_id, None) or await LOCK.ask(self._driver, wanted=incident_id)
        row = await asked.first()
        return incident_from(row) if row else None

    async def lock_ahead(self, incident_id: int) -> None:
        """Ask, among statements sent together, for what `lock` will give."""
        self._ahead[incident_id] = await LOCK.ask(self._driver, wanted=incident_id)

    async def lock_by_execution(self, connection: str, execution_id: str) -> Incident | None:
        """The incident an execution leads to, locked; where there is none, nobody else opens one until the unit ends."""
        driver = self._driver
        async with together(driver):
            await HOLD.run(driver, key=f"{connection}:{execution_id}")
            found = await BY_EXECUTION.first(driver, on=connection, execution=execution_id)
        return await self.lock(found.incident_id) if found else None

    async def lock_linked(self, connection: str, execution_id: str) -> Incident | None:
        """The incident an execution leads to, locked; for whoever holds an incident, and so must not wait to open one."""
        found = await BY_EXECUTION.first(self._driver, on=connection, execution=execution_id)
        return await self.lock(found.incident_id) if found else None

    async def lock_by_root(self, connection: str, root: str) -> Incident | None:
        """The oldest incident of a chain, locked."""
        found = await BY_ROOT.first(self._driver, on=connection, chain=root)
        return await self.lock(found.id) if found else None

    async def add(self, incident: Incident) -> Incident:
        """Store a new incident and link its execution; with its id."""
        stored = replace(incident, id=(await ADD.first(self._driver, **_values(incident))).id)
        await self.link(stored, [stored.execution_id])
        return stored

    async def save(self, before: Incident, after: Incident) -> Incident:
        """Store a change; raises StaleWrite when the row is not the one that was loaded."""
        if await SAVE.count(self._driver, **_values(after), of=before.id, was=before.version) != 1:
            raise StaleWrite(before.label)
        if after.execution_id != before.execution_id:
            await self.link(after, [after.execution_id])
        return replace(after, version=before.version + 1)

    async def link(self, incident: Incident, executions: Iterable[str]) -> None:
        """Make executions lead to the incident, unless they lead to one already."""
        for execution in dict.fromkeys(executions):
            if execution:
                values = {"connection": incident.connection, "execution_id": execution, "incident_id": incident.id}
                self._last.add(LINK, **values)

    async def read_again_at(self, incident_id: int, at: datetime | None) -> None:
        """When the engine is to be asked about it by itself; None = not."""
        self._last.add(READ_AGAIN, of=incident_id, at=at)

    async def absorb(self, into: Incident, other: Incident) -> None:
        """Lead the executions and requests of another incident of the same chain to this one."""
        for table in (incident_executions, requests):
            await self._connection.execute(update(table).where(table.c.incident_id == other.id).values(incident_id=into.id))
        self._last.add(UNWANT, of=other.label)
