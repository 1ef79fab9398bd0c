"""From a receipt to the outcome, and from a lost answer to what the engine shows of it: the watch asks until it knows.

running ─▶ engine.describe … ─tx─▶ succeeded | failed        unknown ─▶ engine.evidence … ─tx─▶ running | approved | stays
"""

from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain import lifecycle
from bot.domain.errors import EngineError, NotFound
from bot.domain.execution import Action, Execution, ExecutionRef, ExecutionStatus, Finding, StartTarget
from bot.domain.incident import Incident
from bot.domain.ports import PreparesResume, Purpose, StartsExecutions, purpose
from bot.domain.request import Request, RequestState
from bot.domain.setup import seconds
from bot.domain.text import cleaned
from bot.service import health, kills
from bot.service.core import Core
from bot.service.incidents import follow_chain, settle
from bot.service.requests import enqueue_carry_out, is_start, refresh_messages, save_step, want_in_thread, watch_job
from bot.service.unit import Rank, Unit

LOOKS = 9  # after so many the pause grows no more; `tries` above it counts readings in a row that did not find the execution
GONE_FOR_GOOD = 5  # of those


async def watch(core: Core, request_id: int) -> None:
    """Look once and store what is to be seen, then look again later; a no-op when early or for a request at its end."""
    purpose.set(Purpose.WATCH)
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
    if found is None or (found[0].not_before and core.now() < found[0].not_before):
        return
    if found[0].state is RequestState.RUNNING:
        await _look_at_running(core, found[0])
    elif found[0].state is RequestState.UNKNOWN:
        await _look_for_evidence(core, found[0])


async def _look_at_running(core: Core, request: Request) -> None:
    try:
        execution = cleaned(await core.engine(request.connection).describe(request.watched))
    except NotFound as error:
        await _missing(core, request, str(error))
        return
    except EngineError as error:
        await health.failed(core, request.connection, error)
        await _later(core, request)
        return
    await health.answered(core, request.connection)
    if not _has_ended(request, execution):
        await _later(core, request, execution)
        return
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is not None and found[0].state is RequestState.RUNNING:
            await _conclude(core, unit, found[0], found[1], execution)


def _has_ended(request: Request, execution: Execution) -> bool:
    """It came to an end after the call: an end that stood there before does not count."""
    if not execution.status.is_terminal or execution.pending_points:
        return False
    return execution.status is ExecutionStatus.SUCCEEDED or execution.baseline != request.baseline


async def _conclude(core: Core, unit: Unit, request: Request, incident: Incident | None, execution: Execution) -> None:
    now = core.now()
    if execution.status is ExecutionStatus.SUCCEEDED or request.action is Action.KILL:
        step = lifecycle.succeeded(request, now)
    elif execution.status is ExecutionStatus.CANCELLED:
        step = lifecycle.failed(request, "it was cancelled in the engine", now)
    else:
        at = f"at {execution.failed_stage}" if execution.failed_stage else ""
        step = lifecycle.failed(request, ": ".join(part for part in (at, execution.error) if part), now)
    after = await save_step(unit, request, step)
    if incident is not None:
        if execution.status is ExecutionStatus.FAILED and not _was_told(incident, request):
            incident = await unit.incidents.save(incident, replace(incident, failures=incident.failures + 1, failed_at=now))
        await settle(core, unit, incident, execution, now)
    want_in_thread(unit, after, "result", Rank.RESULT)
    refresh_messages(unit, after)
    for surface in ("held_back", *[f"unknown-{call}" for call in range(1, after.calls + 1)]):
        unit.messages.change(after.label, surface)  # what they say has come to an end


def _was_told(incident: Incident, request: Request) -> bool:
    """Whether a notice of this failure came before the watch saw it."""
    return incident.failed_at is not None and incident.failed_at > (request.sent_at or request.requested_at)


