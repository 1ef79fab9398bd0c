"""Commands: stored with what they need to be answered, answered by a worker that asks the engines.

/resume x ─tx─▶ lookup + job ─▶ look_up ─▶ engines ─tx─▶ incident, request, private answer
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.errors import Refusal
from bot.domain.execution import Execution, find_point
from bot.domain.incident import Incident
from bot.domain.messages import Answer, Choice, Listing, PickPoint, StartForm, Tone, Trail, Word
from bot.domain.policy import Person, PersonKind, may_request
from bot.domain.text import clean, listed, literal, nearest, shorten
from bot.service import kills, people, starts
from bot.service.chains import check_newest
from bot.service.core import Core
from bot.service.incidents import channel_for, open_for
from bot.service.presses import press_after_look_up
from bot.service.reading_rights import check_reading, may_read
from bot.service.reports import Reports
from bot.service.requests import NotRead, WantsReason, Wish, offer, offering, request_resume, rules_for
from bot.service.resolve import resolve
from bot.service.unit import LOOKUP_QUEUE, Job, Lookup, Place

log = logging.getLogger(__name__)
LIFE = timedelta(minutes=25)
MOST_CANDIDATES = 8
MOST_TYPED = 60_000
Private = Answer | Listing | Trail | PickPoint | StartForm | Word


@dataclass(frozen=True)
class Order:
    """A command or form that asks something of engines; `key` is the same for every delivery of it."""

    key: str
    place: Place
    team: str
    verb: str
    argument: str
    stage: str = ""


async def take_order(core: Core, order: Order) -> bool:
    """Store a command and enqueue its answer; False when it was taken before."""
    async with core.store.unit(hurried=True) as unit:
        now = core.now()
        if not await unit.first_time("command", order.key, now):
            return False
        argument, stage = clean(order.argument, MOST_TYPED), clean(order.stage, 300)
        lookup = await unit.commands.add(order.place, order.verb, argument, stage, now=now, expires_at=now + LIFE)
        unit.record(
            AuditEntry(
                at=now,
                actor=f"slack:{order.team or 'unknown'}/{order.place.user}",
                action=AuditAction.COMMAND_RECEIVED,
                subject="bot",
                data={"verb": order.verb, "argument": _for_audit(order), "stage": stage, "channel": order.place.channel},
            )
        )
        await unit.enqueue(Job("look_up", LOOKUP_QUEUE, {"lookup_id": lookup.id}))
        return True


def _for_audit(order: Order) -> str:
    """What was typed; never the inputs of a start."""
    if order.verb == "start_now":
        return ""
    return clean(json.loads(order.argument)[0] if order.verb == "start" else order.argument, 500)


class Commands:
    """Answers commands; needs the reports besides the core."""

    def __init__(self, core: Core, reports: Reports) -> None:
        self._core, self._reports = core, reports
        self._verbs: Mapping[str, Callable[[Lookup, Person], Awaitable[Private]]] = {
            "resume": self._resume,
            "list": self._list,
            "mine": self._mine,
            "status": self._status,
            "audit": self._audit,
            "why": self._why,
            "find": self._find,
            "start": self._start,
            "start_now": self._start_now,
        }

    async def look_up(self, lookup_id: int) -> None:
        """Answer a command that waits; a no-op when that was done."""
        async with self._core.store.unit() as unit:
            lookup = await unit.commands.lock(lookup_id)
        if lookup is None:
            return
        if lookup.verb == "press":
            await press_after_look_up(self._core, lookup)
            return
        answer = await self._answer(lookup)
        async with self._core.store.unit() as unit:
            now = self._core.now()
            if await unit.commands.lock(lookup_id) is None:
                return
            await unit.commands.answered(lookup_id, now)
            shown = _for_view(answer) if lookup.place.view_id else answer
            await unit.messages.whisper(lookup.label, lookup.place, shown, lookup.expires_at)

    async def _answer(self, lookup: Lookup) -> Private:
        core = self._core
        try:
            async with asyncio.timeout(core.setup.timings.lookup_limit):
                person = await self._person(lookup)
                return await self._verbs[lookup.verb](lookup, person)
        except TimeoutError:
            return Answer("The engine has not answered in time. Nothing was done; please try again.", Tone.TROUBLE)
        except Refusal as refusal:
            await self._record(lookup, refusal)
            return Answer(str(refusal), Tone.REFUSED)

    async def _person(self, lookup: Lookup) -> Person:
        core, place = self._core, lookup.place
        if place.workspace != core.setup.workspace:
            return Person(place.workspace, place.user, PersonKind.FOREIGN, core.now())
        async with core.store.unit() as unit:
            person = await unit.directory.person(place.workspace, place.user)
        if person.kind is None and await people.refresh_person(core, place.user):
            async with core.store.unit() as unit:
                person = await unit.directory.person(place.workspace, place.user)
        return person

    async def _record(self, lookup: Lookup, refusal: Refusal) -> None:
        async with self._core.store.unit() as unit:
            unit.record(
                AuditEntry(
                    at=self._core.now(),
                    actor=f"slack:{lookup.place.workspace}/{lookup.place.user}",
                    action=AuditAction.REQUEST_REFUSED,
                    subject="bot",
                    data={"wanted": lookup.verb, "reason": refusal.reason},
                )
            )

    # ---- resume --------------------------------------------------------------------------

    async def _resume(self, lookup: Lookup, person: Person) -> Private:
        found = await resolve(self._core, lookup.argument)
        if not found.executions:
            raise Refusal("engine_down", f"Nothing was done: {listed(list(found.troubles))}. Please try again shortly.")
        if len(found.executions) > 1:
            return await self._which_one(lookup, person, found.executions)
        return await self._resume_one(lookup, person, found.executions[0])

    async def _which_one(self, lookup: Lookup, person: Person, executions: Sequence[Execution]) -> Private:
        readable = []
        for one in executions:
            channel = await self._channel_of(one)
            if may_read(self._core, await self._known(person, channel), channel):
                readable.append(one)
        if len(readable) < 2:
            return await self._resume_one(lookup, person, (readable or executions)[0])
        choices = tuple(Choice(_named(one), f"{one.ref} {lookup.stage}".strip()) for one in readable)
        return Answer("Several executions go by that. Which one do you mean?", choices=choices)

    async def _resume_one(self, lookup: Lookup, person: Person, execution: Execution) -> Private:
        core = self._core
        person = await self._admitted(lookup, person, execution)
        await check_newest(core, execution)
        shown = offer(core, execution)
        if not execution.points and not execution.pending_points:
            if kills.can_be_ended(core, execution):
                return await self._show_running(person, execution)
            raise Refusal("not_resumable", f"{_named(execution)}: {literal(execution.no_points) or 'it cannot be resumed.'}")
        async with core.store.unit() as unit:
            incident = await open_for(core, unit, execution, person.actor, core.now())
        if not lookup.stage:
            return _offer(offering(core, incident), lookup)
        async with core.store.unit() as unit:
            locked = await unit.incidents.lock(incident.id)
            incident = locked or incident
            point = find_point(shown.points, lookup.stage)
            if point is None:
                raise Refusal("no_such_stage", _no_stage(shown, lookup.stage))
            try:
                request = await request_resume(core, unit, incident, Wish(person, point, "command"))
            except WantsReason:
                return _offer(offering(core, incident), lookup, "Policy wants a reason: press *Retry* and give one.")
            except NotRead:
                raise Refusal(
                    "unknown_person", "Slack does not tell me which groups you belong to at the moment. Please try again."
                ) from None
        return Answer(f"Asked: {request.label} ({literal(point.label, 100)}). The rest is in <#{request.channel}>.", Tone.DONE)

    async def _show_running(self, person: Person, execution: Execution) -> Answer:
        """Its card, which offers to end it."""
        async with self._core.store.unit() as unit:
            incident = await open_for(self._core, unit, execution, person.actor, self._core.now())
        where = f"in <#{incident.channel}> " if incident.channel else ""
        return Answer(f"{_named(execution)} still runs, so there is nothing to resume. Its card {where}offers *Kill it*.")

    async def _admitted(self, lookup: Lookup, person: Person, execution: Execution) -> Person:
        """The person as known now. Raises Refusal, and tells nothing of the execution, to who may neither read nor ask."""
        core, channel = self._core, await self._channel_of(execution)
        person = await self._known(person, channel)
        if may_read(core, person, channel):
            return person
        if not (lookup.stage and channel and execution.points):
            check_reading(core, person, channel)
        may_request(rules_for(core, execution, execution.points[0]), person, channel, core.now())
        return person

    async def _channel_of(self, execution: Execution) -> str | None:
        async with self._core.store.unit() as unit:
            known = await unit.incidents.lock_by_execution(execution.ref.connection, execution.ref.id)
        return (known.channel if known else None) or channel_for(self._core, execution)

    async def _known(self, person: Person, channel: str | None) -> Person:
        """What is known of the person, read anew where it never was or where they are no member as far as that goes."""
        core = self._core
        if channel is None or person.workspace != core.setup.workspace:
            return person
        unread = {word for word in core.setup.followed_groups if word not in person.read_at}
        if unread or channel not in person.groups:
            await people.refresh_for(core, [person.id], {"channel"} | unread, channel)
        async with core.store.unit() as unit:
            return await unit.directory.person(person.workspace, person.id)

    async def _find(self, lookup: Lookup, person: Person) -> Private:
        """The first of several things a message may mean that an engine knows."""
        refusal = Refusal("not_found", "I find no execution that I know in that message.")
        for argument in lookup.argument.split("\n")[:MOST_CANDIDATES]:
            try:
                found = await resolve(self._core, argument)
            except Refusal:
                continue
            if found.executions:
                return await self._resume_one(lookup, person, found.executions[0])
            refusal = Refusal("engine_down", f"{listed(list(found.troubles))}. Please try again shortly.")
        raise refusal

    # ---- start ---------------------------------------------------------------------------

    async def _start(self, lookup: Lookup, person: Person) -> Private:
        return await starts.find(self._core, lookup)

    async def _start_now(self, lookup: Lookup, person: Person) -> Private:
        return await starts.ask(self._core, lookup, person)

    # ---- reports -------------------------------------------------------------------------

    async def _list(self, lookup: Lookup, person: Person) -> Private:
        return await self._reports.open_failures(person)

    async def _mine(self, lookup: Lookup, person: Person) -> Private:
        return await self._reports.mine(person)

    async def _status(self, lookup: Lookup, person: Person) -> Private:
        return await self._reports.status(person, lookup.argument)

    async def _audit(self, lookup: Lookup, person: Person) -> Private:
        return await self._reports.trail(person, lookup.argument)

    async def _why(self, lookup: Lookup, person: Person) -> Private:
        return await self._reports.why(person, lookup.argument)


def _named(execution: Execution) -> str:
    return literal(f"{execution.ref}" + (f" ({shorten(execution.name, 60)})" if execution.name else ""))


def _offer(incident: Incident, lookup: Lookup, text: str = "") -> Private:
    points = incident.seen.points if incident.seen else ()
    if lookup.place.view_id:
        return PickPoint(incident, points, selected=points[0].key if points else "")
    if not points and incident.seen and not incident.seen.pending_points:
        return Answer(literal(incident.seen.no_points), Tone.REFUSED)
    if not points:
        return Answer("It failed and cannot be resumed until it has come to its end; the card will offer it then.")
    return Answer(text or "Choose a stage and press *Retry*.", incident=incident, points=points)


def _no_stage(execution: Execution, stage: str) -> str:
    refused = next((point for point in execution.refused_points if point.name.casefold() == stage.casefold()), None)
    if refused is not None:
        return f"“{literal(stage, 80)}” cannot be resumed from: {literal(refused.reason)}"
    names = [name for point in execution.points for name in (point.stages or (point.label,))]
    near = nearest(stage, names)
    offered = listed(list(dict.fromkeys(f"“{literal(name, 60)}”" for name in names))[:10], "or")
    return f"There is no stage “{literal(stage, 80)}” to resume from{near or '.'} On offer: {offered}."


def _for_view(answer: Private) -> Private:
    """What a form shows instead of a private message."""
    if isinstance(answer, Answer):
        return Word(answer.text, answer.tone, answer.foreign, answer.choices)
    return answer
