"""The verbs of buttons and forms, each inside the caller's unit: load locked, check, write.

All raise Refusal, and what `bot.service.requests` raises; nothing is written then.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.domain import lifecycle
from bot.domain.audit import AuditAction
from bot.domain.choices import choice_value, find_chosen
from bot.domain.errors import Refusal
from bot.domain.execution import Action
from bot.domain.incident import Incident, IncidentState, entry
from bot.domain.messages import Modal, PickPoint, RejectReason
from bot.domain.policy import Person, PersonKind, may_decide, unread
from bot.domain.request import Request, RequestState, describe_state, mention
from bot.domain.text import literal
from bot.service import kills
from bot.service.core import Core
from bot.service.incidents import snooze_job, want_card
from bot.service.requests import (
    NotRead,
    Wish,
    approve,
    offering,
    reject,
    request_kill,
    request_resume,
    save_step,
    want_in_thread,
    withdraw,
)
from bot.service.unit import Rank, Unit

SNOOZE = timedelta(hours=1)
KILL_CHOICE = choice_value(0, kills.POINT)
OPTIONS_ON_A_CARD = 100  # more are chosen in a form


@dataclass(frozen=True)
class Act:
    """Who acts on what, with what was chosen and typed; `channel` is where, None in a form."""

    person: Person
    subject: int
    choice: str = ""
    reason: str = ""
    again_of: int | None = None
    channel: str | None = None


@dataclass(frozen=True)
class Done:
    """What to say to the person, if anything, or the form to open."""

    text: str = ""
    shows: Modal | None = None


async def _incident(unit: Unit, act: Act) -> Incident:
    incident = await unit.incidents.lock(act.subject)
    if incident is None:
        raise Refusal("unknown", "I do not know this failure any more.")
    return incident


async def _request(unit: Unit, act: Act) -> tuple[Request, Incident | None]:
    found = await unit.requests.lock(act.subject)
    if found is None:
        raise Refusal("unknown", "I do not know this request any more.")
    return found


def _same_channel(request: Request, act: Act) -> None:
    if act.channel is not None and act.channel != request.channel:
        raise Refusal("wrong_channel", f"Decisions on {request.label} count only in <#{request.channel}>.")


async def _retry(core: Core, unit: Unit, act: Act) -> Done:
    if act.choice == KILL_CHOICE:  # the form that asks why
        return await _kill(core, unit, act)
    incident = await _incident(unit, act)
    again = None
    if act.again_of is not None:
        found = await unit.requests.lock(act.again_of)
        again = found[0] if found else None
        _still_unknown(again)
    shown = offering(core, incident)
    points = shown.seen.points if shown.seen else ()
    has_to_choose = len(points) > OPTIONS_ON_A_CARD and not act.choice
    if again is None and (has_to_choose or not points):
        await _refuse_if_asked(unit, incident)
    if has_to_choose:
        return Done(shows=PickPoint(shown, points, selected=points[0].key))
    if not points:
        why = shown.seen.no_points if shown.seen else incident.trouble
        raise Refusal("not_resumable", literal(why) or "It cannot be resumed at the moment.")
    point = find_chosen(points, act.choice)
    await request_resume(core, unit, incident, Wish(act.person, point, "slack", act.reason, again))
    if again is not None:
        await _unknown_is_over(unit, again)
    return Done()


async def _refuse_if_asked(unit: Unit, incident: Incident) -> None:
    live = await unit.requests.live_of(incident) if incident.root else None
    if live is not None:
        raise Refusal("already_asked", f"{live.label} asks for this already: {describe_state(live).partition(': ')[2]}")


def _still_unknown(again: Request | None) -> None:
    if again is None:
        raise Refusal("unknown", "I do not know this request any more.")
    if again.state is not RequestState.UNKNOWN:
        raise Refusal("too_late", f"Nothing was done: {describe_state(again)}")


async def _kill(core: Core, unit: Unit, act: Act) -> Done:
    incident = await _incident(unit, act)
    if not kills.is_offered(core, incident):
        raise Refusal("not_killable", "Nothing was done: it does not run any more, or it cannot be ended from here.")
    await request_kill(core, unit, incident, Wish(act.person, kills.POINT, "slack", act.reason))
    return Done()


async def _approve(core: Core, unit: Unit, act: Act) -> Done:
    request, _ = await _request(unit, act)
    _same_channel(request, act)
    await approve(core, unit, request, act.person)
    return Done()


async def _ask_reject(core: Core, unit: Unit, act: Act) -> Done:
    request, _ = await _request(unit, act)
    _same_channel(request, act)
    if unread(request.rules, act.person, request.channel):
        raise NotRead(request.rules, request.channel)
    lifecycle.may_still_reject(request, act.person, core.now())
    may_decide(request.rules, act.person, request.requester, request.channel, core.now())
    return Done(shows=RejectReason(request))


async def _reject(core: Core, unit: Unit, act: Act) -> Done:
    request, _ = await _request(unit, act)
    after = await reject(core, unit, request, act.person, act.reason)
    return Done(f"You rejected {after.label}.")


async def _withdraw(core: Core, unit: Unit, act: Act) -> Done:
    request, _ = await _request(unit, act)
    await withdraw(core, unit, request, act.person)
    return Done()


async def _press_again(core: Core, unit: Unit, act: Act) -> Done:
    request, incident = await _request(unit, act)
    _same_channel(request, act)
    _still_unknown(request)
    if incident is None:
        raise Refusal("start_again", f"{request.label} was a start: look whether it runs, then close it and start anew.")
    if request.action is Action.KILL:
        raise Refusal("kill_again", f"I look at the engine for {request.label} myself, and ask it again if it still runs.")
    shown = offering(core, incident)
    points = shown.seen.points if shown.seen else ()
    if not points:
        why = (shown.seen.no_points if shown.seen else "") or "the engine offers nothing to resume from"
        raise Refusal("not_resumable", f"Nothing was sent: {literal(why)}")
    point = next((point for point in points if point.key == request.point.key), None)
    if point is None:  # another stage is for the person to choose
        return Done(shows=PickPoint(shown, points, selected=points[0].key, again_of=request.id))
    await request_resume(core, unit, incident, Wish(act.person, point, "press_again", act.reason, request))
    await _unknown_is_over(unit, request)
    return Done()


async def _close(core: Core, unit: Unit, act: Act) -> Done:
    request, incident = await _request(unit, act)
    _same_channel(request, act)
    _still_unknown(request)
    if unread(request.rules, act.person, request.channel):
        raise NotRead(request.rules, request.channel)
    if act.person.actor != request.requester:
        may_decide(request.rules, act.person, request.requester, request.channel, core.now())
    after = await save_step(unit, request, lifecycle.closed_as_not_run(request, act.person, core.now()))
    want_in_thread(unit, after, "ended", Rank.DECISION)
    await _unknown_is_over(unit, after)
    if incident is not None:
        want_card(unit, incident)
    return Done()


async def _unknown_is_over(unit: Unit, request: Request) -> None:
    unit.messages.change(request.label, f"unknown-{request.calls}")
    unit.messages.change(request.label, "approval")


def _may_care(core: Core, incident: Incident, person: Person) -> None:
    """Whoever can read the card of our own workspace may look after it; others only where a rule names them."""
    route = core.setup.route_of_channel(incident.channel or "")
    viewers = route.viewers if route else ()
    if person.kind in {PersonKind.FOREIGN, PersonKind.BOT, PersonKind.DEACTIVATED} and person.id not in viewers:
        raise Refusal("not_a_member", "Only people of this workspace can do that.")


async def _care(core: Core, unit: Unit, act: Act, action: AuditAction, **changes: object) -> Incident:
    incident = await _incident(unit, act)
    _may_care(core, incident, act.person)
    if incident.state is not IncidentState.OPEN:
        raise Refusal("ended", f"{incident.label} has ended already; there is nothing to look after.")
    after = await unit.incidents.save(incident, replace(incident, **changes))  # type: ignore[arg-type]
    unit.record(entry(after, action, act.person.actor, core.now()))
    want_card(unit, after)
    return after


async def _acknowledge(core: Core, unit: Unit, act: Act) -> Done:
    await _care(core, unit, act, AuditAction.INCIDENT_ACKNOWLEDGED, acknowledged_by=act.person.actor)
    return Done()


async def _snooze(core: Core, unit: Unit, act: Act) -> Done:
    now, by = core.now(), act.person.actor
    until, known = now + SNOOZE, await _incident(unit, act)
    if known.snoozed_until and known.snoozed_until > now and known.snoozed_by != by:  # their reminder would be lost
        raise Refusal("snoozed", f"{known.label} is snoozed already, by {mention(known.snoozed_by or '')}.")
    after = await _care(core, unit, act, AuditAction.INCIDENT_SNOOZED, snoozed_until=until, snoozed_by=by)
    await unit.enqueue(snooze_job(after))
    return Done(f"{after.label} is snoozed for an hour; I remind you in its thread if it is still open then.")


async def _assign(core: Core, unit: Unit, act: Act) -> Done:
    await _care(core, unit, act, AuditAction.INCIDENT_ASSIGNED, assigned_to=act.person.actor)
    return Done()


async def _show_card(core: Core, unit: Unit, act: Act) -> Done:
    incident = await _incident(unit, act)
    _may_care(core, incident, act.person)
    if await unit.messages.unfold(incident.label):
        return Done()
    want_card(unit, incident)
    return Done(f"The card of {incident.label} stands in this channel already.")


Doing = Callable[[Core, Unit, Act], Awaitable[Done]]
ACTS: Mapping[str, Doing] = {
    "retry": _retry,
    "approve": _approve,
    "ask_reject": _ask_reject,
    "reject": _reject,
    "withdraw": _withdraw,
    "press_again": _press_again,
    "close": _close,
    "acknowledge": _acknowledge,
    "snooze": _snooze,
    "assign": _assign,
    "kill": _kill,
    "show_card": _show_card,
}
