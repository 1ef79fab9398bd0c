"""What is read and checked right before a call: engine and people afresh, then digest and policy once more."""

import asyncio

from bot.domain import lifecycle
from bot.domain.errors import EngineError, NotFound, RateLimited, Refusal
from bot.domain.execution import Action, Execution, ResumePoint
from bot.domain.policy import Rules, approvals_missing, may_request
from bot.domain.ports import PreparesResume
from bot.domain.request import Request
from bot.domain.text import cleaned
from bot.service import health, kills, people
from bot.service.core import Core
from bot.service.incidents import follow_chain
from bot.service.receipts import look_again, overtaken, put_off, refuse
from bot.service.requests import end_early, fresh_digest, rules_for
from bot.service.unit import Unit

PEOPLE_UNREAD = "Slack does not say who may do this now, so nothing is sent"


async def people_read(core: Core, request: Request) -> bool:
    """Whether all that the decision hangs on could be read afresh."""
    users = [actor.rsplit("/", 1)[-1] for actor in (request.requester, *request.approvers)]
    return await people.refresh_for(core, users, request.rules.principals, request.channel)


async def still_allowed(core: Core, unit: Unit, request: Request) -> None:
    """Raises Refusal when requester or approvers are not allowed any more, by today's facts."""
    now = core.now()
    found = await unit.directory.people([request.requester, *request.approvers])
    known = {person.actor: person for person in found}
    if requester := known.get(request.requester):
        may_request(request.rules, requester, request.channel, now)
    approvers = [known[actor] for actor in request.approvers if actor in known]
    missing = approvals_missing(request.rules, approvers, request.requester, request.channel, now)
    if missing:
        lacking = ", ".join(f"{count} for “{name}”" for name, count in missing.items())
        raise Refusal(
            "approval_lost", f"Approvals no longer suffice, because somebody may not approve any more: {lacking} missing."
        )


async def read_afresh(core: Core, request: Request) -> Execution | None:
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


async def still_holds(core: Core, unit: Unit, request: Request, raw: Execution) -> ResumePoint | None:
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
        if not _is_as_shown(core, request, execution, points[index], rules):
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


def _is_as_shown(core: Core, request: Request, execution: Execution, point: ResumePoint, rules: Rules) -> bool:
    """Whether the digest still fits; once we have ended it, whether that alone has changed it, under the same rules."""
    if fresh_digest(request, execution, point, rules) == request.digest:
        return True
    engine = core.engines.get(request.connection)
    if request.prepared_at is None or not isinstance(engine, PreparesResume):
        return False
    return engine.is_own_doing(request.baseline, execution.baseline) and rules.as_text() == request.rules.as_text()
