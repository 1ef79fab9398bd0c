"""Which blocks a message, a modal and a Home tab may hold, and what is wrong with those the bot sends."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bot.simulators.slack_elements import (
    BOXES,
    INTERACTIVE,
    MULTIPLE,
    OPTION,
    OPTION_GROUP,
    PICKERS,
    SINGLE,
    STATEFUL,
    options_of,
    some,
)
from bot.simulators.slack_rich_text import RICH_TEXT
from bot.simulators.slack_rules import (
    IDENTIFIER,
    URL,
    Fault,
    Fields,
    Rule,
    anything,
    at_least_one,
    boolean,
    choice,
    exactly_one,
    items,
    marked,
    plain,
    record,
    repeated,
    string,
    typed,
)

REFUSED_TEXT: Final = 13_000
"""Characters of text in one message above which Slack was seen to answer `msg_blocks_too_long`."""
CAREFUL_TEXT: Final = 10_000
CAREFUL_FALLBACK: Final = 4_000
CAREFUL_VALUE: Final = 75
CAREFUL_ALT: Final = 255
VIEW_BYTES: Final = 250_000
_BROADCAST: Final = re.compile(r"<!(channel|here|everyone)[|>]")

IN_ACTIONS: Final = SINGLE | PICKERS | BOXES | {"button", "overflow"}
IN_SECTION: Final = IN_ACTIONS | MULTIPLE | {"image"}


def elements_of(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The interactive elements of a block."""
    inner = [*(block.get("elements") or []), block.get("accessory"), block.get("element")]
    return [element for element in inner if isinstance(element, dict) and element.get("type") in INTERACTIVE]


def _distinct_actions(block: Any, at: str) -> Iterator[Fault]:
    for action_id in repeated(element.get("action_id") for element in elements_of(block)):
        yield Fault(at, f"`action_id` {action_id} already exists in this block")


def _block(required: Fields, optional: Fields, *more: Rule) -> Rule:
    return record({"type": anything, **required}, {"block_id": IDENTIFIER, **optional}, *more, _distinct_actions)


_CELL: Final = typed({"raw_text": record({"type": anything, "text": string(3000)}, {}), "rich_text": RICH_TEXT})
_COLUMN: Final = record({}, {"align": choice("left", "center", "right"), "is_wrapped": boolean})
_IMAGE: Final = {"image_url": URL, "alt_text": string(2000)}

