"""The grammar of a rich_text block."""

from collections.abc import Mapping
from typing import Final

from bot.simulators.slack_rules import IDENTIFIER, URL, Rule, anything, boolean, choice, integer, items, record, string, typed

_STYLE: Final = {
    "style": record(
        {}, dict.fromkeys(("bold", "italic", "strike", "code", "highlight", "client_highlight", "underline"), boolean)
    )
}
_TEXT: Final = record({"type": anything, "text": string(12_000)}, _STYLE)
_LINK: Final = record({"type": anything, "url": URL}, _STYLE | {"text": string(3000, low=0), "unsafe": boolean})
_INLINE: Final[Mapping[str, Rule]] = {
    "text": _TEXT,
    "link": _LINK,
    "user": record({"type": anything, "user_id": IDENTIFIER}, _STYLE),
    "usergroup": record({"type": anything, "usergroup_id": IDENTIFIER}, _STYLE),
    "channel": record({"type": anything, "channel_id": IDENTIFIER}, _STYLE),
    "emoji": record({"type": anything, "name": IDENTIFIER}, {"unicode": string(64), "skin_tone": integer(1, 6)}),
    "broadcast": record({"type": anything, "range": choice("here", "channel", "everyone")}, {}),
    "color": record({"type": anything, "value": string(7, pattern=r"#[0-9a-fA-F]{6}$")}, {}),
    "date": record(
        {"type": anything, "timestamp": integer(0), "format": string(255)}, {"url": URL, "fallback": string(255)} | _STYLE
    ),
}
_LINES: Final = items(typed(_INLINE), 0, 1000)
_BORDER: Final = {"border": integer(0, 1)}
_SECTION: Final = record({"type": anything, "elements": _LINES}, {})
_PARTS: Final[Mapping[str, Rule]] = {
    "rich_text_section": _SECTION,
    "rich_text_list": record(
        {
            "type": anything,
            "style": choice("bullet", "ordered"),
            "elements": items(typed({"rich_text_section": _SECTION}), 1, 1000),
        },
        _BORDER | {"indent": integer(0, 8), "offset": integer(0)},
    ),
    "rich_text_preformatted": record(
        {"type": anything, "elements": items(typed({"text": _TEXT, "link": _LINK}), 0, 1000)},
        _BORDER | {"language": string(64)},
    ),
    "rich_text_quote": record({"type": anything, "elements": _LINES}, _BORDER),
}
RICH_TEXT: Final = record({"type": anything, "elements": items(typed(_PARTS), 1, 1000)}, {"block_id": IDENTIFIER})
