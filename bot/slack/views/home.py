"""The App Home of one person: what waits for them, what they asked for, what is open."""

from bot.domain.messages import Home, Line
from bot.slack.blocks import Block, actions, button, context, divider, header, plain, section
from bot.slack.views.answers import row
from bot.slack.views.controls import Control

ROWS = 28  # of each of the three lists: with headings below Slack's hundred blocks


def home(shown: Home) -> Block:
    """The Home tab as Slack takes it."""
    blocks = [
        actions([button("Resume an execution", Control.RESUME, "", style="primary")], "resume"),
        *_part("🟡 Waiting for you", "Nothing waits for your decision.", shown.waiting, "waiting"),
        *_part("Asked for by you", "You have asked for nothing lately.", shown.asked, "asked"),
        *_part("🔴 Open failures", "Nothing is open.", shown.open, "open", shown.more),
    ]
    return {"type": "home", "blocks": blocks}


def _part(title: str, empty: str, lines: tuple[Line, ...], name: str, more: int = 0) -> list[Block]:
    rows = [row(line, f"{name}-{number}", 300) for number, line in enumerate(lines[:ROWS])]
    missing = more + len(lines) - len(rows)
    rest = [context([plain(f"and {missing} more")], f"{name}-more")] if missing else []
    return [divider(f"{name}-line"), header(title, f"{name}-head"), *(rows or [section(plain(empty), f"{name}-empty")]), *rest]
