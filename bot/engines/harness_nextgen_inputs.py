"""The runtime inputs of a NextGen pipeline, read from its template line by line and written back into the same lines.

The text is never parsed as YAML: what Harness gave goes back as it was but for the values, and an alias bomb stays a text.
An input is known by its place in the document (`/pipeline(shop)/variables/(version)/value`), not by its line.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from bot.domain.errors import NotResumable
from bot.domain.execution import InputKind, StartInput
from bot.engines._harness_inputs import MOST_INPUTS, NOTES, check_value
from bot.engines.harness_nextgen_calls import Asked, read_asked

PLACEHOLDER = "<+input>"
LONGEST_KEY = 200  # it is part of what Slack takes as the id of a block, of at most 255 characters
MANY_INPUTS = 10 * MOST_INPUTS  # beyond that only their number is of interest
LONGEST_VALUE = 10_000
NOT_HERE = "It has inputs that cannot be given here; start it in Harness."
_LINE = re.compile(r"(?P<lead>\s*(?:-\s+)?)(?P<key>[^\s:#][^:#]*):\s*(?P<value>.*?)\s*")
_YAML_ESCAPES = {0x7F: "\\x7F", 0x85: "\\N", 0x2028: "\\L", 0x2029: "\\P"}
_QUOTES = "'\" "
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Where Harness wants an object or a list: one typed line would be sent as a text there.
_OBJECTS = re.compile(
    r"[A-Za-z]*(Inputs|Definitions|Selectors|Clusters|Overrides|Variables|Files|Paths)"
    r"|environments|environmentGroup|services|values|manifests|artifacts|sidecars|parallel|stages|steps|inputs|filters|outputs|tags"
)


@dataclass(frozen=True)
class Slot:
    """One input and the line it stands in; a number is written as one."""

    asked: StartInput
    number: int
    is_number: bool = False


@dataclass(frozen=True)
class Template:
    """A template with what it asks for; `refusal` says why chat cannot give it."""

    text: str
    slots: tuple[Slot, ...] = ()
    refusal: str = ""

    @property
    def inputs(self) -> tuple[StartInput, ...]:
        """What it asks for."""
        return tuple(slot.asked for slot in self.slots)

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the template does."""
        return sha256(self.text.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True)
class _Line:
    indent: int
    key: str
    value: str
    opens_item: bool


def read_template(text: str) -> Template:
    """The inputs of a template."""
    texts = text.split("\n")
    numbers = [number for number, line in enumerate(texts) if PLACEHOLDER in line]
    if len(numbers) > MANY_INPUTS:
        return Template(text, refusal=f"It takes {len(numbers)} inputs, far too many for a dialog; start it in Harness.")
    lines = [_parse(line) for line in texts]
    slots, refusal, taken = [], "", set[str]()
    for number in numbers:
        line = lines[number]
        asked = _asked(line)
        if line is None or asked is None or _wants_object(lines, number, line):
            refusal = NOT_HERE
            continue
        slot = _slot(lines, number, line, asked, taken)
        if slot.asked.kind is InputKind.SECRET:
            refusal = f"It asks for a secret (“{slot.asked.label}”), which chat is no place for; start it in Harness."
        slots.append(slot)
    return Template(text, tuple(slots), refusal)


def fill(template: Template, given: Mapping[str, str]) -> str:
    """The template with values in place of its placeholders; NotResumable when one is missing, not allowed or unknown."""
    if set(given) - {slot.asked.key for slot in template.slots} - {NOTES}:
        raise NotResumable("The pipeline does not ask for all of the values that were given: its inputs have changed.")
    lines = template.text.split("\n")
    for slot in template.slots:
        value = given.get(slot.asked.key, "").strip() or slot.asked.default
        check_value(slot.asked, value)
        is_number = slot.is_number and _NUMBER.fullmatch(value) is not None
        if slot.is_number and not is_number and value != slot.asked.default:
            raise NotResumable(f"“{slot.asked.label}” takes a number.")
        lead, _, _ = lines[slot.number].partition(PLACEHOLDER)
        lines[slot.number] = lead.rstrip("'\"") + (value if is_number else _scalar(value))
    return "\n".join(lines)


def _scalar(value: str) -> str:
    # A JSON string is a YAML scalar but for the line ends that only YAML knows.
    return json.dumps(value, ensure_ascii=False).translate(_YAML_ESCAPES)


