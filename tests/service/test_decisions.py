"""Who decides what, once: own requests, twins, strangers, guests, rejects, withdrawals, expiry, reminders."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.domain.errors import ChatUnavailable
from bot.domain.messages import RejectReason
from bot.domain.policy import PersonKind, Policy
from bot.domain.request import RequestState
from bot.service.people import refresh_all
from bot.service.presses import Verb
from tests.service.world import ARNO, DEPLOYS, GINA, LEA, NORA, OLGA, OTHER, RITA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState


@pytest.fixture
async def two(database: str) -> AsyncIterator[World]:
    """Two approvals of the release group wanted."""
    policy = Policy("release", requesters=("S0DEVS",), approvers=("S0RELEASE",), approvals=2)
    async with open_world(database, policy) as world:
        yield world


# ---- approving -------------------------------------------------------------------------------


async def test_each_decision_has_its_own_line_in_the_thread(two: World) -> None:
    request = await two.asked(await two.failed())
    approvers = [ARNO, LEA]

    for user in approvers:
        await two.press(user, Verb.APPROVE, request)
        await two.work()

    said = [line for line in two.thread() if "Approved by" in line and "(req-1)." in line]
    assert [user for user, line in zip(approvers, said, strict=True) if user in line] == approvers


async def test_who_asks_is_not_named_among_those_who_may_decide(database: str) -> None:
    async with open_world(database, Policy("named", approvers=(RITA, ARNO))) as world:
        await world.asked(await world.failed())

        assert f"May decide: <@{ARNO}>" in world.thread()[0]


async def test_ones_own_request_is_not_approved_by_oneself(world: World) -> None:
    request = await world.asked(await world.failed())

    outcome = await world.press(RITA, Verb.APPROVE, request)
    await world.work()

    assert outcome.is_refusal
    assert "You asked for this yourself" in world.told(RITA).text
    assert (await world.again(request)).state is S.PENDING
    refused = (await world.trail(action="request:decision:refused"))[0]
    assert (refused["request"], refused["incident"], refused["execution"], refused["connection"]) == (
        "req-1",
        "inc-1",
        "run-1",
        "orders",
    )
    assert refused["data"] == {"wanted": "approve", "reason": "own_request"}
    assert not any("yourself" in text for text in world.thread())


async def test_ones_own_request_is_approved_where_all_policies_allow_it(database: str) -> None:
    async with open_world(database, Policy("trust", self_approval=True)) as world:
        request = await world.asked(await world.failed())

        await world.press(RITA, Verb.APPROVE, request)

        assert (await world.again(request)).state is S.APPROVED


async def test_two_approvers_at_once_approve_once_each_and_one_call_is_made(two: World) -> None:
    request = await two.asked(await two.failed(), ARNO)
    two.people.groups["S0RELEASE"] = {LEA, RITA}
    await two.wait(1)
    await two.run_task("slack", "read_people")

    await asyncio.gather(*[two.press(user, Verb.APPROVE, request) for user in (LEA, RITA)])
    await two.wait(5)

    assert (await two.again(request)).state is S.RUNNING
    assert len(two.engine.calls) == 1
    assert len(await two.trail(action="request:decision:approved")) == 2
    assert (await two.trail(action="request:call:sent"))[0]["data"]["approvers"] == list((await two.again(request)).approvers)


async def test_the_question_says_how_many_are_still_wanted(two: World) -> None:
    request = await two.asked(await two.failed(), RITA)
    assert "2 more" in two.thread()[0]
    assert "<!subteam^S0RELEASE>" in two.thread()[0]

    await two.press(LEA, Verb.APPROVE, request)
    await two.work()

    assert "1 more" in two.thread()[0]
    assert "Approved by <@U0LEA>" in two.thread()[0]
    assert "<!subteam^S0RELEASE>" not in two.thread()[0]
    assert (await two.again(request)).state is S.PENDING


async def test_a_second_approval_by_the_same_person_is_refused(two: World) -> None:
    request = await two.asked(await two.failed())
    await two.press(LEA, Verb.APPROVE, request)

    outcome = await two.press(LEA, Verb.APPROVE, request)
    await two.work()

    assert outcome.is_refusal
    assert "decided on req-1 already" in two.told(LEA).text
    assert (await two.again(request)).state is S.PENDING


async def test_an_approval_after_ten_minutes_counts_with_the_first(two: World) -> None:
    request = await two.asked(await two.failed(), RITA)
    two.people.groups["S0RELEASE"] = {LEA, ARNO}
    await two.press(LEA, Verb.APPROVE, request)
    two.clock.let_pass(900)
    await two.run_task("slack", "read_people")
    await two.press(ARNO, Verb.APPROVE, request)
    await two.wait(2)

    assert (await two.again(request)).state is S.RUNNING


@pytest.mark.parametrize("user", [GINA, NORA])
async def test_whoever_may_not_decide_is_refused(world: World, user: str) -> None:
    request = await world.asked(await world.failed())

    for verb in (Verb.APPROVE, Verb.ASK_REJECT, Verb.REJECT):
        await world.press(user, verb, request)
        await world.work()
        assert "You cannot decide on this" in world.told(user).text

    assert (await world.again(request)).decisions == ()
    assert await world.tags(actor=f"slack:T0HOME/{user}") == ["request:decision:refused"] * 3


async def test_a_decision_counts_only_in_the_routed_channel(world: World) -> None:
    request = await world.asked(await world.failed())

    outcome = await world.press(ARNO, Verb.APPROVE, request, channel=OTHER)
    await world.work()

    assert outcome.is_refusal
    assert f"count only in <#{DEPLOYS}>" in world.told(ARNO).text


async def test_a_guest_whom_the_policy_names_may_decide(database: str) -> None:
    async with open_world(database, Policy("named", approvers=(GINA, OLGA), approvals=2)) as world:
        request = await world.asked(await world.failed())

        await world.press(GINA, Verb.APPROVE, request)
        await world.press(OLGA, Verb.APPROVE, request, team="T0HOME")

        assert (await world.again(request)).state is S.APPROVED


async def test_each_of_several_policies_is_met_by_its_own_approvers(database: str) -> None:
    unknown = Policy("production", match={"environment": ("production",)}, approvers=("S0RELEASE",))
    async with open_world(database, unknown, Policy("default", approvers=(RITA, "U0X"), expires=timedelta(minutes=5))) as world:
        request = await world.asked(await world.failed(), ARNO)
        assert request.rules.names == "production and default"
        assert request.expires_at - request.requested_at == timedelta(minutes=5)

        await world.press(LEA, Verb.APPROVE, request)
        assert (await world.again(request)).state is S.PENDING
        await world.press(RITA, Verb.APPROVE, request)

        assert (await world.again(request)).state is S.APPROVED


async def test_a_click_on_a_request_that_moved_on_is_told_how_it_stands(world: World) -> None:
    request = await world.asked(await world.failed())
    await world.press(LEA, Verb.APPROVE, request)
    await world.wait(2)

    await world.press(ARNO, Verb.APPROVE, request)
    await world.work()

    assert "req-1 has moved on" in world.told(ARNO).text
    assert "approved by <@U0LEA>" in world.told(ARNO).text


# ---- people who are not known yet ------------------------------------------------------------


async def test_a_person_nobody_has_read_is_looked_up_and_the_press_is_done_then(world: World) -> None:
    incident = await world.failed()
    world.people.kinds["U0NEW"] = PersonKind.MEMBER
    world.people.channels[DEPLOYS].add("U0NEW")

    outcome = await world.press("U0NEW", Verb.RETRY, incident)
    assert (outcome.is_refusal, outcome.answer) == (False, None)
    assert await world.readings.newest_request(incident.id) is None
    world.clock.let_pass(10)
    await world.work()

    assert (await world.newest(incident)).requester == "slack:T0HOME/U0NEW"
    assert world.chat.whispers == []


async def test_an_unknown_approver_is_looked_up_once_however_often_delivered(world: World) -> None:
    request = await world.asked(await world.failed())
    world.people.kinds["U0NEW"] = PersonKind.MEMBER
    world.people.channels[DEPLOYS].add("U0NEW")
    world.clock.let_pass(10)

    for _ in range(2):
        await world.press("U0NEW", Verb.APPROVE, request, key="same")
    await world.work()

    assert (await world.again(request)).approvers == ("slack:T0HOME/U0NEW",)


async def test_somebody_who_cannot_be_looked_up_is_told_so_and_refused(world: World) -> None:
    request = await world.asked(await world.failed())
    world.people.down = ChatUnavailable("unreachable")

    await world.press("U0NEW", Verb.APPROVE, request)
    await world.work()

    assert "Slack does not tell me who you are" in world.told("U0NEW").text
    assert (await world.again(request)).decisions == ()
    assert await world.tags(actor="slack:T0HOME/U0NEW") == ["request:decision:refused"]


async def test_facts_older_than_ten_minutes_let_nobody_decide(world: World) -> None:
    request = await world.asked(await world.failed())
    world.people.down = ChatUnavailable("unreachable")
    world.clock.let_pass(601)

    outcome = await world.press(ARNO, Verb.APPROVE, request)
    await world.work()

    assert outcome.is_refusal
    assert "older than 10 minutes" in world.told(ARNO).text


# ---- rejecting, withdrawing, expiring --------------------------------------------------------


async def test_one_reject_with_its_reason_ends_the_request(two: World) -> None:
    request = await two.asked(await two.failed(), RITA)
    await two.press(ARNO, Verb.APPROVE, request)
    asked = await two.press(LEA, Verb.ASK_REJECT, request)
    assert isinstance(asked.modal, RejectReason)

    outcome = await two.press(LEA, Verb.REJECT, request, reason="disk is <full>", in_form=True, channel=None)
    await two.work()

    assert outcome.answer is not None
    assert "You rejected req-1" in outcome.answer.text
    assert (await two.again(request)).state is S.REJECTED
    assert any("Rejected by <@U0LEA>" in text and "disk is <full>" in text for text in two.thread())
    assert (await two.trail(action="request:decision:rejected"))[0]["data"]["reason"] == "disk is <full>"
    assert "Retry" in two.card().text
    await two.wait(5)
    assert two.engine.calls == []


async def test_a_rejected_request_can_be_asked_for_anew(world: World) -> None:
    incident = await world.failed()
    request = await world.asked(incident)
    await world.press(ARNO, Verb.REJECT, request)

    assert (await world.asked(incident)).label == "req-2"


async def test_only_the_requester_withdraws(world: World) -> None:
    request = await world.asked(await world.failed())

    assert (await world.press(ARNO, Verb.WITHDRAW, request)).is_refusal
    assert not (await world.press(RITA, Verb.WITHDRAW, request)).is_refusal
    await world.work()

    assert (await world.again(request)).state is S.CANCELLED
    assert "Withdrawn" in world.thread()[-1]
    assert await world.tags(request="req-1") == [
        "request:resume:requested",
        "request:decision:refused",
        "request:life:cancelled",
    ]


async def test_a_request_that_nobody_decides_expires(world: World) -> None:
    request = await world.asked(await world.failed())

    await world.wait(3599 - 60)
    assert (await world.again(request)).state is S.PENDING
    await world.wait(61)

    assert (await world.again(request)).state is S.EXPIRED
    assert "Expired" in world.thread()[-1]
    assert "Retry" in world.card().text
    outcome = await world.press(ARNO, Verb.APPROVE, request)
    assert outcome.is_refusal
    assert world.engine.calls == []


async def test_an_approval_in_the_second_of_expiry_is_too_late(world: World) -> None:
    request = await world.asked(await world.failed())
    world.clock.let_pass((request.expires_at - world.clock.now()).total_seconds())
    await refresh_all(world.core)

    outcome = await world.press(ARNO, Verb.APPROVE, request)

    assert outcome.is_refusal
    assert outcome.answer is not None
    assert "has expired" in outcome.answer.text


async def test_approvers_are_reminded_once_when_half_of_the_time_has_passed(world: World) -> None:
    request = await world.asked(await world.failed())

    await world.wait(1700)
    assert not any("still waits" in text for text in world.thread())
    await world.wait(200)
    await world.run_task("timer", "remind", request_id=request.id)
    await world.work()

    assert sum("still waits" in text for text in world.thread()) == 1


async def test_a_reject_stops_an_approved_request_that_could_not_be_sent_yet(world: World) -> None:
    request = await world.asked(await world.failed())
    await world.wait(6)
    world.people.down = ChatUnavailable("unreachable")
    await world.press(ARNO, Verb.APPROVE, request)
    await world.wait(6)
    assert (await world.again(request)).state is S.APPROVED
    world.people.down = None

    await world.press(LEA, Verb.REJECT, request, reason="stop")
    await world.wait(120)

    assert (await world.again(request)).state is S.REJECTED
    assert world.engine.calls == []
