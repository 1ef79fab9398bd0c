"""An audit trail to be sealed and tampered with: entries, a clock that stands still, and the hand of a superuser."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.audit import AuditAction, AuditEntry
from bot.store import audit
from bot.store.prepared import Last, driver_of
from bot.store.unit_of_work import open_engine

BEGIN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass
class StandingClock:
    """Both clocks stand until they are moved."""

    at: datetime = BEGIN

    def now(self) -> datetime:
        """The wall clock."""
        return self.at

    def boot(self) -> float:
        """The boot-time clock."""
        return self.at.timestamp()

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a test's database."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()


def entry(number: int, **changes: object) -> AuditEntry:
    """An entry that differs from the others."""
    values = {"at": BEGIN + timedelta(seconds=number), "actor": "slack:T1/U1", "action": AuditAction.APPROVED}
    values |= {"subject": f"req-{number}", "request": f"req-{number}", "data": {"text": f"line\n{number} é"}} | changes
    return AuditEntry(**values)  # type: ignore[arg-type]


async def write(engine: AsyncEngine, *entries: AuditEntry) -> None:
    """Append entries as the store does."""
    async with engine.begin() as connection:
        last = Last()
        audit.write(last, entries)
        await last.commit(driver_of(connection))


async def tamper(engine: AsyncEngine, *statements: str) -> None:
    """Run statements as somebody who may switch the guards off."""
    async with engine.begin() as connection:
        for table in ("audit_entries", "audit_seals"):
            await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        for statement in statements:
            await connection.execute(text(statement))
        for table in ("audit_entries", "audit_seals"):
            await connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER ALL"))


async def ask(engine: AsyncEngine, statement: str) -> Sequence[object]:
    """The first column of what a statement gives."""
    async with engine.connect() as connection:
        return (await connection.execute(text(statement))).scalars().all()
