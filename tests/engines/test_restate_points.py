"""What is told of a Restate invocation, which points it offers, and what they do; on the simulator and on a real server."""

import asyncio

import pytest

from bot.domain.errors import NotResumable
from bot.domain.execution import ExecutionRef, ExecutionStatus, Finding, StageStatus, find_point
from bot.simulators.restate_model import ServiceSpec
from tests.engines.case_restate import RestateStand, standing
from tests.engines.cases import CONNECTION, SECRET
from tests.engines.restate_acts import KEEP, LATEST, act, described, keys, resume, resumes
from tests.restate_lab.worlds import SimulatedWorld, Stage, simulated_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def stand(restate: RestateStand) -> RestateStand:
    return restate


async def test_stages_are_the_named_steps_reached_so_far(stand: RestateStand) -> None:
    seen = await described(stand, "paused", test="fail")

    assert seen.name == "Pipeline/run"
    assert [(stage.name, stage.status) for stage in seen.stages] == [
        ("checkout", StageStatus.SUCCEEDED),
        ("build", StageStatus.SUCCEEDED),
        ("test", StageStatus.FAILED),
    ]
    assert (seen.failed_stage, seen.error) == ("test", "RuntimeError('step test failed on purpose')")
    assert seen.points[0].stages == ("test",)


async def test_a_failure_outside_any_step_names_none(stand: RestateStand) -> None:
    seen = await described(stand, "paused", build="vanish")

    assert seen.failed_stage == seen.points[0].label == "(outside any step)"
    assert seen.points[0].stages == ()
    assert "bug between two steps" in seen.error


