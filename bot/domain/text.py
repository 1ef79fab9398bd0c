"""The one cleaner that every foreign text passes, and small forms of text that appear everywhere."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT = 4000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str, limit: int = LIMIT) -> str:
    """The text as it may be stored and shown: no NUL, lone surrogate, control or direction character, cut at `limit`."""
    cleaned = _CONTROL.sub(" ", storable(text))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def storable(text: str) -> str:
    """The text with what no database takes replaced, else untouched: for keys, which are compared and never shown."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def shorten(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def literal(text: str, limit: int = 500) -> str:
    """Foreign text as a part of our own mark-up: one line, in which nothing is a mention, a link or code."""
    line = shorten(clean(text), limit)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")


def listed(words: list[str] | tuple[str, ...], conjunction: str = "and") -> str:
    """`a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence: `; did you mean “…”?` where a known word is close, else a full stop."""
    names = {each.casefold(): each for each in known}
    near = get_close_matches(word.casefold(), names, 1)
    return f"; did you mean “{literal(names[near[0]], 80)}”?" if near else "."


def cleaned(value: T) -> T:
    """A dataclass of our domain with every text in it cleaned, however deep; keys that engines gave are made storable."""
    changes = {}
    for field in fields(value):  # type: ignore[arg-type]  # T is a dataclass instance
        given = getattr(value, field.name)
        changes[field.name] = storable(given) if field.name == "key" else _cleaned(given)
    return replace(value, **changes)  # type: ignore[type-var]


def _cleaned(value: Any) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(item) for item in value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    return cleaned(value) if is_dataclass(value) else value
