"""Finds what stands still and may need a human: requests, messages, commands, jobs, incidents nobody sees, silent engines."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.setup import Timings

SHOWN = 200  # of each kind, the newest
DEAD_FOR = timedelta(days=7)  # older dead letters have been seen or will not be
LATE = timedelta(minutes=1)
# each gives subject, since, sentence
KINDS = {
    "request": """
        SELECT 'req-' || id, coalesce(sent_at, requested_at),
               CASE state WHEN 'approved' THEN 'approved and held back' WHEN 'resuming' THEN 'sent, and no answer was recorded'
                          ELSE 'no clear answer came: look at the engine, then “Press again” or “Close as not run”' END
               || CASE outcome WHEN '' THEN '' ELSE ': ' || outcome END
        FROM requests
        WHERE state = 'unknown' OR (state = 'resuming' AND sent_at < :ended)
           OR (state = 'approved' AND (tries > 0 OR not_before IS NOT NULL))
        ORDER BY id DESC LIMIT :shown""",
    "dead letter": """
        SELECT subject, dead_at,
               surface || ' for ' || coalesce(channel, user_id, 'one person') || ': ' || coalesce(dead_because, '')
        FROM messages WHERE dead_at > :dead ORDER BY id DESC LIMIT :shown""",
    "unsent": """
        SELECT lane, min(coalesce(not_before, created_at)), count(*) || ' messages wait to be sent; is a worker running?'
        FROM messages
        WHERE wanted > posted AND dead_at IS NULL AND folded_into IS NULL AND created_at < :late
          AND coalesce(not_before, created_at) < :late AND (expires_at IS NULL OR expires_at > :now)
        GROUP BY lane ORDER BY lane LIMIT :shown""",
    "command": """
        SELECT 'lookup-' || id, at, verb || ' ' || argument || ' of ' || user_id || ' waits for its answer'
        FROM lookups WHERE answered_at IS NULL AND at < :late ORDER BY id DESC LIMIT :shown""",
    "incident": """
        SELECT 'inc-' || id, opened_at, connection || ':' || execution_id || ' has no channel: no route matches it'
        FROM incidents WHERE state = 'open' AND channel IS NULL AND opened_at < :late ORDER BY id DESC LIMIT :shown""",
    "job": """
        SELECT 'job-' || id, (SELECT max(at) FROM jobs.procrastinate_events WHERE job_id = job.id),
               task_name || ' ' || args::text || ' failed after ' || attempts || ' tries'
        FROM jobs.procrastinate_jobs AS job WHERE status = 'failed' ORDER BY id DESC LIMIT :shown""",
    "engine": """
        SELECT name, silent_since, 'cannot be reached; last answer ' || coalesce(answered_at::text, 'never') || ': ' || silence
        FROM connections WHERE silent_since IS NOT NULL ORDER BY name LIMIT :shown""",
}


@dataclass(frozen=True)
class Standstill:
    """One thing that stands still: what, which, since when, and why as far as that is known."""

    kind: str
    subject: str
    since: datetime | None
    sentence: str


async def standstills(engine: AsyncEngine, now: datetime) -> list[Standstill]:
    """All of them, kind by kind."""
    times = {"now": now, "late": now - LATE, "dead": now - DEAD_FOR, "ended": now - Timings().surely_ended}
    found = []
    async with engine.connect() as connection:
        for kind, sql in KINDS.items():
            rows = await connection.execute(text(sql), {**times, "shown": SHOWN})
            found += [Standstill(kind, subject, since, sentence) for subject, since, sentence in rows]
    return found
