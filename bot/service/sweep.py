"""Finds work that no job stands for any more, and enqueues it: after crashes, lost wake-ups, and changes by hand."""

from datetime import datetime, timedelta
from typing import Protocol

from bot.domain.request import Request, RequestState
from bot.service import incidents
from bot.service.core import Core
from bot.service.outbox import Outbox
from bot.service.requests import carry_out_job, watch_job
from bot.service.unit import LOOKUP_QUEUE, TIMER_QUEUE, Job


class SweepReadings(Protocol):
    """What is due by the tables alone."""

    async def live_requests(self, limit: int) -> list[Request]: ...
    async def due_lanes(self, now: datetime) -> list[str]: ...
    async def incidents_to_read(self, now: datetime, limit: int) -> list[int]: ...
    async def snoozes_over(self, now: datetime) -> list[int]: ...
    async def unrouted_incidents(self, before: datetime) -> list[int]: ...
    async def waiting_lookups(self, before: datetime) -> list[int]: ...
    async def forget_seen(self, before: datetime) -> None: ...


MANY = 500
REMEMBERED = timedelta(days=7)


async def sweep(core: Core, readings: SweepReadings, outbox: Outbox) -> None:
    """Enqueue what is due and has no job; each job is a hint, so one too many does no harm."""
    now, timings = core.now(), core.setup.timings
    for request in await readings.live_requests(MANY):
        await _sweep_request(core, request, now)
    for lane in await readings.due_lanes(now):
        await outbox.wake_at(lane, now)
    await incidents.read_due(core, await readings.incidents_to_read(now, 50))
    grace = now - timings.surely_ended
    async with core.store.unit() as unit:
        for incident_id in await readings.unrouted_incidents(grace):
            await unit.enqueue_once(Job("route", TIMER_QUEUE, {"incident_id": incident_id}))
        for incident_id in await readings.snoozes_over(now):
            await unit.enqueue_once(Job("snooze_over", TIMER_QUEUE, {"incident_id": incident_id}))
        for lookup_id in await readings.waiting_lookups(grace):
            await unit.enqueue_once(Job("look_up", LOOKUP_QUEUE, {"lookup_id": lookup_id}))
    await readings.forget_seen(now - REMEMBERED)


async def _sweep_request(core: Core, request: Request, now: datetime) -> None:
    is_due = request.not_before is None or request.not_before <= now
    job: Job | None = None
    is_open = request.state in {RequestState.PENDING, RequestState.APPROVED} and not request.is_being_ended
    if is_open and now >= request.expires_at:
        job = Job("expire", TIMER_QUEUE, {"request_id": request.id})
    elif request.state is RequestState.APPROVED and is_due:
        job = carry_out_job(request)
    elif request.state is RequestState.RESUMING:
        over = request.sent_at is None or now >= request.sent_at + core.setup.timings.surely_ended
        job = carry_out_job(request) if over else None
    elif request.state in {RequestState.RUNNING, RequestState.UNKNOWN} and is_due:
        job = watch_job(request)
    if job is not None and core.setup.connections.get(request.connection):
        async with core.store.unit() as unit:
            await unit.enqueue_once(job)
