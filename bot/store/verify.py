"""Verifies the audit trail with statements and digests of its own, so that a fault of the writer does not hide itself.

seals in order ─▶ number, link to the one before, anchors from outside ─▶ entries of its range ─▶ digest ─▶ Verdict
The form of a digest is told in `bot.store.seals`; nothing of that module is used here.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.text import listed

PAGE = 1000
NAMED = 10  # so many ids are named where one of several is the bad one
SEALS = text("SELECT no, at, first_id, last_id, count, prev, sha256 FROM audit_seals WHERE no > :after ORDER BY no LIMIT :page")
ENTRIES = text("SELECT id, entry FROM audit_entries WHERE id > :after ORDER BY id LIMIT :page")
LINK = text("SELECT prev FROM audit_seals WHERE no = :no")
ANCHOR_TEXT = re.compile(r"\bno\"?[.=:]?\s*(\d{1,18})\b.*?\b([0-9a-f]{64})\b")
BELOW_ALL = -(2**63)

Anchors = Mapping[int, frozenset[str]]


@dataclass(frozen=True)
class _Seal:
    no: int
    at: datetime
    first_id: int | None
    last_id: int
    count: int
    prev: str
    sha256: str

    @property
    def range(self) -> str:
        if self.first_id is None:
            return "no entries"
        return f"entry {self.first_id}" if self.first_id == self.last_id else f"entries {self.first_id} to {self.last_id}"


@dataclass(frozen=True)
class Verdict:
    """What was found: `fault` names the first bad row or seal; `anchored_to` is the highest seal vouched for outside."""

    fault: str | None = None
    entries: int = 0
    seals: int = 0
    unsealed: int = 0
    newest: tuple[int, str] | None = None
    anchored_to: int | None = None

    def __str__(self) -> str:
        if self.fault:
            return f"not sound: {self.fault}"
        word = "consistent" if self.anchored_to is None else f"complete up to seal {self.anchored_to}"
        what = f"{self.entries} entries under {self.seals} seals, {self.unsealed} not sealed yet"
        seal = f"; newest seal no. {self.newest[0]}: {self.newest[1]}" if self.newest else ""
        cut = "" if self.anchored_to is not None else "; whether the end was cut off only anchors from outside can tell"
        return f"{word}: {what}{seal}{cut}"


def read_anchors(lines: Iterable[str]) -> Anchors:
    """Numbers and digests of seals in text from outside: JSON lines with `no` and `sha256`, lines of a log, of a channel."""
    found: dict[int, set[str]] = {}
    for line in lines:
        if anchor := _anchor_in(line):
            found.setdefault(anchor[0], set()).add(anchor[1])
    return {no: frozenset(digests) for no, digests in found.items()}


def _anchor_in(line: str) -> tuple[int, str] | None:
    try:
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record["no"], int):
            return record["no"], str(record["sha256"])
    except (ValueError, KeyError):
        pass
    parts = ANCHOR_TEXT.search(line)
    return (int(parts[1]), parts[2]) if parts else None


async def verify(engine: AsyncEngine, anchors: Anchors | None = None) -> Verdict:
    """Recompute the whole chain as of one moment, while the bot may go on writing."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            return await _Check(connection, anchors or {}).run()


