"""From which steps a Restate invocation may begin anew, and why from others it may not."""

import pytest

from bot.domain.errors import NotResumable
from bot.domain.execution import Action, ResumePoint, find_point
from bot.domain.ports import PreparesResume
from bot.simulators.restate_door import FaultKind
from tests.engines.case_restate import RestateStand
from tests.engines.restate_acts import KILL, RESTART, act, at, failed, prepare, prepared, reasons, restarts, send
from tests.restate_lab.worlds import SimulatedWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
def stand(restate: RestateStand) -> RestateStand:
    return restate


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


async def test_a_failure_outside_any_step_begins_at_any_step(stand: RestateStand) -> None:
    seen = await failed(stand, build="vanish")

    assert [point.key for point in restarts(seen)] == ["restart:3:build", "restart:0:"]


async def test_nothing_done_before_the_failure_offers_no_restart(stand: RestateStand) -> None:
    seen = await failed(stand, checkout="fail")

    assert restarts(seen) == ()
    assert len(seen.points) > 0


async def test_the_failed_stage_of_an_end_is_not_an_earlier_one_that_the_code_lived_with(stand: RestateStand) -> None:
    seen = await failed(stand, "completed", service="Careful", probe="terminal", deploy="terminal")

    assert (seen.failed_stage, seen.error) == ("deploy", "[422] step deploy gave up")
    assert seen.points[0].stages == ("deploy",)


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
