"""Reads the audit trail for people and programs outside: a selection of it, or all of it, a line of JSON for each entry."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store.audit import as_text
from bot.store.seals import sealed_to, settled_to
from bot.store.tables import audit_entries

PAGE = 1000
FIELDS = ("at", "actor", "action", "subject", "request", "incident", "connection", "execution", "data")
TRIES, PAUSE = 6, 0.1  # to see all writers end; then what is sealed is what is told


@dataclass(frozen=True)
class Selection:
    """Which entries: from `since` on and before `until`; `actor` and `action` may hold * and ?."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None
    execution: str | None = None
    request: str | None = None
    incident: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As conditions of a statement."""
        columns = audit_entries.c
        exact = {name: getattr(self, name) for name in ("execution", "request", "incident")}
        globs = {name: getattr(self, name) for name in ("actor", "action")}
        return [
            *([columns.at >= as_text(self.since)] if self.since else []),
            *([columns.at < as_text(self.until)] if self.until else []),
            *[columns[name] == value for name, value in exact.items() if value is not None],
            *[columns[name].like(_as_like(glob), escape="\\") for name, glob in globs.items() if glob is not None],
        ]


def _as_like(glob: str) -> str:
    return re.sub(r"[\\%_]", r"\\\g<0>", glob).replace("*", "%").replace("?", "_")


async def query(engine: AsyncEngine, selection: Selection, limit: int) -> list[str]:
    """The newest entries of a selection, oldest first."""
    columns = audit_entries.c
    statement = select(columns.id, columns.entry).where(*selection.conditions()).order_by(columns.id.desc()).limit(limit)
    async with engine.connect() as connection:
        rows = (await connection.execute(statement)).all()
    return [line(row.id, row.entry) for row in reversed(rows)]


async def export(engine: AsyncEngine, after: int) -> AsyncIterator[list[str]]:
    """All entries above an id, in pages; what is written while it runs is left for the next time, so that none is missed."""
    columns, settled = audit_entries.c, await _settled(engine)
    statement = select(columns.id, columns.entry).where(columns.id <= settled).order_by(columns.id).limit(PAGE)
    while True:
        async with engine.connect() as connection:
            rows = (await connection.execute(statement.where(columns.id > after))).all()
        if not rows:
            return
        yield [line(row.id, row.entry) for row in rows]
        after = rows[-1].id


async def _settled(engine: AsyncEngine) -> int:
    """Below this id no entry appears any more: whoever resumes after it misses none."""
    for _ in range(TRIES):
        if (settled := await settled_to(engine)) is not None:
            return settled
        await asyncio.sleep(PAUSE)
    return await sealed_to(engine)


def line(entry_id: int, entry: str) -> str:
    """All ten fields in the documented order, null where there is none."""
    record = json.loads(entry)
    known = record if isinstance(record, dict) else {}
    ordered = {"id": entry_id, **{name: known.get(name) for name in FIELDS}}
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
