"""From an approved request to its receipt: re-read, re-check, record the intent, call once, record the receipt.

approved ─▶ (prepare) ─▶ engine and people read afresh ─tx─▶ resuming ─▶ engine.resume ─tx─▶ running | refused | …
"""

from dataclasses import dataclass
from datetime import datetime

from bot.domain import lifecycle
from bot.domain.execution import Action, Execution, ResumePoint
from bot.domain.ports import PreparesResume, Purpose, purpose
from bot.domain.request import Request, RequestState
from bot.domain.setup import seconds
from bot.service import kills
from bot.service.before_call import read_afresh, still_holds
from bot.service.carry_out_start import carry_out_start
from bot.service.core import Core
from bot.service.prepare import prepare
from bot.service.receipts import call_once, declare_lost, unchanged
from bot.service.requests import end_early, enqueue_carry_out, expire, save_step
from bot.service.unit import TIMER_QUEUE, Job


@dataclass(frozen=True)
class Sending:
    """A recorded intent: the request as stored, the engine's own point, and until when the call may leave."""

    request: Request
    point: ResumePoint
    send_before: float


async def carry_out(core: Core, request_id: int) -> None:
    """Send the call of an approved request if everything still holds; safe to run twice, late, or side by side."""
    purpose.set(Purpose.CARRY_OUT)
    request = await _still_approved(core, request_id)
    if request is None:
        return
    engine = core.engines.get(request.connection)
    if isinstance(engine, PreparesResume) and engine.needs_preparation(request.point) and not request.prepared_at:
        async with core.calling(request.connection):
            is_prepared = await prepare(core, engine, request)
        if is_prepared:
            await carry_out(core, request_id)  # the engine has moved: everything is read again
    else:
        async with core.calling(request.connection):
            await _carry_out_now(core, request)
    if core.life.is_ending:
        await _leave_to_others(core, request_id)


async def _leave_to_others(core: Core, request_id: int) -> None:
    """What a process on its way out has not sent is due a second later, for one that stays."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is not None and found[0].state is RequestState.APPROVED:
            at = core.now() + seconds(1)
            await unit.enqueue(Job("carry_out_later", TIMER_QUEUE, {"request_id": request_id}, at=at))


async def _carry_out_now(core: Core, request: Request) -> None:
    if core.life.is_ending:
        return
    if request.action is Action.START:
        await carry_out_start(core, request)
    else:
        await _send(core, request)


async def _send(core: Core, request: Request) -> None:
    execution = await read_afresh(core, request)
    sending = await _intend(core, request, execution) if execution else None
    if sending is None:
        return
    made, engine = sending.request, core.engine(request.connection)
    if made.action is Action.KILL:
        await call_once(core, made, kills.kill(engine, made.ref, sending.send_before))
    else:
        await call_once(core, made, engine.resume(made.ref, sending.point, made.call_key, sending.send_before))


async def _still_approved(core: Core, request_id: int) -> Request | None:
    """The request as it stands, unlocked: before it is sent it is looked at once more under its lock."""
    async with core.store.unit() as unit:
        request = await unit.requests.look(request_id)
    if request is None:
        return None
    now = core.now()
    if _is_lost(core, request, now):
        await _declare_lost(core, request)
        return None
    if request.state is not RequestState.APPROVED or (request.not_before and now < request.not_before):
        return None
    if now < request.expires_at or request.is_being_ended:
        return request
    await expire(core, request_id)
    return None


def _is_lost(core: Core, request: Request, now: datetime) -> bool:
    """Whether the worker that sent the call must have ended without having had the answer."""
    is_over = request.sent_at is not None and now >= request.sent_at + core.setup.timings.surely_ended
    return request.state is RequestState.RESUMING and is_over


async def _declare_lost(core: Core, request: Request) -> None:
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            await declare_lost(core, unit, current, "the worker that sent the call ended before it had the answer")


async def _intend(core: Core, request: Request, execution: Execution) -> Sending | None:
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is None or (found[0].state, found[0].version) != (request.state, request.version):
            return None
        current, now = found[0], core.now()
        if now >= current.expires_at:
            await end_early(unit, current, lifecycle.expire(current, now))
            return None
        point = await still_holds(core, unit, current, execution)
        if point is None:
            return None
        send_before = core.clock.boot() + core.setup.timings.send_window
        after = await save_step(unit, current, lifecycle.send(current, now))
        return Sending(after, point, send_before)


async def carry_out_again(core: Core, request_id: int) -> None:
    """The timer of a request that was put off: enqueue the call anew, behind its lock."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is not None and found[0].state is RequestState.APPROVED:
            await enqueue_carry_out(unit, found[0])
