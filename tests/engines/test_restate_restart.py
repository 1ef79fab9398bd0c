"""Beginning a Restate invocation anew from an earlier step, on the simulator and on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.domain.execution import Action, Execution, ExecutionRef, ExecutionStatus, Finding, Receipt, ResumePoint, find_point
from bot.domain.ports import PreparesResume
from bot.engines._http import EngineClient, boot_time
from bot.engines.restate_restart_calls import RestateRestarts
from bot.engines.restate_wire import RestateReader
from bot.simulators.restate_door import FaultKind
from tests.engines.case_restate import RestateStand, real, simulated, standing
from tests.engines.cases import CONNECTION, SECRET, Opener, Unlimited
from tests.restate_lab.worlds import SimulatedWorld, Stage, open_stage, simulated_world

pytestmark = pytest.mark.anyio

SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[Opener]]] = {"simulated": simulated, "real": real}
KILL, RESTART = "PATCH */kill", "PATCH */restart-as-new"


@pytest.fixture(scope="module", params=SERVERS)
async def opener(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    async with SERVERS[request.param]() as served:
        yield served


@pytest.fixture
async def stand(opener: Opener) -> AsyncIterator[RestateStand]:
    async with opener() as opened:
        assert isinstance(opened, RestateStand)
        yield opened


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture
async def world(stage: Stage) -> AsyncIterator[SimulatedWorld]:
    async with simulated_world(stage, token=SECRET) as simulated_one:
        yield simulated_one


@pytest.fixture
async def alone(world: SimulatedWorld) -> AsyncIterator[RestateStand]:
    """A stand on a simulator of its own, for what a real server cannot be brought to at will."""
    async with standing(world) as opened:
        yield opened


async def prepare(stand: RestateStand, ref: ExecutionRef, point: ResumePoint, seconds: float = 5) -> None:
    await stand.engine.prepare(ref, point, boot_time() + seconds)


async def send(stand: RestateStand, ref: ExecutionRef, point: ResumePoint, seconds: float = 5) -> Receipt:
    return await stand.engine.resume(ref, point, "req-1-1", boot_time() + seconds)


async def evidence(stand: RestateStand, ref: ExecutionRef, point: ResumePoint) -> Finding:
    return (await stand.engine.restart_evidence(ref, point, "req-1-1")).finding


async def failed(stand: RestateStand, wanted: str = "paused", **how: Any) -> Execution:
    return await stand.engine.describe(await stand.start(wanted, **(how or {"deploy": "fail"})))


async def prepared(stand: RestateStand, stage: str = "build") -> tuple[ExecutionRef, ResumePoint]:
    """A failure that was ended, and a point of it."""
    seen = await failed(stand)
    point = at(seen, stage)
    await prepare(stand, seen.ref, point)
    return seen.ref, point


async def act(stand: RestateStand, ref: ExecutionRef, verb: str, **params: str) -> httpx.Response:
    """A verb that somebody else uses."""
    async with httpx.AsyncClient(base_url=stand.world.admin_url, headers={"authorization": f"Bearer {SECRET}"}) as http:
        return await http.patch(f"/invocations/{ref.id}/{verb}", params=params)


async def came_in(stand: RestateStand, pattern: str) -> None:
    async with asyncio.timeout(5):
        while True:
            if stand.world.count(pattern):
                return
            await asyncio.sleep(0.01)


async def paused_anew(stand: RestateStand, before: Execution) -> None:
    async with asyncio.timeout(5):
        while True:
            now = await stand.engine.describe(before.ref)
            if now.status is before.status and now.baseline != before.baseline:
                return
            await asyncio.sleep(0.02)


async def begun_from(stand: RestateStand, ref: ExecutionRef) -> list[str]:
    rows = await stand.world.query(f"SELECT id FROM sys_invocation WHERE restarted_from = '{ref.id}'")
    return [str(row["id"]) for row in rows]


def at(seen: Execution, stage: str) -> ResumePoint:
    point = find_point(restarts(seen), stage)
    assert point is not None, [each.label for each in seen.points]
    return point


def restarts(seen: Execution) -> tuple[ResumePoint, ...]:
    return tuple(point for point in seen.points if point.action is Action.RESTART)


def reasons(seen: Execution) -> dict[str, str]:
    return {point.name: point.reason for point in seen.refused_points}


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


async def test_points_of_a_pause_come_after_those_at_the_failed_step_the_nearest_first(stand: RestateStand) -> None:
    seen = await failed(stand)

    assert seen.points[0].key == "keep"
    assert seen.points[-3:] == restarts(seen)
    assert [(point.key, point.label, point.stages) for point in restarts(seen)] == [
        ("restart:5:test", "test, restart with a new id", ("test",)),
        ("restart:3:build", "build, restart with a new id", ("build",)),
        ("restart:0:", "From the beginning: checkout, restart with a new id", ("checkout",)),
    ]
    assert find_point(seen.points, "deploy") == seen.points[0]
    assert seen.refused_points == ()
    assert [stand.engine.needs_preparation(point) for point in seen.points[-4:]] == [False, True, True, True]
    assert isinstance(stand.engine, PreparesResume)


async def test_a_sentence_names_what_ends_what_is_kept_and_what_runs_again(stand: RestateStand) -> None:
    seen = await failed(stand)

    assert at(seen, "test").sentence == (
        f"Ends {seen.ref.id} for good and begins it anew under a new id: keeps checkout and build, runs test and deploy again"
        " and goes on from there, on the same deployment. What was done before is not undone."
        " Whoever waits for the old id gets a failure."
    )
    assert "keeps only its input, runs checkout, build, test and deploy again" in at(seen, "checkout").sentence
    assert seen.notes == ()


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


async def test_a_failure_outside_any_step_begins_at_any_step(stand: RestateStand) -> None:
    seen = await failed(stand, build="vanish")

    assert [point.key for point in restarts(seen)] == ["restart:3:build", "restart:0:"]


async def test_nothing_done_before_the_failure_offers_no_restart(stand: RestateStand) -> None:
    seen = await failed(stand, checkout="fail")

    assert restarts(seen) == ()
    assert len(seen.points) > 0


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


async def test_the_failed_stage_of_an_end_is_not_an_earlier_one_that_the_code_lived_with(stand: RestateStand) -> None:
    seen = await failed(stand, "completed", service="Careful", probe="terminal", deploy="terminal")

    assert (seen.failed_stage, seen.error) == ("deploy", "[422] step deploy gave up")
    assert seen.points[0].stages == ("deploy",)


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


async def test_a_workflow_is_refused_with_the_reason(stand: RestateStand) -> None:
    paused = await failed(stand, workflow=True, build="fail")
    ended = await failed(stand, "completed", workflow=True, build="terminal")
    point = ResumePoint("restart:0:", "x", "x", action=Action.RESTART)

    assert reasons(paused) == {"checkout": "It is a workflow, and Restate begins no workflow anew."}
    assert restarts(paused) == ended.points == ()
    assert ended.no_points.endswith("It is a workflow, and Restate begins no workflow anew.")
    for seen in (paused, ended):
        with pytest.raises(NotResumable, match="workflow"):
            await prepare(stand, seen.ref, point)
        with pytest.raises(NotResumable, match="workflow"):
            await send(stand, seen.ref, point)
    assert stand.world.count(KILL) == stand.world.count(RESTART) == 0


async def test_a_step_that_is_not_in_the_journal_is_refused(stand: RestateStand) -> None:
    seen = await failed(stand)

    for key in ("restart:3:fetch", "restart:4:build", "restart:99:verify"):
        point = ResumePoint(key, "x", "x", action=Action.RESTART)
        with pytest.raises(NotResumable, match="not in its journal"):
            await prepare(stand, seen.ref, point)
    ref, _ = await prepared(stand)
    with pytest.raises(NotResumable, match="not in its journal"):
        await send(stand, ref, ResumePoint("restart:9:verify", "x", "x", action=Action.RESTART))
    assert (stand.world.count(KILL), stand.world.count(RESTART)) == (1, 0)


async def test_a_journal_that_would_not_outlive_the_end_is_told_before_anything_ends(stand: RestateStand) -> None:
    seen = await failed(stand, service="Forgetful", deploy="fail")

    assert restarts(seen) == ()
    assert set(reasons(seen)) == {"checkout", "build", "test"}
    assert "keeps no journal" in reasons(seen)["build"]
    with pytest.raises(NotResumable, match="keeps no journal"):
        await prepare(stand, seen.ref, ResumePoint("restart:3:build", "x", "x", action=Action.RESTART))
    assert stand.world.count(KILL) == 0


async def test_a_journal_that_is_not_kept_any_more_is_refused(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    await act(stand, ref, "purge-journal")

    seen = await stand.engine.describe(ref)
    with pytest.raises(NotResumable, match="not kept any more"):
        await send(stand, ref, point)

    assert seen.points == ()
    assert seen.no_points.endswith("Its journal is not kept any more: Restate cannot begin it anew.")
    assert stand.world.count(RESTART) == 0


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


async def test_what_runs_waits_or_succeeded_is_neither_offered_nor_ended(stand: RestateStand) -> None:
    refs = [
        await stand.start("scheduled", delay="1h"),
        await stand.start("running", build="slow"),
        await stand.start("suspended", service="Chain", prepare="nap"),
        await stand.succeed_one(),
    ]
    point = ResumePoint("restart:0:", "x", "x", action=Action.RESTART)

    for ref in refs:
        seen = await stand.engine.describe(ref)
        assert restarts(seen) == ()
        with pytest.raises(NotResumable):
            await prepare(stand, ref, point)
    assert stand.world.count(KILL) == 0
    await stand.world.wait_status(refs[1].id, "completed")


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


async def test_a_lost_answer_to_the_end_is_told_by_a_look(stand: RestateStand) -> None:
    seen = await failed(stand)
    stand.world.fail(KILL, "lost")

    await prepare(stand, seen.ref, at(seen, "build"))

    assert (await stand.engine.describe(seen.ref)).status is ExecutionStatus.CANCELLED


async def test_an_end_that_never_arrived_may_be_asked_for_again(stand: RestateStand) -> None:
    seen = await failed(stand)
    stand.world.fail(KILL, "cut")

    with pytest.raises(OutcomeUnknown):
        await prepare(stand, seen.ref, at(seen, "build"))
    await prepare(stand, seen.ref, at(seen, "build"))

    assert (await stand.engine.describe(seen.ref)).status is ExecutionStatus.CANCELLED


async def test_a_lost_answer_is_proved_by_what_was_begun(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    stand.world.fail(RESTART, "lost")
    assert await evidence(stand, ref, point) is Finding.UNCLEAR

    with pytest.raises(OutcomeUnknown):
        await send(stand, ref, point)
    found = await stand.engine.restart_evidence(ref, point, "req-1-1")
    with pytest.raises(NotResumable, match="begun anew already"):
        await send(stand, ref, point)

    (new,) = await begun_from(stand, ref)
    assert (found.finding, found.ref, found.is_probable) == (Finding.HAPPENED, ExecutionRef(CONNECTION, new), False)
    assert found.sentence.endswith(".")
    assert stand.world.count(RESTART) == 1


async def test_a_call_that_was_cut_leaves_it_unclear(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    stand.world.fail(RESTART, "cut")

    with pytest.raises(OutcomeUnknown):
        await send(stand, ref, point)
    found = await stand.engine.restart_evidence(ref, point, "req-1-1")

    assert (found.finding, found.ref) == (Finding.UNCLEAR, None)
    assert found.sentence.endswith(".")
    assert await begun_from(stand, ref) == []


async def test_several_that_were_begun_are_all_named(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    for _ in range(2):
        await act(stand, ref, "restart-as-new")

    found = await stand.engine.restart_evidence(ref, point, "req-1-1")

    assert found.finding is Finding.HAPPENED
    assert all(new in found.sentence for new in await begun_from(stand, ref))
    assert (await stand.engine.describe(ref)).newest == (found.ref.id if found.ref else "")


async def test_a_call_after_its_time_is_not_sent(stand: RestateStand) -> None:
    seen = await failed(stand)
    ref, point = await prepared(stand)

    with pytest.raises(NotSent):
        await prepare(stand, seen.ref, at(seen, "build"), seconds=-0.001)
    with pytest.raises(NotSent):
        await send(stand, ref, point, seconds=-0.001)

    assert (stand.world.count(KILL), stand.world.count(RESTART)) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (400, NotResumable),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (405, Unsupported),
        (409, NotResumable),
        (410, NotResumable),
        (418, ContractViolation),
        (422, NotResumable),
        (425, NotResumable),
        (429, RateLimited),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
        ("html", OutcomeUnknown),
        ("page", ContractViolation),
        ("strange", ContractViolation),
    ],
)
async def test_each_refusal_of_the_call_has_its_meaning(
    world: SimulatedWorld, alone: RestateStand, kind: FaultKind, error: type[EngineError]
) -> None:
    ref, point = await prepared(alone)
    world.fail(RESTART, kind, times=9, seconds=7)

    with pytest.raises(error) as caught:
        await send(alone, ref, point)

    assert type(caught.value) is error
    assert str(caught.value)
    assert world.count(RESTART) == 1
    assert await begun_from(alone, ref) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (400, NotResumable),
        (401, Forbidden),
        (404, NotFound),
        (429, RateLimited),
        (500, OutcomeUnknown),
        (503, NotSent),
        ("page", ContractViolation),
    ],
)
async def test_each_refusal_of_the_end_has_its_meaning(
    world: SimulatedWorld, alone: RestateStand, kind: FaultKind, error: type[EngineError]
) -> None:
    seen = await failed(alone)
    world.fail(KILL, kind)

    with pytest.raises(error):
        await prepare(alone, seen.ref, at(seen, "build"))

    assert (await alone.engine.describe(seen.ref)).status is ExecutionStatus.FAILED


async def test_an_end_that_is_not_seen_in_time_is_asked_for_again_later(world: SimulatedWorld, alone: RestateStand) -> None:
    seen = await failed(alone)
    world.fail(KILL, 200)
    client = EngineClient(CONNECTION, world.admin_url, Unlimited(), headers={"authorization": f"Bearer {SECRET}"})
    calls = RestateRestarts(CONNECTION, client, RestateReader(client), end_seconds=0.2)

    with pytest.raises(OutcomeUnknown, match="still to be seen"):
        await calls.prepare(seen.ref, at(seen, "build"), boot_time() + 5)
    await client.aclose()


@pytest.mark.parametrize("kind", [401, 429, "page", 503])
async def test_an_end_that_cannot_be_looked_at_is_unknown(world: SimulatedWorld, alone: RestateStand, kind: FaultKind) -> None:
    seen = await failed(alone)
    world.fail(KILL, "slow", seconds=0.3)

    ending = asyncio.create_task(prepare(alone, seen.ref, at(seen, "build")))
    await came_in(alone, KILL)
    world.fail("POST /query", kind, times=9)

    with pytest.raises(OutcomeUnknown):
        await ending
    world.heal()
    assert (await alone.engine.describe(seen.ref)).status is ExecutionStatus.CANCELLED


@pytest.mark.parametrize("version", ["1.5.9", "0.9.2", "next"])
async def test_an_older_server_is_refused_before_anything_ends(
    world: SimulatedWorld, alone: RestateStand, version: str
) -> None:
    world.simulator.api.version = version
    seen = await failed(alone)

    assert restarts(seen) == ()
    assert reasons(seen)["build"] == f"The server is Restate {version}, and to begin anew takes 1.6 or newer."
    with pytest.raises(NotResumable, match=r"1\.6 or newer"):
        await prepare(alone, seen.ref, ResumePoint("restart:3:build", "x", "x", action=Action.RESTART))
    assert world.count(KILL) == 0


@pytest.mark.parametrize("kind", [404, "strange"])
async def test_a_server_that_tells_no_version_is_asked_again(
    world: SimulatedWorld, alone: RestateStand, kind: FaultKind
) -> None:
    world.fail("GET /version", kind)

    first, second = await failed(alone), await failed(alone)
    await failed(alone)

    assert "does not tell its version" in reasons(first)["build"]
    assert restarts(second)
    assert world.count("GET /version") == 2


async def test_a_server_without_the_call_is_unsupported(world: SimulatedWorld, alone: RestateStand) -> None:
    ref, point = await prepared(alone)
    world.simulator.api.version = "1.5.9"

    with pytest.raises(Unsupported):
        await send(alone, ref, point)


async def test_a_key_of_another_form_reaches_no_server(world: SimulatedWorld, alone: RestateStand) -> None:
    ref = alone.unknown()

    for key in ("keep", "restart:x:build", "restart:-1:build", "restart:3", "restart:3&deployment=latest:b", ""):
        point = ResumePoint(key, "x", "x", action=Action.RESTART)
        with pytest.raises(Unsupported):
            await prepare(alone, ref, point)
        with pytest.raises(Unsupported):
            await send(alone, ref, point)
    with pytest.raises(Unsupported):
        await send(alone, ref, ResumePoint("restart:3:build", "x", "x"))
    assert world.calls == []


async def test_what_cannot_be_read_before_the_call_was_not_sent(world: SimulatedWorld, alone: RestateStand) -> None:
    ref, point = await prepared(alone)

    world.fail("POST /query", "page")
    with pytest.raises(NotSent):
        await send(alone, ref, point)
    world.fail("POST /query", "page")
    with pytest.raises(NotSent):
        await prepare(alone, ref, point)
    world.heal()
    world.simulator.api.is_ready = False
    with pytest.raises(NotSent):
        await send(alone, ref, point)

    assert world.count(RESTART) == 0


async def test_a_waiting_retry_is_broken_off(world: SimulatedWorld, alone: RestateStand) -> None:
    world.simulator.world.retry_seconds = 3600
    seen = await failed(alone, "backing-off", deploy="fail")
    await alone.repair(seen.ref)

    await prepare(alone, seen.ref, at(seen, "build"))
    receipt = await send(alone, seen.ref, at(seen, "build"))
    await world.wait_status(receipt.ref.id, "completed")

    assert seen.status is ExecutionStatus.RETRYING
    assert [point.key for point in seen.points] == ["keep", "restart:5:test", "restart:3:build", "restart:0:"]
