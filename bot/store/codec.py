"""Domain objects to and from JSON columns; their shape is the dataclass's own."""

from typing import Any

from pydantic import TypeAdapter

from bot.domain.execution import Execution, ResumePoint
from bot.domain.messages import Answer, Listing, Modal, Trail
from bot.domain.policy import Policy, Rules

EXECUTION: TypeAdapter[Execution] = TypeAdapter(Execution)
POINT: TypeAdapter[ResumePoint] = TypeAdapter(ResumePoint)
PRIVATE: TypeAdapter[Answer | Listing | Trail | Modal] = TypeAdapter(Answer | Listing | Trail | Modal)
_POLICIES: TypeAdapter[tuple[Policy, ...]] = TypeAdapter(tuple[Policy, ...])


def dump(adapter: TypeAdapter[Any], value: object) -> Any:
    """What goes into a JSON column."""
    return adapter.dump_python(value, mode="json")


def dump_rules(rules: Rules) -> Any:
    """Rules as JSON."""
    return _POLICIES.dump_python(rules.policies, mode="json")


def load_rules(value: Any) -> Rules:
    """Rules out of JSON."""
    return Rules(_POLICIES.validate_python(value))
