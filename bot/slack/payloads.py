"""What Slack sends, as our own objects: presses, submitted forms, commands, shortcuts and events.

`read_*` takes a parsed body and gives a frozen object; what cannot be read is a Refusal with a sentence for the person.
Nothing in them is an authority: who may do what, and in which version, is looked up by whoever acts on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bot.domain.errors import Refusal
from bot.slack.bodies import (
    BlockActionsBody,
    CommandBody,
    EventEnvelope,
    FormMemo,
    ShortcutBody,
    StatePart,
    UserPart,
    ViewPart,
    ViewSubmissionBody,
    chosen,
    given,
    read_body,
)
from bot.slack.orders import executions_in
from bot.slack.views.controls import INPUT_BLOCK, Control, Form, Handle, More, control_of, read_handle

RESUME_THIS = "resume_this"  # callback id of the message shortcut
RESUME_ANY = "resume_any"  # callback id of the global shortcut


@dataclass(frozen=True)
class Caller:
    """Who pressed, typed or submitted; `team` is the caller's own organisation, not the one the app is installed in."""

    id: str
    team: str

    @property
    def actor(self) -> str:
        """How the audit trail names them."""
        return f"slack:{self.team}/{self.id}"

    def is_of(self, team: str) -> bool:
        """Whether they belong to this workspace; whoever Slack names no team for does not."""
        return self.team == team


@dataclass(frozen=True)
class Place:
    """The message a press came from; `thread_ts` is the parent where the message stands in a thread."""

    channel: str
    ts: str
    thread_ts: str | None = None
    is_private: bool = False  # an ephemeral message: it cannot be changed but through the response_url


@dataclass(frozen=True)
class OpenView:
    """The modal or Home tab an action or submission came from."""

    id: str
    external_id: str
    hash: str
    is_home: bool = False


@dataclass(frozen=True)
class Press:
    """One press or choice. `choice` is the chosen stage's value (of the message's state; empty = none), for `find_chosen`."""

    caller: Caller
    control: Control
    handle: Handle | None
    choice: str = ""
    more: More | None = None
    argument: str = ""  # of a button that offers one of several executions: `connection:id`
    place: Place | None = None
    view: OpenView | None = None
    trigger_id: str = ""
    response_url: str = ""
    at: str = ""  # Slack's action_ts: with caller and control it names this one press


@dataclass(frozen=True)
class PickedFailure:
    """The form of `/resume` alone: a listed incident, or an execution as typed, which goes before."""

    channel: str
    incident: Handle | None
    execution: str


@dataclass(frozen=True)
class PickedPoint:
    """The form with the stages of an incident; `again_of` is the id of an unknown request that is pressed again."""

    incident: Handle
    choice: str
    reason: str
    again_of: int | None


@dataclass(frozen=True)
class Rejected:
    """The form that asks why a request is rejected."""

    request: Handle
    reason: str


@dataclass(frozen=True)
class StartFilled:
    """The form of a start, its inputs by the engine's keys; what was left empty is not among them."""

    channel: str
    connection: str
    target: str  # the engine's key of what is started
    name: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


Filled = PickedFailure | PickedPoint | Rejected | StartFilled


@dataclass(frozen=True)
class Submission:
    """A submitted form."""

    caller: Caller
    view: OpenView
    form: Filled
    trigger_id: str = ""


@dataclass(frozen=True)
class SlashCommand:
    """A typed command; its text is read by `bot.slack.orders.parse_order`."""

    caller: Caller
    channel: str
    command: str
    text: str
    trigger_id: str
    response_url: str


@dataclass(frozen=True)
class Shortcut:
    """A shortcut; for the one on a message `arguments` are the executions its text may mean, the likeliest first."""

    caller: Caller
    callback_id: str
    trigger_id: str
    response_url: str = ""
    place: Place | None = None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class HomeOpened:
    """Somebody looks at the Home tab."""

    event_id: str
    user: str


@dataclass(frozen=True)
class GroupChanged:
    """Members of a user group came or went."""

    event_id: str
    group: str


@dataclass(frozen=True)
class ChannelChanged:
    """Somebody joined or left a channel."""

    event_id: str
    channel: str
    user: str


@dataclass(frozen=True)
class OtherEvent:
    """An event there is nothing to do about."""

    event_id: str
    type: str


Event = HomeOpened | GroupChanged | ChannelChanged | OtherEvent


