"""Enqueues jobs by name, on the connection of the unit, so that a rollback takes row and job together."""

import json

from procrastinate import App
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.service.unit import Job

# A job that waits and is due makes another one needless; the share lock keeps it from starting before this commit.
WAITING_ON_LANE = text(
    "SELECT id FROM jobs.procrastinate_jobs WHERE lock = :lane AND task_name = :task AND status = 'todo'"
    " AND (scheduled_at IS NULL OR scheduled_at <= now()) LIMIT 1 FOR KEY SHARE"
)
WAITING_WITH_ARGS = text(
    "SELECT 1 FROM jobs.procrastinate_jobs WHERE task_name = :task AND queue_name = :queue AND args = CAST(:args AS jsonb)"
    " AND status IN ('todo', 'doing') LIMIT 1"
)


class JobRows:
    """The unit's side of the job engine; `app` is never opened and knows no task."""

    def __init__(self, connection: AsyncConnection, app: App) -> None:
        self._connection, self._app = connection, app

    async def enqueue(self, job: Job) -> None:
        """Defer a job with the commit, unless it collapses with one that waits on its lane and is due."""
        if job.lane and job.at:
            raise ValueError("a scheduled job with a lock would block everything behind it")
        if job.collapses:
            waiting = await self._connection.execute(WAITING_ON_LANE, {"lane": job.lane, "task": job.task})
            if waiting.first():
                return
        await self._defer(job)

    async def enqueue_once(self, job: Job) -> None:
        """Defer a job unless the same one waits or runs."""
        known = {"task": job.task, "queue": job.queue, "args": json.dumps(dict(job.args))}
        if not (await self._connection.execute(WAITING_WITH_ARGS, known)).first():
            await self.enqueue(job)

    async def _defer(self, job: Job) -> None:
        raw = (await self._connection.get_raw_connection()).driver_connection
        deferrer = self._app.configure_task(job.task, queue=job.queue, lock=job.lane, schedule_at=job.at, connection=raw)
        await deferrer.defer_async(**dict(job.args))
