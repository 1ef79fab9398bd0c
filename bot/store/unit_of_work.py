"""One transaction: load, save if unchanged, append the audit entries, enqueue; all of it or nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from procrastinate import App
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.domain.audit import AuditEntry
from bot.domain.ports import Clock
from bot.service.unit import Job
from bot.store import audit
from bot.store.commands import CommandRows, ConnectionRows
from bot.store.incidents import IncidentRows
from bot.store.jobs import JobRows
from bot.store.messages import MessageRows
from bot.store.people import DirectoryRows
from bot.store.requests import RequestRows
from bot.store.schema import SEARCH_PATH
from bot.store.tables import rejected_notices, seen

LIMITS = text("SELECT set_config('statement_timeout', :statement, true), set_config('lock_timeout', :lock, true)")
HURRIED = {"statement": "1500", "lock": "1000"}
PATIENT = {"statement": "15000", "lock": "10000"}
IDLE = "-c idle_in_transaction_session_timeout=5000"  # a frozen process must not keep its locks until it thaws


def open_engine(url: str, pool_size: int = 8) -> AsyncEngine:
    """Connections to the database, with the search path that the job engine needs and a short wait for a new one."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=2,
        pool_pre_ping=True,
        connect_args={"options": f"{SEARCH_PATH} {IDLE}", "connect_timeout": 2, "application_name": "resumebot"},
    )


class SqlUnit:
    """The unit over one connection; see `bot.service.unit`."""

    def __init__(self, connection: AsyncConnection, app: App, now: datetime) -> None:
        self.connection = connection
        self._jobs = JobRows(connection, app)
        self._entries: list[AuditEntry] = []
        self.incidents = IncidentRows(connection)
        self.requests = RequestRows(connection, self.incidents)
        self.messages = MessageRows(connection, self._jobs, now)
        self.directory = DirectoryRows(connection)
        self.commands = CommandRows(connection)
        self.connections = ConnectionRows(connection)

    async def first_time(self, kind: str, key: str, now: datetime) -> bool:
        """Whether this was never seen before; a second unit at the same moment waits for the first to end."""
        statement = upsert(seen).values(kind=kind, key=key, at=now).on_conflict_do_nothing().returning(seen.c.key)
        return (await self.connection.execute(statement)).first() is not None

    def record(self, *entries: AuditEntry) -> None:
        """Add audit entries, written last so that the lock they share is held briefly."""
        self._entries.extend(entries)

    async def enqueue(self, job: Job) -> None:
        """Defer a job with the commit."""
        await self._jobs.enqueue(job)

    async def enqueue_once(self, job: Job) -> None:
        """Defer a lockless job unless the same one waits already."""
        await self._jobs.enqueue_once(job)

    async def keep_rejected(self, connection: str, reason: str, body: bytes, now: datetime) -> None:
        """Keep what was authenticated and cannot be read."""
        values = {"at": now, "connection": connection, "reason": reason, "body": body}
        await self.connection.execute(insert(rejected_notices).values(values))

    async def write_audit(self) -> None:
        """The last statement before the commit."""
        await audit.write(self.connection, self._entries)


class SqlStore:
    """Makes units on an engine; `app` enqueues by name."""

    def __init__(self, engine: AsyncEngine, app: App, clock: Clock) -> None:
        self.engine, self.app, self._clock = engine, app, clock

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """A transaction that commits at the end of the block and rolls back on any error."""
        async with self.engine.connect() as connection, connection.begin():
            await connection.execute(LIMITS, HURRIED if hurried else PATIENT)
            unit = SqlUnit(connection, self.app, self._clock.now())
            yield unit
            await unit.write_audit()

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.shield(self.engine.dispose())
