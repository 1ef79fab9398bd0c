"""What a message shows at this moment: the row says which subject and surface, the tables say the rest."""

from dataclasses import replace

from bot.domain.execution import Action
from bot.domain.incident import IncidentState
from bot.domain.messages import Approval, Card, Home, Modal, Note, NoteKind, Shown, StartCard, Storm
from bot.domain.policy import Person, approvals_missing
from bot.domain.request import Request, RequestState
from bot.service import kills
from bot.service.core import Core
from bot.service.outbox import Readings
from bot.service.requests import offering
from bot.service.unit import Message

NOTES = {
    "decided": NoteKind.DECIDED,
    "ended": NoteKind.ENDED_EARLY,
    "held_back": NoteKind.HELD_BACK,
    "result": NoteKind.RESULT,
    "reminder": NoteKind.REMINDER,
    "unknown": NoteKind.UNKNOWN,
}


async def show(core: Core, readings: Readings, message: Message) -> Shown | Modal | Home | None:
    """What the message is to show; None when it is not needed any more."""
    if message.shown is not None:
        return message.shown
    match message.surface.partition("-")[0]:
        case "card":
            return await _card(core, readings, _number(message))
        case "storm":
            return Storm(tuple(await readings.incidents(message.numbers)))
        case "home":
            return await readings.home(Person(message.workspace, message.user or ""), core.now())
        case "approval":
            return await _approval(core, readings, message)
        case "start":
            request = await readings.request(_number(message))
            return StartCard(request) if request else None
        case surface:
            return await _note(readings, message, NOTES[surface])


def _number(message: Message) -> int:
    return int(message.subject.rpartition("-")[2])


async def _card(core: Core, readings: Readings, incident_id: int) -> Card | None:
    stored = await readings.incident(incident_id)
    if stored is None:
        return None
    incident = offering(core, stored)
    request = await readings.newest_request(incident_id)
    info = core.setup.connections.get(incident.connection)
    is_free = request is None or not request.state.is_live
    is_open = incident.state is IncidentState.OPEN
    may_retry = is_open and is_free and incident.seen is not None and bool(incident.seen.points) and not incident.trouble
    is_running = request is not None and request.state is RequestState.RUNNING and request.action is not Action.KILL
    may_kill = (is_free or is_running) and kills.is_offered(core, incident)
    title = info.title if info else ""
    return Card(incident, request, may_retry=may_retry, may_kill=may_kill, engine_title=title)


async def _approval(core: Core, readings: Readings, message: Message) -> Approval | None:
    request = await readings.request(_number(message))
    if request is None:
        return None
    people = await readings.approvers_of(request)
    missing = approvals_missing(request.rules, people, request.requester, request.channel, None)
    mentions = _mentions(request) if message.ts is None else ()
    incident = await readings.incident(request.incident_id) if request.incident_id else None
    link = incident.seen.link if incident and incident.seen else ""
    return Approval(request, missing if request.state is RequestState.PENDING else {}, mentions, link)


def _mentions(request: Request) -> tuple[str, ...]:
    """Whom to mention; the requester only where their own approval would count."""
    words = [word for policy in request.rules.policies for word in policy.approvers]
    may_self = all(policy.self_approval for policy in request.rules.policies)
    own = "" if may_self else request.requester.rsplit("/", 1)[-1]
    return tuple(dict.fromkeys(word for word in words if word.startswith(("U", "W", "S")) and word != own))


async def _note(readings: Readings, message: Message, kind: NoteKind) -> Note | None:
    request = await readings.request(_number(message))
    if request is None:
        return None
    incident = await readings.incident(request.incident_id) if request.incident_id else None
    if kind is NoteKind.DECIDED:  # each decision has its own message
        request = replace(request, decisions=request.decisions[: int(message.surface.partition("-")[2])])
    return Note(kind, request, incident)
