"""What comes of a call, or of not being able to make it: each way it can go is stored, said, and followed up.

call ─▶ running │ refused │ approved again (not sent) │ unknown          cannot be made ─▶ put off │ refused │ superseded
"""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import timedelta

from bot.domain import lifecycle
from bot.domain.errors import ContractViolation, EngineError, NotSent, OutcomeUnknown, RateLimited
from bot.domain.execution import Receipt
from bot.domain.incident import Incident
from bot.domain.ports import on_behalf
from bot.domain.request import Request, RequestState
from bot.domain.text import clean, listed
from bot.service import health
from bot.service.core import Core
from bot.service.requests import end_early, refresh_messages, save_step, want_in_thread, watch_job
from bot.service.unit import TIMER_QUEUE, Job, Rank, Unit, engine_queue

log = logging.getLogger(__name__)
SHOWN_AFTER = 1.0  # seconds


async def call_once(core: Core, request: Request, call: Awaitable[Receipt]) -> None:
    """Make the one call and save what came of it; that it is being sent is shown when that lasts."""
    on_behalf.set(_people(request))
    showing = asyncio.create_task(_show_sending(core, request))
    try:
        receipt = await call
    except (OutcomeUnknown, ContractViolation) as error:
        await save_lost(core, request, str(error))
    except (NotSent, RateLimited) as error:
        await health.failed(core, request.connection, error)
        await _save_not_sent(core, request, error)
    except EngineError as error:
        await _save_declined(core, request, error)
    else:
        await save_receipt(core, request, receipt)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)  # what is not shown now is shown with the receipt


async def _show_sending(core: Core, request: Request) -> None:
    """Most calls are answered sooner, and each update of a message counts against the workspace's budget."""
    await asyncio.sleep(SHOWN_AFTER)
    async with core.store.unit() as unit:
        refresh_messages(unit, request)


def _people(request: Request) -> str:
    asked = f"asked for by {request.requester}"
    return f"{asked}, approved by {listed(request.approvers)}" if request.approvers else asked


async def save_receipt(core: Core, request: Request, receipt: Receipt) -> None:
    """The engine took the call: watch from now on. Also when another worker has meanwhile called it unknown."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is None:
            return
        current, incident = found
        if current.calls != request.calls or current.state not in {RequestState.RESUMING, RequestState.UNKNOWN}:
            log.warning("a receipt came after its request had moved on", extra={"request": request.label})
            return
        after = await save_step(unit, current, lifecycle.accepted(current, receipt, core.now()))
        await begin_watch(core, unit, after, incident)


async def begin_watch(core: Core, unit: Unit, request: Request, incident: Incident | None) -> None:
    """The new execution leads to the same incident; the watch begins."""
    if incident is not None:
        await unit.incidents.link(incident, [request.watched.id])
    await unit.enqueue(watch_job(request))
    refresh_messages(unit, request)


async def save_lost(core: Core, request: Request, reason: str) -> None:
    """The answer was lost: unknown, unless the request has moved on."""
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            await declare_lost(core, unit, current, reason)


async def declare_lost(core: Core, unit: Unit, request: Request, reason: str) -> None:
    """Make a request that was being sent unknown, say so, and look for evidence."""
    now = core.now()
    step = lifecycle.lost(request, reason, now, look_at=now + timedelta(seconds=1))
    after = await save_step(unit, request, step)
    want_in_thread(unit, after, f"unknown-{after.calls}", Rank.RESULT)
    await unit.enqueue(watch_job(after, at=after.not_before))
    refresh_messages(unit, after)


async def _save_not_sent(core: Core, request: Request, error: EngineError) -> None:
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            await try_later(unit, current, await save_step(unit, current, lifecycle.not_sent(current, error, core.now())))


async def _save_declined(core: Core, request: Request, error: EngineError) -> None:
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            await end_early(unit, current, lifecycle.declined(current, error, core.now()))
            await look_again(core, unit, current)


async def refuse(core: Core, request: Request, reason: str) -> None:
    """End an approved request that must not be sent any more, unless it has moved on."""
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            await end_early(unit, current, lifecycle.refuse(current, clean(reason, 1000), core.now()))
            await look_again(core, unit, current)


async def unchanged(unit: Unit, request: Request) -> Request | None:
    """The request, locked, if nobody has changed it since; else None."""
    found = await unit.requests.lock(request.id)
    if found is None or (found[0].state, found[0].version) != (request.state, request.version):
        return None
    return found[0]


async def look_again(core: Core, unit: Unit, request: Request) -> None:
    """Read the engine once more for the request's incident."""
    if request.incident_id is not None:
        await unit.enqueue(Job("describe", engine_queue(request.connection), {"incident_id": request.incident_id}))


async def put_off(core: Core, request: Request, reason: str, wait: float | None = None) -> None:
    """Try an approved request again later, and say why it waits."""
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            step = lifecycle.put_off(current, clean(reason, 1000), core.now(), wait)
            await try_later(unit, current, await save_step(unit, current, step))


async def try_later(unit: Unit, before: Request, after: Request) -> None:
    """Enqueue the next try, and say the first time that it waits."""
    await send_later(unit, after)
    if before.tries == 0:
        want_in_thread(unit, after, "held_back", Rank.RESULT)
    refresh_messages(unit, after)


async def send_later(unit: Unit, request: Request) -> None:
    """The timer that enqueues the call anew."""
    await unit.enqueue(Job("carry_out_later", TIMER_QUEUE, {"request_id": request.id}, at=request.not_before))


async def overtaken(core: Core, unit: Unit, request: Request, reason: str) -> None:
    """End a request whose facts have changed since people saw them."""
    await end_early(unit, request, lifecycle.supersede(request, reason, core.now()))
    await look_again(core, unit, request)
