"""Lanes: jobs of one lane follow each other at once, a lane that has to wait holds up no other, and no wake-up is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.messages import Answer
from tests.in_process import ARNO, AUDIT, RITA, Bot, opened, seen, until, words_of
from tests.jobs.lab import Calls, Lab, group

pytestmark = pytest.mark.anyio
LANE = "T0HOME:C0DEPLOYS"
SLACK_POLL = 0.25  # of the product's group slack
IN_FLIGHT = 3  # reads that one engine is asked at once
LONG = 30.0  # a wait that outlasts the test


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path) as made:
        yield made


# ---- one lane ----------------------------------------------------------------------------------


async def test_jobs_behind_a_lock_start_within_0_3_s_of_the_end_of_the_one_before(lab: Lab) -> None:
    deliver = Calls()
    async with lab.working(group(deliver=deliver, poll=SLACK_POLL)):
        for _ in range(5):
            await lab.enqueue("deliver", lane=LANE)

        await deliver.reach(5)

    gaps = [later - earlier for earlier, later in zip(deliver.times, deliver.times[1:], strict=False)]
    assert sorted(gaps)[len(gaps) // 2] <= 0.3, gaps


async def test_two_jobs_of_a_lane_never_run_at_once_and_those_of_two_lanes_do(lab: Lab) -> None:
    running: list[str] = []
    together: set[tuple[str, ...]] = set()

    async def run(name: str) -> None:
        running.append(name)
        together.add(tuple(sorted(running)))
        await asyncio.sleep(0.05)
        running.remove(name)

    deliver = Calls(run)
    async with lab.working(group(deliver=deliver, poll=SLACK_POLL)):
        for name in ("one", "two") * 3:
            await lab.enqueue("deliver", lane=name, name=name)
        await deliver.reach(6)

    assert ("one", "two") in together
    assert not {("one", "one"), ("two", "two")} & together


async def test_a_failed_job_of_a_lane_is_not_retried_and_the_next_one_starts(lab: Lab) -> None:
    async def fail() -> None:
        raise RuntimeError("on purpose")

    deliver = Calls(fail)
    async with lab.working(group(deliver=deliver, poll=SLACK_POLL)):
        await lab.enqueue("deliver", lane=LANE)
        await lab.enqueue("deliver", lane=LANE)
        await deliver.reach(2)

        async def ended() -> bool:
            return await lab.jobs() == [("deliver", "failed")] * 2

        await until(ended, "end of both")

    assert lab.failures == [("deliver", "RuntimeError")] * 2


async def _change_in_vain(lab: Lab) -> None:
    async with lab.store.unit() as unit:
        await unit.messages.want_home("T0HOME", RITA)
        raise ZeroDivisionError


async def test_a_rollback_takes_the_job_with_the_change(lab: Lab) -> None:
    deliver = Calls()
    async with lab.working(group(deliver=deliver)):
        with pytest.raises(ZeroDivisionError):
            await _change_in_vain(lab)
        await lab.enqueue("deliver", lane=LANE, number=2)
        await deliver.reach(1)

    assert deliver.seen == [{"number": 2}]
    assert await lab.ask("SELECT count(*) FROM messages") == [0]


async def test_a_job_starts_when_its_change_is_committed_and_not_before(lab: Lab) -> None:
    deliver = Calls()
    async with lab.working(group(deliver=deliver)):  # its next look is a minute away
        async with lab.store.unit() as unit:
            await unit.messages.want_home("T0HOME", RITA)
            await lab.enqueue("deliver", lane="other", lane_of="other")  # wakes the worker, which sees only this one
            await deliver.reach(1)
            assert deliver.seen == [{"lane_of": "other"}]
        await deliver.reach(2, 3)


async def test_a_change_made_while_its_lane_is_delivered_is_delivered_too(lab: Lab) -> None:
    may_go_on = asyncio.Event()
    seen_versions: list[int] = []

    async def run(**_: object) -> None:
        seen_versions.extend(await lab.ask("SELECT wanted FROM messages"))
        await may_go_on.wait()

    deliver = Calls(run)
    async with lab.working(group(deliver=deliver, poll=SLACK_POLL)):
        for _ in range(2):
            async with lab.store.unit() as unit:
                await unit.messages.want_home("T0HOME", RITA)
            await deliver.reach(1)
        may_go_on.set()
        await deliver.reach(2)

    assert seen_versions == [1, 2]


# ---- lanes that have to wait -------------------------------------------------------------------


async def nothing_waits_in_a_lock(bot: Bot) -> None:
    """No job is held by a worker, and none that carries a lock stands scheduled: what waits, waits in its own row."""

    async def free() -> bool:
        return not await bot.ask(
            "SELECT task_name FROM jobs.procrastinate_jobs"
            " WHERE lock IS NOT NULL AND (status = 'doing' OR scheduled_at IS NOT NULL)"
        )

    await until(free, "rest of all lanes")


async def test_a_lane_that_waits_out_a_retry_after_holds_up_no_other_work(bot: Bot) -> None:
    async with bot.working():
        await seen(lambda: bot.find("Audit seal"), "seal")  # the only other post of this bot
        bot.slack.fail("chat.postMessage", 429, seconds=LONG)
        execution = await bot.failed()
        await bot.hook(execution)
        await seen(lambda: [call for call in bot.slack.calls if call.status == 429], "refused post")
        await nothing_waits_in_a_lock(bot)

        async with bot.parts.store.unit() as unit:  # another lane of the same group
            await unit.messages.announce("a word", "T0PLAY", AUDIT, Answer("a word to another channel"))
        await seen(lambda: bot.find("a word to another channel"), "word in the other lane", 3)
        assert "inc-1" in await bot.says(RITA, "list")  # private answers
        assert bot.find(execution) is None
        assert await bot.ask("SELECT until - now() > interval '20 s' FROM pauses WHERE key = 'post:T0PLAY:C0DEPLOYS'") == [True]


async def test_a_lane_that_waits_out_a_fault_holds_up_no_other_work_and_tries_again(bot: Bot) -> None:
    bot.slack.fail("chat.postMessage", "cut", times=2)
    async with bot.working():
        execution = await bot.failed()
        await bot.hook(execution)
        await seen(lambda: len([call for call in bot.slack.calls if call.method == "chat.postMessage"]) >= 1, "first try")

        await nothing_waits_in_a_lock(bot)
        await seen(lambda: bot.find(execution, "Retry"), "card after two faults")


async def test_a_call_that_waits_out_a_fault_of_its_engine_holds_up_no_other(bot: Bot) -> None:
    async with bot.working():
        first, second = await bot.card(), await bot.card()
        question = await bot.asked(first)
        bot.orders.fail("PATCH */resume", 429, seconds=LONG)
        await bot.press(ARNO, question, "Approve")
        await seen(lambda: bot.orders.count("PATCH */resume"), "refused call")
        await nothing_waits_in_a_lock(bot)

        question = await bot.asked(second)
        await bot.press(ARNO, question, "Approve")

        await seen(lambda: bot.orders.count("PATCH */resume") == 2, "call of the other")
        await seen(lambda: bot.find("", thread=second.ts) and bot.orders.calls[-1].status, "answer")
    assert bot.slack.broken == []


async def test_one_engine_that_does_not_answer_holds_up_no_other(bot: Bot) -> None:
    for _ in range(6):  # more than the group has room for
        made = bot.billing.start(deploy="fail")
        await bot.billing.wait_status(made["id"], "paused")
        await bot.hook(made["id"], "billing")
    before = len(bot.billing.calls)
    bot.billing.fail("*", "slow", times=50, seconds=3)

    def unanswered() -> int:
        return [call.status for call in bot.billing.calls[before:]].count(None)

    async with bot.working():
        await seen(lambda: unanswered() == IN_FLIGHT, "busy engine")
        card = await bot.card()

        assert "Retry" in words_of(card)
        assert unanswered() == IN_FLIGHT
        bot.billing.heal()
