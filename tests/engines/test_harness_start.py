"""What both Harness engines promise of starting: targets found by name, inputs asked for, one call, found again."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from bot.config_tables import Connection
from bot.domain.errors import Forbidden, NotResumable, NotSent, OutcomeUnknown, Unsupported
from bot.domain.execution import ExecutionStatus, Finding, InputKind, Receipt, StartInput, StartTarget
from bot.domain.ports import StartsExecutions
from bot.engines._http import boot_time
from bot.engines.harness_nextgen_inputs import fill, read_template
from bot.simulators.harness_firstgen_shapes import Service
from bot.simulators.harness_samples import APPLICATION, ORG, PROJECT, firstgen_cleanup
from bot.simulators.harness_world import Member, Pipeline, Variable
from tests.engines.harness_stand import KEY, FirstGenStand, NextGenStand, Socket, firstgen_stand, nextgen_stand

pytestmark = pytest.mark.anyio

START = "POST /pipeline/execute/*"


@pytest.fixture(scope="module")
async def socket() -> AsyncIterator[Socket]:
    async with Socket().served() as socket:
        yield socket


@pytest.fixture
async def firstgen(socket: Socket) -> AsyncIterator[FirstGenStand]:
    async with firstgen_stand(socket) as stand:
        yield stand


@pytest.fixture
async def nextgen(socket: Socket) -> AsyncIterator[NextGenStand]:
    async with nextgen_stand(socket) as stand:
        yield stand


async def one_target(engine: StartsExecutions, name: str, application: str | None = None) -> StartTarget:
    (target,) = await engine.find_targets(application, name)
    return target


async def start(engine: StartsExecutions, target: StartTarget, values: Mapping[str, str]) -> Receipt:
    """Start with values by label, as a person gives them."""
    inputs = {one.key: values[one.label] for one in target.inputs if one.label in values}
    return await engine.start(target, inputs, KEY, boot_time() + 5)


SHOP = {"version": "1.1", "environment": "staging"}


@pytest.mark.parametrize("application", [None, "Shop"])
async def test_firstgen_finds_a_pipeline_and_asks_for_what_it_takes(firstgen: FirstGenStand, application: str | None) -> None:
    target = await one_target(firstgen.engine, "Deploy shop", application)

    asked = {one.label: one for one in target.inputs}
    assert list(asked) == ["version", "environment", "size", "web: artifact source", "web: build number", "Notes"]
    assert (asked["version"].is_required, asked["version"].kind) == (True, InputKind.TEXT)
    assert asked["environment"].hint == "The name of a Harness environment."
    assert (asked["size"].kind, asked["size"].choices, asked["size"].default) == (InputKind.CHOICE, ("small", "large"), "small")
    assert target.name == "Deploy shop"


async def test_where_a_firstgen_start_will_run_stays_unknown(firstgen: FirstGenStand) -> None:
    info = Connection("fg", "harness_firstgen", firstgen.engine.Settings(base_url="http://x", account="a")).info

    target = await one_target(firstgen.engine, "Deploy shop")

    assert (target.environment, [one.key for one in target.inputs if one.is_environment]) == (None, [])
    assert info.environment_of("production") is None


async def test_firstgen_finds_workflows_too(firstgen: FirstGenStand) -> None:
    firstgen_cleanup(firstgen.simulator)

    target = await one_target(firstgen.engine, "Clean up", "Shop")
    receipt = await start(firstgen.engine, target, {"days": "3"})

    assert (target.inputs[0].kind, target.inputs[0].is_required) == (InputKind.NUMBER, True)
    assert firstgen.world.runs[receipt.ref.id].variables == {"days": "3"}


@pytest.mark.parametrize(("application", "name"), [(None, "nothing"), ("Shop", "nothing"), ("nowhere", "Deploy shop")])
async def test_firstgen_answers_with_nothing_for_names_nobody_has(
    firstgen: FirstGenStand, application: str | None, name: str
) -> None:
    assert list(await firstgen.engine.find_targets(application, name)) == []


async def test_a_name_in_two_applications_gives_two_targets(firstgen: FirstGenStand) -> None:
    firstgen.simulator.application("app-two", "Two")
    firstgen.world.add(Pipeline("other", "Deploy shop", [[Member("e", "E")]], "app-two"))

    assert len(await firstgen.engine.find_targets(None, "Deploy shop")) == 2
    assert len(await firstgen.engine.find_targets("Two", "Deploy shop")) == 1


async def test_firstgen_starts_with_two_variables_and_an_artifact(firstgen: FirstGenStand) -> None:
    target = await one_target(firstgen.engine, "Deploy shop")
    artifact = {"web: artifact source": "registry", "web: build number": "1.1", "Notes": "the second try"}

    receipt = await start(firstgen.engine, target, SHOP | artifact)

    run = await firstgen.world.over(firstgen.world.runs[receipt.ref.id])
    assert run.variables["version"] == "1.1"
    assert run.variables["environment"] == "env-staging"
    assert run.notes == f"the second try [{KEY}]"
    assert (await firstgen.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


async def test_a_target_that_only_its_key_is_left_of_is_started_with_all_values(firstgen: FirstGenStand) -> None:
    target = await one_target(firstgen.engine, "Deploy shop")
    inputs = {one.key: SHOP[one.label] for one in target.inputs if one.label in SHOP}

    receipt = await firstgen.engine.start(replace(target, inputs=()), inputs, KEY, boot_time() + 5)

    assert firstgen.world.runs[receipt.ref.id].variables["version"] == "1.1"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"environment": "staging"}, "“version” needs a value"),
        (SHOP | {"size": "huge"}, "takes one of: small, large"),
        (SHOP | {"version": "${secrets.getValue('prod')}"}, "expressions are not passed on"),
        (SHOP | {"web: build number": "1.1"}, "needs both"),
    ],
)
async def test_firstgen_refuses_bad_values_before_any_call(firstgen: FirstGenStand, values: dict[str, str], words: str) -> None:
    target = await one_target(firstgen.engine, "Deploy shop")

    with pytest.raises(NotResumable, match=words):
        await start(firstgen.engine, target, values)

    assert firstgen.simulator.faults.count("startExecution") == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (SHOP | {"environment": "moon"}, "Environment [moon] doesn't exist"),
        (SHOP | {"web: artifact source": "registry", "web: build number": "9"}, "Cannot find or collect artifact"),
    ],
)
async def test_firstgens_own_refusals_are_told_in_its_words(
    firstgen: FirstGenStand, values: dict[str, str], words: str
) -> None:
    target = await one_target(firstgen.engine, "Deploy shop")

    with pytest.raises(NotResumable) as caught:
        await start(firstgen.engine, target, values)

    assert words in str(caught.value)


async def test_too_many_inputs_are_left_to_harness(firstgen: FirstGenStand) -> None:
    variables = tuple(Variable(f"v{number}") for number in range(20))
    firstgen.world.add(Pipeline("many", "Many", [[Member("e", "E")]], APPLICATION, variables))

    target = await one_target(firstgen.engine, "Many")

    assert (target.inputs, target.link.startswith("http")) == ((), True)
    assert "more than a dialog here holds" in target.refusal


async def test_fifteen_inputs_beside_the_notes_are_asked_for(firstgen: FirstGenStand) -> None:
    variables = tuple(Variable(f"v{number}") for number in range(15))
    firstgen.world.add(Pipeline("many", "Many", [[Member("e", "E")]], APPLICATION, variables))

    target = await one_target(firstgen.engine, "Many")

    assert (target.refusal, len(target.inputs)) == ("", 16)


@pytest.mark.parametrize(("given", "sent"), [("eu,us", "eu,us"), (" eu , us,", "eu,us"), ("us", "us")])
async def test_several_values_are_sent_as_the_server_splits_them(firstgen: FirstGenStand, given: str, sent: str) -> None:
    regions = (Variable("regions", allowed=("eu", "us"), multiple=True, required=True),)
    firstgen.world.add(Pipeline("many", "Many", [[Member("e", "E")]], APPLICATION, regions))
    target = await one_target(firstgen.engine, "Many")

    receipt = await start(firstgen.engine, target, {"regions": given})

    assert firstgen.world.runs[receipt.ref.id].variables == {"regions": sent}


async def test_each_of_several_values_is_checked_before_the_call(firstgen: FirstGenStand) -> None:
    regions = (Variable("regions", allowed=("eu", "us"), multiple=True, required=True),)
    firstgen.world.add(Pipeline("many", "Many", [[Member("e", "E")]], APPLICATION, regions))
    target = await one_target(firstgen.engine, "Many")

    with pytest.raises(NotResumable, match="takes some of: eu, us"):
        await start(firstgen.engine, target, {"regions": "eu,xx"})

    assert firstgen.simulator.faults.count("startExecution") == 0


def many_applications(stand: FirstGenStand, number: int) -> Pipeline:
    """So many applications, with a pipeline in the last of them."""
    for index in range(number):
        stand.simulator.application(f"app{index:04d}", f"App {index}")
    return stand.world.add(Pipeline("late", "Late one", [[Member("e", "E")]], f"app{number - 1:04d}"))


async def test_a_name_is_found_in_every_one_of_many_applications(firstgen: FirstGenStand) -> None:
    many_applications(firstgen, 150)

    target = await one_target(firstgen.engine, "Late one")

    assert target.key == "PIPELINE app0149 late"
    assert target.place == "pipeline in App 149"


async def test_a_search_that_was_cut_short_says_so(firstgen: FirstGenStand) -> None:
    many_applications(firstgen, 250)

    with pytest.raises(Unsupported, match="251 applications and I looked in 200 of them"):
        await firstgen.engine.find_targets(None, "Late one")

    assert "looks in 200 of them" in await firstgen.engine.check()
    assert (await one_target(firstgen.engine, "Late one", "App 249")).name == "Late one"


async def test_a_target_is_found_again_by_its_key_in_any_application(firstgen: FirstGenStand) -> None:
    many_applications(firstgen, 250)
    firstgen_cleanup(firstgen.simulator)

    for key in ("PIPELINE app0249 late", f"WORKFLOW {APPLICATION} workflow-cleanup"):
        assert (await one_target(firstgen.engine, key)).key == key
    assert list(await firstgen.engine.find_targets(None, f"PIPELINE {APPLICATION} nowhere")) == []


async def test_manifests_are_asked_for_and_sent(firstgen: FirstGenStand) -> None:
    firstgen.simulator.service(Service("svc-chart", "chart", manifests={"helm": ("2.0",)}))
    pipeline = firstgen.world.add(Pipeline("helm", "Helm", [[Member("e", "E")]], APPLICATION, services=("svc-chart",)))
    target = await one_target(firstgen.engine, pipeline.name)

    receipt = await start(firstgen.engine, target, {"chart: app manifest": "helm", "chart: version": "2.0"})
    with pytest.raises(NotResumable, match="Cannot find helm chart"):
        await start(firstgen.engine, target, {"chart: app manifest": "helm", "chart: version": "3.0"})

    assert receipt.ref.id in firstgen.world.runs


async def test_a_lost_firstgen_start_is_found_by_its_notes(firstgen: FirstGenStand) -> None:
    target, since = await one_target(firstgen.engine, "Deploy shop"), datetime.now(UTC)
    before = await firstgen.engine.start_evidence(target, KEY, since)
    firstgen.simulator.faults.fail("startExecution", "lost")
    with pytest.raises(OutcomeUnknown):
        await start(firstgen.engine, target, SHOP)

    found = await firstgen.engine.start_evidence(target, KEY, since)

    (run,) = firstgen.world.runs.values()
    assert (before.finding, found.finding, found.ref) == (Finding.UNCLEAR, Finding.HAPPENED, firstgen.ref(run))
    assert not found.is_probable


async def test_a_start_that_answers_with_nothing_is_unknown(firstgen: FirstGenStand) -> None:
    target = await one_target(firstgen.engine, "Deploy shop")
    firstgen.simulator.deny("startExecution", 1)

    with pytest.raises(OutcomeUnknown):
        await start(firstgen.engine, target, SHOP)

    assert len(firstgen.world.runs) == 1


async def test_a_start_without_permission_is_forbidden(firstgen: FirstGenStand) -> None:
    target = await one_target(firstgen.engine, "Deploy shop")
    firstgen.simulator.deny("startExecution", 2)

    with pytest.raises(Forbidden):
        await start(firstgen.engine, target, SHOP)


@pytest.mark.parametrize("name", ["Deploy shop", "shop", "SHOP"])
async def test_nextgen_finds_a_pipeline_by_name_or_identifier(nextgen: NextGenStand, name: str) -> None:
    target = await one_target(nextgen.engine, name)

    asked = {one.label: one for one in target.inputs}
    assert list(asked) == ["version", "environment", "Notes"]
    assert asked["version"].is_required
    assert asked["environment"].choices == ("staging", "production")
    assert asked["environment"].default == "staging"
    assert f"/orgs/{ORG}/projects/{PROJECT}/pipelines/shop/" in target.link


@pytest.mark.parametrize(("application", "name"), [(None, "sho"), (None, "nothing"), ("elsewhere", "shop")])
async def test_nextgen_answers_with_nothing_for_names_nobody_has(
    nextgen: NextGenStand, application: str | None, name: str
) -> None:
    assert list(await nextgen.engine.find_targets(application, name)) == []


async def test_nextgen_starts_with_two_variables(nextgen: NextGenStand) -> None:
    target = await one_target(nextgen.engine, "shop")

    receipt = await start(nextgen.engine, target, {"version": '1.1 "x": [', "environment": "production"})

    run = nextgen.world.runs[receipt.ref.id]
    assert run.inputs is not None
    values = {one["name"]: one["value"] for one in yaml.safe_load(run.inputs)["pipeline"]["variables"]}
    assert values == {"version": '1.1 "x": [', "environment": "production"}
    assert run.notes == f"[{KEY}]"


async def test_a_pipeline_without_inputs_is_started_with_an_empty_body(nextgen: NextGenStand) -> None:
    nextgen.world.add(Pipeline("plain", "Plain", [[Member("s", "S")]], f"{ORG}/{PROJECT}"))
    target = await one_target(nextgen.engine, "plain")

    receipt = await start(nextgen.engine, target, {})

    assert [one.label for one in target.inputs] == ["Notes"]
    assert nextgen.world.runs[receipt.ref.id].inputs is None


async def test_nextgen_refuses_bad_values_before_any_call(nextgen: NextGenStand) -> None:
    target = await one_target(nextgen.engine, "shop")

    with pytest.raises(NotResumable, match="“version” needs a value"):
        await start(nextgen.engine, target, {})
    with pytest.raises(NotResumable, match="takes one of: staging, production"):
        await start(nextgen.engine, target, {"version": "1", "environment": "moon"})
    with pytest.raises(NotResumable, match="expressions are not passed on"):
        await start(nextgen.engine, target, {"version": '<+secrets.getValue("prod")>'})

    assert nextgen.simulator.faults.count(START) == 0


async def test_a_start_after_its_time_is_not_sent(nextgen: NextGenStand) -> None:
    target = await one_target(nextgen.engine, "shop")
    version = target.inputs[0].key

    with pytest.raises(NotSent):
        await nextgen.engine.start(target, {version: "1"}, KEY, boot_time() - 1)

    assert nextgen.simulator.faults.count(START) == 0


async def test_a_lost_nextgen_start_is_found_by_its_notes(nextgen: NextGenStand) -> None:
    target, since = await one_target(nextgen.engine, "shop"), datetime.now(UTC)
    nextgen.world.start(nextgen.shop)
    nextgen.simulator.faults.fail(START, "lost")
    with pytest.raises(OutcomeUnknown):
        await start(nextgen.engine, target, {"version": "1"})

    found = await nextgen.engine.start_evidence(target, KEY, since)
    foreign = await nextgen.engine.start_evidence(target, "req-99-1", since)
    late = await nextgen.engine.start_evidence(target, KEY, since + timedelta(hours=1))

    assert found.finding is Finding.HAPPENED
    assert found.ref is not None
    assert nextgen.world.runs[found.ref.id].notes == f"[{KEY}]"
    assert (foreign.finding, late.finding) == (Finding.UNCLEAR, Finding.UNCLEAR)


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


async def test_a_template_that_changed_between_question_and_call_is_not_filled(nextgen: NextGenStand) -> None:
    target = await one_target(nextgen.engine, "shop")
    await start(nextgen.engine, target, {"version": "1"})
    nextgen.shop.template = (nextgen.shop.template or "").replace("default: staging", "default: production")

    with pytest.raises(NotResumable, match="have changed since"):
        await start(nextgen.engine, target, {"version": "1"})

    assert nextgen.simulator.faults.count(START) == 1
    assert (await one_target(nextgen.engine, "shop")).version != target.version


async def test_nothing_is_read_between_the_intent_of_a_start_and_its_call(nextgen: NextGenStand) -> None:
    target = await one_target(nextgen.engine, "shop")
    before = len(nextgen.simulator.faults.calls)

    await start(nextgen.engine, target, {"version": "1"})

    assert len(nextgen.simulator.faults.calls) == before + 1


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
