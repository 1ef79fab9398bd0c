"""How a choice of a resume point travels through other people's clients: a short value that is found again or refused."""

from hashlib import sha256

from bot.domain.errors import Refusal
from bot.domain.execution import ResumePoint


def short_hash(text: str) -> str:
    """Eight characters that stand for a text."""
    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def choice_value(index: int, point: ResumePoint) -> str:
    """The value of the option that stands for this point."""
    return f"{index}-{short_hash(point.key)}"


def find_chosen(points: tuple[ResumePoint, ...], choice: str) -> ResumePoint:
    """The point of a choice, the preselected one where none was made.

    Raises Refusal when there is nothing to choose from, or the choice is of a list that is no more.
    """
    if not points:
        raise Refusal("no_points", "Nothing was done: there is no stage to resume from at the moment.")
    if not choice:
        return points[0]
    index, _, short = choice.partition("-")
    if index.isdecimal() and int(index) < len(points) and short_hash(points[int(index)].key) == short:
        return points[int(index)]
    for point in points:
        if short_hash(point.key) == short:
            return point
    raise Refusal("stale_choice", "Nothing was done: the stage you chose is not on offer any more. Please choose again.")
