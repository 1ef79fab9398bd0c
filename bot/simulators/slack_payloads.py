"""What an interaction looks like on its way to the bot: complete, and with the choices this person has made so far."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from bot.simulators.slack_blocks import elements_of
from bot.simulators.slack_elements import STATEFUL, options_of
from bot.simulators.slack_state import APP_ID, ImpossibleActError, Message, SlackState

Choice: TypeAlias = str | int | Sequence[str] | None
Values: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]

ANSWER_FIELDS: Final = {
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "overflow": ("selected_option", ""),
    "checkboxes": ("selected_options", "initial_options"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "plain_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
}
"""For each kind of element: where its answer stands, and where its first answer comes from."""


def find_element(blocks: list[dict[str, Any]], block_id: str, action_id: str) -> dict[str, Any]:
    """The element a person sees under these names."""
    for block in blocks:
        for element in elements_of(block):
            if (block["block_id"], element["action_id"]) == (block_id, action_id):
                return element
    raise ImpossibleActError(f"nothing to press at {block_id}/{action_id}")


def answer_to(element: dict[str, Any], chosen: Choice, suggested: list[dict[str, Any]]) -> dict[str, Any]:
    """What the element reports when this was chosen; options are named by their value."""
    if element["type"] == "button":
        return {}
    where = ANSWER_FIELDS[element["type"]][0]
    if not where.startswith("selected_option"):
        return {where: chosen}
    by_value = {option["value"]: option for option in [*options_of(element), *suggested, *_initials(element)]}
    values = [chosen] if isinstance(chosen, str) else [] if chosen is None or isinstance(chosen, int) else list(chosen)
    if unknown := [value for value in values if value not in by_value]:
        raise ImpossibleActError(f"no option {unknown[0]!r} to choose")
    picked = [by_value[value] for value in values]
    return {where: picked if where == "selected_options" else picked[0] if picked else None}


def _initials(element: dict[str, Any]) -> list[dict[str, Any]]:
    return [element["initial_option"]] if "initial_option" in element else element.get("initial_options", [])


def state_values(blocks: list[dict[str, Any]], chosen: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The present answer of every stateful element: what this person chose, or what it started with."""
    values: dict[str, dict[str, Any]] = {}
    for block in blocks:
        for element in elements_of(block):
            if element["type"] in STATEFUL:
                key = block["block_id"], element["action_id"]
                values.setdefault(key[0], {})[key[1]] = _present(element, chosen.get(key))
    return values


def _present(element: dict[str, Any], chosen: dict[str, Any] | None) -> dict[str, Any]:
    where, first = ANSWER_FIELDS[element["type"]]
    start = element.get(first, [] if where == "selected_options" else None)
    if chosen is None or where not in chosen or _is_gone(element, chosen[where]):
        return {"type": element["type"], where: start}
    return {"type": element["type"], where: chosen[where]}


def _is_gone(element: dict[str, Any], answer: Any) -> bool:
    """Whether a remembered option is no longer on offer after the message changed."""
    if not options_of(element) or not answer:
        return False
    return any(option not in options_of(element) for option in (answer if isinstance(answer, list) else [answer]))


def who(state: SlackState, user: str) -> dict[str, Any]:
    """The part of every payload that names the person and the workspace."""
    person = state.cast.people[user]
    return {
        "user": {"id": user, "username": person.name, "name": person.name, "team_id": person.team_id},
        "team": {"id": state.cast.team_id, "domain": state.cast.team_id.lower()},
        "enterprise": None,
        "is_enterprise_install": False,
        "api_app_id": APP_ID,
        "token": "unused",
    }


def pressed(element: dict[str, Any], block_id: str, answer: dict[str, Any], at: float) -> dict[str, Any]:
    """The entry of `actions` for one press or choice."""
    action = {"type": element["type"], "action_id": element["action_id"], "block_id": block_id, "action_ts": f"{at:.6f}"}
    told = ("text", "value", "style", "placeholder", "confirm", "initial_option")
    return action | {key: element[key] for key in told if key in element} | answer


def on_message(state: SlackState, message: Message) -> dict[str, Any]:
    """The part of a payload that says on which message it happened; Slack leaves out an ephemeral message's content."""
    container: dict[str, Any] = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.to is not None,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    channel = {"id": message.channel, "name": state.cast.channel_name(message.channel)}
    content = {} if message.to else {"message": state.describe_message(message)}
    return {"container": container, "channel": channel} | content


def on_view(view: dict[str, Any], chosen: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The part of a payload that carries the view with what the person has entered."""
    return {
        "container": {"type": "view", "view_id": view["id"]},
        "view": view | {"state": {"values": state_values(view["blocks"], chosen)}},
    }


def entered(
    view: dict[str, Any], values: Values, suggested: Mapping[tuple[str, str, str], list[dict[str, Any]]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What a person entered, checked against the view that asked for it."""
    found = {}
    for block_id, actions in values.items():
        for action_id, given in actions.items():
            element = find_element(view["blocks"], block_id, action_id)
            offered = suggested.get((view["id"], block_id, action_id), [])
            where = ANSWER_FIELDS[element["type"]][0]
            found[block_id, action_id] = answer_to(element, _named(given.get(where)), offered)
    return found


def _named(given: Any) -> Choice:
    """Options are named by their value from here on."""
    if isinstance(given, dict):
        return str(given.get("value"))
    if isinstance(given, list):
        return [str(each.get("value")) if isinstance(each, dict) else str(each) for each in given]
    return given if given is None or isinstance(given, int) else str(given)


def missing(view: dict[str, Any]) -> dict[str, str]:
    """The inputs Slack's client does not let a person leave as they are, by block."""
    values = view["state"]["values"]
    wrong = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        answer = values[block["block_id"]][element["action_id"]].get(ANSWER_FIELDS[element["type"]][0])
        if answer in (None, "", []):
            if not block.get("optional"):
                wrong[block["block_id"]] = "Please complete this required field."
        elif isinstance(answer, str) and not element.get("min_length", 0) <= len(answer) <= element.get("max_length", 3000):
            wrong[block["block_id"]] = "Please keep to the length asked for."
    return wrong
