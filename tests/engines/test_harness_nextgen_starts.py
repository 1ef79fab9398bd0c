"""What the engine for Harness NextGen promises of starting: found by name, inputs asked for, one call, found again."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from bot.domain.errors import NotResumable, NotSent, OutcomeUnknown
from bot.domain.execution import Finding
from bot.engines._http import boot_time
from bot.simulators.harness_samples import ORG, PROJECT
from bot.simulators.harness_world import Member, Pipeline
from tests.engines.harness_stand import KEY, NextGenStand, one_target, start

pytestmark = pytest.mark.anyio

START = "POST /pipeline/execute/*"


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