def read_press(body: Mapping[str, Any]) -> Press:
    """A block_actions payload. Raises Refusal when it cannot be read or presses nothing of ours."""
    payload = read_body(BlockActionsBody, body)
    action = payload.actions[0] if payload.actions else None
    control = control_of(action.action_id) if action else None
    if action is None or control is None:
        raise Refusal(
            "unknown_control", "I do not know this button. It may be of an older version; please use a newer message."
        )
    value = action.selected_option.value if action.selected_option else action.value or ""
    more, handle = _read_more(value) if control is Control.MORE else (None, read_handle(value))
    view = payload.view
    state = payload.state or (view.state if view else None) or StatePart()
    return Press(
        caller=_caller(payload.user),
        control=control,
        handle=handle,
        choice=value if control is Control.STAGE else chosen(state, Control.STAGE),
        more=more,
        argument=value if control is Control.CHOOSE else "",
        place=_place(payload),
        view=_open(view) if view else None,
        trigger_id=payload.trigger_id or "",
        response_url=payload.response_url or "",
        at=action.action_ts,
    )


def read_submission(body: Mapping[str, Any]) -> Submission:
    """A view_submission payload. Raises Refusal when it cannot be read or is of no form of ours."""
    payload = read_body(ViewSubmissionBody, body)
    return Submission(
        caller=_caller(payload.user), view=_open(payload.view), form=_filled(payload.view), trigger_id=payload.trigger_id or ""
    )


def read_command(body: Mapping[str, Any]) -> SlashCommand:
    """A slash command's form fields. Raises Refusal when they cannot be read."""
    fields = read_body(CommandBody, body)
    return SlashCommand(
        caller=Caller(fields.user_id, fields.team_id),
        channel=fields.channel_id,
        command=fields.command,
        text=fields.text,
        trigger_id=fields.trigger_id,
        response_url=fields.response_url,
    )


def read_shortcut(body: Mapping[str, Any]) -> Shortcut:
    """A message_action or shortcut payload. Raises Refusal when it cannot be read."""
    payload = read_body(ShortcutBody, body)
    message = payload.message or {}
    ts = payload.message_ts or str(message.get("ts") or "")
    thread_ts = str(message.get("thread_ts") or "")
    place = Place(payload.channel.id, ts, thread_ts if thread_ts != ts and thread_ts else None) if payload.channel else None
    return Shortcut(
        caller=_caller(payload.user),
        callback_id=payload.callback_id,
        trigger_id=payload.trigger_id or "",
        response_url=payload.response_url or "",
        place=place,
        arguments=executions_in(message),
    )


def read_event(body: Mapping[str, Any]) -> Event:
    """An event_callback envelope. Raises Refusal when it cannot be read."""
    envelope = read_body(EventEnvelope, body)
    event = envelope.event
    match event.type:
        case "app_home_opened" if event.tab in (None, "home") and event.user:
            return HomeOpened(envelope.event_id, event.user)
        case "subteam_members_changed" if event.subteam_id:
            return GroupChanged(envelope.event_id, event.subteam_id)
        case "member_joined_channel" | "member_left_channel" if event.channel and event.user:
            return ChannelChanged(envelope.event_id, event.channel, event.user)
        case _:
            return OtherEvent(envelope.event_id, event.type)


def _caller(user: UserPart) -> Caller:
    return Caller(user.id, user.team_id or "")


def _open(view: ViewPart) -> OpenView:
    return OpenView(view.id, view.external_id or "", view.hash or "", is_home=view.type == "home")


def _place(payload: BlockActionsBody) -> Place | None:
    box = payload.container
    channel = (box.channel_id if box else None) or (payload.channel.id if payload.channel else None)
    if box is None or not box.message_ts or not channel:
        return None
    parent = box.thread_ts if box.thread_ts != box.message_ts else None
    return Place(channel, box.message_ts, parent, box.is_ephemeral)


def _read_more(value: str) -> tuple[More | None, Handle | None]:
    entry, _, rest = value.partition(":")
    return (More(entry) if entry in set(More) else None), read_handle(rest)


def _filled(view: ViewPart) -> Filled:
    memo = _read_memo(view.private_metadata or "{}")
    state = view.state or StatePart()
    reason = chosen(state, Control.REASON).strip()
    handle = read_handle(memo.handle)
    match view.callback_id:
        case Form.PICK_FAILURE:
            incident = read_handle(chosen(state, Control.FAILURE))
            return PickedFailure(memo.channel, incident, chosen(state, Control.EXECUTION).strip())
        case Form.PICK_POINT if handle:
            return PickedPoint(handle, chosen(state, Control.STAGE), reason, memo.again_of)
        case Form.REJECT if handle:
            return Rejected(handle, reason)
        case Form.START:
            return StartFilled(memo.channel, memo.connection, memo.target, memo.name, _inputs(state), reason)
        case _:
            raise Refusal("unknown_form", "I do not know this form. It may be of an older version; please open it again.")


def _inputs(state: StatePart) -> dict[str, str]:
    named = [(INPUT_BLOCK.fullmatch(block_id), value) for block_id, control, value in given(state) if control is Control.INPUT]
    return {found["key"]: value for found, value in named if found and value}


def _read_memo(text: str) -> FormMemo:
    try:
        return FormMemo.model_validate_json(text)
    except ValidationError:
        raise Refusal("unreadable", "I could not read this form. Nothing was done; please open it again.") from None
