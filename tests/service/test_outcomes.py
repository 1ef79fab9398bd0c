"""After the receipt: the watch follows the execution to its end, whatever its id, and the card says how it went."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.domain.errors import NotSent
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.request import Request, RequestState
from bot.service.carry_out import carry_out
from bot.service.presses import Verb
from tests.fakes import FakeClock, FakeEngine
from tests.service.world import DEPLOYS, LEA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState


async def approved(world: World) -> Request:
    """A request that has its approval and was not sent yet."""
    request = await world.asked(await world.failed())
    await world.press(LEA, Verb.APPROVE, request)
    return await world.again(request)


async def test_one_that_failed_again_is_said_so_and_offers_a_fresh_choice_on_the_same_card(world: World) -> None:
    request = await approved(world)
    await world.wait(2)
    world.engine.end("run-1", ExecutionStatus.FAILED, "disk still full")
    await world.wait(20)

    assert (await world.again(request)).state is S.FAILED
    assert "failed again" in world.thread()[-1]
    assert "disk still full" in world.thread()[-1]
    assert "disk still full" in world.card().text
    assert "Retry" in world.card().text
    assert len(world.chat.in_channel(DEPLOYS)) == 1
    incident = await world.incident()
    assert (incident.state, incident.failures) == (IncidentState.OPEN, 2)
    assert (await world.asked(incident)).label == "req-2"


async def test_the_hooks_notice_of_the_same_second_failure_does_not_count_it_again(world: World) -> None:
    await approved(world)
    await world.wait(2)
    world.engine.end("run-1", ExecutionStatus.FAILED, "disk still full")
    await world.report(world.engine.runs["run-1"])
    await world.wait(20)

    assert (await world.incident()).failures == 2
    assert len(world.chat.in_channel(DEPLOYS)) == 1


async def test_one_that_people_ended_in_the_engine_is_said_to_be_cancelled(world: World) -> None:
    request = await approved(world)
    await world.wait(2)
    world.engine.end("run-1", ExecutionStatus.CANCELLED)
    await world.wait(20)

    assert (await world.again(request)).state is S.FAILED
    assert "cancelled" in world.thread()[-1]
    assert (await world.incident()).state is IncidentState.CLOSED


async def test_the_watch_survives_an_engine_that_is_down_meanwhile(world: World) -> None:
    request = await approved(world)
    await world.wait(2)
    world.engine.down = NotSent("connection refused")
    await world.wait(40)
    assert (await world.again(request)).state is S.RUNNING

    world.engine.down = None
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.wait(30)

    assert (await world.again(request)).state is S.SUCCEEDED


async def test_one_reading_that_misses_the_execution_is_no_reason_to_call_it_lost(world: World) -> None:
    request = await approved(world)
    await world.wait(60)
    run = world.engine.runs.pop("run-1")
    await world.wait(16)
    world.engine.runs["run-1"] = run
    await world.wait(60)

    assert (await world.again(request)).state is S.RUNNING
    assert await world.trail(action="request:receipt:unknown") == []


async def test_an_execution_that_stays_away_is_unknown(world: World) -> None:
    request = await approved(world)
    await world.wait(60)
    del world.engine.runs["run-1"]
    await world.wait(150)

    assert (await world.again(request)).state is S.UNKNOWN
    assert any("Unknown" in text for text in world.thread())


@pytest.fixture
async def chained(database: str) -> AsyncIterator[World]:
    """An engine that begins a new execution for each resume."""
    clock = FakeClock()
    async with open_world(database, engines=[FakeEngine("orders", clock, starts_new=True)], clock=clock) as world:
        yield world


async def test_the_new_execution_is_watched_and_recorded(chained: World) -> None:
    request = await approved(chained)
    await chained.wait(2)
    chained.engine.end("run-1-2", ExecutionStatus.SUCCEEDED)
    await chained.wait(20)

    assert (await chained.again(request)).state is S.SUCCEEDED
    entries = await chained.trail(request="req-1")
    assert {entry["execution"] for entry in entries} == {"run-1"}
    assert [entry["data"].get("new_execution") for entry in entries[-2:]] == ["run-1-2", "run-1-2"]
    assert "run-1-2" in chained.thread()[-1]


async def test_a_notice_of_the_new_execution_leads_to_the_same_incident_and_card(chained: World) -> None:
    request = await approved(chained)
    await chained.wait(2)
    chained.engine.end("run-1-2", ExecutionStatus.FAILED, "disk still full")
    await chained.report(chained.engine.runs["run-1-2"])
    await chained.wait(30)

    assert (await chained.again(request)).state is S.FAILED
    assert len(chained.chat.in_channel(DEPLOYS)) == 1
    incident = await chained.incident()
    assert (incident.execution_id, incident.failures) == ("run-1-2", 2)
    assert await chained.readings.incident(2) is None
    assert (await chained.asked(incident)).execution_id == "run-1-2"


async def test_a_notice_of_the_new_execution_that_comes_before_the_receipt_leads_there_too(chained: World) -> None:
    request = await approved(chained)
    chained.engine.held = asyncio.Event()
    sending = asyncio.create_task(carry_out(chained.core, request.id))
    async with asyncio.timeout(5):
        while (await chained.again(request)).state is not S.RESUMING:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    new = chained.engine.continue_elsewhere("run-1")
    chained.engine.end(new, ExecutionStatus.FAILED, "disk still full")
    await chained.report(chained.engine.runs[new])
    await chained.work()
    chained.engine.held.set()
    await sending
    await chained.wait(30)

    assert len(chained.chat.in_channel(DEPLOYS)) == 1
    assert [await chained.readings.find_incident("orders", each) for each in ("run-1", new)] == [await chained.incident()] * 2