BLOCKS: Final[Mapping[str, Rule]] = {
    "section": _block(
        {},
        {
            "text": marked(3000),
            "fields": items(marked(2000), 1, 10),
            "accessory": typed(some(IN_SECTION)),
            "expand": boolean,
        },
        at_least_one("text", "fields"),
    ),
    "divider": _block({}, {}),
    "header": _block({"text": plain(150)}, {}),
    "actions": _block({"elements": items(typed(some(IN_ACTIONS)), 1, 25)}, {}),
    "context": _block(
        {"elements": items(typed(some({"image"}) | {"plain_text": plain(3000), "mrkdwn": marked(3000)}), 1, 10)}, {}
    ),
    "image": _block(_IMAGE, {"title": plain(2000)}),
    "input": _block(
        {"label": plain(2000), "element": typed(some(STATEFUL))},
        {"hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "rich_text": RICH_TEXT,
    "markdown": _block({"text": string(12_000)}, {}),
    "table": _block(
        {"rows": items(items(_CELL, 1, 20), 1, 100)},
        {"column_settings": items(_COLUMN, 0, 20)},
    ),
    "alert": _block({"text": marked(200)}, {"level": choice("default", "info", "warning", "error", "success")}),
}
_EVERYWHERE: Final = {"actions", "context", "divider", "header", "image", "input", "rich_text", "section"}
SURFACES: Final = {
    "message": (_EVERYWHERE | {"markdown", "table"}, 50),
    "modal": (_EVERYWHERE | {"alert"}, 100),
    "home": (_EVERYWHERE | {"table"}, 100),
}


def _blocks_on(surface: str) -> Rule:
    kinds, most = SURFACES[surface]
    return items(typed({kind: BLOCKS[kind] for kind in kinds}), 0, most)


_ON: Final = {surface: _blocks_on(surface) for surface in SURFACES}
_VIEW: Final = {
    "private_metadata": string(3000, low=0),
    "callback_id": string(255, low=0),
    "external_id": string(255, low=0),
}


def _submit_for_inputs(view: Any, at: str) -> Iterator[Fault]:
    if "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
        yield Fault(at, "missing required field: submit, as there is an input block")


_VIEWS: Final = typed(
    {
        "modal": record(
            {"type": anything, "title": plain(24), "blocks": _ON["modal"]},
            _VIEW
            | {
                "submit": plain(24),
                "close": plain(24),
                "clear_on_close": boolean,
                "notify_on_close": boolean,
                "submit_disabled": boolean,
            },
            _submit_for_inputs,
        ),
        "home": record({"type": anything, "blocks": _ON["home"]}, _VIEW),
    }
)
_SUGGESTIONS: Final = record(
    {},
    {"options": items(OPTION, 0, 100), "option_groups": items(OPTION_GROUP, 0, 100)},
    exactly_one("options", "option_groups"),
)


def _names(blocks: list[dict[str, Any]], at: str) -> Iterator[Fault]:
    for block_id in repeated(block.get("block_id") for block in blocks):
        yield Fault(at, f"`block_id` {block_id} already exists")
    if sum(element.get("focus_on_load") is True for block in blocks for element in elements_of(block)) > 1:
        yield Fault(at, "only one element can have focus_on_load")
    if sum(block["type"] == "table" for block in blocks) > 1:
        yield Fault(at, "only one table is allowed")


def faults_in_blocks(blocks: Any) -> list[Fault]:
    """What Slack refuses in the blocks of a message."""
    found = list(_ON["message"](blocks, "/blocks"))
    if not found:
        found += _names(blocks, "/blocks")
        written = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
        if written > 12_000:
            found.append(Fault("/blocks", "markdown blocks must be less than 12001 characters together"))
    return found


def faults_in_view(view: Any, kind: str) -> list[Fault]:
    """What Slack refuses in a view that is shown as a modal or on the Home tab."""
    found = list(_VIEWS(view, "/view"))
    if not found and view["type"] != kind:
        found.append(Fault("/view/type", f"must be {kind} here"))
    return found or list(_names(view["blocks"], "/view/blocks"))


def faults_in_suggestions(answer: Any) -> list[Fault]:
    """What Slack refuses in the options a bot suggests for an external select."""
    return list(_SUGGESTIONS(answer, ""))


def is_too_large(view: Any) -> bool:
    """Whether the view is above 250 kB of JSON."""
    return len(json.dumps(view).encode()) > VIEW_BYTES


def text_length(part: Any) -> int:
    """Characters of text in all blocks together."""
    return sum(len(text) for text in _under("text", part))


def remarks_on_message(payload: dict[str, Any]) -> list[str]:
    """What Slack takes but a careful bot does not send: for screen readers, notifications and people's peace."""
    text, blocks = str(payload.get("text") or ""), payload.get("blocks") or []
    found = []
    if not text.strip():
        found.append("no fallback text")
    if len(text) > CAREFUL_FALLBACK:
        found.append(f"fallback text of {len(text)} characters, at most {CAREFUL_FALLBACK}")
    if (total := text_length(blocks)) > CAREFUL_TEXT:
        found.append(f"{total} characters of text in one message, at most {CAREFUL_TEXT}")
    if any(_BROADCAST.search(part) for part in [text, *_marked_up(blocks)]):
        found.append("mentions everybody")
    return found + remarks_on_blocks(blocks)


def remarks_on_blocks(blocks: list[dict[str, Any]]) -> list[str]:
    """Values between two limits that are both published for them, of which only the smaller one is safe."""
    values = [option["value"] for block in blocks for element in elements_of(block) for option in options_of(element)]
    texts = list(_under("alt_text", blocks))
    found = [f"option value of {len(each)} characters, at most {CAREFUL_VALUE}" for each in values if len(each) > CAREFUL_VALUE]
    return found + [f"alt_text of {len(each)} characters, at most {CAREFUL_ALT}" for each in texts if len(each) > CAREFUL_ALT]


def _under(name: str, part: Any) -> Iterator[str]:
    """The strings that stand under this name, however deep."""
    if isinstance(part, list):
        for each in part:
            yield from _under(name, each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == name and isinstance(value, str):
                yield value
            else:
                yield from _under(name, value)


def _marked_up(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _marked_up(each)
    elif isinstance(part, dict):
        if part.get("type") in ("mrkdwn", "markdown"):
            yield str(part.get("text"))
        if part.get("type") == "broadcast":
            yield "<!channel>"
        for value in part.values():
            yield from _marked_up(value)
