"""From an approved request to its receipt: re-read, re-check, record the intent, call once, record the receipt.

approved ─▶ engine and people read afresh ─tx─▶ resuming ─▶ engine.resume ─tx─▶ running | refused | approved | unknown
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from bot.domain import lifecycle
from bot.domain.errors import EngineError, Forbidden, NotFound, NotResumable, RateLimited, Refusal, Unsupported
from bot.domain.execution import Action, Execution, ResumePoint
from bot.domain.policy import Rules
from bot.domain.ports import PreparesResume, Purpose, purpose
from bot.domain.request import Request, RequestState
from bot.domain.setup import seconds
from bot.domain.text import cleaned
from bot.service import health, kills
from bot.service.before_call import PEOPLE_UNREAD, people_read, still_allowed
from bot.service.carry_out_start import carry_out_start
from bot.service.core import Core
from bot.service.incidents import follow_chain
from bot.service.receipts import (
    call_once,
    declare_lost,
    look_again,
    overtaken,
    put_off,
    refuse,
    unchanged,
)
from bot.service.requests import (
    end_early,
    enqueue_carry_out,
    expire,
    fresh_digest,
    refresh_messages,
    rules_for,
    save_step,
)
from bot.service.unit import TIMER_QUEUE, Job, Unit


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
        if await _prepare_first(core, engine, request):
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
    execution = await _read_afresh(core, request)
    sending = await _intend(core, request, execution) if execution else None
    if sending is None:
        return
    made, engine = sending.request, core.engine(request.connection)
    if made.action is Action.KILL:
        await call_once(core, made, kills.kill(engine, made.ref, sending.send_before))
    else:
        await call_once(core, made, engine.resume(made.ref, sending.point, made.call_key, sending.send_before))


async def _read_afresh(core: Core, request: Request) -> Execution | None:
    """The execution as it stands, once people are read too; None when the request goes no further for now."""
    reading = asyncio.create_task(people_read(core, request))
    try:
        execution = await follow_chain(core, request.ref)
    except EngineError as error:
        await reading
        await _cannot_be_read(core, request, error)
        return None
    await health.answered(core, request.connection)
    if await reading:
        return None if core.life.is_ending else execution
    await put_off(core, request, PEOPLE_UNREAD)
    return None


async def _cannot_be_read(core: Core, request: Request, error: EngineError) -> None:
    if isinstance(error, NotFound):
        await refuse(core, request, f"the engine does not know it any more: {error}")
        return
    await health.failed(core, request.connection, error)
    await put_off(core, request, str(error), error.wait if isinstance(error, RateLimited) else None)


async def _prepare_first(core: Core, engine: PreparesResume, request: Request) -> bool:
    execution = await _read_afresh(core, request)
    return execution is not None and await _prepare(core, engine, request, execution)


async def _prepare(core: Core, engine: PreparesResume, request: Request, execution: Execution) -> bool:
    """The first of two calls, its intent recorded before; what was begun once is only repeated, not decided again."""
    if request.preparing_at is None:
        async with core.store.unit() as unit:
            current = await unchanged(unit, request)
            if current is None or await _still_holds(core, unit, current, execution) is None:
                return False
            request = await save_step(unit, current, lifecycle.preparing(current, core.now()))
            refresh_messages(unit, request)
    try:
        await engine.prepare(request.ref, request.point, core.clock.boot() + core.setup.timings.send_window)
    except (NotResumable, NotFound, Forbidden, Unsupported) as error:
        await refuse(core, request, str(error))
        return False
    except EngineError as error:
        await health.failed(core, request.connection, error)
        await put_off(core, request, str(error), error.wait if isinstance(error, RateLimited) else None)
        return False
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is None:
            return False
        await save_step(unit, current, lifecycle.prepared(current, core.now()))
        return True


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
    if now < request.expires_at:
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
        point = await _still_holds(core, unit, current, execution)
        if point is None:
            return None
        send_before = core.clock.boot() + core.setup.timings.send_window
        after = await save_step(unit, current, lifecycle.send(current, now))
        refresh_messages(unit, after)
        return Sending(after, point, send_before)


async def _still_holds(core: Core, unit: Unit, request: Request, raw: Execution) -> ResumePoint | None:
    """The engine's own point, if state, digest and policy are still those that were decided on; else the request ends."""
    execution, now = cleaned(raw), core.now()
    if execution.ref.id != request.execution_id:
        await overtaken(core, unit, request, f"the engine has a newer execution, {execution.ref.id}")
        return None
    points = _points(execution, request)
    index = next((i for i, point in enumerate(points) if point.key == request.point.key), None)
    if index is None:
        reason = execution.no_points or "the stage is not on offer any more"
        await end_early(unit, request, lifecycle.refuse(request, reason, now))
        await look_again(core, unit, request)
        return None
    try:
        rules = _rules(core, execution, points[index])
        if not _is_as_shown(request, execution, points[index], rules):
            await overtaken(core, unit, request, "what was shown has changed since (the execution moved, or a policy)")
            return None
        await still_allowed(core, unit, request)
    except Refusal as refusal:
        await end_early(unit, request, lifecycle.refuse(request, str(refusal), now))
        return None
    return points[index] if request.action is Action.KILL else raw.points[index]


def _points(execution: Execution, request: Request) -> tuple[ResumePoint, ...]:
    if request.action is not Action.KILL:
        return execution.points
    return () if execution.status.is_terminal else (kills.POINT,)


def _rules(core: Core, execution: Execution, point: ResumePoint) -> Rules:
    return kills.rules_for(core, execution) if point.action is Action.KILL else rules_for(core, execution, point)


def _is_as_shown(request: Request, execution: Execution, point: ResumePoint, rules: Rules) -> bool:
    """Whether the digest still fits; once we have prepared, the engine has moved by our own hand, and the rules remain."""
    if request.prepared_at is not None:
        return rules.as_text() == request.rules.as_text()
    return fresh_digest(request, execution, point, rules) == request.digest


async def carry_out_again(core: Core, request_id: int) -> None:
    """The timer of a request that was put off: enqueue the call anew, behind its lock."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is not None and found[0].state is RequestState.APPROVED:
            await enqueue_carry_out(unit, found[0])
