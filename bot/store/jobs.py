"""Enqueues jobs by name, on the connection of the unit, so that a rollback takes row and job together."""

import json

from procrastinate import App, jobs
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.service.unit import Job
from bot.store.prepared import Prepared, driver_of

# A job that waits and is due makes another one needless; the share lock keeps it from starting before this commit.
WAITING_ON_LANES = Prepared(
    text(
        "SELECT lock, task_name FROM jobs.procrastinate_jobs WHERE lock = ANY(:lanes) AND status = 'todo'"
        " AND (scheduled_at IS NULL OR scheduled_at <= now()) FOR KEY SHARE"
    )
)
WAITING_WITH_ARGS = Prepared(
    text(
        "SELECT 1 FROM jobs.procrastinate_jobs WHERE task_name = :task AND queue_name = :queue AND args = CAST(:args AS jsonb)"
        " AND status IN ('todo', 'doing') LIMIT 1"
    )
)


class JobRows:
    """The unit's side of the job engine; `app` is never opened and knows no task. What is enqueued is written by `write`."""

    def __init__(self, connection: AsyncConnection, app: App) -> None:
        self._connection, self._app = connection, app
        self._waiting: list[Job] = []

    async def enqueue(self, job: Job) -> None:
        """Defer a job with the commit, unless it collapses with one that waits on its lane and is due."""
        if job.lane and job.at:
            raise ValueError("a scheduled job with a lock would block everything behind it")
        if not (job.collapses and job in self._waiting):
            self._waiting.append(job)

    async def enqueue_once(self, job: Job) -> None:
        """Defer a job unless the same one waits or runs."""
        known = {"task": job.task, "queue": job.queue, "args": json.dumps(dict(job.args))}
        if job not in self._waiting and not await WAITING_WITH_ARGS.first(driver_of(self._connection), **known):
            await self.enqueue(job)

    async def write(self) -> None:
        """Defer everything at once, on the connection of the unit, so that a rollback takes rows and jobs together."""
        jobs, self._waiting = self._waiting, []
        if lanes := [job.lane for job in jobs if job.collapses]:
            stand = {tuple(row) for row in await WAITING_ON_LANES.rows(driver_of(self._connection), lanes=lanes)}
            jobs = [job for job in jobs if not (job.collapses and (job.lane, job.task) in stand)]
        if jobs:
            await self._defer(*jobs)

    async def _defer(self, *jobs: Job) -> None:
        made = [self._configured(job) for job in jobs]
        await self._app.job_manager.batch_defer_jobs_async(made, connection=driver_of(self._connection))

    def _configured(self, job: Job) -> jobs.Job:
        deferrer = self._app.configure_task(job.task, queue=job.queue, lock=job.lane, schedule_at=job.at)
        return deferrer.make_new_job(**dict(job.args))
