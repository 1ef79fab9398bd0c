"""What tests of the command line put into the database, and how a call of the program ended."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from bot.domain.audit import AuditEntry
from bot.store.seals import Seal, seal
from bot.store.tables import incidents
from tests.store.trail import StandingClock, opened, write

SET = {"ORDERS_TOKEN": "token-of-orders", "SLACK_BOT_TOKEN": "xoxb-geheim", "SLACK_SIGNING_SECRET": "signing-geheim"}
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=2)


@dataclass(frozen=True)
class Ended:
    """How a call of the program ended."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Ended]


def fill(database: str, *entries: AuditEntry, sealed: bool = True) -> Seal | None:
    """Write entries, and seal them."""

    async def work() -> Seal | None:
        async with opened(database) as engine:
            await write(engine, *entries)
            return await seal(engine, StandingClock()) if sealed else None

    return asyncio.run(work())


def put(database: str, *rows: tuple[Any, dict[str, Any]]) -> None:
    """Put rows into tables."""

    async def work() -> None:
        async with opened(database) as engine, engine.begin() as connection:
            for table, values in rows:
                await connection.execute(insert(table).values(values))

    asyncio.run(work())


def incident(**changes: Any) -> tuple[Any, dict[str, Any]]:
    """The row of an incident that stands open, but for these changes."""
    values = {"workspace": "T1", "connection": "orders", "execution_id": "run-1", "state": "open", "opened_at": LONG_AGO}
    return incidents, values | {"channel": "C0DEPLOYS", "stage": "deploy", "error": "disk\nfull"} | changes
