"""What the verbs of the command line open and read: the database of this installation, moments, lists."""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from bot import bootstrap
from bot.config import Settings
from bot.domain.errors import ConfigError
from bot.domain.incident import Incident
from bot.domain.request import STATE_WORDS, Request
from bot.domain.text import shorten
from bot.store.audit import as_text
from bot.store.queries import SqlReadings
from bot.store.standstill import standstills

SPAN = re.compile(r"(\d{1,6})([smhd])")
SPANS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
WIDEST = 100


@dataclass(frozen=True)
class Table:
    """Rows for people, and the same as records for programs."""

    records: Sequence[dict[str, Any]]
    columns: Sequence[str]
    empty: str

    def lines(self, *, as_json: bool) -> Iterable[str]:
        """A line of JSON for each record, or columns of text under a head."""
        if as_json:
            return [json.dumps(record, ensure_ascii=False) for record in self.records]
        if not self.records:
            return [self.empty]
        rows = [self.columns, *[[_cell(record[column]) for column in self.columns] for record in self.records]]
        widths = [max(len(row[number]) for row in rows) for number in range(len(self.columns))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(value: object) -> str:
    return "" if value is None else shorten(str(value), WIDEST)


@contextlib.asynccontextmanager
async def readable(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database for reading, whether or not a bot runs on it; raises ConfigError where there is none yet."""
    if not has_database(settings):
        raise ConfigError(f"There are no data in {settings.data} yet: `resumebot run` makes them; or set DATABASE_URL.")
    async with bootstrap.open_readable(settings) as engine:
        yield engine


def has_database(settings: Settings) -> bool:
    """Whether there is something to open; looking must not make an embedded database."""
    return settings.database_url is not None or (settings.data / "pg").exists()


def moment(text: str) -> datetime:
    """A point in time as people write it: `2h` ago, or a date with or without a time, UTC unless it says otherwise."""
    try:
        if span := SPAN.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(**{SPANS[span[2]]: int(span[1])})
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("write “2h”, “7d”, “2026-03-01” or “2026-03-01T12:00:00Z”") from None


async def incidents(settings: Settings, limit: int) -> Table:
    """The newest open incidents."""
    async with readable(settings) as engine:
        found = await SqlReadings(engine).open_incidents(limit)
    columns = ("incident", "connection", "execution", "stage", "opened_at", "channel", "error")
    return Table([_incident(each) for each in found], columns, "No failure needs a human.")


def _incident(incident: Incident) -> dict[str, Any]:
    return {
        "incident": incident.label,
        "state": incident.state.value,
        "connection": incident.connection,
        "execution": incident.execution_id,
        "name": incident.name or None,
        "stage": incident.stage or None,
        "error": incident.error or None,
        "channel": incident.channel,
        "failures": incident.failures,
        "acknowledged_by": incident.acknowledged_by,
        "assigned_to": incident.assigned_to,
        "opened_at": _at(incident.opened_at),
        "failed_at": _at(incident.failed_at),
        "read_at": _at(incident.read_at),
    }


async def requests(settings: Settings, limit: int, *, all_states: bool) -> Table:
    """The newest requests that may still have an effect, or all of them."""
    async with readable(settings) as engine:
        readings = SqlReadings(engine)
        found = await (readings.requests(limit) if all_states else readings.live_requests(limit))
    columns = ("request", "state", "action", "connection", "execution", "point", "requester", "requested_at", "meaning")
    return Table([_request(each) for each in found], columns, "No request is under way.")


def _request(request: Request) -> dict[str, Any]:
    return {
        "request": request.label,
        "state": request.state.value,
        "meaning": STATE_WORDS[request.state],
        "incident": request.incident_label,
        "action": request.action.value,
        "connection": request.connection,
        "execution": request.execution_id,
        "new_execution": request.new_execution,
        "name": request.name or None,
        "point": request.point.label,
        "requester": request.requester,
        "approvers": list(request.approvers),
        "policies": request.rules.names,
        "requested_at": _at(request.requested_at),
        "expires_at": _at(request.expires_at),
        "ended_at": _at(request.ended_at),
        "outcome": request.outcome or None,
    }


async def stuck(settings: Settings) -> Table:
    """What stands still."""
    async with readable(settings) as engine:
        found = await standstills(engine, datetime.now(UTC))
    records = [{"kind": each.kind, "subject": each.subject, "since": _at(each.since), "why": each.sentence} for each in found]
    return Table(records, ("kind", "subject", "since", "why"), "Nothing stands still.")


def _at(value: datetime | None) -> str | None:
    return as_text(value) if value else None
