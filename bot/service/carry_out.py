"""From an approved request to its receipt: re-read, re-check, record the intent, call once, record the receipt.

approved ─▶ engine and people read afresh ─tx─▶ resuming ─▶ engine.resume ─tx─▶ running | refused | approved | unknown
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta

from bot.domain import lifecycle
from bot.domain.errors import ContractViolation, EngineError, NotFound, NotSent, OutcomeUnknown, RateLimited, Refusal
from bot.domain.execution import Action, Execution, Receipt, ResumePoint, StartTarget
from bot.domain.incident import Incident
from bot.domain.policy import approvals_missing, may_request
from bot.domain.ports import Purpose, StartsExecutions, purpose
from bot.domain.request import Request, RequestState
from bot.domain.text import clean, cleaned
from bot.service import health, people, starts
from bot.service.core import Core
from bot.service.incidents import follow_chain
from bot.service.requests import (
    end_early,
    enqueue_carry_out,
    expire,
    fresh_digest,
    refresh_messages,
    rules_for,
    save_step,
    want_in_thread,
)
from bot.service.unit import TIMER_QUEUE, Job, Rank, Unit, engine_queue
from bot.service.watch import watch_job

log = logging.getLogger(__name__)


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
    if request.action is Action.START:
        await _carry_out_start(core, request)
        return
    try:
        execution = await follow_chain(core, request.ref)
        await health.answered(core, request.connection)
    except NotFound as error:
        await _refuse(core, request, f"the engine does not know it any more: {error}")
        return
    except EngineError as error:
        await health.failed(core, request.connection, error)
        await _put_off(core, request, str(error), error.wait if isinstance(error, RateLimited) else None)
        return
    if not await _people_read(core, request):
        return
    if core.life.is_ending:
        return  # the sweep of a process that stays enqueues it again
    sending = await _intend(core, request, execution)
    if sending is not None:
        made, engine = sending.request, core.engine(request.connection)
        await _call(core, made, engine.resume(made.ref, sending.point, made.call_key, sending.send_before))


async def _carry_out_start(core: Core, request: Request) -> None:
    try:
        target = await starts.find_again(core, request.connection, request.name, request.point.key)
    except Refusal as refusal:
        if refusal.reason == "engine_down":
            await _put_off(core, request, str(refusal))
        else:
            await _refuse(core, request, str(refusal))
        return
    if not await _people_read(core, request):
        return
    if core.life.is_ending:
        return
    async with core.store.unit() as unit:
        current = await _unchanged(unit, request)
        if current is None or await _start_is_off(core, unit, current, target):
            return
        send_before = core.clock.boot() + core.setup.timings.send_window
        after = await save_step(unit, current, lifecycle.send(current, core.now()))
        await refresh_messages(unit, after)
    engine = core.engine(after.connection)
    assert isinstance(engine, StartsExecutions)  # noqa: S101 — it found the target
    await _call(core, after, engine.start(target, after.inputs, after.call_key, send_before))


async def _start_is_off(core: Core, unit: Unit, request: Request, target: StartTarget) -> bool:
    """Ends a start whose time, rules or target are not those that were decided on."""
    now = core.now()
    if now >= request.expires_at:
        await end_early(unit, request, lifecycle.expire(request, now))
        return True
    try:
        rules = starts.rules_for(core, target, starts.environment_of(core, target, request.inputs))
        if starts.digest(request, target, rules) != request.digest:
            await _overtaken(core, unit, request, "what was shown has changed since (the target, or a policy)")
            return True
        await _still_allowed(core, unit, request)
    except Refusal as refusal:
        await end_early(unit, request, lifecycle.refuse(request, str(refusal), now))
        return True
    return False


async def _people_read(core: Core, request: Request) -> bool:
    """Whether what the decision hangs on could be read afresh; puts the request off when not."""
    users = [actor.rsplit("/", 1)[-1] for actor in (request.requester, *request.approvers)]
    if await people.refresh_for(core, users, request.rules.principals, request.channel):
        return True
    await _put_off(core, request, "Slack does not say who may do this now, so nothing is sent")
    return False


async def _still_approved(core: Core, request_id: int) -> Request | None:
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is None:
            return None
        request, now = found[0], core.now()
        if (
            request.state is RequestState.RESUMING
            and request.sent_at
            and now >= request.sent_at + core.setup.timings.surely_ended
        ):
            await declare_lost(core, unit, request, "the worker that sent the call ended before it had the answer")
            return None
        if request.state is not RequestState.APPROVED or (request.not_before and now < request.not_before):
            return None
        if now < request.expires_at:
            return request
    await expire(core, request_id)
    return None


async def _refuse(core: Core, request: Request, reason: str) -> None:
    async with core.store.unit() as unit:
        current = await _unchanged(unit, request)
        if current is not None:
            await end_early(unit, current, lifecycle.refuse(current, clean(reason, 1000), core.now()))
            await _look_again(core, unit, current)


async def _unchanged(unit: Unit, request: Request) -> Request | None:
    found = await unit.requests.lock(request.id)
    if found is None or (found[0].state, found[0].version) != (request.state, request.version):
        return None
    return found[0]


async def _look_again(core: Core, unit: Unit, request: Request) -> None:
    if request.incident_id is not None:
        await unit.enqueue(Job("describe", engine_queue(request.connection), {"incident_id": request.incident_id}))


async def _put_off(core: Core, request: Request, reason: str, wait: float | None = None) -> None:
    async with core.store.unit() as unit:
        current = await _unchanged(unit, request)
        if current is not None:
            after = await save_step(unit, current, lifecycle.put_off(current, clean(reason, 1000), core.now(), wait))
            await _send_later(unit, after)
            if current.tries == 0:
                await want_in_thread(unit, after, "held_back", Rank.RESULT)
            await refresh_messages(unit, after)


async def _send_later(unit: Unit, request: Request) -> None:
    await unit.enqueue(Job("carry_out_later", TIMER_QUEUE, {"request_id": request.id}, at=request.not_before))


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
        await refresh_messages(unit, after)
        return Sending(after, point, send_before)


async def _still_holds(core: Core, unit: Unit, request: Request, raw: Execution) -> ResumePoint | None:
    """The engine's own point, if state, digest and policy are still those that were decided on; else the request ends."""
    execution, now = cleaned(raw), core.now()
    if execution.ref.id != request.execution_id and not request.prepared_at:
        await _overtaken(core, unit, request, f"the engine has a newer execution, {execution.ref.id}")
        return None
    index = next((i for i, point in enumerate(execution.points) if point.key == request.point.key), None)
    if index is None:
        reason = execution.no_points or "the stage is not on offer any more"
        await end_early(unit, request, lifecycle.refuse(request, reason, now))
        await _look_again(core, unit, request)
        return None
    try:
        rules = rules_for(core, execution, execution.points[index])
        digest = fresh_digest(request, execution, execution.points[index], rules)
        if digest != request.digest:
            await _overtaken(core, unit, request, "what was shown has changed since (the execution moved, or a policy)")
            return None
        await _still_allowed(core, unit, request)
    except Refusal as refusal:
        await end_early(unit, request, lifecycle.refuse(request, str(refusal), now))
        return None
    return raw.points[index]