async def test_the_pinned_deployment_comes_first_then_the_latest_then_others(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")
    pinned = (await stand.engine.describe(ref)).labels["Deployment"]
    middle = await stand.world.deploy()
    latest = await stand.world.deploy()

    seen = await stand.engine.describe(ref)

    assert keys(seen)[:2] == ["keep", "latest"]
    assert middle in keys(seen)[2:]
    assert not {pinned, latest} & set(keys(seen))
    assert latest in seen.points[1].sentence
    assert all("deploy" in point.label for point in resumes(seen))


async def test_resume_on_a_named_deployment_moves_there(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")
    middle = await stand.world.deploy()
    await stand.world.deploy()
    point = find_point((await stand.engine.describe(ref)).points, middle)
    assert point is not None

    await resume(stand, ref, point)
    await stand.world.wait_status(ref.id, "paused")

    assert (await stand.engine.describe(ref)).labels["Deployment"] == middle


async def test_other_code_on_the_latest_is_repaired_by_going_back(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")
    pinned = (await stand.engine.describe(ref)).labels["Deployment"]
    await stand.repair(ref)
    await stand.world.deploy("fetch,build,test,deploy,verify")

    await resume(stand, ref, LATEST)
    await stand.world.wait_status(ref.id, "paused")
    seen = await stand.engine.describe(ref)
    await stand.world.deploy()
    back = find_point((await stand.engine.describe(ref)).points, pinned)
    assert back is not None
    await resume(stand, ref, back)
    await stand.world.wait_status(ref.id, "completed")

    assert seen.status is ExecutionStatus.FAILED
    assert "mismatch" in seen.error
    assert (await stand.engine.describe(ref)).status is ExecutionStatus.SUCCEEDED


async def test_a_parent_names_the_paused_child_it_waits_for(stand: RestateStand) -> None:
    parent = await stand.start("suspended", service="Chain", deploy="fail")
    (row,) = await stand.world.query(f"SELECT id FROM sys_invocation WHERE invoked_by_id = '{parent.id}'")
    await stand.world.wait_status(row["id"], "paused")

    above = await stand.engine.describe(parent)
    below = await stand.engine.describe(ExecutionRef(CONNECTION, row["id"]))

    assert (above.status, above.points) == (ExecutionStatus.SUSPENDED, ())
    assert above.no_points == f"It waits for Pipeline/run ({row['id']}), which is paused: resume that one."
    assert any(f"Chain/run ({parent.id})" in note for note in below.notes)
    assert below.labels["Called by"] == f"Chain/run ({parent.id})"


async def test_a_sleeping_one_can_be_woken(stand: RestateStand) -> None:
    ref = await stand.start("suspended", service="Chain", prepare="nap")

    seen = await stand.engine.describe(ref)
    receipt = await resume(stand, ref, seen.points[0])
    await stand.world.wait_status(ref.id, "suspended")
    found = await stand.engine.evidence(ref, seen.baseline, "req-1-1")

    assert keys(seen)[0] == "keep"
    assert receipt.ref == ref
    assert found.finding is Finding.HAPPENED


async def test_what_has_not_begun_offers_nothing_and_is_refused(stand: RestateStand) -> None:
    scheduled = await stand.start("scheduled", delay="1h")
    paused = await stand.start("paused", service="Shelf", object_key=f"key-{scheduled.id}", build="fail")
    pending = await stand.start("pending", service="Shelf", object_key=f"key-{scheduled.id}")

    for ref in (scheduled, pending):
        seen = await stand.engine.describe(ref)
        assert (seen.status, seen.points) == (ExecutionStatus.WAITING, ())
        with pytest.raises(NotResumable, match="not begun"):
            await resume(stand, ref, KEEP)
    assert (await stand.engine.describe(paused)).name == f"Shelf/key-{scheduled.id}/run"


async def test_a_final_failure_is_described_and_cannot_be_resumed(stand: RestateStand) -> None:
    seen = await described(stand, "completed", test="terminal")

    assert (seen.status, seen.failed_stage, seen.error) == (ExecutionStatus.FAILED, "test", "[422] step test gave up")
    assert resumes(seen) == []
    assert seen.ended_at is not None
    with pytest.raises(NotResumable, match="already completed"):
        await resume(stand, seen.ref, KEEP)


@pytest.mark.parametrize("verb", ["cancel", "kill"])
async def test_what_people_ended_is_cancelled_and_no_failure(stand: RestateStand, verb: str) -> None:
    ref = await stand.start("paused", deploy="fail")
    started = (await stand.engine.describe(ref)).started_at
    assert started is not None
    await act(stand, ref, verb)
    await stand.world.wait_status(ref.id, "completed")

    found = await stand.engine.find_failures(started)

    assert (await stand.engine.describe(ref)).status is ExecutionStatus.CANCELLED
    assert ref not in {notice.ref for notice in found}


async def test_a_pause_by_hand_says_so(stand: RestateStand) -> None:
    ref = await stand.start("running", checkout="slow")
    await act(stand, ref, "pause")
    await stand.world.wait_status(ref.id, "paused")

    seen = await stand.engine.describe(ref)

    assert (seen.failed_stage, seen.points[0].label) == ("", "where it was paused")
    assert any("by hand" in note for note in seen.notes)


async def test_what_was_begun_anew_belongs_to_one_chain(stand: RestateStand) -> None:
    first = await stand.start("completed", deploy="terminal")
    ids = [first.id]
    for _ in range(2):
        answer = await act(stand, ExecutionRef(CONNECTION, ids[-1]), "restart-as-new")
        ids.append(answer.json()["new_invocation_id"])
        await stand.world.wait_status(ids[-1], "completed")

    seen = [await stand.engine.describe(ExecutionRef(CONNECTION, one)) for one in ids]

    assert {one.root for one in seen} == {first.id}
    assert [one.chain for one in seen] == [tuple(ids)] * 3
    assert [one.newest for one in seen] == [ids[2], ids[2], ""]
    assert list(seen[1].earlier) == [first.id]


async def test_a_waiting_retry_can_be_made_now(world: SimulatedWorld, alone: RestateStand) -> None:
    world.simulator.world.retry_seconds = 3600
    ref = await alone.start("backing-off", deploy="fail")

    seen = await alone.engine.describe(ref)
    await alone.repair(ref)
    found = await alone.engine.evidence(ref, seen.baseline, "req-1-1")
    await resume(alone, ref, seen.points[0])
    await world.wait_status(ref.id, "completed")

    assert (seen.status, seen.failed_stage) == (ExecutionStatus.RETRYING, "deploy")
    assert [(point.key, point.label, point.stages) for point in resumes(seen)] == [("keep", "deploy, now", ("deploy",))]
    assert (found.finding, found.is_probable) == (Finding.HAPPENED, True)
    with pytest.raises(NotResumable):
        await resume(alone, ref, LATEST)


async def test_only_deployments_that_serve_the_handler_in_its_protocol_are_offered(
    world: SimulatedWorld, alone: RestateStand
) -> None:
    ref = await alone.start("paused", deploy="fail")
    world.simulator.deploy([ServiceSpec("Other", ("only",))])
    world.simulator.deploy([ServiceSpec("Pipeline", ("checkout",), handler="walk")])
    world.simulator.deploy(max_protocol=5)

    assert keys(await alone.engine.describe(ref)) == ["keep"]


async def test_nothing_pinned_offers_no_choice_of_deployment(world: SimulatedWorld, alone: RestateStand) -> None:
    (first,) = world.simulator.deployments
    world.simulator.reach(first.id, is_reachable=False)
    ref = await alone.start("paused")

    seen = await alone.engine.describe(ref)

    assert keys(seen) == ["keep"]
    assert (seen.failed_stage, seen.error) == ("(outside any step)", "the service endpoint cannot be reached")
    assert "Its service could not be reached." in seen.notes


async def test_stages_of_one_name_are_told_apart(stage: Stage) -> None:
    async with simulated_world(stage, token=SECRET) as world, standing(world) as alone:
        world.simulator.deploy([ServiceSpec("Loop", ("load", "load", "", "save"))])
        ref = await alone.start("paused", service="Loop", save="fail")

        seen = await alone.engine.describe(ref)

    assert [one.name for one in seen.stages] == ["load (#1)", "load (#2)", "(unnamed)", "save"]
    assert seen.failed_stage == "save"


async def test_many_descriptions_at_once_end(alone: RestateStand) -> None:
    refs = [await alone.fail_one() for _ in range(5)]

    seen = await asyncio.gather(*(alone.engine.describe(ref) for ref in refs))

    assert [one.ref for one in seen] == refs
