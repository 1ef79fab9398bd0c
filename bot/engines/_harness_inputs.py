"""What starting has in common on both generations of Harness: how many inputs, which values, and our key in the notes."""

from collections.abc import Sequence

from bot.domain.errors import NotResumable
from bot.domain.execution import StartInput, is_allowed
from bot.domain.ports import on_behalf

MOST_INPUTS = 15
NOTES = "notes"
EXPRESSIONS = ("${", "<+")


def notes_of(said: str, key: str) -> str:
    """What was said, who is behind it, and the mark by which a call whose answer was lost is found again."""
    people = f"({on_behalf.get()})" if on_behalf.get() else ""
    return " ".join(part for part in (said.strip(), people, f"[{key}]") if part)


def too_many(inputs: Sequence[StartInput]) -> str:
    """Why a dialog cannot ask for them, empty when it can."""
    if len(inputs) <= MOST_INPUTS:
        return ""
    return f"It takes {len(inputs)} inputs, which is more than a dialog here holds; start it in Harness."


def check_value(asked: StartInput, value: str) -> None:
    """NotResumable when a value is missing or not allowed."""
    if not value and asked.is_required:
        raise NotResumable(f"“{asked.label}” needs a value.")
    if value and not is_allowed(asked, value):
        some = "some" if asked.is_list else "one"
        raise NotResumable(f"“{asked.label}” takes {some} of: {', '.join(asked.choices)}.")
    if value != asked.default:  # an expression of Harness's own may stay
        check_plain(asked.label, value)


def check_plain(label: str, value: str) -> None:
    """NotResumable for an expression: whoever may start is not thereby one who may read Harness's secrets."""
    if any(mark in value for mark in EXPRESSIONS):
        raise NotResumable(f"“{label}” takes a plain value: expressions are not passed on.")
