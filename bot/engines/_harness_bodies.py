"""How both generations of Harness are read: lenient bodies, and parts of an answer as objects."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from bot.domain.errors import ContractViolation

Shape = TypeVar("Shape", bound=BaseModel)


class Body(BaseModel):
    """Anything Harness says: members we do not know are passed over, and all may be missing."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def or_empty(given: Any) -> Any:
    """A list, also where Harness says null, or null within it."""
    if given is None:
        return []
    return [one for one in given if one is not None] if isinstance(given, list) else given


def or_blank(given: Any) -> Any:
    """A text, also where Harness says null."""
    return "" if given is None else given


Shown = Annotated[str, BeforeValidator(or_blank)]
"""What is only shown to people: nullable in Harness's schema, and never a reason not to read the rest."""


def or_nothing(given: Any) -> Any:
    """An object, also where Harness says null."""
    return {} if given is None else given


def part(connection: str, shape: type[Shape], data: object) -> Shape:
    """A part of an answer as an object; ContractViolation, naming the place and not the content, when it is another."""
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(str(one) for one in first["loc"]) or "data"
        raise ContractViolation(f"{connection} gave an answer of an unknown form ({place}: {first['type']}).") from None
