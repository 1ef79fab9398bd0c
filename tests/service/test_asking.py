"""Pressing Retry, once however often it is pressed, and looking after a card."""

import asyncio
from dataclasses import replace

import pytest

from bot.domain.execution import ExecutionStatus
from bot.domain.policy import Policy
from bot.domain.request import RequestState
from bot.service.presses import Verb
from tests.service.world import ARNO, GINA, LEA, NORA, OLGA, RITA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState


# ---- asking ----------------------------------------------------------------------------------


async def test_eight_presses_at_once_make_one_request_and_one_call(world: World) -> None:
    incident = await world.failed()

    outcomes = await asyncio.gather(*[world.press(user, Verb.RETRY, incident) for user in (RITA, ARNO) * 4])
    await world.work()
    request = await world.newest(incident)
    approver = LEA
    await asyncio.gather(*[world.press(approver, Verb.APPROVE, request) for _ in range(8)])
    await world.wait(5)

    assert sorted(outcome.is_refusal for outcome in outcomes) == [False] + [True] * 7
    assert len(await world.trail(action="request:resume:requested")) == 1
    assert len(await world.trail(action="request:decision:approved")) == 1
    assert len(world.engine.calls) == len(await world.trail(action="request:call:sent")) == 1


async def test_one_press_delivered_eight_times_is_one_press(world: World) -> None:
    incident = await world.failed()

    outcomes = await asyncio.gather(*[world.press(RITA, Verb.RETRY, incident, key="same") for _ in range(8)])
    await world.wait(2)

    assert sorted(outcome.is_repeat for outcome in outcomes) == [False] + [True] * 7
    assert world.chat.whispers == []
    assert await world.tags(actor=f"slack:T0HOME/{RITA}") == ["request:resume:requested"]


async def test_a_second_request_for_the_same_chain_is_refused_and_names_the_first(world: World) -> None:
    incident = await world.failed()
    await world.asked(incident)

    outcome = await world.press(ARNO, Verb.RETRY, incident)
    await world.work()

    assert outcome.is_refusal
    assert "req-1 asks for this already: it waits for approval" in world.told(ARNO).text
    assert await world.tags(actor=f"slack:T0HOME/{ARNO}") == ["incident:request:refused"]


@pytest.mark.parametrize(
    ("user", "team", "why"),
    [
        (GINA, "T0HOME", "guests of the workspace"),
        (OLGA, "T0ELSE", "people of other organisations"),
        (OLGA, "T0HOME", "people of other organisations"),
        (NORA, "T0HOME", "only members of the channel"),
    ],
)
async def test_whoever_may_not_ask_is_told_why_alone_and_it_is_recorded(world: World, user: str, team: str, why: str) -> None:
    incident = await world.failed()

    await world.press(user, Verb.RETRY, incident, team=team)
    await world.work()

    assert why in world.told(user).text
    assert len(world.chat.whispers) == 1
    refused = (await world.trail(action="incident:request:refused"))[0]
    assert (refused["actor"], refused["incident"], refused["execution"], refused["connection"]) == (
        f"slack:{team}/{user}",
        "inc-1",
        "run-1",
        "orders",
    )
    assert refused["data"] == {"wanted": "retry", "reason": "not_a_requester"}
    assert await world.readings.newest_request(incident.id) is None


async def test_a_reason_is_cleaned_and_shown(world: World) -> None:
    request = await world.asked(await world.failed(), reason="hot\x00fix <!channel>")

    assert request.reason == "hot\ufffdfix <!channel>"
    assert "hot\ufffdfix <!channel>" in world.thread()[0]


async def test_a_policy_that_wants_a_reason_is_given_a_form_first(database: str) -> None:
    async with open_world(database, Policy("why", wants_reason=True)) as world:
        incident = await world.failed()

        outcome = await world.press(RITA, Verb.RETRY, incident)
        assert outcome.modal is not None
        assert await world.readings.newest_request(incident.id) is None

        assert (await world.asked(incident, reason="hotfix")).reason == "hotfix"


async def test_where_no_approval_is_wanted_it_is_sent_at_once(database: str) -> None:
    async with open_world(database, Policy("free", approvals=0)) as world:
        request = await world.asked(await world.failed())
        await world.wait(1)

        assert (await world.again(request)).state is S.RUNNING
        assert await world.tags(request="req-1") == [
            "request:resume:requested",
            "request:call:sent",
            "request:receipt:running",
        ]
        assert world.thread() == []


# ---- care ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "tag", "shown"),
    [
        (Verb.ACKNOWLEDGE, "incident:care:acknowledged", "acknowledged by"),
        (Verb.ASSIGN, "incident:care:assigned", "assigned to"),
        (Verb.SNOOZE, "incident:care:snoozed", "snoozed"),
    ],
)
async def test_a_card_shows_who_looks_after_it(world: World, verb: Verb, tag: str, shown: str) -> None:
    incident = await world.failed()

    await world.press(GINA, verb, incident)
    await world.work()

    assert shown in world.card().text
    assert (await world.trail(action=tag))[0]["actor"] == f"slack:T0HOME/{GINA}"


async def test_whoever_snoozed_a_failure_is_reminded_when_it_is_still_open(world: World) -> None:
    incident = await world.failed()

    await world.press(GINA, Verb.SNOOZE, incident)
    await world.wait(3599)
    early = world.thread()
    await world.drop_jobs()
    await world.wait(1)
    await world.sweep()

    assert early == []
    assert "snoozed" not in world.card().text
    (reminder,) = world.thread()
    assert f"The snooze of inc-1 is over, <@{GINA}>" in reminder


async def test_a_snooze_of_somebody_else_stands(world: World) -> None:
    incident = await world.failed()
    await world.press(GINA, Verb.SNOOZE, incident)

    refused = await world.press(RITA, Verb.SNOOZE, incident)

    assert refused.is_refusal
    assert (await world.incident()).snoozed_by == f"slack:T0HOME/{GINA}"


async def test_nobody_is_reminded_of_what_was_taken_care_of(world: World) -> None:
    incident = await world.failed()
    await world.press(GINA, Verb.SNOOZE, incident)
    await world.asked(incident)
    said = len(world.thread())

    await world.wait(3600)

    assert not any("snooze" in note for note in world.thread()[said:])


async def test_people_of_other_organisations_look_after_nothing(world: World) -> None:
    incident = await world.failed()

    assert (await world.press(OLGA, Verb.ACKNOWLEDGE, incident, team="T0ELSE")).is_refusal


async def test_what_has_ended_needs_no_care(world: World) -> None:
    incident = await world.failed()
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.run_task("engine:orders", "describe", incident_id=incident.id)

    assert (await world.press(RITA, Verb.ACKNOWLEDGE, incident)).is_refusal


async def test_a_press_on_something_that_is_gone_is_refused(world: World) -> None:
    incident = await world.failed()
    request = await world.asked(incident)

    assert (await world.press(RITA, Verb.RETRY, replace(incident, id=99))).is_refusal
    assert (await world.press(RITA, Verb.APPROVE, replace(request, id=99))).is_refusal
