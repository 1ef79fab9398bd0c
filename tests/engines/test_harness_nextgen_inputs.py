"""How a Harness template is read for what it asks, and filled with what was given."""

import pytest
import yaml

from bot.domain.errors import NotResumable
from bot.domain.execution import InputKind, StartInput
from bot.engines.harness_nextgen_inputs import fill, read_template

TEMPLATE = """pipeline:
  identifier: "shop"
  stages:
    - stage:
        identifier: "deploy_eu"
        type: Deployment
        spec:
          environment:
            environmentRef: <+input>
          execution:
            steps:
              - step:
                  identifier: wait
                  timeout: <+input>.default(10m)
  variables:
    - name: count
      type: Number
      value: <+input>
    - name: colour
      required: false
      value: "<+input>.allowedValues(red, green)"
    - name: token
      type: String
      value: <+input>
      default: abc
"""


def test_a_template_is_read_line_by_line() -> None:
    template = read_template(TEMPLATE)

    asked = {one.label: one for one in template.inputs}
    assert list(asked) == ["deploy_eu: environmentRef", "wait: timeout", "count", "colour", "token"]
    assert asked["wait: timeout"].default == "10m"
    assert asked["count"].kind is InputKind.NUMBER
    assert (asked["colour"].choices, asked["colour"].is_required) == (("red", "green"), False)
    assert (asked["token"].default, asked["token"].is_required) == ("abc", False)
    assert template.refusal == ""


OBJECTS = ["environmentInputs", "infrastructureDefinitions", "serviceInputs", "valuesPaths", "stages", "manifests"]


@pytest.mark.parametrize("key", OBJECTS)
def test_an_input_that_is_an_object_is_left_to_harness(key: str) -> None:
    assert "cannot be given here" in read_template(f"pipeline:\n  spec:\n    {key}: <+input>\n").refusal


def test_the_codebase_of_a_build_is_an_object_and_the_build_of_an_artifact_is_none() -> None:
    assert read_template("pipeline:\n  properties:\n    ci:\n      codebase:\n        build: <+input>\n").refusal
    assert not read_template("pipeline:\n  artifact:\n    build: <+input>\n").refusal


def asked_of(value: str, further: str = "") -> StartInput:
    (asked,) = read_template(f"pipeline:\n  variables:\n    - name: x\n{further}      value: {value}\n").inputs
    return asked


@pytest.mark.parametrize(
    ("value", "default", "choices"),
    [
        ("<+input>.default(eu (west))", "eu (west)", ()),
        ("<+input>.default('a) b')", "a) b", ()),
        ("<+input>.default(eu, west)", "eu, west", ()),
        ("<+input>.default(don't)", "don't", ()),
        ("<+input>.allowedValues('a,b',c)", "", ("a,b", "c")),
        ('<+input>.allowedValues("a, b", c d ).default(c d)', "c d", ("a, b", "c d")),
        ('"<+input>.allowedValues(\\"a,b\\", c)"', "", ("a,b", "c")),
        ("'<+input>.allowedValues(''a,b'', c)'", "", ("a,b", "c")),
        ("<+input>.default(x).regex(^(x|\\)y)$)", "x", ()),
        ("<+input>.selectOneFrom(a, b)", "", ("a", "b")),
    ],
)
def test_defaults_and_allowed_values_are_read_as_harness_writes_them(
    value: str, default: str, choices: tuple[str, ...]
) -> None:
    asked = asked_of(value)

    assert (asked.default, asked.choices) == (default, choices)


@pytest.mark.parametrize("value", ["<+input>.default(a", "<+input> and more", "<+input>.new", "<+input>.default(a)b"])
def test_what_is_not_understood_is_left_to_harness(value: str) -> None:
    assert "cannot be given here" in read_template(f"pipeline:\n  x: {value}\n").refusal


@pytest.mark.parametrize(("given", "written"), [("2", "2"), ("1", "1")])
def test_a_number_to_choose_is_sent_as_a_number(given: str, written: str) -> None:
    template = read_template("pipeline:\n  v:\n    type: Number\n    value: <+input>.allowedValues(1,2)\n")

    filled = fill(template, {template.inputs[0].key: given})

    assert yaml.safe_load(filled)["pipeline"]["v"]["value"] == int(written)


