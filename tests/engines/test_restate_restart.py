"""Beginning a Restate invocation anew: what is kept, what runs again, what ends; on the simulator and on a real server."""

import asyncio

import pytest

from bot.domain.errors import NotFound, NotResumable
from bot.domain.execution import ExecutionRef, ExecutionStatus
from tests.engines.case_restate import RestateStand
from tests.engines.cases import CONNECTION
from tests.engines.restate_acts import (
    KILL,
    RESTART,
    act,
    at,
    begun_from,
    came_in,
    failed,
    paused_anew,
    prepare,
    prepared,
    reasons,
    restarts,
    send,
)
from tests.restate_lab.worlds import SimulatedWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
def stand(restate: RestateStand) -> RestateStand:
    return restate


async def test_what_came_before_the_step_is_kept_and_the_rest_runs_again(stand: RestateStand) -> None:
    before = await failed(stand)
    point = at(before, "build")
    await stand.repair(before.ref)

    await prepare(stand, before.ref, point)
    receipt = await send(stand, before.ref, point)
    await stand.world.wait_status(receipt.ref.id, "completed")
    after, old = await stand.engine.describe(receipt.ref), await stand.engine.describe(before.ref)

    first = ["checkout", "build", "test", "deploy", "deploy"]
    assert await stand.world.attempts(stand.key_of(before.ref)) == [*first, "build", "test", "deploy", "verify"]
    assert receipt.ref.id != before.ref.id
    assert (after.status, old.status) == (ExecutionStatus.SUCCEEDED, ExecutionStatus.CANCELLED)
    assert list(after.earlier) == [before.ref.id]
    assert after.root == old.root == before.root
    assert after.chain == old.chain == (before.ref.id, receipt.ref.id)
    assert (old.newest, old.points) == (receipt.ref.id, ())
    assert receipt.ref.id in old.no_points


async def test_what_was_ended_keeps_its_points_and_is_no_new_failure(stand: RestateStand) -> None:
    before = await failed(stand)
    assert before.started_at is not None

    await prepare(stand, before.ref, at(before, "build"))
    after = await stand.engine.describe(before.ref)
    found = await stand.engine.find_failures(before.started_at)
    hint = await stand.engine.read_notice(b'{"invocation_id": "%s"}' % before.ref.id.encode(), {})

    assert after.status is ExecutionStatus.CANCELLED
    assert {point.key for point in restarts(before)} <= {point.key for point in restarts(after)}
    assert after.points == restarts(after)
    assert (after.root, after.newest) == (before.root, "")
    assert "Ends" not in at(after, "build").sentence
    assert before.ref not in {notice.ref for notice in (*found, *hint)}


async def test_what_has_ended_is_not_ended_again(stand: RestateStand) -> None:
    ref, point = await prepared(stand)

    await prepare(stand, ref, point)

    assert stand.world.count(KILL) == 1


async def test_everything_again_keeps_the_input_only(stand: RestateStand) -> None:
    before = await failed(stand)
    await stand.repair(before.ref)

    await prepare(stand, before.ref, before.points[-1])
    receipt = await send(stand, before.ref, before.points[-1])
    await stand.world.wait_status(receipt.ref.id, "completed")

    assert (await stand.world.attempts(stand.key_of(before.ref))).count("checkout") == 2