@dataclass
class _Check:
    connection: AsyncConnection
    anchors: Anchors
    entries: int = 0
    seals: int = 0
    newest: tuple[int, str] = (0, "0" * 64)
    waiting: list[tuple[int, str]] = field(default_factory=list)
    read_to: int = BELOW_ALL

    async def run(self) -> Verdict:
        last_id = 0
        async for seal in self._all_seals():
            fault = self._misplaced(seal, last_id) or await self._unfit(seal)
            if fault:
                return Verdict(fault, self.entries, self.seals)
            self.seals, self.entries = self.seals + 1, self.entries + seal.count
            self.newest, last_id = (seal.no, seal.sha256), seal.last_id
        if (highest := max(self.anchors, default=0)) > self.newest[0]:
            cut = f"seal {highest} was vouched for outside and is not here: the end was cut off after seal {self.newest[0]}"
            return Verdict(cut, self.entries, self.seals)
        unsealed = [entry_id async for entry_id, _ in self._entries_to(None)]
        if unsealed and unsealed[0] <= last_id:  # only where there is no seal at all
            return Verdict(f"entry {unsealed[0]} lies below every id that is given", self.entries, self.seals)
        newest = self.newest if self.seals else None
        return Verdict(None, self.entries, self.seals, len(unsealed), newest, max(self.anchors, default=None))

    def _misplaced(self, seal: _Seal, last_id: int) -> str | None:
        no, digest = self.newest
        if seal.no != no + 1:
            return f"seal {no + 1} is missing" if seal.no > no else f"seal {seal.no} lies below the first"
        if seal.prev != digest:
            return f"seal {seal.no} does not follow seal {no}: one of the two was changed" if no else "seal 1 was changed"
        if seal.last_id < last_id or (seal.first_id is not None and seal.first_id <= last_id):
            return f"seal {seal.no} goes back over {seal.range}: it was changed"
        if seal.no in self.anchors and self.anchors[seal.no] != {seal.sha256}:
            return f"seal {seal.no} is not the one that was vouched for outside: it, or what lies before it, was written anew"
        return None

    async def _unfit(self, seal: _Seal) -> str | None:
        at = seal.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        first_id = "" if seal.first_id is None else str(seal.first_id)
        numbers = (str(seal.no), at, first_id, str(seal.last_id), str(seal.count))
        digest = hashlib.sha256("\n".join(("resumebot-seal/1", seal.prev, *numbers, "")).encode())
        ids: list[int] = []
        async for entry_id, entry in self._entries_to(seal.last_id):
            if seal.first_id is None or entry_id < seal.first_id:
                return f"entry {entry_id} was inserted: it lies before seal {seal.no} and belongs to none"
            encoded = entry.encode()
            digest.update(f"{entry_id} {len(encoded)}\n".encode() + encoded + b"\n")
            ids.append(entry_id)
        if digest.hexdigest() == seal.sha256:
            return None
        follower = (await self.connection.execute(LINK, {"no": seal.no + 1})).scalar_one_or_none()
        if follower == digest.hexdigest():
            return f"seal {seal.no} was changed: its digest is not that of its {seal.range}, which the next seal confirms"
        return _misfit(seal, ids)

    async def _all_seals(self) -> AsyncIterator[_Seal]:
        async for row in _rows(self.connection, SEALS, BELOW_ALL):
            yield _Seal(*row)

    async def _entries_to(self, last_id: int | None) -> AsyncIterator[tuple[int, str]]:
        """The entries not read yet, up to this id."""
        while True:
            if not self.waiting:
                page = await self.connection.execute(ENTRIES, {"after": self.read_to, "page": PAGE})
                self.waiting = [(row.id, row.entry) for row in page][::-1]
            if not self.waiting or (last_id is not None and self.waiting[-1][0] > last_id):
                return
            entry = self.waiting.pop()
            self.read_to = entry[0]
            yield entry


async def _rows(connection: AsyncConnection, statement: Any, after: int) -> AsyncIterator[Any]:
    while page := (await connection.execute(statement, {"after": after, "page": PAGE})).all():
        for row in page:
            yield row
        after = page[-1][0]


def _misfit(seal: _Seal, ids: list[int]) -> str:
    where = f"seal {seal.no} over {seal.range}"
    present = set(ids)
    if len(ids) < seal.count and seal.first_id is not None:
        absent = [each for each in range(seal.first_id, seal.first_id + len(ids) + NAMED) if each not in present]
        absent = list(islice((each for each in absent if each <= seal.last_id), NAMED))
        named = listed([str(each) for each in absent], "or")
        return f"entry {named} is missing: {where} holds {seal.count} and {len(ids)} are there"
    if len(ids) > seal.count:
        return f"entry {_some(ids)} was inserted: {where} holds {seal.count} and {len(ids)} are there"
    return f"entry {_some(ids)} was changed or moved: the digest of {where} is another"


def _some(ids: list[int]) -> str:
    more = " or a later one" if len(ids) > NAMED else ""
    return listed([str(each) for each in ids[:NAMED]], "or") + more
