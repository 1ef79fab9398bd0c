"""The runtime inputs of a NextGen pipeline, read from its template line by line and written back into the same lines.

The text is never parsed as YAML: what Harness gave goes back as it was but for the values, and an alias bomb stays a text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.execution import InputKind, StartInput
from bot.engines._harness_inputs import check_value

PLACEHOLDER = "<+input>"
_LINE = re.compile(r"(?P<lead>\s*(?:-\s+)?)(?P<key>[^\s:#][^:#]*):\s*(?P<value>.*?)\s*")
_CALL = re.compile(r"\.(?P<name>allowedValues|default|selectOneFrom|selectManyFrom)\((?P<given>[^()]*)\)")
_YAML_ESCAPES = {0x7F: "\\x7F", 0x85: "\\N", 0x2028: "\\L", 0x2029: "\\P"}
_QUOTES = "'\" "
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Template:
    """A template with what it asks for; `refusal` says why chat cannot give it."""

    text: str
    inputs: tuple[StartInput, ...]
    refusal: str = ""


@dataclass(frozen=True)
class _Line:
    indent: int
    key: str
    value: str
    opens_item: bool


def read_template(text: str) -> Template:
    """The inputs of a template, keyed by the number of their line."""
    lines = text.split("\n")
    inputs, refusal = [], ""
    for number, line in enumerate(lines):
        if PLACEHOLDER not in line:
            continue
        parsed = _parse(line)
        if parsed is None or not parsed.value.strip("'\"").startswith(PLACEHOLDER) or ".executionInput(" in line:
            refusal = "It has inputs that cannot be given here; start it in Harness."
            continue
        asked = _asked(lines, number, parsed)
        if asked.kind is InputKind.SECRET:
            refusal = f"It asks for a secret (“{asked.label}”), which chat is no place for; start it in Harness."
        inputs.append(asked)
    return Template(text, tuple(inputs), refusal)


def fill(template: Template, given: Mapping[str, str]) -> str:
    """The template with values in place of its placeholders; NotResumable when one is missing or not allowed."""
    lines = template.text.split("\n")
    for one in template.inputs:
        value = given.get(one.key, "").strip() or one.default
        check_value(one, value)
        number = int(one.key.partition(" ")[0])
        lead, _, _ = lines[number].partition(PLACEHOLDER)
        is_number = one.kind is InputKind.NUMBER and _NUMBER.fullmatch(value) is not None
        lines[number] = lead.rstrip("'\"") + (value if is_number else _scalar(value))
    return "\n".join(lines)


def _scalar(value: str) -> str:
    # A JSON string is a YAML scalar but for the line ends that only YAML knows.
    return json.dumps(value, ensure_ascii=False).translate(_YAML_ESCAPES)


def _parse(line: str) -> _Line | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    return _Line(len(found["lead"]), found["key"].strip("'\""), found["value"], "-" in found["lead"])


def _asked(lines: Sequence[str], number: int, line: _Line) -> StartInput:
    beside = _beside(lines, number, line)
    calls = {found["name"]: found["given"] for found in _CALL.finditer(line.value)}
    allowed = calls.get("allowedValues") or calls.get("selectOneFrom") or ""
    choices = tuple(part.strip() for part in allowed.split(",") if part.strip())
    default = calls.get("default", beside.get("default", "")).strip(_QUOTES)
    label = beside.get("name", "") if line.key == "value" else ""
    asked = StartInput(
        key=f"{number} {label or line.key}",
        label=(label or _place(lines, number, line)).strip("'\""),
        is_required=not default and beside.get("required", "true") != "false",
        default=default,
        choices=choices,
        is_environment=line.key == "environmentRef",
    )
    kinds = {"Number": InputKind.NUMBER, "Secret": InputKind.SECRET}
    kind = InputKind.CHOICE if choices else kinds.get(beside.get("type", ""), InputKind.TEXT)
    return replace(asked, kind=kind)


def _beside(lines: Sequence[str], number: int, line: _Line) -> dict[str, str]:
    """The other keys of the same mapping: upwards to where it begins, downwards to where it ends."""
    found: dict[str, str] = {}
    if not line.opens_item:
        for other in reversed(lines[:number]):
            parsed = _parse(other)
            if parsed is None or parsed.indent < line.indent:
                break
            if parsed.indent == line.indent:
                found[parsed.key] = parsed.value
                if parsed.opens_item:
                    break
    for other in lines[number + 1 :]:
        parsed = _parse(other)
        if parsed is None or parsed.indent < line.indent or (parsed.indent == line.indent and parsed.opens_item):
            break
        if parsed.indent == line.indent:
            found[parsed.key] = parsed.value
    return found


def _place(lines: Sequence[str], number: int, line: _Line) -> str:
    """The key with the nearest identifier around it: `deploy_eu: environmentRef`."""
    indent = line.indent
    for other in reversed(lines[:number]):
        parsed = _parse(other)
        if parsed is None or parsed.indent > indent:
            continue
        if parsed.key == "identifier" and parsed.indent <= indent:
            return f"{parsed.value.strip(_QUOTES)}: {line.key}"
        indent = min(indent, parsed.indent)
    return line.key
