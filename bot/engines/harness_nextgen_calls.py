"""What stands behind `<+input>` in a template: `.default(eu (west)).allowedValues('a,b', c)`, quotes and brackets counted."""

import re
from dataclasses import dataclass

NEEDS_MORE = frozenset({"executionInput"})  # asked for while it runs
_NAME = re.compile(r"\.([A-Za-z]+)\(")


@dataclass(frozen=True)
class Asked:
    """The default (None where there is none) and the values to choose from."""

    default: str | None = None
    choices: tuple[str, ...] = ()


def read_asked(text: str) -> Asked | None:
    """What a placeholder's calls say; None for what is not understood, or cannot be given before it runs."""
    default, choices, place = None, tuple[str, ...](), 0
    while place < len(text):
        named = _NAME.match(text, place)
        pieces = _pieces(text, named.end()) if named else None
        if named is None or pieces is None or named[1] in NEEDS_MORE:
            return None
        values, place = pieces
        match named[1]:
            case "default":
                default = _plain(text[named.end() : place - 1])
            case "allowedValues" | "selectOneFrom":
                choices = tuple(value for value in map(_plain, values) if value)
    return Asked(default, choices)


def _pieces(text: str, begin: int) -> tuple[list[str], int] | None:
    """What stands between commas up to the closing bracket, and the place behind that; None when it is not closed."""
    pieces, start, depth, place = list[str](), begin, 1, begin
    while place < len(text):
        sign = text[place]
        if sign in "'\"" and not text[start:place].strip() and (closing := text.find(sign, place + 1)) > 0:
            place = closing
        elif sign == "\\":
            place += 1
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        if depth == 0 or (sign == "," and depth == 1):
            pieces.append(text[start:place])
            start = place + 1
        if depth == 0:
            return pieces, place + 1
        place += 1
    return None


def _plain(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