async def _missing(core: Core, request: Request, reason: str) -> None:
    if request.tries < LOOKS + GONE_FOR_GOOD:
        await _later(core, request, tries=max(request.tries, LOOKS) + 1)
        return
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is None or found[0].state is not RequestState.RUNNING:
            return
        now = core.now()
        said = f"the engine accepted it and does not know the execution any more: {reason}"
        step = lifecycle.vanished(found[0], said, now, look_at=now + seconds(core.setup.timings.reread_first))
        after = await save_step(unit, found[0], step)
        want_in_thread(unit, after, f"unknown-{after.calls}", Rank.RESULT)
        await unit.enqueue(watch_job(after, at=after.not_before))
        refresh_messages(unit, after)


async def _later(core: Core, request: Request, execution: Execution | None = None, tries: int | None = None) -> None:
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is None or found[0].state is not request.state:
            return
        current, incident = found
        timings = core.setup.timings
        wait = min(timings.watch_first * 1.5 ** min(current.tries, 20), timings.watch_longest)
        at = core.now() + seconds(wait)
        counted = min(current.tries + 1, LOOKS) if tries is None else tries
        after = replace(current, version=current.version + 1, not_before=at, tries=counted)
        await unit.requests.save(current, after)
        await unit.enqueue(watch_job(after, at=at))
        if incident is not None and execution is not None and _differs(incident, execution):
            await settle(core, unit, incident, execution, core.now())


def _differs(incident: Incident, execution: Execution) -> bool:
    seen = incident.seen
    return seen is None or (seen.status, seen.stages, seen.ref) != (execution.status, execution.stages, execution.ref)


async def _look_for_evidence(core: Core, request: Request) -> None:
    engine = core.engine(request.connection)
    try:
        if is_start(request) and isinstance(engine, StartsExecutions):
            target = StartTarget(connection=request.connection, key=request.point.key, name=request.name)
            evidence = await engine.start_evidence(target, request.call_key, request.sent_at or request.requested_at)
        elif request.action is Action.KILL:
            evidence = await kills.evidence(engine, request.ref)
        elif isinstance(engine, PreparesResume) and engine.needs_preparation(request.point):
            evidence = await engine.restart_evidence(request.ref, request.point, request.call_key)
        else:
            evidence = await engine.evidence(request.ref, request.baseline, request.call_key)
    except EngineError as error:
        await health.failed(core, request.connection, error)
        await _later(core, request)
        return
    await health.answered(core, request.connection)
    now = core.now()
    concludes_at = now if request.is_gone else (request.sent_at or now) + core.setup.timings.conclude_after
    is_sure = evidence.finding is Finding.HAPPENED and not evidence.is_probable
    if not is_sure and now < concludes_at:
        await _look_again_by(core, request, concludes_at)
        return
    execution = await _described(core, request.ref)
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is None or (found[0].state, found[0].version) != (request.state, request.version):
            return
        current, incident = found
        again = now + seconds(min(30 * 2 ** min(current.tries, 7), core.setup.timings.reread_longest))
        after = await save_step(unit, current, lifecycle.weighed(current, evidence, now, look_at=again))
        if incident is not None and execution is not None:
            await settle(core, unit, incident, execution, now)
        await _follow_evidence(unit, after, incident)


async def _follow_evidence(unit: Unit, request: Request, incident: Incident | None) -> None:
    if request.state is RequestState.RUNNING and incident is not None:
        await unit.incidents.link(incident, [request.watched.id])
    if request.state is RequestState.APPROVED:
        await enqueue_carry_out(unit, request)
    else:
        await unit.enqueue(watch_job(request, at=request.not_before))
    refresh_messages(unit, request)
    unit.messages.change(request.label, f"unknown-{request.calls}")


async def _look_again_by(core: Core, request: Request, latest: datetime) -> None:
    """Before the time for conclusions only a proof that it happened counts: look often at first, and when that time comes."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request.id)
        if found is None or (found[0].state, found[0].version) != (request.state, request.version):
            return
        now = core.now()
        pause = max((now - (request.sent_at or now)) / 2, timedelta(seconds=1))
        at = min(now + pause, latest + timedelta(milliseconds=10))
        after = replace(request, version=request.version + 1, not_before=at)
        await unit.requests.save(request, after)
        await unit.enqueue(watch_job(after, at=at))


async def _described(core: Core, ref: ExecutionRef) -> Execution | None:
    if not ref.id:
        return None
    try:
        return cleaned(await follow_chain(core, ref))
    except EngineError:
        return None
