"""Reads the part of a `.dig` file that the simulated server understands: nested mappings, lists of mappings, plain scalars."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ENTRY = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[^\s"'#][^:#]*?(?=:))\s*:(?:\s+(?P<value>.*))?$""")


class DigSyntaxError(ValueError):
    """The text uses something outside the part that is read here."""


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str


class _Lines:
    """The lines that say something, with one of look-ahead."""

    def __init__(self, text: str) -> None:
        self._lines = list(self._meaningful(text))
        self._at = 0

    @staticmethod
    def _meaningful(text: str) -> Iterator[_Line]:
        for number, raw in enumerate(text.splitlines(), start=1):
            stripped = raw.strip()
            if stripped and not stripped.startswith("#"):
                yield _Line(number, len(raw) - len(raw.lstrip(" ")), stripped)

    def peek(self) -> _Line | None:
        return self._lines[self._at] if self._at < len(self._lines) else None

    def take(self) -> _Line:
        self._at += 1
        return self._lines[self._at - 1]

    def put_back(self, line: _Line) -> None:
        self._at -= 1
        self._lines[self._at] = line


def read_dig(text: str) -> dict[str, Any]:
    """The workflow as the nested mapping that the server calls its config."""
    lines = _Lines(text)
    first = lines.peek()
    if first is None:
        return {}
    config = _mapping(lines, first.indent)
    rest = lines.peek()
    if rest is not None:
        raise DigSyntaxError(f"line {rest.number}: indented less than the lines before it")
    return config


def _mapping(lines: _Lines, indent: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while (line := lines.peek()) is not None and line.indent == indent and not line.text.startswith("- "):
        entry = _ENTRY.match(lines.take().text)
        if entry is None:
            raise DigSyntaxError(f"line {line.number}: expected `key: value`")
        key = entry["key"].strip("\"'")
        if key in found:
            raise DigSyntaxError(f"line {line.number}: {key} is given twice")
        given = _without_comment(entry["value"] or "")
        found[key] = _scalar(given) if given else _nested(lines, indent)
    return found


def _nested(lines: _Lines, indent: int) -> Any:
    below = lines.peek()
    if below is None:
        return None
    if below.text.startswith("- ") and below.indent >= indent:
        return _list(lines, below.indent)
    return _mapping(lines, below.indent) if below.indent > indent else None


def _list(lines: _Lines, indent: int) -> list[Any]:
    found: list[Any] = []
    while (line := lines.peek()) is not None and line.indent == indent and line.text.startswith("- "):
        lines.take()
        inner = line.text[2:].lstrip()
        if _ENTRY.match(inner):
            # The entry begins a mapping whose further keys stand under its first one.
            column = indent + len(line.text) - len(inner)
            lines.put_back(_Line(line.number, column, inner))
            found.append(_mapping(lines, column))
        else:
            found.append(_scalar(_without_comment(inner)))
    return found


def _without_comment(value: str) -> str:
    return value if value[:1] in {'"', "'"} else re.sub(r"\s+#.*$", "", value).strip()


def _scalar(value: str) -> Any:
    if value[:1] == "'" and value[-1:] == "'" and len(value) > 1:
        return value[1:-1].replace("''", "'")
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return None if value in {"~", ""} else value
