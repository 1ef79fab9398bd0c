"""The elements that stand inside blocks, each with the fields and limits Slack gives it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bot.simulators.slack_rules import (
    IDENTIFIER,
    URL,
    Fault,
    Fields,
    Rule,
    anything,
    boolean,
    choice,
    exactly_one,
    integer,
    items,
    marked,
    plain,
    record,
    repeated,
    string,
)

CONFIRM: Final = record(
    {"title": plain(100), "text": plain(300), "confirm": plain(30), "deny": plain(30)}, {"style": choice("primary", "danger")}
)
OPTION: Final = record({"text": plain(75), "value": string(150)}, {"description": plain(75)})
MENU_OPTION: Final = record({"text": plain(75), "value": string(150)}, {"description": plain(75), "url": URL})
MARKED_OPTION: Final = record({"text": marked(75), "value": string(150)}, {"description": marked(75)})
OPTION_GROUP: Final = record({"label": plain(75), "options": items(OPTION, 1, 100)}, {})

SINGLE: Final = {"static_select", "external_select", "users_select", "conversations_select", "channels_select"}
MULTIPLE: Final = {f"multi_{kind}" for kind in SINGLE}
PICKERS: Final = {"datepicker", "timepicker", "datetimepicker"}
BOXES: Final = {"radio_buttons", "checkboxes"}
WRITTEN: Final = {"plain_text_input", "number_input", "email_text_input", "url_text_input"}
STATEFUL: Final = SINGLE | MULTIPLE | PICKERS | BOXES | WRITTEN
"""What is reported in `state.values`."""
INTERACTIVE: Final = STATEFUL | {"button", "overflow"}
"""What has an action id."""


def options_of(element: dict[str, Any]) -> list[dict[str, Any]]:
    """All options of an element, those in groups too."""
    grouped = [option for group in element.get("option_groups") or [] for option in group["options"]]
    return [*(element.get("options") or []), *grouped]


def _element(required: Fields, optional: Fields, *more: Rule) -> Rule:
    return record({"type": anything, **required}, {"action_id": IDENTIFIER, **optional}, *more)


def _distinct_options(element: Any, at: str) -> Iterator[Fault]:
    for value in repeated(option["value"] for option in options_of(element)):
        yield Fault(at, f"option values must be unique: {value}")


def _known_initials(element: Any, at: str) -> Iterator[Fault]:
    chosen = [*([element["initial_option"]] if "initial_option" in element else []), *element.get("initial_options", [])]
    if any(option not in options_of(element) for option in chosen):
        yield Fault(at, "initial option must match one of the provided options")


def _lengths(element: Any, at: str) -> Iterator[Fault]:
    low, high = element.get("min_length", 0), element.get("max_length", 3000)
    if low > high:
        yield Fault(at, "min_length must not be above max_length")
    if "initial_value" in element and not low <= len(element["initial_value"]) <= high:
        yield Fault(f"{at}/initial_value", f"must be between {low} and {high} characters")


_PLACEHOLDER: Final = {"placeholder": plain(150), "focus_on_load": boolean}
_SELECT: Final = _PLACEHOLDER | {"confirm": CONFIRM}
_MULTI: Final = _SELECT | {"max_selected_items": integer(1)}
_STATIC: Final = {"options": items(OPTION, 1, 100), "option_groups": items(OPTION_GROUP, 1, 100)}
_FILTER: Final = {
    "filter": record(
        {},
        {
            "include": items(choice("im", "mpim", "private", "public"), 1, 4),
            "exclude_external_shared_channels": boolean,
            "exclude_bot_users": boolean,
        },
    ),
    "default_to_current_conversation": boolean,
}
_MANY_IDS: Final = items(IDENTIFIER, 1, 100)
_STATIC_RULES: Final = (exactly_one("options", "option_groups"), _distinct_options, _known_initials)
_DISPATCH: Final = {
    "dispatch_action_config": record(
        {}, {"trigger_actions_on": items(choice("on_enter_pressed", "on_character_entered"), 1, 2)}
    )
}
_WRITTEN: Final = _PLACEHOLDER | _DISPATCH
_NUMBER: Final = string(64, pattern=r"-?\d+(\.\d+)?$")

ELEMENTS: Final[Mapping[str, Rule]] = {
    "button": _element(
        {"text": plain(75)},
        {
            "value": string(2000),
            "url": URL,
            "style": choice("primary", "danger"),
            "confirm": CONFIRM,
            "accessibility_label": string(75),
        },
    ),
    "overflow": _element({"options": items(MENU_OPTION, 1, 5)}, {"confirm": CONFIRM}, _distinct_options),
    "static_select": _element({}, _SELECT | _STATIC | {"initial_option": OPTION}, *_STATIC_RULES),
    "multi_static_select": _element({}, _MULTI | _STATIC | {"initial_options": items(OPTION, 1, 100)}, *_STATIC_RULES),
    "external_select": _element({}, _SELECT | {"initial_option": OPTION, "min_query_length": integer(0)}),
    "multi_external_select": _element({}, _MULTI | {"initial_options": items(OPTION, 1, 100), "min_query_length": integer(0)}),
    "users_select": _element({}, _SELECT | {"initial_user": IDENTIFIER}),
    "multi_users_select": _element({}, _MULTI | {"initial_users": _MANY_IDS}),
    "conversations_select": _element(
        {}, _SELECT | _FILTER | {"initial_conversation": IDENTIFIER, "response_url_enabled": boolean}
    ),
    "multi_conversations_select": _element({}, _MULTI | _FILTER | {"initial_conversations": _MANY_IDS}),
    "channels_select": _element({}, _SELECT | {"initial_channel": IDENTIFIER, "response_url_enabled": boolean}),
    "multi_channels_select": _element({}, _MULTI | {"initial_channels": _MANY_IDS}),
    "radio_buttons": _element(
        {"options": items(MARKED_OPTION, 1, 10)},
        {"initial_option": MARKED_OPTION, "confirm": CONFIRM, "focus_on_load": boolean},
        _distinct_options,
        _known_initials,
    ),
    "checkboxes": _element(
        {"options": items(MARKED_OPTION, 1, 10)},
        {"initial_options": items(MARKED_OPTION, 1, 10), "confirm": CONFIRM, "focus_on_load": boolean},
        _distinct_options,
        _known_initials,
    ),
    "datepicker": _element({}, _SELECT | {"initial_date": string(10, pattern=r"\d{4}-\d\d-\d\d$")}),
    "timepicker": _element({}, _SELECT | {"initial_time": string(5, pattern=r"\d\d:\d\d$"), "timezone": string(64)}),
    "datetimepicker": _element(
        {}, {"initial_date_time": integer(10**9, 10**10 - 1), "confirm": CONFIRM, "focus_on_load": boolean}
    ),
    "plain_text_input": _element(
        {},
        _WRITTEN
        | {
            "multiline": boolean,
            "initial_value": string(3000, low=0),
            "min_length": integer(0, 3000),
            "max_length": integer(1, 3000),
        },
        _lengths,
    ),
    "number_input": _element(
        {"is_decimal_allowed": boolean}, _WRITTEN | {"initial_value": _NUMBER, "min_value": _NUMBER, "max_value": _NUMBER}
    ),
    "email_text_input": _element({}, _WRITTEN | {"initial_value": string(3000)}),
    "url_text_input": _element({}, _WRITTEN | {"initial_value": string(3000)}),
    "image": record({"type": anything, "image_url": URL, "alt_text": string(2000)}, {}),
}


def some(kinds: set[str]) -> dict[str, Rule]:
    """The rules of these kinds of elements."""
    return {kind: ELEMENTS[kind] for kind in ELEMENTS if kind in kinds}
