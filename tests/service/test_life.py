"""The life of one failure: notice, card, press, approval, call, outcome; each step recorded in its order."""

import pytest

from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.request import RequestState
from bot.service.presses import Verb
from tests.service.world import ARNO, DEPLOYS, RITA, World

pytestmark = pytest.mark.anyio
FIELDS = {"id", "at", "actor", "action", "subject", "request", "incident", "connection", "execution", "data"}


async def test_a_failure_is_told_asked_for_approved_sent_and_seen_to_succeed(world: World) -> None:
    await world.report(world.engine.fail())
    await world.wait(3)

    assert "Checkout" in world.card().text
    assert "deploy" in world.card().text
    assert "disk full" in world.card().text
    assert "Retry" in world.card().text

    incident = await world.incident()
    request = await world.asked(incident)
    assert "Retry" not in world.card().text
    assert "asks to resume" in world.thread()[0]
    assert world.engine.calls == []

    assert await world.press(ARNO, Verb.APPROVE, request) is not None
    await world.wait(2)
    assert [call.key for call in world.engine.calls] == ["req-1-1"]
    assert (await world.again(request)).state is RequestState.RUNNING

    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.wait(60)

    assert (await world.again(request)).state is RequestState.SUCCEEDED
    assert (await world.incident()).state is IncidentState.RESOLVED
    assert "Succeeded" in world.card().text
    assert "Retry" not in world.card().text
    assert "succeeded" in world.thread()[-1]
    assert len(world.chat.in_channel(DEPLOYS)) == 1


async def test_every_step_is_recorded_in_its_order_with_all_fields(world: World) -> None:
    incident = await world.failed()
    request = await world.asked(incident)
    await world.press(ARNO, Verb.APPROVE, request)
    await world.wait(2)
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.wait(60)

    entries = await world.trail()

    assert [(entry["action"], entry["actor"]) for entry in entries] == [
        ("incident:notice:received", "engine:orders"),
        ("request:resume:requested", f"slack:T0HOME/{RITA}"),
        ("request:decision:approved", f"slack:T0HOME/{ARNO}"),
        ("request:call:sent", "bot"),
        ("request:receipt:running", "engine:orders"),
        ("request:outcome:succeeded", "engine:orders"),
        ("incident:life:resolved", "bot"),
    ]
    assert all(set(entry) == FIELDS for entry in entries)
    assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries)
    assert {entry["incident"] for entry in entries} == {"inc-1"}
    assert [entry["request"] for entry in entries] == [None, *["req-1"] * 5, None]
    assert {entry["execution"] for entry in entries} == {"run-1"}
    assert {entry["connection"] for entry in entries} == {"orders"}
    digests = {entry["data"]["digest"] for entry in entries if "digest" in entry["data"]}
    assert digests == {request.digest}
