"""Small constructors of Block Kit as plain dicts: Slack's limits, escaping and truncation in one place.

Text of others never passes a parser of Slack's: it stands in plain_text without emoji codes or in rich_text. Only our own
sentences are mrkdwn, what is foreign in them escaped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import quote as percent

from bot.domain.text import clean, shorten

Block: TypeAlias = dict[str, Any]
Element: TypeAlias = dict[str, Any]

MESSAGE_TEXT = 10_000  # Slack's own sum is undocumented and lies a little above
FALLBACK = 4000
OPTIONS = 100
LABEL = 75
NOTHING = "–"


@dataclass(frozen=True)
class Rendered:
    """A message as Slack takes it: blocks, and the text for notifications and screen readers."""

    text: str
    blocks: list[Block] = field(default_factory=list)


def escape(text: str) -> str:
    """Text of others inside our own mrkdwn or fallback: it makes no mention and no link."""
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback(*sentences: str) -> str:
    """The text beside the blocks, out of already escaped sentences; never empty."""
    return _cut(" ".join(sentence for sentence in sentences if sentence), FALLBACK) or NOTHING


def plain(text: str, limit: int = 3000) -> Element:
    """Literal text; never empty, since Slack refuses that."""
    return {"type": "plain_text", "text": _cut(clean(text).strip(), limit) or NOTHING, "emoji": False}


def mrkdwn(text: str, limit: int = 3000) -> Element:
    """Our own sentences, with our own mark-up; nothing in them is turned into a link or mention by itself."""
    return {"type": "mrkdwn", "text": _cut(text, limit) or NOTHING, "verbatim": True}


def date_token(at: datetime) -> str:
    """A moment that every reader sees in their own zone."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC>"


def header(text: str, block_id: str) -> Block:
    """The heading of a message or view."""
    return {"type": "header", "block_id": block_id, "text": plain(shorten(text, 150), 150)}


def section(text: Element, block_id: str, accessory: Element | None = None) -> Block:
    """A paragraph, with one control beside it."""
    return {"type": "section", "block_id": block_id, "text": text} | ({"accessory": accessory} if accessory else {})


def context(elements: Sequence[Element], block_id: str) -> Block:
    """Small print; what is above Slack's ten elements is left out."""
    return {"type": "context", "block_id": block_id, "elements": list(elements[:10])}


def actions(elements: Sequence[Element], block_id: str) -> Block:
    """A row of controls; what is above Slack's 25 is left out."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements[:25])}


def divider(block_id: str) -> Block:
    """A line across."""
    return {"type": "divider", "block_id": block_id}


def rich(parts: Sequence[Element], block_id: str) -> Block:
    """Structured text: sections, quotes and preformatted parts, in which nothing is parsed."""
    return {"type": "rich_text", "block_id": block_id, "elements": list(parts)}


def lines(*rows: Sequence[Element]) -> Element:
    """Lines of structured text, each row one; in one section, so that nothing depends on how sections are set apart."""
    elements: list[Element] = []
    for row in rows:
        elements += [words("\n"), *row] if elements else row
    return {"type": "rich_text_section", "elements": elements}


def quoted(text: str, limit: int) -> Element:
    """What a person wrote, as a quotation."""
    return {"type": "rich_text_quote", "elements": [words(text, limit=limit)]}


def preformatted(text: str, limit: int = 2900) -> Element:
    """What a machine wrote, letter by letter."""
    return {"type": "rich_text_preformatted", "elements": [words(text, limit=limit)]}


def words(text: str, *, limit: int = 3000, bold: bool = False, code: bool = False) -> Element:
    """Literal text inside structured text."""
    styles = {name: True for name, is_on in (("bold", bold), ("code", code)) if is_on}
    return {"type": "text", "text": _cut(clean(text, limit), limit) or NOTHING} | ({"style": styles} if styles else {})


def link(url: str, text: str) -> Element:
    """A link with a literal label; the label alone where the address is none that Slack takes."""
    target = address(url)
    return {"type": "link", "url": target, "text": _cut(clean(text), 300) or target} if target else words(text, code=True)


def address(url: str) -> str:
    """The address as Slack takes it, every character that could end it encoded; empty where it takes none."""
    encoded = percent(clean(url), safe=":/?#[]@!$&'()*+,;=%~-._")
    return encoded if re.match(r"https?://[^/]", encoded) and len(encoded) <= 3000 else ""


def person(actor: str) -> Element:
    """An actor inside structured text: a mention for the chat's users, the word itself for others."""
    user = actor.rsplit("/", 1)[-1]
    if actor.startswith("slack:") and re.fullmatch(r"[UW][A-Z0-9]+", user):
        return {"type": "user", "user_id": user}
    return words(actor, code=True)


def moment(at: datetime) -> Element:
    """A moment inside structured text, in every reader's own zone."""
    return {
        "type": "date",
        "timestamp": int(at.timestamp()),
        "format": "{date_short_pretty} {time}",
        "fallback": f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    }


def button(label: str, action_id: str, value: str, *, style: str = "", url: str = "") -> Element:
    """A button; `style` is empty, primary or danger."""
    made: Element = {"type": "button", "action_id": action_id, "text": plain(shorten(label, LABEL), LABEL)}
    if value:
        made["value"] = value[:2000]
    if style:
        made["style"] = style
    if target := address(url):
        made["url"] = target
    return made


def option(label: str, value: str, url: str = "") -> Element:
    """An entry of a select or overflow menu."""
    return {"text": plain(shorten(label, LABEL), LABEL), "value": value} | ({"url": address(url)} if address(url) else {})


def select(options: Sequence[Element], action_id: str, initial: Element | None, placeholder: str) -> Element:
    """A choice of one; above a hundred options they stand in groups, since Slack takes no longer list."""
    made: Element = {"type": "static_select", "action_id": action_id, "placeholder": plain(placeholder, 150)}
    if len(options) <= OPTIONS:
        made["options"] = list(options)
    else:
        parts = [(start, list(options[start : start + OPTIONS])) for start in range(0, len(options), OPTIONS)]
        made["option_groups"] = [
            {"label": plain(f"{start + 1} to {start + len(part)}", LABEL), "options": part} for start, part in parts[:OPTIONS]
        ]
    return made | ({"initial_option": initial} if initial else {})


def overflow(options: Sequence[Element], action_id: str) -> Element:
    """A menu of up to five entries."""
    return {"type": "overflow", "action_id": action_id, "options": list(options[:5])}


def field_of_form(label: str, element: Element, block_id: str, *, hint: str = "", is_optional: bool = False) -> Block:
    """A field of a form."""
    made: Block = {"type": "input", "block_id": block_id, "label": plain(shorten(label, 300)), "element": element}
    if hint:
        made["hint"] = plain(hint, 2000)
    return made | ({"optional": True} if is_optional else {})


def written(action_id: str, *, initial: str = "", limit: int = 3000, is_long: bool = False, placeholder: str = "") -> Element:
    """A field for text."""
    made: Element = {"type": "plain_text_input", "action_id": action_id, "max_length": limit, "multiline": is_long}
    if initial:
        made["initial_value"] = initial[:limit]
    if placeholder:
        made["placeholder"] = plain(placeholder, 150)
    return made


def text_length(part: object) -> int:
    """Characters of text in blocks, all levels together: what Slack's limit on a message counts."""
    if isinstance(part, list):
        return sum(text_length(each) for each in part)
    if isinstance(part, dict):
        own = len(part["text"]) if isinstance(part.get("text"), str) else 0
        return own + sum(text_length(value) for value in part.values() if not isinstance(value, str))
    return 0


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
