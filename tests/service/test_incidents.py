"""From notices to incidents: one incident and one card a chain, true to the engine after any outage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.errors import ContractViolation, NotSent
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.service.incidents import read_due, reject_notice, report_failure
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine, Run
from tests.fakes import FakeClock
from tests.service.world import DEPLOYS, RITA, World, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def chained(database: str) -> AsyncIterator[World]:
    """An engine that begins a new execution for each resume."""
    clock = FakeClock()
    async with open_world(database, engines=[FakeEngine("orders", clock, starts_new=True)], clock=clock) as world:
        yield world


# ---- one notice, one incident, one card ------------------------------------------------------


async def test_one_notice_delivered_many_times_is_one_incident_and_one_card(world: World) -> None:
    run = world.engine.fail()

    await asyncio.gather(*[world.report(run, "same") for _ in range(8)])
    await world.wait(5)

    assert await world.tags() == ["incident:notice:received"]
    assert len(world.chat.in_channel(DEPLOYS)) == 1
    assert (await world.incident()).failures == 1


async def test_different_notices_of_one_execution_at_once_are_one_incident(world: World) -> None:
    run = world.engine.fail()

    await asyncio.gather(*[world.report(run, f"notice-{number}") for number in range(8)])
    await world.wait(5)

    assert await world.readings.incident(2) is None
    assert sorted(await world.tags()) == ["incident:notice:merged"] * 7 + ["incident:notice:received"]
    assert len(world.chat.in_channel(DEPLOYS)) == 1


async def ended(world: World, run: Run, key: str = "ended") -> None:
    """A notice that something ended, and not how."""
    await report_failure(world.core, replace(world.engine.notice(run.id, key), is_certain=False), "hook")


async def test_what_ended_well_and_was_told_without_saying_so_is_never_posted(world: World) -> None:
    run = world.engine.fail()
    world.engine.end(run.id, ExecutionStatus.SUCCEEDED)

    await ended(world, run)
    await world.live(120)

    assert world.chat.posts == []
    assert (await world.incident()).state is IncidentState.RESOLVED
    assert await world.tags() == ["incident:notice:received", "incident:life:resolved"]


async def test_what_ended_badly_and_was_told_without_saying_so_has_its_card_once_it_is_known(world: World) -> None:
    run = world.engine.fail()
    world.engine.faults.add("describe", *[NotSent("connection refused")] * 3)

    await ended(world, run)
    await world.wait(4)
    assert world.chat.posts == []
    await world.live(120)

    assert "run-1" in world.card().text
    assert (await world.incident()).failures == 1


async def test_an_engine_that_is_away_does_not_make_a_failure_of_an_end(world: World) -> None:
    run = world.engine.fail()
    world.engine.faults.add("describe", *[NotSent("connection refused")] * 500)

    await ended(world, run)
    await world.live(300)

    assert [post for post in world.chat.posts if "run-1" in str(post)] == []


async def test_a_notice_of_the_failure_ends_the_doubt_while_the_engine_is_away(world: World) -> None:
    run = world.engine.fail()
    world.engine.faults.add("describe", *[NotSent("connection refused")] * 500)

    await ended(world, run)
    await world.report(run, "failed")
    await world.live(90)

    assert "run-1" in world.card().text


async def test_an_end_of_a_known_failure_changes_nothing_by_itself(world: World) -> None:
    incident = await world.failed()
    run = world.engine.runs["run-1"]
    world.engine.end(run.id, ExecutionStatus.SUCCEEDED)
    await world.live(120)

    await ended(world, run)
    await world.live(60)

    after = await world.incident()
    assert (after.state, after.failures, after.label) == (IncidentState.RESOLVED, 1, incident.label)
    assert "incident:life:reopened" not in await world.tags()


async def test_a_card_shows_the_stages_with_the_failed_one_preselected(world: World) -> None:
    incident = await world.failed()

    assert incident.seen is not None
    assert [point.label for point in incident.seen.points] == ["deploy", "build", "smoke test"]
    assert "run-1" in world.card().text
    assert len(world.card().versions) == 1  # it waited for the engine's description


async def test_a_text_of_the_engine_makes_no_mention(world: World) -> None:
    await world.failed(error="<!channel> \u202e `x` \x00", name="<@U0RITA>")

    assert "<!channel>" not in world.card().text.splitlines()[0]
    assert "\u202e" not in world.card().text


async def test_an_unreadable_notice_is_kept_and_recorded(world: World) -> None:
    await reject_notice(world.core, "orders", "no JSON\x00", b"\x00\xff")

    entry = (await world.trail())[0]
    assert (entry["action"], entry["actor"], entry["connection"]) == ("incident:notice:rejected", "engine:orders", "orders")
    assert entry["data"] == {"reason": "no JSON\ufffd", "bytes": 2}


async def test_a_notice_with_anything_in_its_key_is_taken(world: World) -> None:
    notice = world.engine.notice(world.engine.fail().id, "key\x00\ud800")

    await report_failure(world.core, notice, "hook")
    await report_failure(world.core, notice, "hook")

    assert await world.tags() == ["incident:notice:received"]


# ---- trouble with the engine -----------------------------------------------------------------


async def test_while_the_engine_is_down_the_card_says_so_and_offers_the_points_later(world: World) -> None:
    world.engine.down = NotSent("connection refused")
    await world.report(world.engine.fail())
    await world.wait(3)

    assert "connection refused" in world.card().text
    assert "disk full" in world.card().text
    assert "Retry" not in world.card().text

    world.engine.down = None
    await world.wait(60)
    assert "connection refused" not in world.card().text
    assert "Retry" in world.card().text


async def test_an_answer_nobody_understands_is_trouble_too(world: World) -> None:
    world.engine.faults.add("describe", ContractViolation("a strange body"))
    await world.report(world.engine.fail())
    await world.wait(3)

    assert "a strange body" in world.card().text
    await world.wait(60)
    assert "Retry" in world.card().text


async def test_an_execution_the_engine_does_not_know_closes_and_its_notice_is_rejected(world: World) -> None:
    notice = world.engine.notice(world.engine.fail().id)
    world.engine.runs.clear()

    await report_failure(world.core, notice, "hook")
    await world.wait(5)

    assert (await world.incident()).state is IncidentState.CLOSED
    assert await world.tags() == [
        "incident:notice:received",
        "incident:life:closed",
        "incident:notice:rejected",
    ]
    assert "Closed" in world.card().text
    assert "Retry" not in world.card().text


async def test_an_execution_that_is_gone_later_closes_and_cannot_be_asked_for(world: World) -> None:
    incident = await world.failed()
    world.engine.runs.clear()
    await world.live(120)

    assert (await world.incident()).state is IncidentState.CLOSED
    assert "Retry" not in world.card().text
    outcome = await world.press(RITA, Verb.RETRY, incident)
    assert outcome.is_refusal
    assert await world.readings.newest_request(incident.id) is None


async def test_a_failure_that_has_not_come_to_its_end_gets_its_retry_seconds_after_it(world: World) -> None:
    run = world.engine.fail(is_pending=True)
    await world.report(run)
    await world.wait(3)
    assert "Retry" not in world.card().text.replace("Retry is offered", "")

    run.is_pending = False
    run.move(ExecutionStatus.FAILED)
    await world.wait(3)

    assert "Retry" in world.card().text
    assert "Retry is offered" not in world.card().text


# ---- repaired, reopened ----------------------------------------------------------------------


async def test_what_somebody_repaired_elsewhere_is_resolved(world: World) -> None:
    await world.failed()
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)

    await world.live(120)

    assert (await world.incident()).state is IncidentState.RESOLVED
    assert "Succeeded" in world.card().text
    assert (await world.tags())[-1] == "incident:life:resolved"


async def test_what_was_cancelled_elsewhere_is_closed(world: World) -> None:
    await world.failed()
    world.engine.end("run-1", ExecutionStatus.CANCELLED)

    await world.live(120)

    assert (await world.incident()).state is IncidentState.CLOSED


async def test_what_fails_again_after_its_end_is_open_again_on_the_same_card(world: World) -> None:
    await world.failed()
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.live(120)
    world.engine.end("run-1", ExecutionStatus.FAILED)
    await world.report(world.engine.runs["run-1"])
    await world.wait(5)

    assert (await world.incident()).state is IncidentState.OPEN
    assert len(world.chat.in_channel(DEPLOYS)) == 1
    assert "Retry" in world.card().text


async def test_an_open_incident_is_read_less_and_less_often(world: World) -> None:
    await world.failed()
    before = world.engine.reads
    await world.live(600)
    early = world.engine.reads - before
    world.clock.let_pass(4 * 3600)
    await world.sweep()
    before = world.engine.reads
    await world.live(600)

    assert early >= 3
    assert world.engine.reads - before <= 1


async def test_a_reading_that_shows_nothing_new_changes_no_message(world: World) -> None:
    await world.failed()
    versions = len(world.card().versions)

    await world.live(300)

    assert world.engine.reads > 2
    assert len(world.card().versions) == versions


async def test_a_reading_is_enqueued_once_however_often_it_is_due(world: World) -> None:
    incident = await world.failed()

    for _ in range(3):
        await read_due(world.core, [incident.id, 99])

    assert await world.waiting_jobs("describe") == [{"incident_id": incident.id}]


# ---- chains ----------------------------------------------------------------------------------


async def test_a_new_execution_begun_elsewhere_leads_to_the_same_incident(chained: World) -> None:
    await chained.failed()
    new = chained.engine.continue_elsewhere("run-1")
    chained.engine.end(new, ExecutionStatus.FAILED, "disk still full")
    await chained.report(chained.engine.runs[new])
    await chained.wait(5)

    assert [post.ts for post in chained.chat.in_channel(DEPLOYS)] == [chained.card().ts]
    assert (await chained.incident()).execution_id == new
    assert (await chained.incident(2)).state is IncidentState.CLOSED
    assert "disk still full" in chained.card().text


async def test_of_two_incidents_of_a_chain_read_in_any_order_the_elder_stays(chained: World) -> None:
    chained.engine.down = NotSent("connection refused")
    await chained.report(chained.engine.fail())
    await chained.wait(3)
    new = chained.engine.continue_elsewhere("run-1")
    chained.engine.end(new, ExecutionStatus.FAILED, "disk still full")
    await chained.report(chained.engine.runs[new])
    await chained.wait(3)
    await chained.drop_jobs()
    chained.engine.down = None

    for incident_id in (2, 1):
        await chained.run_task("engine:orders", "describe", incident_id=incident_id)

    assert ((await chained.incident(1)).state, (await chained.incident(2)).state) == (
        IncidentState.OPEN,
        IncidentState.CLOSED,
    )
    assert [await chained.readings.find_incident("orders", each) for each in ("run-1", new)] == [await chained.incident()] * 2
    assert "Retry" in chained.card(0).text
    assert "Closed" in chained.card(1).text
    assert "Retry" not in chained.card(1).text
