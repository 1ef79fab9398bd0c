"""The one cleaner that every foreign text passes, and small forms of text that appear everywhere."""

import re

LIMIT = 4000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str, limit: int = LIMIT) -> str:
    """The text as it may be stored and shown: no NUL, lone surrogate, control or direction character, cut at `limit`."""
    cleaned = _CONTROL.sub(" ", _UNSTORABLE.sub(REPLACEMENT, text))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def shorten(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def listed(words: list[str] | tuple[str, ...], conjunction: str = "and") -> str:
    """`a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
