"""What the engine for Harness FirstGen promises of starting: found by name, inputs asked for, one call, found again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.config_tables import Connection
from bot.domain.errors import Forbidden, NotResumable, OutcomeUnknown, Unsupported
from bot.domain.execution import ExecutionStatus, Finding, InputKind
from bot.engines._http import boot_time
from bot.simulators.harness_firstgen_shapes import Service
from bot.simulators.harness_samples import APPLICATION, firstgen_cleanup
from bot.simulators.harness_world import Member, Pipeline, Variable
from tests.engines.harness_stand import KEY, FirstGenStand, one_target, start

pytestmark = pytest.mark.anyio

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