async def test_a_final_failure_begins_at_its_failed_step_without_being_ended(stand: RestateStand) -> None:
    seen = await failed(stand, "completed", test="terminal")
    await stand.repair(seen.ref)

    await prepare(stand, seen.ref, seen.points[0])
    receipt = await send(stand, seen.ref, seen.points[0])
    await stand.world.wait_status(receipt.ref.id, "completed")

    assert seen.points == restarts(seen)
    assert [point.stages for point in seen.points] == [("test",), ("build",), ("checkout",)]
    assert seen.points[0].sentence.startswith("Begins it anew under a new id: keeps checkout and build, runs test again")
    assert "waits" not in seen.points[0].sentence
    assert stand.world.count(KILL) == 0
    assert (await stand.world.attempts(stand.key_of(seen.ref))).count("test") == 2
    assert (await stand.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


async def test_a_failure_that_the_code_lived_with_bounds_nothing_before_and_after_the_end(stand: RestateStand) -> None:
    seen = await failed(stand, service="Careful", probe="terminal", deploy="fail")
    await stand.repair(seen.ref)

    await prepare(stand, seen.ref, at(seen, "test"))
    ended = await stand.engine.describe(seen.ref)
    receipt = await send(stand, seen.ref, at(seen, "test"))
    await stand.world.wait_status(receipt.ref.id, "completed")

    assert [point.stages for point in restarts(seen)] == [("test",), ("build",), ("probe",)]
    assert [point.stages for point in restarts(ended)] == [("deploy",), ("test",), ("build",), ("probe",)]
    assert ended.failed_stage == ""
    assert (await stand.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


async def test_an_end_is_our_own_doing_and_what_others_did_before_it_is_not(stand: RestateStand) -> None:
    ended, moved = await failed(stand), await failed(stand)
    await prepare(stand, ended.ref, at(ended, "build"))
    await act(stand, moved.ref, "resume")
    await paused_anew(stand, moved)
    await act(stand, moved.ref, "kill")

    now = [(await stand.engine.describe(one.ref)).baseline for one in (ended, moved)]

    assert stand.engine.is_own_doing(ended.baseline, now[0])
    assert not stand.engine.is_own_doing(moved.baseline, now[1])
    assert not stand.engine.is_own_doing("", now[0])


async def test_it_stays_on_its_deployment(stand: RestateStand) -> None:
    before = await failed(stand)
    await stand.world.deploy()

    await prepare(stand, before.ref, at(before, "build"))
    receipt = await send(stand, before.ref, at(before, "build"))
    await stand.world.wait_status(receipt.ref.id, "paused")

    assert (await stand.engine.describe(receipt.ref)).labels["Deployment"] == before.labels["Deployment"]


async def test_a_restart_of_a_restart_is_of_the_same_chain(stand: RestateStand) -> None:
    first = await failed(stand)
    refs = [first.ref]

    for _ in range(2):
        await prepare(stand, refs[-1], at(first, "build"))
        refs.append((await send(stand, refs[-1], at(first, "build"))).ref)
        await stand.world.wait_status(refs[-1].id, "paused")
    seen = [await stand.engine.describe(ref) for ref in refs]

    assert {one.root for one in seen} == {first.root}
    assert {one.newest for one in seen[:2]} == {refs[2].id}
    assert restarts(seen[2])


async def test_steps_begun_together_begin_before_the_first_unfinished_one(stand: RestateStand) -> None:
    seen = await failed(stand, service="Fan", east="fail")
    await stand.repair(seen.ref)

    await prepare(stand, seen.ref, at(seen, "north"))
    receipt = await send(stand, seen.ref, at(seen, "north"))
    await stand.world.wait_status(receipt.ref.id, "completed")

    assert seen.failed_stage == "east"
    assert [point.stages for point in restarts(seen)] == [("north",)]
    assert reasons(seen) == {"south": "It was begun beside or after east, which has no result that could be kept."}


async def test_what_was_sent_ends_as_well_and_the_sentence_says_so(stand: RestateStand) -> None:
    seen = await failed(stand, service="Herald", close="fail", checkout="nap")
    (sent,) = await stand.world.query(f"SELECT id FROM sys_invocation WHERE invoked_by_id = '{seen.ref.id}'")

    point = at(seen, "announce")
    await prepare(stand, seen.ref, point)
    await stand.world.wait_status(sent["id"], "completed")
    receipt = await send(stand, seen.ref, point)
    await stand.world.wait_status(receipt.ref.id, "paused")

    told = "What it called or sent and still runs ends as well."
    assert point.sentence.endswith(f"{told} What was sent before that step is not sent again.")
    assert seen.points[-1].sentence.endswith(told)
    assert any(f"Pipeline/run ({sent['id']})" in note for note in seen.notes)
    assert await stand.world.query(f"SELECT id FROM sys_invocation WHERE invoked_by_id = '{receipt.ref.id}'") == []


async def test_a_caller_is_named_and_gets_a_failure(stand: RestateStand) -> None:
    parent = await stand.start("suspended", service="Chain", deploy="fail")
    (row,) = await stand.world.query(f"SELECT id FROM sys_invocation WHERE invoked_by_id = '{parent.id}'")
    await stand.world.wait_status(row["id"], "paused")
    child = await stand.engine.describe(ExecutionRef(CONNECTION, row["id"]))

    await prepare(stand, child.ref, at(child, "build"))
    await stand.world.wait_status(parent.id, "completed")

    assert f"Chain/run ({parent.id}) called it: if it waits, it gets a failure" in at(child, "build").sentence
    assert (await stand.engine.describe(parent)).status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}


async def test_an_object_lets_its_queue_go_first(stand: RestateStand) -> None:
    first = await failed(stand, service="Shelf", object_key="k", deploy="fail")
    queued = await stand.start("pending", service="Shelf", object_key="k", build="fail")

    await prepare(stand, first.ref, at(first, "build"))
    await stand.world.wait_status(queued.id, "paused")
    receipt = await send(stand, first.ref, at(first, "build"))
    seen = await stand.engine.describe(receipt.ref)

    assert "what is queued for its key runs first" in at(first, "build").sentence
    assert (seen.status, seen.root) == (ExecutionStatus.WAITING, first.root)
    for ref in (queued, receipt.ref):
        await act(stand, ref, "kill")


async def test_what_is_gone_is_not_found(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    await act(stand, ref, "purge")

    with pytest.raises(NotFound):
        await send(stand, ref, point)
    with pytest.raises(NotFound):
        await prepare(stand, ref, point)


async def test_what_somebody_else_began_anew_meanwhile_is_refused(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    other = (await act(stand, ref, "restart-as-new")).json()["new_invocation_id"]

    with pytest.raises(NotResumable, match=f"begun anew already, as {other}"):
        await prepare(stand, ref, point)
    with pytest.raises(NotResumable, match=f"begun anew already, as {other}"):
        await send(stand, ref, point)

    assert stand.world.count(RESTART) == 1
    assert await begun_from(stand, ref) == [other]


async def test_what_has_not_been_ended_is_not_begun_anew(stand: RestateStand) -> None:
    seen = await failed(stand)

    with pytest.raises(NotResumable, match="It is paused"):
        await send(stand, seen.ref, at(seen, "build"))

    assert stand.world.count(RESTART) == 0


async def test_what_succeeds_before_the_end_reaches_it_is_left_alone(stand: RestateStand) -> None:
    seen = await failed(stand)
    await stand.repair(seen.ref)
    stand.world.fail(KILL, "slow", seconds=0.5)

    ending = asyncio.create_task(prepare(stand, seen.ref, at(seen, "build")))
    await came_in(stand, KILL)
    await act(stand, seen.ref, "resume")
    await stand.world.wait_status(seen.ref.id, "completed")

    with pytest.raises(NotResumable, match="has succeeded meanwhile"):
        await ending


async def test_a_waiting_retry_is_broken_off(world: SimulatedWorld, alone: RestateStand) -> None:
    world.simulator.world.retry_seconds = 3600
    seen = await failed(alone, "backing-off", deploy="fail")
    await alone.repair(seen.ref)

    await prepare(alone, seen.ref, at(seen, "build"))
    receipt = await send(alone, seen.ref, at(seen, "build"))
    await world.wait_status(receipt.ref.id, "completed")

    assert seen.status is ExecutionStatus.RETRYING
    assert [point.key for point in seen.points] == ["keep", "restart:5:test", "restart:3:build", "restart:0:"]
