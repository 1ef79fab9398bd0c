"""Domain objects to and from JSON columns; their shape is the dataclass's own."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from bot.domain.execution import Execution, ResumePoint
from bot.domain.messages import Answer, Listing, Modal, PickFailure, PickPoint, RejectReason, Shown, StartForm, Trail, Word
from bot.domain.policy import Policy, Rules

EXECUTION: TypeAdapter[Execution] = TypeAdapter(Execution)
POINT: TypeAdapter[ResumePoint] = TypeAdapter(ResumePoint)
_PRIVATE: Mapping[str, TypeAdapter[Any]] = {
    each.__name__: TypeAdapter(each) for each in (Answer, Listing, Trail, PickFailure, PickPoint, RejectReason, StartForm, Word)
}
_POLICIES: TypeAdapter[tuple[Policy, ...]] = TypeAdapter(tuple[Policy, ...])


def dump(adapter: TypeAdapter[Any], value: object) -> Any:
    """What goes into a JSON column."""
    return adapter.dump_python(value, mode="json", fallback=_plain, warnings=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):  # a read-only one, which pydantic does not know
        return dict(value)
    raise TypeError(type(value).__name__)


def dump_private(shown: Shown | Modal) -> Any:
    """What one person is told as JSON; with its kind, since several have the same fields."""
    kind = type(shown).__name__
    return {"kind": kind, "of": dump(_PRIVATE[kind], shown)}


def load_private(value: Any) -> Shown | Modal:
    """What one person is told out of JSON."""
    told: Shown | Modal = _PRIVATE[value["kind"]].validate_python(value["of"])
    return told


def dump_rules(rules: Rules) -> Any:
    """Rules as JSON."""
    return dump(_POLICIES, rules.policies)


def load_rules(value: Any) -> Rules:
    """Rules out of JSON."""
    return Rules(_POLICIES.validate_python(value))
