"""What a person does with a button or a form: one unit that checks, writes, records refusals, and says what to answer.

press ─▶ seen before? ─▶ who is it? ─▶ verb ─▶ Outcome        unknown person ─▶ kept, looked up by a worker, done then
"""

import json
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.errors import Refusal
from bot.domain.execution import Action
from bot.domain.incident import Incident
from bot.domain.messages import Answer, Modal, PickPoint, RejectReason, Tone, Word
from bot.domain.policy import Person, PersonKind
from bot.domain.request import Request
from bot.service import people
from bot.service.acts import ACTS, Act, Done
from bot.service.core import Core
from bot.service.requests import NotRead, WantsReason
from bot.service.unit import LOOKUP_QUEUE, SLACK_QUEUE, Job, Lookup, Opening, Place, PressedOn, Unit

log = logging.getLogger(__name__)
ANSWER_LIFE = timedelta(minutes=25)


class Verb(StrEnum):
    """What can be pressed or submitted."""

    RETRY = "retry"
    APPROVE = "approve"
    ASK_REJECT = "ask_reject"  # the button: a form asks for the reason
    REJECT = "reject"
    WITHDRAW = "withdraw"
    PRESS_AGAIN = "press_again"
    CLOSE = "close"
    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    ASSIGN = "assign"
    KILL = "kill"
    SHOW_CARD = "show_card"


@dataclass(frozen=True)
class Press:
    """One press; `key` is the same for every delivery of it. `in_form`: the answer goes back with the form itself."""

    verb: Verb
    key: str
    place: Place
    subject: int  # id of the incident or request
    is_request: bool = False
    team: str = ""
    message_ts: str = ""
    choice: str = ""
    reason: str = ""
    again_of: int | None = None
    in_form: bool = False


@dataclass(frozen=True)
class Outcome:
    """What to answer at once: nothing, a modal to open, or words for the form that is open."""

    modal: Modal | None = None
    answer: Answer | None = None
    is_refusal: bool = False
    is_repeat: bool = False


async def press(core: Core, pressed: Press) -> Outcome:
    """Do it, once however often it is delivered; a refusal is recorded and told to the person alone."""
    async with core.store.unit(hurried=True) as unit:
        now = core.now()
        opening = await _open(core, unit, pressed, now)
        if not opening.is_first:
            return Outcome(is_repeat=True)
        outcome = await _press(core, unit, pressed, opening, may_look_up=True)
        if outcome.answer is not None and not pressed.in_form:
            await unit.messages.whisper(f"press:{pressed.key}", pressed.place, outcome.answer, now + ANSWER_LIFE)
        return outcome


async def _open(core: Core, unit: Unit, pressed: Press, now: datetime) -> Opening:
    place = pressed.place
    person, where = (core.setup.workspace, place.user), (place.channel or "", pressed.message_ts)
    return await unit.open_press(pressed.key, now, person, where, PressedOn(pressed.subject, pressed.is_request))


async def _press(core: Core, unit: Unit, pressed: Press, opening: Opening, *, may_look_up: bool) -> Outcome:
    person, now = _person(core, pressed, opening), core.now()
    act = Act(
        person=person,
        subject=pressed.subject,
        choice=pressed.choice,
        reason=pressed.reason,
        again_of=pressed.again_of,
        channel=pressed.place.channel,
    )
    try:
        if not opening.stands:
            await _refuse_orphan(unit, pressed)
        done = await ACTS[pressed.verb.value](core, unit, act)
    except WantsReason as wish:
        return Outcome(modal=_ask_why(wish))
    except NotRead:
        if may_look_up:
            return await _look_up_first(unit, pressed, now)
        return await _refused(core, unit, pressed, person, Refusal("unknown_person", NOT_KNOWN))
    except Refusal as refusal:
        return await _refused(core, unit, pressed, person, refusal)
    return _outcome(done)


def _ask_why(wish: WantsReason) -> PickPoint:
    seen = wish.incident.seen
    points = seen.points if seen and wish.point.action is not Action.KILL else (wish.point,)
    again_of = wish.again.id if wish.again else None
    return PickPoint(wish.incident, points, selected=wish.point.key, wants_reason=True, again_of=again_of)


NOT_KNOWN = (
    "Nothing was done: Slack does not tell me who you are or which groups you belong to at the moment. Please try again."
)


def _outcome(done: Done) -> Outcome:
    if isinstance(done.shows, PickPoint | RejectReason | Word):
        return Outcome(modal=done.shows)
    return Outcome(answer=Answer(done.text, Tone.DONE) if done.text else None)


def _person(core: Core, pressed: Press, opening: Opening) -> Person:
    """Facts about who pressed; whoever Slack says is of another organisation is, whatever the tables hold."""
    if pressed.team != core.setup.workspace:
        known = Person(pressed.team or "unknown", pressed.place.user)
        return replace(known, kind=PersonKind.FOREIGN, kind_read_at=core.now())
    return opening.person


