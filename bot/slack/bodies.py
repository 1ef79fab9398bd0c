"""What Slack sends, as pydantic models: only the fields we use."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bot.domain.errors import Refusal
from bot.domain.text import clean
from bot.slack.views.controls import Control, control_of

M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """Only the fields we use; Slack may send more, and null for what is absent."""

    model_config = ConfigDict(extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _cleaned(cls, value: object) -> object:
        return clean(value, 40_000) if isinstance(value, str) else value


class UserPart(Body):
    id: str
    team_id: str | None = None


class OptionPart(Body):
    value: str


class FieldPart(Body):
    value: str | None = None
    selected_option: OptionPart | None = None


class StatePart(Body):
    values: dict[str, dict[str, FieldPart]] = {}


class ActionPart(Body):
    action_id: str
    value: str | None = None
    selected_option: OptionPart | None = None
    action_ts: str = ""


class ViewPart(Body):
    id: str = ""
    type: str = "modal"
    external_id: str | None = None
    hash: str | None = None
    callback_id: str = ""
    private_metadata: str | None = None
    state: StatePart | None = None


class ContainerPart(Body):
    type: str = ""
    message_ts: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    is_ephemeral: bool = False


class ChannelPart(Body):
    id: str


class Interaction(Body):
    user: UserPart
    trigger_id: str | None = None
    response_url: str | None = None


class BlockActionsBody(Interaction):
    container: ContainerPart | None = None
    channel: ChannelPart | None = None
    view: ViewPart | None = None
    state: StatePart | None = None
    actions: list[ActionPart]


class ViewSubmissionBody(Interaction):
    view: ViewPart


class ShortcutBody(Interaction):
    callback_id: str
    channel: ChannelPart | None = None
    message: dict[str, Any] | None = None
    message_ts: str | None = None


class CommandBody(Body):
    user_id: str
    team_id: str = ""
    channel_id: str = ""
    command: str
    text: str = ""
    trigger_id: str = ""
    response_url: str = ""


class EventPart(Body):
    type: str
    user: str | None = None
    tab: str | None = None
    subteam_id: str | None = None
    channel: str | None = None


class EventEnvelope(Body):
    event_id: str = ""
    event: EventPart


class FormMemo(Body):
    channel: str = ""
    handle: str = ""
    again_of: int | None = None
    connection: str = ""
    target: str = ""
    name: str = ""


def read_body(model: type[M], body: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(body)
    except ValidationError:
        # the validation error repeats what was sent, tokens included
        raise Refusal("unreadable", "I could not read what Slack sent me. Nothing was done; please try again.") from None


def given(state: StatePart) -> Iterator[tuple[str, Control | None, str]]:
    """Block id, control and value of every field; an empty value where nothing was given."""
    for block_id, fields in state.values.items():
        for action_id, given in fields.items():
            value = given.selected_option.value if given.selected_option else given.value or ""
            yield block_id, control_of(action_id), value


def chosen(state: StatePart, control: Control) -> str:
    return next((value for _, known, value in given(state) if known is control and value), "")
