"""Small rules from which the grammar of Block Kit is put together; each names what is wrong and where, in Slack's words."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Fault:
    """One thing Slack refuses, and the JSON pointer of its place."""

    pointer: str
    words: str

    def __str__(self) -> str:
        return f"{self.words} [json-pointer:{self.pointer}]"


Rule: TypeAlias = Callable[[Any, str], Iterator[Fault]]
Fields: TypeAlias = Mapping[str, Rule]


def string(high: int, low: int = 1, pattern: str = "") -> Rule:
    """A string of so many characters, matching the pattern from its start if there is one."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, str):
            yield Fault(at, "must be a string")
        elif len(value) > high:
            yield Fault(at, f"must be less than {high + 1} characters")
        elif len(value) < low:
            yield Fault(at, f"must be more than {low - 1} characters")
        elif pattern and not re.match(pattern, value):
            yield Fault(at, "failed to match the required format")

    return rule


def choice(*allowed: str) -> Rule:
    """One of these strings."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if value not in allowed:
            yield Fault(at, "must be a valid enum value")

    return rule


def boolean(value: Any, at: str) -> Iterator[Fault]:
    """True or false."""
    if not isinstance(value, bool):
        yield Fault(at, "must be a boolean")


def integer(low: int, high: int = 2**53) -> Rule:
    """A whole number between these two."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield Fault(at, "must be an integer")
        elif not low <= value <= high:
            yield Fault(at, f"must be between {low} and {high}")

    return rule


def items(item: Rule, low: int, high: int) -> Rule:
    """A list of so many items, each of which keeps the rule."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield Fault(at, "must be an array")
            return
        if len(value) > high:
            yield Fault(at, f"no more than {high} items allowed")
        if len(value) < low:
            yield Fault(at, f"no less than {low} items allowed")
        for number, each in enumerate(value):
            yield from item(each, f"{at}/{number}")

    return rule


def record(required: Fields, optional: Fields, *more: Rule) -> Rule:
    """An object with exactly these fields; further rules look at it as a whole once its own fields are sound."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield Fault(at, "must be an object")
            return
        own = list(_fields(value, at, required, optional))
        yield from own
        if not own:
            yield from (fault for check in more for fault in check(value, at))

    return rule


def _fields(value: dict[str, Any], at: str, required: Fields, optional: Fields) -> Iterator[Fault]:
    yield from (Fault(at, f"missing required field: {name}") for name in required if name not in value)
    for name, part in value.items():
        check = required.get(name) or optional.get(name)
        if check is None:
            yield Fault(at, f"invalid additional property: {name}")
        else:
            yield from check(part, f"{at}/{name}")


def typed(kinds: Mapping[str, Rule]) -> Rule:
    """An object whose `type` says which of these rules it keeps."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            yield Fault(at, "missing required field: type")
        elif kind not in kinds:
            yield Fault(f"{at}/type", f"unsupported type: {kind}")
        else:
            yield from kinds[kind](value, at)

    return rule


def exactly_one(*names: str) -> Rule:
    """Of these fields the object carries one and no more."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if sum(name in value for name in names) != 1:
            yield Fault(at, f"must have exactly one of: {', '.join(names)}")

    return rule


def at_least_one(*names: str) -> Rule:
    """Of these fields the object carries one or more."""

    def rule(value: Any, at: str) -> Iterator[Fault]:
        if not any(name in value for name in names):
            yield Fault(at, f"missing one of the required fields: {', '.join(names)}")

    return rule


def repeated(values: Iterable[str | None]) -> list[str]:
    """The values that occur more than once, each named once; absent ones do not count."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for value in values:
        if value in seen:
            twice[value] = None
        elif value is not None:
            seen.add(value)
    return list(twice)


def anything(value: Any, at: str) -> Iterator[Fault]:
    """Whatever it is: another rule looks at it."""
    yield from ()


def plain(high: int) -> Rule:
    """A plain_text object of at most so many characters."""
    return typed({"plain_text": record({"type": anything, "text": string(high)}, {"emoji": boolean})})


def marked(high: int) -> Rule:
    """A text object, plain or with mark-up, of at most so many characters."""
    mrkdwn = record({"type": anything, "text": string(high)}, {"verbatim": boolean})
    return typed({"plain_text": plain(high), "mrkdwn": mrkdwn})


URL = string(3000, pattern=r"((https?|slack)://|mailto:)\S+$")
IDENTIFIER = string(255)
