"""What Slack delivers: parse, call one service function, say what to answer; nothing else."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from bot.domain.errors import Refusal
from bot.domain.messages import START_CHOICE, Answer, Modal, PickFailure, PickPoint, Tone, Word
from bot.domain.policy import Person
from bot.service.commands import Order, take_order
from bot.service.core import Core
from bot.service.forms import Forms
from bot.service.presses import Outcome, Press, Verb, press
from bot.service.starts import Filled, Wanted
from bot.service.unit import SLACK_QUEUE, Job, Place
from bot.slack import payloads
from bot.slack.help import help_answer
from bot.slack.orders import (
    AskOrder,
    Help,
    ListMine,
    ListOpen,
    ResumeForm,
    ResumeOrder,
    StartOrder,
    parse_order,
)
from bot.slack.payloads import RESUME_THIS, Caller
from bot.slack.views.controls import Control, HandleKind, More

LOOKING = "Looking it up…"


@dataclass(frozen=True)
class Reply:
    """What goes back: a text in the answer to a command, a form to open, or what the open form becomes."""

    text: str = ""
    says: Answer | None = None
    opens: Modal | None = None
    becomes: Modal | None = None
    closes: bool = False
    external_id: str = ""
    trigger_id: str = ""


VERBS = {
    Control.RETRY: Verb.RETRY,
    Control.APPROVE: Verb.APPROVE,
    Control.REJECT: Verb.ASK_REJECT,
    Control.WITHDRAW: Verb.WITHDRAW,
    Control.PRESS_AGAIN: Verb.PRESS_AGAIN,
    Control.CLOSE: Verb.CLOSE,
    Control.SHOW_CARD: Verb.SHOW_CARD,
}
MORE = {More.ACKNOWLEDGE: Verb.ACKNOWLEDGE, More.SNOOZE: Verb.SNOOZE, More.ASSIGN: Verb.ASSIGN, More.KILL: Verb.KILL}


class Listeners:
    """One method for each kind of delivery, from its parsed body to a Reply; Refusal for what cannot be read."""

    def __init__(self, core: Core, forms: Forms, bot_user: str) -> None:
        self._core, self._forms, self._bot_user = core, forms, bot_user

    # ---- commands ------------------------------------------------------------------------

    async def command(self, body: Mapping[str, Any]) -> Reply:
        """A slash command."""
        typed = payloads.read_command(body)
        order = parse_order(typed.command, typed.text)
        key = f"command {typed.trigger_id or _digest(str(sorted(body.items())))}"
        place = Place(typed.caller.team or "unknown", typed.caller.id, typed.channel, response_url=typed.response_url or None)
        if isinstance(order, ResumeForm):
            return await self._open_form(typed.caller, typed.channel, typed.trigger_id, key)
        if isinstance(order, Help):
            return Reply(says=help_answer(sorted(self._core.setup.connections)))
        if isinstance(order, StartOrder):
            return await self._find_start(typed, order, key)
        verb, argument, stage = _order_words(order)
        await take_order(self._core, Order(key, place, typed.caller.team, verb, argument, stage))
        return Reply(text=LOOKING)

    async def _find_start(self, typed: payloads.SlashCommand, order: StartOrder, key: str) -> Reply:
        external_id = _digest(key)
        wanted = Wanted(order.typed, order.name, order.connection, order.application)
        place = Place(typed.caller.team or "unknown", typed.caller.id, typed.channel, view_id=external_id)
        await take_order(self._core, Order(key, place, typed.caller.team, "start", wanted.as_text()))
        return Reply(opens=Word(LOOKING), external_id=external_id, trigger_id=typed.trigger_id)

    async def _open_form(self, caller: Caller, channel: str, trigger_id: str, key: str) -> Reply:
        form = await self._forms.pick_failure(_person(self._core, caller), channel)
        return Reply(opens=form, external_id=_digest(key), trigger_id=trigger_id)

    # ---- presses -------------------------------------------------------------------------

    async def action(self, body: Mapping[str, Any]) -> Reply:
        """A press or a choice."""
        pressed = payloads.read_press(body)
        if pressed.control is Control.RESUME:
            key = f"form {pressed.caller.id} {pressed.at}"
            return await self._open_form(pressed.caller, "", pressed.trigger_id, key)
        if pressed.control is Control.CHOOSE:
            return await self._chosen(pressed)
        verb = MORE.get(pressed.more) if pressed.more else VERBS.get(pressed.control)
        if verb is None or pressed.handle is None:
            return Reply()
        wish = self._press(pressed, verb)
        outcome = await press(self._core, wish)
        return Reply(opens=outcome.modal, external_id=_digest(wish.key), trigger_id=pressed.trigger_id)

    def _press(self, pressed: payloads.Press, verb: Verb) -> Press:
        handle, place = pressed.handle, pressed.place
        assert handle is not None  # noqa: S101 — the caller has looked
        is_private = place is None or place.is_private
        return Press(
            verb=verb,
            key=f"{pressed.caller.id} {pressed.control} {pressed.at} {handle} {place.ts if place else ''}",
            place=Place(
                self._core.setup.workspace,
                pressed.caller.id,
                place.channel if place else None,
                thread_ts=place.thread_ts if place else None,
                response_url=pressed.response_url or None,
            ),
            subject=handle.id,
            is_request=handle.kind is HandleKind.REQUEST,
            team=pressed.caller.team,
            message_ts="" if is_private or place is None else place.ts,
            choice=pressed.choice,
        )

    async def _chosen(self, pressed: payloads.Press) -> Reply:
        place = Place(
            pressed.caller.team or "unknown",
            pressed.caller.id,
            pressed.place.channel if pressed.place else None,
            response_url=pressed.response_url or None,
            view_id=pressed.view.external_id if pressed.view else None,
        )
        key, team = f"choose {pressed.caller.id} {pressed.at}", pressed.caller.team
        if pressed.argument.startswith(START_CHOICE):
            order = Order(key, place, team, "start", pressed.argument.removeprefix(START_CHOICE))
        else:
            execution, _, stage = pressed.argument.partition(" ")
            order = Order(key, place, team, "resume", execution, stage)
        await take_order(self._core, order)
        return Reply()

    # ---- forms ---------------------------------------------------------------------------

    async def submission(self, body: Mapping[str, Any]) -> Reply:
        """A submitted form."""
        sent = payloads.read_submission(body)
        match sent.form:
            case payloads.PickedFailure() as picked:
                return await self._picked_failure(sent, picked)
            case payloads.PickedPoint() as picked:
                wish = self._form_press(sent, Verb.RETRY, picked.incident.id)
                wish = replace(wish, choice=picked.choice, reason=picked.reason, again_of=picked.again_of)
                return _form_reply(await press(self._core, wish), sent)
            case payloads.Rejected() as rejected:
                wish = self._form_press(sent, Verb.REJECT, rejected.request.id, is_request=True)
                return _form_reply(await press(self._core, replace(wish, reason=rejected.reason)), sent)
            case payloads.StartFilled() as filled:
                return await self._start(sent, filled)
            case _:
                raise Refusal("unknown_form", "I do not know this form. It may be of an older version; please open it again.")

    async def _picked_failure(self, sent: payloads.Submission, picked: payloads.PickedFailure) -> Reply:
        external_id = sent.view.external_id
        if picked.execution:
            place = Place(sent.caller.team or "unknown", sent.caller.id, picked.channel or None, view_id=external_id)
            key = f"form {sent.view.id} {sent.view.hash} {picked.execution}"
            await take_order(self._core, Order(key, place, sent.caller.team, "resume", picked.execution))
            return Reply(becomes=Word(LOOKING), external_id=external_id)
        if picked.incident is None:
            raise Refusal("nothing_chosen", "Choose a failure from the list, or type the execution you mean.")
        form = await self._forms.pick_point(_person(self._core, sent.caller), picked.incident.id)
        return Reply(becomes=form, external_id=external_id)

    async def _start(self, sent: payloads.Submission, form: payloads.StartFilled) -> Reply:
        filled = Filled(form.connection, form.target, form.name, form.inputs, form.reason)
        external_id = sent.view.external_id
        place = Place(sent.caller.team or "unknown", sent.caller.id, form.channel or None, view_id=external_id)
        await take_order(self._core, Order(f"start {sent.view.id}", place, sent.caller.team, "start_now", filled.as_text()))
        return Reply(becomes=Word(LOOKING), external_id=external_id)

    def _form_press(self, sent: payloads.Submission, verb: Verb, subject: int, *, is_request: bool = False) -> Press:
        return Press(
            verb=verb,
            key=f"{sent.view.id} {sent.view.hash} {verb}",
            place=Place(self._core.setup.workspace, sent.caller.id, view_id=sent.view.external_id or None),
            subject=subject,
            is_request=is_request,
            team=sent.caller.team,
            in_form=True,
        )

    # ---- shortcuts and events ------------------------------------------------------------

    async def shortcut(self, body: Mapping[str, Any]) -> Reply:
        """A shortcut: on a message it looks for the execution the message means, globally it opens the form."""
        used = payloads.read_shortcut(body)
        key = f"shortcut {used.trigger_id}"
        if used.callback_id != RESUME_THIS:
            return await self._open_form(used.caller, "", used.trigger_id, key)
        if not used.arguments:
            text = "I find nothing in that message that names an execution. `/resume <execution or link>` takes one."
            return Reply(opens=Word(text, Tone.REFUSED), external_id=_digest(key), trigger_id=used.trigger_id)
        channel = used.place.channel if used.place else None
        place = Place(used.caller.team or "unknown", used.caller.id, channel, view_id=_digest(key))
        await take_order(self._core, Order(key, place, used.caller.team, "find", "\n".join(used.arguments)))
        return Reply(opens=Word(LOOKING), external_id=_digest(key), trigger_id=used.trigger_id)

    async def event(self, body: Mapping[str, Any]) -> Reply:
        """An event: what it changes is read again; nothing in it is believed."""
        event = payloads.read_event(body)
        workspace = self._core.setup.workspace
        async with self._core.store.unit(hurried=True) as unit:
            match event:
                case payloads.HomeOpened(user=user):
                    await unit.messages.want_home(workspace, user)
                case payloads.GroupChanged(group=group) if group in self._core.setup.followed_groups:
                    await unit.enqueue_once(Job("read_group", SLACK_QUEUE, {"group": group}))
                case payloads.ChannelChanged(channel=channel, user=user):
                    if channel in self._core.setup.followed_channels:
                        await unit.enqueue_once(Job("read_group", SLACK_QUEUE, {"group": channel}))
                    if user == self._bot_user:
                        await unit.messages.revive(channel)
                case _:
                    pass
        return Reply()


Listener = Callable[[Mapping[str, Any]], Coroutine[Any, Any, Reply]]


def _person(core: Core, caller: Caller) -> Person:
    return Person(caller.team or "unknown", caller.id)


def _digest(key: str) -> str:
    return f"rb-{sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:24]}"


def _order_words(order: object) -> tuple[str, str, str]:
    match order:
        case ResumeOrder(execution=execution, stage=stage):
            return "resume", execution, stage
        case ListOpen():
            return "list", "", ""
        case ListMine():
            return "mine", "", ""
        case AskOrder(topic=topic, subject=subject):
            return topic.value, subject, ""
        case _:
            raise AssertionError(order)


def _form_reply(outcome: Outcome, sent: payloads.Submission) -> Reply:
    external_id = sent.view.external_id
    if isinstance(outcome.modal, PickPoint | PickFailure | Word):
        return Reply(becomes=outcome.modal, external_id=external_id)
    if outcome.answer is not None:
        return Reply(becomes=_word(outcome.answer), external_id=external_id)
    return Reply(closes=True)


def _word(answer: Answer) -> Word:
    return Word(answer.text, answer.tone, answer.foreign, answer.choices)