def test_a_number_that_is_none_is_refused() -> None:
    template = read_template("pipeline:\n  v:\n    type: Number\n    value: <+input>\n")

    with pytest.raises(NotResumable, match="takes a number"):
        fill(template, {template.inputs[0].key: "two"})


def test_a_value_stays_with_its_input_wherever_that_moves() -> None:
    moved = TEMPLATE.replace("  stages:\n", "  tags: {}\n  properties:\n    x: y\n  stages:\n")
    moved = moved.replace("    - name: token\n", "    - name: another\n      value: fixed\n    - name: token\n")

    assert {one.label: one.key for one in read_template(moved).inputs} == {
        one.label: one.key for one in read_template(TEMPLATE).inputs
    }


def test_keys_are_places_each_of_its_own_and_short_enough_for_slack() -> None:
    deep = "".join(f"{'  ' * depth}part{depth}:\n" for depth in range(60)) + f"{'  ' * 60}x: <+input>\n"
    twice = "pipeline:\n  - name: a\n    value: <+input>\n  - name: a\n    value: <+input>\n"

    keys = [one.key for text in (TEMPLATE, deep, twice) for one in read_template(text).inputs]

    assert "/pipeline/(shop)/variables/(count)/value" in keys
    assert len(set(keys)) == len(keys) == 8
    assert max(map(len, keys)) <= 200


def test_a_value_without_a_place_in_the_template_is_refused() -> None:
    with pytest.raises(NotResumable, match="its inputs have changed"):
        fill(read_template(TEMPLATE), {"/pipeline/(shop)/variables/(gone)/value": "x"})


def test_a_template_of_thousands_of_inputs_is_counted_and_not_read() -> None:
    template = read_template("pipeline:\n" + "  x: <+input>\n" * 5_000)

    assert (template.inputs, "5000 inputs" in template.refusal) == ((), True)


NASTY = ['"', "\\", "a\nb", "{{", "é\u2028\u0085x", "'", "- a", "#", "null", "&a *a"]


@pytest.mark.parametrize("value", NASTY)
def test_a_value_is_one_scalar_whatever_stands_in_it(value: str) -> None:
    template = read_template(TEMPLATE)
    keys = {one.label: one.key for one in template.inputs}

    filled = fill(template, {keys["deploy_eu: environmentRef"]: value, keys["count"]: "3", keys["colour"]: "green"})

    read = yaml.safe_load(filled)["pipeline"]
    assert read["stages"][0]["stage"]["spec"]["environment"]["environmentRef"] == value.strip()
    assert [one["value"] for one in read["variables"]] == [3, "green", "abc"]


def test_all_but_the_values_stays_as_it_was() -> None:
    template = read_template(TEMPLATE)

    filled = fill(template, {one.key: one.choices[0] if one.choices else "7" for one in template.inputs})

    changed = [(old, new) for old, new in zip(TEMPLATE.split("\n"), filled.split("\n"), strict=True) if old != new]
    assert len(changed) == len(template.inputs)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  - <+input>", "cannot be given here"),
        ("  path: a/<+input>/b", "cannot be given here"),
        ("  x: <+input>.executionInput()", "cannot be given here"),
        ("  - name: key\n    type: Secret\n    value: <+input>", "asks for a secret"),
        ("  - name: key\n    type: Secret\n    value: <+input>.allowedValues(a, b)", "asks for a secret"),
    ],
)
def test_inputs_that_chat_cannot_give_are_refused(line: str, words: str) -> None:
    assert words in read_template(f"pipeline:\n{line}\n").refusal


def test_an_expression_that_harness_itself_proposes_may_stay() -> None:
    template = read_template("pipeline:\n  tag: <+input>.default(<+pipeline.sequenceId>)\n")

    assert fill(template, {template.inputs[0].key: "<+pipeline.sequenceId>"}) == 'pipeline:\n  tag: "<+pipeline.sequenceId>"\n'


def test_a_bomb_in_a_template_is_text() -> None:
    bomb = "pipeline: &a [x]\n" + "".join(f"k{n}: [*a, *a]\n" for n in range(1000)) + "v: <+input>\n"

    template = read_template(bomb)

    assert fill(template, {template.inputs[0].key: "1"}) == bomb.replace("<+input>", '"1"')
