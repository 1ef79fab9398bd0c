"""Planted bugs: each is a small change of a part, and each breaks a promise that the history checker must miss.

ack before commit            the person hears "done" while the transaction is still open
blind second call            an answer that was lost is asked for again, by calling again
no fence                     the call leaves however late it is
lock on a timer              a job that waits for its time holds the lane of the call
queueing lock on a change    a wake-up that stands there already turns the commit into a rollback
dropped entry                the trail cannot be written, so the change goes on without it
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.domain.audit import AuditAction
from bot.domain.errors import OutcomeUnknown
from bot.domain.execution import ExecutionRef, Receipt, ResumePoint
from bot.service.unit import Job, lane_of
from bot.store.audit import APPEND, canonical
from bot.store.prepared import driver_of
from bot.store.requests import ADD
from bot.store.unit_of_work import SqlUnit
from tests.journeys.pointed import PointedRestate, PointedStore

LATE = 0.3  # seconds from the answer to the commit that should have come before it


class EagerStore(PointedStore):
    """Answers before it commits."""

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """A unit whose commit comes later where a person waits."""
        opened = super().unit(hurried=hurried)
        if not hurried:
            async with opened as unit:
                yield unit
            return
        unit = await opened.__aenter__()
        yield unit

        async def commit() -> None:
            await asyncio.sleep(LATE)
            for entry in unit._entries:
                self.points.reach("before_commit", entry.execution or "")
            await opened.__aexit__(None, None, None)

        self.committing = asyncio.create_task(commit())


class BlindRestate(PointedRestate):
    """Calls again when the answer was lost."""

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """One call, or two."""
        try:
            return await super().resume(ref, point, key, send_before)
        except OutcomeUnknown:
            return await super().resume(ref, point, key, send_before)


class UnfencedRestate(PointedRestate):
    """Sends at any time."""

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """One call, perhaps long after another worker has made it."""
        return await super().resume(ref, point, key, float("inf"))


class LockingStore(PointedStore):
    """Gives the timer of a request's end the lane of its call."""

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """A unit that locks what it schedules."""
        async with super().unit(hurried=hurried) as unit:
            plain = unit.enqueue

            async def enqueue(job: Job) -> None:
                made = [values for statement, values in unit._last._waiting if statement is ADD and job.task == "expire"]
                if made:
                    unit._jobs._waiting.append(replace(job, lane=lane_of(made[0]["connection"], made[0]["root"])))
                else:
                    await plain(job)

            unit.enqueue = enqueue  # type: ignore[method-assign]  # the bug
            yield unit


class QueueingStore(PointedStore):
    """Lets the job engine collapse wake-ups, and takes its refusal for good news."""

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """A unit that enqueues last of all."""
        async with super().unit(hurried=hurried) as unit:
            jobs: list[Job] = []

            async def keep(job: Job) -> None:
                if job not in jobs:
                    jobs.append(job)

            unit._jobs.enqueue = keep  # type: ignore[method-assign]  # the bug
            yield unit
            await unit.messages.write()
            for statement, values in unit._last._waiting:
                await statement.count(driver_of(unit.connection), **values)
            await _write_entries(unit)
            unit._last._waiting.clear()
            unit._entries.clear()
            for job in sorted(jobs, key=lambda job: job.collapses):  # wake-ups last: nobody notices the aborted transaction
                await _defer_once(unit, job)


async def _write_entries(unit: SqlUnit) -> None:
    await APPEND.count(driver_of(unit.connection), entries=[canonical(entry) for entry in unit._entries])


async def _defer_once(unit: SqlUnit, job: Job) -> None:
    deferrer = App(connector=PsycopgConnector()).configure_task(
        job.task,
        queue=job.queue,
        lock=job.lane,
        queueing_lock=job.lane,
        schedule_at=job.at,
        connection=driver_of(unit.connection),
    )
    with suppress(AlreadyEnqueued):
        await deferrer.defer_async(**dict(job.args))


class ForgetfulStore(PointedStore):
    """Goes on when the trail cannot be written."""

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """A unit whose entries may be lost; the database refuses those of a receipt."""
        async with super().unit(hurried=hurried) as unit:
            yield unit
            with suppress(DBAPIError):
                async with unit.connection.begin_nested():
                    if any(entry.action is AuditAction.RECEIPT_RUNNING for entry in unit._entries):
                        await unit.connection.execute(text("SELECT 1/0"))
                    await _write_entries(unit)
            unit._entries.clear()


@dataclass(frozen=True)
class Variant:
    """The parts a process is made with; the product's own where nothing else is said."""

    store: type[PointedStore] = PointedStore
    engine: type[PointedRestate] = PointedRestate


BUGS: Mapping[str, Variant] = MappingProxyType(
    {
        "none": Variant(),
        "ack before commit": Variant(store=EagerStore),
        "blind second call": Variant(engine=BlindRestate),
        "no fence": Variant(engine=UnfencedRestate),
        "lock on a timer": Variant(store=LockingStore),
        "queueing lock on a change": Variant(store=QueueingStore),
        "dropped entry": Variant(store=ForgetfulStore),
    }
)