def _parse(line: str) -> _Line | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    return _Line(len(found["lead"]), found["key"].strip("'\""), found["value"], "-" in found["lead"])


def _asked(line: _Line | None) -> Asked | None:
    """What stands behind the placeholder; None where it is more than chat can give."""
    value = _unquoted(line.value) if line and len(line.value) <= LONGEST_VALUE else ""
    return read_asked(value.removeprefix(PLACEHOLDER)) if value.startswith(PLACEHOLDER) else None


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return ""  # an escape that only YAML knows
    return value


def _wants_object(lines: Sequence[_Line | None], number: int, line: _Line) -> bool:
    above = _above(lines, number, line)
    is_codebase = line.key == "build" and above is not None and above[1].key == "codebase"
    return is_codebase or _OBJECTS.fullmatch(line.key) is not None


def _slot(lines: Sequence[_Line | None], number: int, line: _Line, asked: Asked, taken: set[str]) -> Slot:
    beside = _beside(lines, number, line)
    type_ = beside.get("type", "").strip(_QUOTES)
    default = asked.default if asked.default is not None else _unquoted(beside.get("default", ""))
    label = beside.get("name", "") if line.key == "value" else ""
    kinds = {"Number": InputKind.NUMBER, "Secret": InputKind.SECRET}
    made = StartInput(
        key=_key(lines, number, line, taken),
        label=(label or _place(lines, number, line)).strip("'\""),
        kind=InputKind.CHOICE if asked.choices and type_ != "Secret" else kinds.get(type_, InputKind.TEXT),
        is_required=not default and beside.get("required", "true") != "false",
        default=default,
        choices=asked.choices,
        is_environment=line.key == "environmentRef",
    )
    return Slot(made, number, is_number=type_ == "Number")


def _key(lines: Sequence[_Line | None], number: int, line: _Line, taken: set[str]) -> str:
    path = _path(lines, number, line)
    count = 1
    while (key := path if count == 1 else f"{path}#{count}") in taken:
        count += 1
    taken.add(key)
    if len(key) <= LONGEST_KEY and key.isprintable():
        return key
    return sha256(key.encode("utf-8", "backslashreplace")).hexdigest()


def _path(lines: Sequence[_Line | None], number: int, line: _Line) -> str:
    """The keys that lead to the line, each mapping by its identifier or name."""
    parts = []
    here: tuple[int, _Line] | None = (number, line)
    while here is not None:
        beside = _beside(lines, *here)
        own = (beside.get("identifier") or beside.get("name") or "").strip(_QUOTES)
        parts += [here[1].key, *([f"({own})"] if own else [])]
        here = _above(lines, *here)
    return "".join(f"/{part}" for part in reversed(parts))


def _above(lines: Sequence[_Line | None], number: int, line: _Line) -> tuple[int, _Line] | None:
    """The line whose value the mapping of this one is, or is a part of."""
    for place in range(number - 1, -1, -1):
        other = lines[place]
        if other is not None and other.indent < line.indent:
            return place, other
    return None


def _beside(lines: Sequence[_Line | None], number: int, line: _Line) -> dict[str, str]:
    """The other keys of the same mapping: upwards to where it begins, downwards to where it ends."""
    found: dict[str, str] = {}
    if not line.opens_item:
        for parsed in reversed(lines[:number]):
            if parsed is None or parsed.indent < line.indent:
                break
            if parsed.indent == line.indent:
                found[parsed.key] = parsed.value
                if parsed.opens_item:
                    break
    for parsed in lines[number + 1 :]:
        if parsed is None or parsed.indent < line.indent or (parsed.indent == line.indent and parsed.opens_item):
            break
        if parsed.indent == line.indent:
            found[parsed.key] = parsed.value
    return found


def _place(lines: Sequence[_Line | None], number: int, line: _Line) -> str:
    """The key with the nearest identifier around it: `deploy_eu: environmentRef`."""
    indent = line.indent
    for parsed in reversed(lines[:number]):
        if parsed is None or parsed.indent > indent:
            continue
        if parsed.key == "identifier" and parsed.indent <= indent:
            return f"{parsed.value.strip(_QUOTES)}: {line.key}"
        indent = min(indent, parsed.indent)
    return line.key
