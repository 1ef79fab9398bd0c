"""From notices to cards: one incident and one card a chain, routed, true to the engine after any outage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.errors import ContractViolation, NotSent
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.setup import ConnectionInfo, Route
from bot.service.incidents import read_due, reject_notice, report_failure
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine, Run
from tests.fakes import FakeClock
from tests.service.world import AUDIT, DEPLOYS, OTHER, RITA, World, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def routed(database: str) -> AsyncIterator[World]:
    """Checkout goes to one channel, the rest of production to another, what is left nowhere."""
    routes = (Route({"name": ("Checkout*",)}, DEPLOYS), Route({"environment": ("production",)}, OTHER))
    async with open_world(database, routes=routes) as world:
        yield world


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


# ---- routes ----------------------------------------------------------------------------------


async def test_a_failure_goes_to_the_channel_of_its_route(routed: World) -> None:
    await routed.failed(1)
    await routed.failed(2, name="Billing", environment="production")

    assert "run-1" in routed.card(channel=DEPLOYS).text
    assert "run-2" in routed.card(channel=OTHER).text


async def test_where_the_route_hangs_on_the_name_the_card_waits_for_it(routed: World) -> None:
    await routed.report(routed.engine.fail(), with_name=False)
    assert (await routed.incident()).channel is None

    await routed.work()

    assert (await routed.incident()).channel == DEPLOYS
    assert "Checkout" in routed.card().text


async def test_where_the_engine_does_not_say_the_name_in_time_the_card_goes_where_it_may_belong(routed: World) -> None:
    routed.engine.down = NotSent("connection refused")
    await routed.report(routed.engine.fail(), with_name=False)
    await routed.wait(29)
    assert routed.chat.posts == []

    await routed.wait(5)

    assert "run-1" in routed.card(channel=DEPLOYS).text
    assert "connection refused" in routed.card(channel=DEPLOYS).text


async def test_a_failure_without_a_route_is_announced_once_and_recorded(routed: World) -> None:
    await routed.failed(name="Billing", environment="staging")
    await routed.live(120)

    assert routed.chat.in_channel(DEPLOYS) == routed.chat.in_channel(OTHER) == []
    assert len(routed.chat.in_channel(AUDIT)) == 1
    assert "inc-1" in routed.chat.in_channel(AUDIT)[0].text
    undelivered = await routed.trail(action="bot:message:undeliverable")
    assert [entry["incident"] for entry in undelivered] == ["inc-1"]


async def test_a_connections_own_environment_routes_without_asking_the_engine(database: str) -> None:
    infos = {"orders": ConnectionInfo("orders", "fake", "Fake", environment="production")}
    async with open_world(database, routes=(Route({"environment": ("production",)}, OTHER),), connections=infos) as world:
        world.engine.down = NotSent("connection refused")
        await world.report(world.engine.fail())
        await world.wait(3)

        assert "run-1" in world.card(channel=OTHER).text


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


# ---- storms ----------------------------------------------------------------------------------


async def test_a_storm_of_25_is_one_message_that_names_them_all_and_unfolds_cards(world: World) -> None:
    for number in range(1, 26):
        await world.report(world.engine.fail(number))
    await world.wait(5)

    assert len(world.chat.in_channel(DEPLOYS)) == 1
    text = world.card().text
    assert all(f"run-{number} " in f"{text} " for number in range(1, 26))

    await world.press(RITA, Verb.SHOW_CARD, await world.incident(7))
    await world.work()

    assert len(world.chat.in_channel(DEPLOYS)) == 2
    assert "run-7" in world.card(1).text
    assert "Retry" in world.card(1).text


async def test_ten_failures_at_once_have_their_own_cards(world: World) -> None:
    for number in range(1, 11):
        await world.report(world.engine.fail(number))
    await world.wait(5)

    assert len(world.chat.in_channel(DEPLOYS)) == 10


async def test_a_card_that_stands_there_is_not_shown_twice(world: World) -> None:
    incident = await world.failed()

    await world.press(RITA, Verb.SHOW_CARD, incident)
    await world.work()

    assert len(world.chat.in_channel(DEPLOYS)) == 1
    assert "stands in this channel already" in world.told(RITA).text


async def test_an_orphan_of_a_card_is_answered_and_deleted(world: World) -> None:
    world.chat.unanswered = None
    incident = await world.failed()
    orphan = await world.chat.post(DEPLOYS, world.card().shown)

    outcome = await world.press(RITA, Verb.RETRY, incident, message_ts=orphan)
    await world.work()

    assert outcome.is_refusal
    assert "left over from a fault" in world.told(RITA).text
    assert [post.ts for post in world.chat.in_channel(DEPLOYS)] == [world.card().ts]
    assert await world.readings.newest_request(incident.id) is None
    assert not (await world.press(RITA, Verb.RETRY, incident, message_ts=world.card().ts)).is_refusal


async def test_a_press_on_a_storms_message_is_no_orphan(world: World) -> None:
    for number in range(1, 13):
        await world.report(world.engine.fail(number))
    await world.wait(5)

    assert not (
        await world.press(RITA, Verb.SHOW_CARD, replace(await world.incident(), id=3), message_ts=world.card().ts)
    ).is_refusal
