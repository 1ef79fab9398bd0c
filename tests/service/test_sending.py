"""Between approval and receipt: all is read afresh, re-checked, sent once, and whatever keeps it back is said."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.errors import ChatUnavailable, Forbidden, NotResumable, NotSent, RateLimited
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.policy import PersonKind, Policy
from bot.domain.request import Request, RequestState
from bot.service.carry_out import carry_out
from bot.service.presses import Verb
from tests.fakes import FakeClock, FakeEngine
from tests.service.world import ARNO, LEA, RITA, World, open_world

pytestmark = pytest.mark.anyio
S = RequestState
RELEASE = Policy("release", approvers=("S0RELEASE",))


@pytest.fixture
async def release(database: str) -> AsyncIterator[World]:
    """The release group approves."""
    async with open_world(database, RELEASE) as world:
        yield world


async def approved(world: World, user: str = LEA) -> Request:
    """A request that has its approval and was not sent yet; what was read of people is older than the send allows."""
    request = await world.asked(await world.failed())
    world.clock.let_pass(6)
    await world.press(user, Verb.APPROVE, request)
    return await world.again(request)


# ---- one call --------------------------------------------------------------------------------


async def test_two_workers_at_once_make_one_call(world: World) -> None:
    request = await approved(world)

    await asyncio.gather(*[carry_out(world.core, request.id) for _ in range(8)])

    assert len(world.engine.calls) == len(await world.trail(action="request:call:sent")) == 1
    assert (await world.again(request)).state is S.RUNNING


async def test_a_job_that_runs_again_later_sends_nothing_more(world: World) -> None:
    request = await approved(world)
    await world.wait(2)

    await carry_out(world.core, request.id)

    assert len(world.engine.calls) == 1


async def test_the_intent_is_committed_before_the_call_leaves(world: World) -> None:
    request = await approved(world)
    world.engine.held = asyncio.Event()

    sending = asyncio.create_task(carry_out(world.core, request.id))
    async with asyncio.timeout(5):
        while (await world.again(request)).state is not S.RESUMING:  # noqa: ASYNC110 — the database tells nobody of it
            await asyncio.sleep(0.005)
    sent = await world.trail(action="request:call:sent")
    assert (len(sent), world.engine.calls) == (1, [])
    assert sent[0]["data"]["call"] == "req-1-1"
    assert sent[0]["data"]["digest"] == request.digest
    world.engine.held.set()
    await sending

    assert [call.key for call in world.engine.calls] == ["req-1-1"]


async def test_a_process_on_its_way_out_starts_no_call(world: World) -> None:
    request = await approved(world)
    world.core.life.is_ending = True
    await world.work()
    assert (world.engine.calls, (await world.again(request)).state) == ([], S.APPROVED)

    world.core.life.is_ending = False
    await world.wait(1)  # another process has taken it up: no sweep is needed

    assert len(world.engine.calls) == 1


# ---- what was decided on has changed ---------------------------------------------------------


async def test_an_execution_that_moved_since_the_request_supersedes_it_and_the_card_is_fresh(world: World) -> None:
    request = await approved(world)
    world.engine.runs["run-1"].move(ExecutionStatus.FAILED)
    await world.wait(5)

    assert (await world.again(request)).state is S.SUPERSEDED
    assert world.engine.calls == []
    assert "changed since" in world.thread()[-1]
    assert "Retry" in world.card().text
    assert await world.tags(request="req-1") == [
        "request:resume:requested",
        "request:decision:approved",
        "request:life:superseded",
    ]


async def test_somebody_who_resumed_it_elsewhere_meanwhile_keeps_the_call_from_being_made(world: World) -> None:
    request = await approved(world)
    world.engine.continue_elsewhere("run-1")
    await world.wait(5)

    assert (await world.again(request)).state in {S.SUPERSEDED, S.REFUSED}
    assert world.engine.calls == []
    assert "Running" in world.card().text
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.live(120)
    assert (await world.incident()).state is IncidentState.RESOLVED


async def test_a_newer_execution_of_the_chain_supersedes_the_request(database: str) -> None:
    clock = FakeClock()
    engine = FakeEngine("orders", clock, starts_new=True)
    async with open_world(database, engines=[engine], clock=clock) as world:
        request = await approved(world)
        engine.continue_elsewhere("run-1")
        await world.wait(5)

        assert (await world.again(request)).state is S.SUPERSEDED
        assert "run-1-2" in world.thread()[-1]
        assert engine.calls == []


async def test_a_policy_that_changed_since_supersedes_the_request(release: World, database: str) -> None:
    request = await approved(release)

    async with open_world(database, replace(RELEASE, approvals=2), engines=[release.engine], clock=release.clock) as later:
        later.chat.posts = release.chat.posts
        await later.wait(2)

        assert (await later.again(request)).state is S.SUPERSEDED
        assert release.engine.calls == []


async def test_an_approver_who_left_the_group_since_keeps_it_from_being_sent(release: World) -> None:
    request = await approved(release)
    release.people.groups["S0RELEASE"] = {ARNO}
    await release.wait(5)

    assert (await release.again(request)).state is S.REFUSED
    assert release.engine.calls == []
    assert "may not approve any more" in release.thread()[-1]
    refused = (await release.trail(action="request:receipt:refused"))[0]
    assert (refused["actor"], refused["data"]["before_the_call"]) == ("bot", True)


@pytest.mark.parametrize("user", [RITA, LEA])
async def test_whoever_was_deactivated_since_keeps_it_from_being_sent(release: World, user: str) -> None:
    request = await approved(release)
    release.people.kinds[user] = PersonKind.DEACTIVATED
    await release.wait(5)

    assert (await release.again(request)).state is S.REFUSED
    assert release.engine.calls == []


async def test_an_execution_the_engine_forgot_is_not_resumed(world: World) -> None:
    request = await approved(world)
    del world.engine.runs["run-1"]
    await world.wait(5)

    assert (await world.again(request)).state is S.REFUSED
    assert (await world.incident()).state is IncidentState.CLOSED
    assert "Retry" not in world.card().text


# ---- held back -------------------------------------------------------------------------------


async def test_while_slack_does_not_say_who_may_it_is_held_back_and_sent_later(release: World) -> None:
    request = await approved(release)
    release.people.down = ChatUnavailable("unreachable")
    await release.wait(20)

    held = await release.again(request)
    assert (held.state, release.engine.calls) == (S.APPROVED, [])
    assert any("cannot be sent yet" in text and "Slack does not say" in text for text in release.thread())
    release.people.down = None
    await release.wait(60)

    assert (await release.again(request)).state is S.RUNNING
    assert len(release.engine.calls) == 1
    assert await release.tags(request="req-1") == [
        "request:resume:requested",
        "request:decision:approved",
        "request:life:held_back",
        "request:call:sent",
        "request:receipt:running",
    ]


async def test_an_engine_that_is_down_holds_it_back_until_it_answers(world: World) -> None:
    request = await approved(world)
    world.engine.down = NotSent("connection refused")
    await world.wait(30)
    assert (await world.again(request)).state is S.APPROVED
    assert any("connection refused" in text for text in world.thread())

    world.engine.down = None
    await world.wait(60)

    assert (await world.again(request)).state is S.RUNNING
    assert len(world.engine.calls) == 1


async def test_what_is_held_back_beyond_its_time_expires_unsent(database: str) -> None:
    async with open_world(database, Policy("short", expires=timedelta(minutes=5))) as world:
        request = await approved(world)
        world.engine.down = NotSent("connection refused")

        await world.wait(310)
        world.engine.down = None
        await world.wait(120)

        assert (await world.again(request)).state is S.EXPIRED
        assert world.engine.calls == []
        assert "could not be sent in time" in world.thread()[-1]


async def test_a_call_that_was_not_sent_is_tried_again_and_sent_once(world: World) -> None:
    request = await approved(world)
    world.engine.faults.add("resume", NotSent("connection refused"), RateLimited("slow down", 20.0))
    await world.work()
    assert (await world.again(request)).state is S.APPROVED

    await world.wait(5)
    assert (await world.again(request)).state is S.APPROVED
    await world.wait(21)

    assert (await world.again(request)).state is S.RUNNING
    assert [call.key for call in world.engine.calls] == ["req-1-3"]
    assert await world.tags(request="req-1") == [
        "request:resume:requested",
        "request:decision:approved",
        *["request:call:sent", "request:receipt:not_sent"] * 2,
        "request:call:sent",
        "request:receipt:running",
    ]
    assert sum("cannot be sent yet" in text or "is_held" in text for text in world.thread()) <= 1


async def test_the_requester_withdraws_what_is_held_back(world: World) -> None:
    request = await approved(world)
    world.engine.down = NotSent("connection refused")
    await world.wait(6)

    await world.press(RITA, Verb.WITHDRAW, request)
    world.engine.down = None
    await world.wait(120)

    assert (await world.again(request)).state is S.CANCELLED
    assert world.engine.calls == []


# ---- the engine's own no ---------------------------------------------------------------------


@pytest.mark.parametrize("error", [NotResumable("it is not paused"), Forbidden("the token may not do that")])
async def test_the_engines_refusal_is_final_shown_as_such_and_the_card_offers_a_fresh_choice(
    world: World, error: Exception
) -> None:
    request = await approved(world)
    world.engine.faults.add("resume", error)
    await world.wait(5)

    assert (await world.again(request)).state is S.REFUSED
    assert str(error) in world.thread()[-1]
    assert (await world.trail(action="request:receipt:refused"))[0]["actor"] == "engine:orders"
    assert "Retry" in world.card().text
    await world.wait(300)
    assert world.engine.calls == []
