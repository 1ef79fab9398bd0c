"""The figures of /metrics, read from the tables at the moment of asking, in Prometheus' text form; names and counts only."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

GAUGES = {
    "resumebot_incidents_open": ("Failures that need a human.", "SELECT count(*) FROM incidents WHERE state = 'open'"),
    "resumebot_messages_due": (
        "Messages that wait to be sent.",
        "SELECT count(*) FROM messages WHERE wanted > posted AND dead_at IS NULL AND folded_into IS NULL",
    ),
    "resumebot_messages_dead": (
        "Messages that could not be delivered.",
        "SELECT count(*) FROM messages WHERE dead_at IS NOT NULL",
    ),
    "resumebot_lookups_waiting": (
        "Commands that wait for an answer.",
        "SELECT count(*) FROM lookups WHERE answered_at IS NULL",
    ),
    "resumebot_notices_rejected": ("Notices that could not be read.", "SELECT count(*) FROM rejected_notices"),
    "resumebot_audit_entries_unsealed": (
        "Audit entries above the last seal.",
        "SELECT count(*) FROM audit_entries WHERE id > coalesce((SELECT max(last_id) FROM audit_seals), 0)",
    ),
}
LABELLED = {
    "resumebot_requests": ("Requests by state.", ("state",), "SELECT state, count(*) FROM requests GROUP BY 1 ORDER BY 1"),
    "resumebot_jobs": (
        "Jobs by queue and status.",
        ("queue", "status"),
        "SELECT queue_name, status::text, count(*) FROM jobs.procrastinate_jobs GROUP BY 1, 2 ORDER BY 1, 2",
    ),
}


async def exposition(engine: AsyncEngine, now: datetime) -> str:
    """All gauges."""
    lines: list[str] = []
    async with engine.connect() as connection:
        for name, (help_text, sql) in GAUGES.items():
            lines += _head(name, help_text)
            lines.append(f"{name} {(await connection.execute(text(sql))).scalar_one()}")
        for name, (help_text, labels, sql) in LABELLED.items():
            lines += _head(name, help_text)
            for *values, count in await connection.execute(text(sql)):
                pairs = [f'{label}="{_quoted(value)}"' for label, value in zip(labels, values, strict=True)]
                lines.append(f"{name}{{{','.join(pairs)}}} {count}")
        lines += await _silence(connection, now)
    return "\n".join(lines) + "\n"


async def _silence(connection: AsyncConnection, now: datetime) -> list[str]:
    name = "resumebot_engine_silent_seconds"
    rows = await connection.execute(text("SELECT name, silent_since FROM connections ORDER BY name"))
    lines = _head(name, "Since when a connection's engine does not answer; 0 while it does.")
    for row in rows:
        seconds = (now - row.silent_since).total_seconds() if row.silent_since else 0
        lines.append(f'{name}{{connection="{_quoted(row.name)}"}} {max(seconds, 0):.0f}')
    return lines


def _head(name: str, help_text: str) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
