"""The job engine: one app per group of workers, each task calls one service function, workers are supervised.

groups: slack (deliveries), timer (everything scheduled), lookup (commands), engine:<connection> (one each, so that a slow
engine holds up no other). Tables decide, jobs are hints: a task carries ids, re-reads state, and may run twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager
from psycopg.conninfo import make_conninfo
from psycopg.errors import RaiseException
from psycopg_pool import PoolTimeout

from bot.domain.setup import Timings

log = logging.getLogger(__name__)

Work = Callable[..., Awaitable[Any]]
POOL_TIMEOUT = 4.0  # shorter than the job engine's own patience: a worker without a database ends and is started anew
GRACEFUL = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
PAUSES_TO_END = (0.1, 0.4, 1.6)  # between tries to write that a job has ended
LOCKED = frozenset({"deliver", "carry_out"})  # tasks whose jobs carry a lock: never scheduled, never retried
RETRY = RetryStrategy(max_attempts=4, exponential_wait=2)


@dataclass(frozen=True)
class Periodic:
    """A task that comes by itself every so many seconds; a divisor of 60, or whole minutes."""

    task: str
    seconds: int

    @property
    def cron(self) -> str:
        """As the job engine's scheduler reads it; the last field holds seconds."""
        if self.seconds < 60:
            return f"* * * * * */{self.seconds}"
        return f"*/{max(self.seconds // 60, 1)} * * * *"


@dataclass(frozen=True)
class Group:
    """Workers that share queues: how many jobs at once, how often they look for jobs that nobody announced."""

    name: str
    queue: str
    concurrency: int
    poll_seconds: float
    tasks: Mapping[str, Work]
    periodic: Sequence[Periodic] = ()


def tick_for(every: int) -> int:
    """The longest tick the scheduler knows that is not above `every` seconds."""
    return max(tick for tick in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60) if tick <= max(every, 1))


def worker_app(group: Group, conninfo: str) -> App:
    """The app of a group: its own small pool, its tasks, and at least one periodic task (without one a worker goes deaf)."""
    if not group.periodic:
        raise ValueError(f"group {group.name} has no periodic task: its workers would go deaf when the database restarts")
    connector = PsycopgConnector(
        conninfo=make_conninfo(conninfo, options="-c search_path=public,jobs", application_name=f"resumebot {group.name}"),
        min_size=2,
        max_size=group.concurrency + 3,
        timeout=POOL_TIMEOUT,
    )
    app = App(connector=connector)
    app.job_manager = _SteadyJobs(connector)
    every = {periodic.task: periodic for periodic in group.periodic}
    for name, work in group.tasks.items():
        function = _timed(work) if name in every else work
        retry: RetryStrategy | bool = False if name in LOCKED else RETRY
        task = app.task(name=name, queue=group.queue, retry=retry)(_named(name, function))
        if name in every:
            app.periodic(cron=every[name].cron)(task)
    return app


def _timed(work: Work) -> Work:
    async def timed(timestamp: int) -> None:
        await work()

    return timed


def _named(name: str, work: Work) -> Work:
    async def run(**arguments: Any) -> None:
        await work(**arguments)

    run.__name__ = name
    return run


class _SteadyJobs(JobManager):
    """Says again that a job has ended when the database did not hear it: one that seems to run shuts its lane for good."""

    def __init__(self, connector: PsycopgConnector) -> None:
        super().__init__(connector)
        self.gave_up = asyncio.Event()

    async def finish_job(self, *args: Any, **kwargs: Any) -> None:
        await self._insist(partial(super().finish_job, *args, **kwargs))

    async def retry_job(self, *args: Any, **kwargs: Any) -> None:
        await self._insist(partial(super().retry_job, *args, **kwargs))

    async def _insist(self, write: Work) -> None:
        for pause in (*PAUSES_TO_END, None):
            try:
                await write()
            except ConnectorException as fault:
                if isinstance(fault.__cause__, RaiseException):
                    return  # the job engine's own function: it was heard before, or another worker has taken the job over
                if pause is None or isinstance(fault.__cause__, PoolTimeout):
                    break  # the database is away
                await asyncio.sleep(pause)
            else:
                return
        self.gave_up.set()  # the worker ends, and with it its claim on the job


class Workers:
    """All groups of one process, each in a loop that starts its worker anew whatever ends it."""

    def __init__(self, groups: Sequence[Group], conninfo: str, timings: Timings, on_failure: Work) -> None:
        self._groups, self._conninfo, self._timings, self._on_failure = groups, conninfo, timings, on_failure
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop` is called; returns when running jobs have ended, or 20 s later."""
        async with asyncio.TaskGroup() as together:
            for group in self._groups:
                together.create_task(self._supervise(group), name=f"workers {group.name}")

    def stop(self) -> None:
        """Take no new job."""
        self._stopping.set()

    async def _supervise(self, group: Group) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            try:
                await self._work(group)
                if self._stopping.is_set():
                    return
                log.warning("workers ended by themselves and are started anew", extra={"group": group.name})
            except Exception as fault:  # noqa: BLE001 — a border: whatever ends a worker, the next one starts
                log.warning("workers broke and are started anew", extra={"group": group.name, "fault": type(fault).__name__})
            lasted = asyncio.get_running_loop().time() - begun
            pause = FIRST_PAUSE if lasted > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _work(self, group: Group) -> None:
        app = worker_app(group, self._conninfo)
        assert isinstance(app.job_manager, _SteadyJobs)  # noqa: S101 — just made so
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=[group.queue],
                    name=group.name,
                    concurrency=group.concurrency,
                    fetch_job_polling_interval=group.poll_seconds,
                    shutdown_graceful_timeout=GRACEFUL,
                    update_heartbeat_interval=self._timings.heartbeat,
                    stalled_worker_timeout=self._timings.takeover,
                    delete_jobs="successful",
                    install_signal_handlers=False,
                    task_middleware=[self._watched],
                )
            )
            reasons = [asyncio.create_task(event.wait()) for event in (self._stopping, app.job_manager.gave_up)]
            await asyncio.wait({worker, *reasons}, return_when=asyncio.FIRST_COMPLETED)
            for reason in reasons:
                reason.cancel()
            if not worker.done():
                worker.cancel()  # the job engine's word for: take no more, end what runs
            await asyncio.gather(worker, return_exceptions=True)
            if not worker.cancelled() and (fault := worker.exception()):
                raise fault

    async def _watched(self, call: Callable[[], Awaitable[Any]], context: JobContext, worker: Any) -> Any:
        try:
            return await call()
        except Exception as fault:
            job = context.job
            log.exception("job failed", extra={"task": job.task_name, "job": job.id, "arguments": job.task_kwargs})
            await self._on_failure(job.task_name, job.id, fault)
            raise


async def rescue(conninfo: str, seconds: float) -> int:
    """Give the jobs of workers without a heartbeat for so long to others; how many."""
    connector = PsycopgConnector(
        conninfo=make_conninfo(conninfo, options="-c search_path=public,jobs"), min_size=1, timeout=POOL_TIMEOUT
    )
    app = App(connector=connector)
    app.job_manager = _SteadyJobs(connector)
    async with app.open_async():
        stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds))
        for job in stalled:
            log.warning("job of a dead worker is taken over", extra={"task": job.task_name, "job": job.id})
            await app.job_manager.retry_job(job)
    return len(stalled)