async def _refuse_orphan(unit: Unit, pressed: Press) -> None:
    """A message that stands there twice, after a crash between Slack's answer and our commit: only one of them is live."""
    place = pressed.place
    if not (place.channel and pressed.message_ts) or pressed.in_form:
        return
    label = f"{'req' if pressed.is_request else 'inc'}-{pressed.subject}"
    if await unit.messages.is_orphan(label, place.channel, pressed.message_ts):
        orphan = {"channel": place.channel, "ts": pressed.message_ts, "subject": label}
        await unit.enqueue(Job("delete_orphan", SLACK_QUEUE, orphan))
        raise Refusal("orphan", f"Nothing was done: that message about {label} was left over from a fault. Use the other one.")


async def delete_orphan(core: Core, channel: str, ts: str, subject: str) -> None:
    """Take a left-over message away, unless it is the live one by now: a worker may have been slow to save its place."""
    async with core.store.unit() as unit:
        if await unit.messages.at(channel, ts):
            return
    await core.chat.delete(channel, ts)
    async with core.store.unit() as unit:
        await unit.messages.renew(subject)


async def _look_up_first(unit: Unit, pressed: Press, now: datetime) -> Outcome:
    kept = json.dumps(
        {
            "verb": pressed.verb.value,
            "key": pressed.key,
            "subject": pressed.subject,
            "is_request": pressed.is_request,
            "team": pressed.team,
            "choice": pressed.choice,
            "reason": pressed.reason,
            "again_of": pressed.again_of,
        }
    )
    lookup = await unit.commands.add(pressed.place, "press", kept, "", now=now, expires_at=now + ANSWER_LIFE)
    await unit.enqueue(Job("look_up", LOOKUP_QUEUE, {"lookup_id": lookup.id}))
    if pressed.in_form:
        return Outcome(answer=Answer("I am looking you up first; it is done in a moment, and I tell you here in the channel."))
    return Outcome()


async def press_after_look_up(core: Core, lookup: Lookup) -> None:
    """Do a press that had to wait until its person was looked up."""
    kept = json.loads(lookup.argument)
    pressed = Press(place=lookup.place, verb=Verb(kept.pop("verb")), **kept)
    words, channel = await _what_counts(core, pressed)
    await people.refresh_for(core, [pressed.place.user], words, channel)
    async with core.store.unit() as unit:
        now = core.now()
        if await unit.commands.lock(lookup.id) is None:
            return
        outcome = await _press(core, unit, pressed, await _open(core, unit, pressed, now), may_look_up=False)
        await unit.commands.answered(lookup.id, now)
        answer = outcome.answer
        if outcome.modal is not None:
            answer = Answer("I know you now. Please press once more.")
        if answer is not None:
            await unit.messages.whisper(f"press:{pressed.key}", lookup.place, answer, now + ANSWER_LIFE)


async def _what_counts(core: Core, pressed: Press) -> tuple[frozenset[str], str]:
    """Policy words and channel that a decision about this press may hang on."""
    words = frozenset({"channel"}) | core.setup.followed_groups
    async with core.store.unit() as unit:
        if pressed.is_request:
            found = await unit.requests.lock(pressed.subject)
            return (words | found[0].rules.principals, found[0].channel) if found else (words, "")
        incident = await unit.incidents.lock(pressed.subject)
        return words, (incident.channel or "") if incident else ""


async def _subject(unit: Unit, pressed: Press) -> tuple[Request | None, Incident | None]:
    if pressed.is_request:
        return await unit.requests.lock(pressed.subject) or (None, None)
    return None, await unit.incidents.lock(pressed.subject)


DECISIONS = frozenset({Verb.APPROVE, Verb.ASK_REJECT, Verb.REJECT, Verb.WITHDRAW, Verb.PRESS_AGAIN, Verb.CLOSE})


async def _refused(core: Core, unit: Unit, pressed: Press, person: Person, refusal: Refusal) -> Outcome:
    is_decision = pressed.verb in DECISIONS and pressed.is_request
    label = f"{'req' if pressed.is_request else 'inc'}-{pressed.subject}"
    request, incident = await _subject(unit, pressed)
    unit.record(
        AuditEntry(
            at=core.now(),  # after the wait for locks, so that the trail's times follow its order
            actor=person.actor,
            action=AuditAction.DECISION_REFUSED if is_decision else AuditAction.REQUEST_REFUSED,
            subject=label,
            request=request.label if request else None,
            incident=incident.label if incident else None,
            connection=incident.connection if incident else request.connection if request else None,
            execution=(request.execution_id or None) if request else incident.execution_id if incident else None,
            data={"wanted": pressed.verb.value, "reason": refusal.reason},
        )
    )
    return Outcome(answer=Answer(str(refusal), Tone.REFUSED), is_refusal=True)
