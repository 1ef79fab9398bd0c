"""Seals the audit trail: a chain of digests over ranges of entries, each digest over the one before.

entries 1 2 3 │ 5 6 │ 9 …        a seal's digest is the SHA-256 of, in UTF-8, each line ended by a line feed:
   seal 1 ◀─── seal 2 ◀─ seal 3     resumebot-seal/1, previous digest, no, at, first id (empty if none), last id, count,
                                    and for each entry by ascending id: `<id> <bytes of the text>`, the text
What was written anywhere else (a log, a channel) of a seal's number and digest vouches for every entry up to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import psycopg
from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.ports import Clock
from bot.store.audit import as_text
from bot.store.tables import SEAL_KEY, audit_entries, audit_seals

FORM = "resumebot-seal/1"
LOCK_TIMEOUT = "150ms"  # while the sealer waits for a slow writer, all new writers wait behind it
EMPTY_AFTER = timedelta(minutes=10)
ENTRIES_A_TICK = 10_000
SEALS_A_TICK = 200  # few entries get a seal each, so that a fault is pinned to its row; a flood is cut into so many
ORIGIN = "0" * 64


@dataclass(frozen=True)
class Seal:
    """The digest over a range of entries and over the seal before; an empty one has no first id."""

    no: int
    at: datetime
    first_id: int | None
    last_id: int
    count: int
    prev: str
    sha256: str


BEFORE_ALL = Seal(0, datetime.min.replace(tzinfo=UTC), None, 0, 0, "", ORIGIN)


async def seal(engine: AsyncEngine, clock: Clock) -> Seal | None:
    """Seal all entries that can no longer change; the newest seal, or None when there was nothing to do or a writer is slow."""
    settled = await settled_to(engine)
    if settled is None:
        return None
    async with engine.connect() as connection:
        last = await _last(connection)
        new = select(audit_entries.c.id, audit_entries.c.entry).where(audit_entries.c.id > last.last_id)
        new = new.where(audit_entries.c.id <= settled).order_by(audit_entries.c.id).limit(ENTRIES_A_TICK)
        rows, now = (await connection.execute(new)).all(), clock.now()
        if not rows and now - last.at < EMPTY_AFTER:
            return None
        made = list(_chain(last, rows, now))
        return made[-1] if await _write(connection, made) else None


async def sealed_to(engine: AsyncEngine) -> int:
    """The highest id under a seal."""
    async with engine.connect() as connection:
        return (await _last(connection)).last_id


async def _last(connection: AsyncConnection) -> Seal:
    newest = select(audit_seals).order_by(audit_seals.c.no.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    return Seal(**row._asdict()) if row else BEFORE_ALL


async def _write(connection: AsyncConnection, made: Sequence[Seal]) -> bool:
    """False when a second sealer has made the same numbers at the same moment."""
    statement = upsert(audit_seals).on_conflict_do_nothing().returning(audit_seals.c.no)
    written = (await connection.execute(statement, [vars(each) for each in made])).all()
    if len(written) < len(made):
        return False
    await connection.commit()
    return True


async def settled_to(engine: AsyncEngine) -> int | None:
    """The highest id; at or below it nothing is written any more. None when a writer is slow.

    Writers draw ids under a lock that they share until they end.
    """
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            # a statement of its own: the next one takes a fresh snapshot
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({SEAL_KEY})"))
            return int((await connection.execute(select(func.coalesce(func.max(audit_entries.c.id), 0)))).scalar_one())
    except DBAPIError as fault:
        if isinstance(fault.orig, psycopg.errors.LockNotAvailable):
            return None
        raise


def _chain(last: Seal, rows: Sequence[Row[int, str]], now: datetime) -> Iterator[Seal]:
    size = max(-(-len(rows) // SEALS_A_TICK), 1)
    for start in range(0, max(len(rows), 1), size):
        last = _next(last, rows[start : start + size], now)
        yield last


def _next(last: Seal, part: Sequence[Row[int, str]], now: datetime) -> Seal:
    no, count = last.no + 1, len(part)
    first_id, last_id = (part[0].id, part[-1].id) if part else (None, last.last_id)
    head = [FORM, last.sha256, no, as_text(now), "" if first_id is None else first_id, last_id, count]
    digest = sha256("".join(f"{line}\n" for line in head).encode())
    for row in part:
        entry = row.entry.encode()
        digest.update(b"%d %d\n%b\n" % (row.id, len(entry), entry))
    return Seal(no, now, first_id, last_id, count, last.sha256, digest.hexdigest())