async def _overtaken(core: Core, unit: Unit, request: Request, reason: str) -> None:
    await end_early(unit, request, lifecycle.supersede(request, reason, core.now()))
    await _look_again(core, unit, request)


async def _still_allowed(core: Core, unit: Unit, request: Request) -> None:
    now = core.now()
    for requester in await unit.directory.people([request.requester]):
        may_request(request.rules, requester, request.channel, now)
    approvers = await unit.directory.people(request.approvers)
    missing = approvals_missing(request.rules, approvers, request.requester, request.channel, now)
    if missing:
        lacking = ", ".join(f"{count} for “{name}”" for name, count in missing.items())
        raise Refusal(
            "approval_lost", f"Approvals no longer suffice, because somebody may not approve any more: {lacking} missing."
        )


async def _call(core: Core, request: Request, call: Awaitable[Receipt]) -> None:
    """Make the one call and save what came of it."""
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
    await refresh_messages(unit, request)


async def save_lost(core: Core, request: Request, reason: str) -> None:
    """The answer was lost: unknown, unless the request has moved on."""
    async with core.store.unit() as unit:
        current = await _unchanged(unit, request)
        if current is not None:
            await declare_lost(core, unit, current, reason)


async def declare_lost(core: Core, unit: Unit, request: Request, reason: str) -> None:
    """Make a request that was being sent unknown, say so, and look for evidence."""
    now = core.now()
    step = lifecycle.lost(request, reason, now, look_at=now + timedelta(seconds=1))
    after = await save_step(unit, request, step)
    await want_in_thread(unit, after, f"unknown-{after.calls}", Rank.RESULT)
    await unit.enqueue(watch_job(after, at=after.not_before))
    await refresh_messages(unit, after)


async def _save_not_sent(core: Core, request: Request, error: EngineError) -> None:
    async with core.store.unit() as unit:
        current = await _unchanged(unit, request)
        if current is not None:
            after = await save_step(unit, current, lifecycle.not_sent(current, error, core.now()))
            await _send_later(unit, after)
            if current.tries == 0:
                await want_in_thread(unit, after, "held_back", Rank.RESULT)
            await refresh_messages(unit, after)


async def _save_declined(core: Core, request: Request, error: EngineError) -> None:
    async with core.store.unit() as unit:
        current = await _unchanged(unit, request)
        if current is not None:
            await end_early(unit, current, lifecycle.declined(current, error, core.now()))
            await _look_again(core, unit, current)


async def carry_out_again(core: Core, request_id: int) -> None:
    """The timer of a request that was put off: enqueue the call anew, behind its lock."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is not None and found[0].state is RequestState.APPROVED:
            await enqueue_carry_out(unit, found[0])
