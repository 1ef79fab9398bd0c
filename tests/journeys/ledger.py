"""What stands committed in the database, read with statements of its own on a connection of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import make_url

from bot.store.unit_of_work import open_engine
from bot.store.verify import Verdict, verify

ENTRIES = """
SELECT id, entry FROM audit_entries
 WHERE execution = %(execution)s OR incident = ANY(%(incidents)s) OR request = ANY(%(requests)s)
 ORDER BY id
"""
INTENTS = "SELECT count(*) AS n FROM audit_entries WHERE execution = %(execution)s AND action = %(action)s"
INCIDENTS = "SELECT 'inc-' || incident_id AS label FROM incident_executions WHERE execution_id = %(execution)s"
REQUESTS = "SELECT 'req-' || id AS label, state FROM requests WHERE execution_id = %(execution)s ORDER BY id"
MESSAGES = """
SELECT subject, surface, ts, wanted, posted, dead_because FROM messages
 WHERE subject = ANY(%(incidents)s) OR subject = ANY(%(requests)s) ORDER BY id
"""
FAILED_JOBS = "SELECT id, task_name FROM jobs.procrastinate_jobs WHERE status = 'failed'"
CARRIED_OUT = "SELECT count(*) AS n FROM jobs.procrastinate_jobs WHERE task_name = 'carry_out' AND status = 'doing'"
MARK = "SELECT polled_to FROM connections WHERE name = 'orders'"


@dataclass(frozen=True)
class Entry:
    """One line of the audit trail."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    request: str | None
    incident: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Placed:
    """One message as the bot believes it stands."""

    subject: str
    surface: str
    ts: str | None
    is_due: bool
    dead_because: str | None


class Ledger:
    """The database of one installation, by its SQLAlchemy address, which an embedded one has only once it runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """All rows of a statement."""
        conninfo = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        async with await psycopg.AsyncConnection.connect(conninfo, row_factory=dict_row, connect_timeout=5) as connection:
            return await (await connection.execute(statement.encode(), values)).fetchall()

    async def intents(self, execution: str, action: str = "request:call:sent") -> int:
        """How many calls on the execution are announced."""
        return int((await self.rows(INTENTS, execution=execution, action=action))[0]["n"])

    async def is_watched(self) -> bool:
        """Whether the engine has been asked for failures, so that what fails from now on counts."""
        return any(row["polled_to"] for row in await self.rows(MARK))

    async def requests(self, execution: str) -> dict[str, str]:
        """The state of each request on the execution, oldest first."""
        return {row["label"]: row["state"] for row in await self.rows(REQUESTS, execution=execution)}

    async def entries(self, execution: str) -> list[Entry]:
        """The trail of an execution, of its incident and of its requests."""
        rows = await self.rows(ENTRIES, execution=execution, **await self._labels(execution))
        return [_entry(row) for row in rows]

    async def messages(self, execution: str) -> list[Placed]:
        """The messages about an execution."""
        rows = await self.rows(MESSAGES, **await self._labels(execution))
        return [
            Placed(row["subject"], row["surface"], row["ts"], row["wanted"] > row["posted"], row["dead_because"])
            for row in rows
        ]

    async def failed_jobs(self) -> list[str]:
        """Jobs that were given up."""
        return [f"{row['task_name']} (job {row['id']})" for row in await self.rows(FAILED_JOBS)]

    async def are_being_carried_out(self, count: int) -> bool:
        """Whether workers have so many calls in hand."""
        return int((await self.rows(CARRIED_OUT))[0]["n"]) == count

    async def verdict(self) -> Verdict:
        """What the product's own verification says of the trail."""
        engine = open_engine(self.url, pool_size=1)
        try:
            return await verify(engine)
        finally:
            await engine.dispose()

    async def _labels(self, execution: str) -> dict[str, list[str]]:
        found = [row["label"] for row in await self.rows(INCIDENTS, execution=execution)]
        return {"incidents": found, "requests": list(await self.requests(execution))}


def _entry(row: Mapping[str, Any]) -> Entry:
    told = json.loads(row["entry"])
    names = ("at", "actor", "action", "subject", "request", "incident", "data")
    return Entry(row["id"], **{name: told[name] for name in names})
