"""One transaction: load, save if unchanged, append the audit entries, enqueue; all of it or nothing."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import URL, bindparam, event, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.domain.audit import AuditEntry
from bot.domain.ports import Clock
from bot.service.unit import Job, Opening, PressedOn
from bot.store import audit
from bot.store.commands import CommandRows, ConnectionRows
from bot.store.incidents import IncidentRows
from bot.store.jobs import JobRows
from bot.store.messages import MessageRows
from bot.store.people import FACTS_SQL, DirectoryRows, people_from
from bot.store.prepared import Last, Prepared, driver_of, together
from bot.store.requests import RequestRows
from bot.store.schema import SEARCH_PATH
from bot.store.tables import rejected_notices, seen

PATIENT = "-c statement_timeout=15000 -c lock_timeout=10000"
HURRIED = "-c statement_timeout=1500 -c lock_timeout=1000"
UNLIMITED = ""
IDLE = "-c idle_in_transaction_session_timeout=5000"  # a frozen process must not keep its locks until it thaws
TRUSTED = 0.5  # seconds after its last use in which a connection is taken to live

FIRST_TIME = Prepared(
    upsert(seen)
    .values({column.name: bindparam(column.name) for column in seen.c})
    .on_conflict_do_nothing()
    .returning(seen.c.key)
)

_SEEN = "WITH first AS (INSERT INTO seen (kind, key, at) VALUES ('press', :key, :at) ON CONFLICT DO NOTHING RETURNING key)"
_FIRST = "UNION ALL SELECT 'first', NULL, key, NULL FROM first"
_STANDS = "UNION ALL SELECT 'stands', NULL, ts, NULL FROM messages WHERE channel = :channel AND ts = :ts"
OPENING = Prepared(text(f"{_SEEN} {FACTS_SQL} {_FIRST} {_STANDS}"))


def open_engine(url: str | URL, pool_size: int = 8, limits: str = PATIENT) -> AsyncEngine:
    """Connections to the database, with the search path that the job engine needs and a short wait for a new one."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=2,
        connect_args={
            "options": f"{SEARCH_PATH} {IDLE} {limits}",
            "connect_timeout": 2,
            "application_name": "resumebot",
        },
    )
    _look_at_rested(engine)
    return engine


def _look_at_rested(engine: AsyncEngine) -> None:
    """Look whether a connection lives before it is used, unless it was used just now: a look costs as much as a statement."""
    dialect = engine.sync_engine.dialect

    def came_back(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def goes_out(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", math.inf) < TRUSTED:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None

    event.listen(engine.sync_engine, "checkin", came_back)
    event.listen(engine.sync_engine, "checkout", goes_out)


class SqlUnit:
    """The unit over one connection; see `bot.service.unit`."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self.connection = connection
        self._jobs = JobRows(connection)
        self._entries: list[AuditEntry] = []
        self._last = Last()
        self.incidents = IncidentRows(connection, self._last)
        self.requests = RequestRows(connection, self._last)
        self.messages = MessageRows(connection, self._jobs, now)
        self.directory = DirectoryRows(connection, self._last)
        self.commands = CommandRows(connection)
        self.connections = ConnectionRows(connection)

    async def first_time(self, kind: str, key: str, now: datetime) -> bool:
        """Whether this was never seen before; a second unit at the same moment waits for the first to end."""
        driver = driver_of(self.connection)
        async with together(driver):
            return await FIRST_TIME.first(driver, kind=kind, key=key, at=now) is not None

    async def open_press(
        self, key: str, now: datetime, person: tuple[str, str], place: tuple[str, str], on: PressedOn
    ) -> Opening:
        """Count a press as seen, and all that has to be known before it is looked at; what it is about is locked."""
        workspace, user = person
        channel, ts = place
        arguments = {"key": key, "at": now, "workspace": workspace, "users": [user], "channel": channel, "ts": ts}
        driver = driver_of(self.connection)
        async with together(driver):
            opening = await OPENING.ask(driver, **arguments)
            if on.is_request:
                await self.requests.lock_ahead(on.id)
            else:
                await self.incidents.lock_ahead(on.id)
                await self.requests.live_ahead(on.id)
            rows = await opening.rows()
        words = {row.what for row in rows}
        return Opening("first" in words, people_from(workspace, [user], rows)[user], stands="stands" in words)

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

    async def commit(self) -> None:
        """Write what waits for the end, messages, jobs and then audit entries last of all, and commit."""
        await self.messages.write()
        self._jobs.write(self._last)
        audit.write(self._last, self._entries)
        await self._last.commit(driver_of(self.connection))


class SqlStore:
    """Makes units on an engine; those of people who wait have connections that nothing else takes."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self.engine, self._clock = engine, clock
        self._hurried = open_engine(engine.url, pool_size=4, limits=HURRIED)

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """A transaction that commits at the end of the block and rolls back on any error."""
        async with (self._hurried if hurried else self.engine).connect() as connection, connection.begin():
            unit = SqlUnit(connection, self._clock.now())
            yield unit
            await unit.commit()

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.shield(asyncio.gather(self.engine.dispose(), self._hurried.dispose()))
