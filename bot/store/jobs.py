"""Enqueues jobs by name, with the commit of the unit, so that a rollback takes rows and jobs together."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.service.unit import Job
from bot.store.prepared import Last, Prepared, driver_of

# The job engine's own function takes them all at once. A job that waits and is due makes another one of its lane needless;
# the share lock keeps it from starting before this commit.
DEFER = Prepared(
    text(
        "WITH waiting AS MATERIALIZED (SELECT lock, task_name FROM jobs.procrastinate_jobs WHERE lock = ANY(:lanes)"
        " AND status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()) FOR KEY SHARE)"
        " SELECT jobs.procrastinate_defer_jobs_v1(array_agg(ROW(made.queue, made.task, 0, made.lane, NULL, made.args, made.at)"
        "::jobs.procrastinate_job_to_defer_v1 ORDER BY made.number))"
        " FROM jsonb_to_recordset(CAST(:made AS jsonb)) AS made(number integer, queue text, task text, lane text,"
        " args jsonb, at timestamptz, collapses boolean)"
        " WHERE NOT (made.collapses AND EXISTS"
        " (SELECT 1 FROM waiting WHERE waiting.lock = made.lane AND waiting.task_name = made.task))"
        " HAVING count(*) > 0"
    )
)
WAITING_WITH_ARGS = Prepared(
    text(
        "SELECT 1 FROM jobs.procrastinate_jobs WHERE task_name = :task AND queue_name = :queue AND args = CAST(:args AS jsonb)"
        " AND status IN ('todo', 'doing') LIMIT 1"
    )
)


class JobRows:
    """The unit's side of the job engine; what is enqueued is written with the commit."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
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

    def write(self, last: Last) -> None:
        """Leave all that was enqueued to the commit."""
        jobs, self._waiting = self._waiting, []
        if jobs:
            last.add(DEFER, **arguments_of(jobs))


def arguments_of(jobs: Sequence[Job]) -> dict[str, Any]:
    """These jobs as DEFER takes them."""
    made = [
        {
            "number": number,
            "queue": job.queue,
            "task": job.task,
            "lane": job.lane,
            "args": dict(job.args),
            "at": job.at.isoformat() if job.at else None,
            "collapses": job.collapses,
        }
        for number, job in enumerate(jobs)
    ]
    return {"lanes": [job.lane for job in jobs if job.collapses], "made": json.dumps(made)}
