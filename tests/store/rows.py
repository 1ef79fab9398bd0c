"""A store on a test's own database, and a look at its rows."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from bot.domain.incident import Incident
from bot.domain.request import Request
from bot.service.unit import Rank
from bot.store.unit_of_work import SqlStore
from tests.domain.things import CHANNEL, HOME, NOW, incident, request
from tests.fakes import FakeClock, open_store

LANE = f"{HOME}:{CHANNEL}"


@asynccontextmanager
async def opened(url: str, pool_size: int = 8) -> AsyncIterator[SqlStore]:
    """A store whose clock stands at NOW."""
    async with open_store(url, FakeClock(NOW), pool_size) as store:
        yield store


async def ask(store: SqlStore, sql: str, **values: Any) -> list[Any]:
    """Rows; plain values where there is one column."""
    async with store.engine.begin() as connection:
        result = await connection.execute(text(sql), values)
        return [row[0] if len(row) == 1 else tuple(row) for row in result] if result.returns_rows else []


async def count(store: SqlStore, table: str) -> int:
    """How many rows a table has."""
    return int((await ask(store, f"SELECT count(*) FROM {table}"))[0])


async def trail(store: SqlStore) -> list[dict[str, Any]]:
    """The audit entries, oldest first."""
    return [json.loads(entry) for entry in await ask(store, "SELECT entry FROM audit_entries ORDER BY id")]


async def jobs(store: SqlStore) -> list[tuple[str, str, dict[str, Any]]]:
    """Queue, task and arguments of the jobs that wait."""
    return await ask(store, "SELECT queue_name, task_name, args FROM jobs.procrastinate_jobs WHERE status = 'todo' ORDER BY id")


async def add_incident(store: SqlStore, number: int = 1, **changes: Any) -> Incident:
    """A stored incident of `run-<number>`."""
    name = f"run-{number}"
    async with store.unit() as unit:
        return await unit.incidents.add(incident(id=0, execution_id=name, **{"root": name, **changes}))


async def add_request(store: SqlStore, of: Incident, **changes: Any) -> Request:
    """A stored request on the incident."""
    async with store.unit() as unit:
        made = request(id=await unit.requests.new_id(), incident_id=of.id, root=of.root, execution_id=of.execution_id)
        made = Request(**{**made.__dict__, **changes})
        await unit.requests.add(made)
    return made


async def want(store: SqlStore, subject: str, surface: str = "card", rank: Rank = Rank.CARD, **options: Any) -> None:
    """A message that should stand in the channel."""
    async with store.unit() as unit:
        unit.messages.want(subject, surface, rank, workspace=HOME, channel=CHANNEL, **options)
