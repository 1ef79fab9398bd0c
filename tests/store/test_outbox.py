"""What is sent next on a lane and when: ranks, pauses, budgets, wake-ups, storms."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from bot.domain.messages import Answer
from bot.service.unit import Message, Place, Rank
from bot.store.outbox import SqlOutbox
from bot.store.unit_of_work import SqlStore
from tests.domain.things import CHANNEL, HOME, MINUTE, NOW
from tests.store.rows import LANE, ask, count, jobs, opened, want

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    async with opened(database) as store:
        yield store


@pytest.fixture
def outbox(store: SqlStore) -> SqlOutbox:
    return SqlOutbox(store)


async def due(outbox: SqlOutbox, *, post: bool = True, update: bool = True, now: datetime = NOW) -> Message | None:
    return await outbox.next_due(LANE, now, may_post=post, may_update=update)


async def subjects_sent(outbox: SqlOutbox) -> list[str]:
    """Everything that is due, in the order it is sent."""
    sent = []
    while message := await due(outbox):
        sent.append(message.subject)
        await outbox.sent(message, message.ts or f"{message.id}.1")
    return sent


async def a_card(store: SqlStore, outbox: SqlOutbox, subject: str = "inc-1") -> Message:
    """A card that stands there."""
    await want(store, subject)
    message = await due(outbox)
    assert message is not None
    await outbox.sent(message, f"{message.id}.1")
    return message


async def change(store: SqlStore, subject: str) -> None:
    async with store.unit() as unit:
        unit.messages.change(subject, "card")


# ---- order -----------------------------------------------------------------------------------


async def test_questions_go_before_decisions_results_and_cards_and_posts_before_updates(
    store: SqlStore, outbox: SqlOutbox
) -> None:
    await a_card(store, outbox, "inc-1")
    await change(store, "inc-1")
    for rank in (Rank.CARD, Rank.RESULT, Rank.DECISION, Rank.APPROVAL):
        await want(store, f"{rank.name.lower()}-1", rank=rank)
        await want(store, f"{rank.name.lower()}-2", rank=rank)

    assert await subjects_sent(outbox) == [
        *["approval-1", "approval-2", "decision-1", "decision-2", "result-1", "result-2", "card-1", "card-2"],
        "inc-1",
    ]


async def test_while_posting_pauses_updates_go_on_and_the_other_way_round(store: SqlStore, outbox: SqlOutbox) -> None:
    await a_card(store, outbox, "inc-1")
    await change(store, "inc-1")
    await want(store, "inc-2")

    chosen = [await due(outbox, post=post, update=update) for post, update in [(False, True), (True, False), (False, False)]]

    assert [message.subject if message else None for message in chosen] == ["inc-1", "inc-2", None]


async def test_private_answers_know_no_pause(store: SqlStore, outbox: SqlOutbox) -> None:
    async with store.unit() as unit:
        await unit.messages.whisper("k", Place(HOME, "U0RITA", CHANNEL), Answer("said"), NOW + MINUTE)

    assert await outbox.next_due("private:k", NOW, may_post=False, may_update=False) is not None


async def test_a_lane_gives_only_its_own_messages(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")

    assert await outbox.next_due(f"{HOME}:C0OTHER", NOW, may_post=True, may_update=True) is None


async def test_a_message_that_was_put_off_waits_and_counts_its_tries(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    message = await due(outbox)
    assert message is not None

    await outbox.put_off(message, NOW + MINUTE)

    assert await due(outbox) is None
    later = await due(outbox, now=NOW + MINUTE)
    assert later is not None
    assert later.tries == 1


async def test_a_message_that_changed_while_it_was_sent_is_due_again(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    message = await due(outbox)
    assert message is not None

    await change(store, "inc-1")
    await outbox.sent(message, "1.1")

    again = await due(outbox)
    assert again is not None
    assert (again.ts, again.wanted, again.posted, again.tries, again.rank) == ("1.1", 2, 1, 0, Rank.UPDATE)


async def test_a_message_that_people_deleted_is_posted_anew(store: SqlStore, outbox: SqlOutbox) -> None:
    await a_card(store, outbox)
    await change(store, "inc-1")
    message = await due(outbox)
    assert message is not None

    await outbox.lost_its_place(message)

    anew = await due(outbox)
    assert anew is not None
    assert (anew.ts, anew.tries) == (None, 1)


# ---- when to look again ----------------------------------------------------------------------


async def test_a_lane_on_which_nothing_waits_need_not_be_looked_at(store: SqlStore, outbox: SqlOutbox) -> None:
    await a_card(store, outbox)

    assert await outbox.due_again_at(LANE, NOW) is None


async def test_a_lane_is_looked_at_again_when_its_first_message_or_pause_is_over(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1", not_before=NOW + 3 * SECOND)
    assert await outbox.due_again_at(LANE, NOW) == NOW + 3 * SECOND
    await want(store, "inc-2")
    assert await outbox.due_again_at(LANE, NOW) == NOW

    await outbox.pause(f"post:{LANE}", NOW + 2 * SECOND)

    assert await outbox.due_again_at(LANE, NOW) == NOW + 2 * SECOND


async def test_an_update_waits_for_the_pause_of_updates_only(store: SqlStore, outbox: SqlOutbox) -> None:
    await a_card(store, outbox)
    await change(store, "inc-1")
    await outbox.pause(f"post:{LANE}", NOW + MINUTE)
    assert await outbox.due_again_at(LANE, NOW) == NOW

    await outbox.pause(f"update:{HOME}", NOW + SECOND)

    assert await outbox.due_again_at(LANE, NOW) == NOW + SECOND


async def test_a_message_whose_parent_is_not_posted_wakes_nobody(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    await want(store, "req-1", parent="inc-1")
    card = await due(outbox)
    assert card is not None
    async with store.unit() as unit:
        await unit.messages.bury(card.id, "is_archived", NOW)

    assert await outbox.due_again_at(LANE, NOW) is None


# ---- pauses and budgets ----------------------------------------------------------------------


async def test_a_pause_grows_and_never_shrinks(outbox: SqlOutbox) -> None:
    assert await outbox.pause_until("k") is None
    await outbox.pause("k", NOW + MINUTE)
    await outbox.pause("k", NOW)
    assert await outbox.pause_until("k") == NOW + MINUTE

    await outbox.pause("k", NOW + 2 * MINUTE)

    assert await outbox.pause_until("k") == NOW + 2 * MINUTE


async def test_a_budget_of_forty_a_minute_gives_forty_at_once_and_then_one_in_a_second_and_a_half(outbox: SqlOutbox) -> None:
    assert [await outbox.take("k", 40, NOW) for _ in range(40)] == [0.0] * 40

    assert await outbox.take("k", 40, NOW) == pytest.approx(1.5)
    assert await outbox.take("k", 40, NOW + SECOND) == pytest.approx(0.5)
    assert await outbox.take("k", 40, NOW + 1.5 * SECOND) == 0.0


async def test_a_budget_that_rests_fills_up_and_not_over(outbox: SqlOutbox) -> None:
    for _ in range(40):
        await outbox.take("k", 40, NOW)

    taken = [await outbox.take("k", 40, NOW + 60 * MINUTE) for _ in range(41)]

    assert taken[:40] == [0.0] * 40
    assert taken[40] > 0


async def test_a_clock_that_goes_back_does_not_fill_a_budget(outbox: SqlOutbox) -> None:
    for _ in range(40):
        await outbox.take("k", 40, NOW)

    assert await outbox.take("k", 40, NOW - 60 * MINUTE) == pytest.approx(1.5)


async def test_of_eight_takers_at_once_no_token_is_taken_twice(outbox: SqlOutbox) -> None:
    waits = await asyncio.gather(*[outbox.take("k", 5, NOW) for _ in range(8)])

    assert sorted(wait > 0 for wait in waits) == [False] * 5 + [True] * 3


# ---- wake-ups --------------------------------------------------------------------------------


async def test_a_wake_up_has_no_lock_and_enqueues_the_lane(store: SqlStore, outbox: SqlOutbox) -> None:
    await outbox.wake_at(LANE, NOW + MINUTE)

    assert await ask(store, "SELECT queue_name, task_name, args, lock, scheduled_at FROM jobs.procrastinate_jobs") == [
        ("slack", "wake", {"lane": LANE}, None, NOW + MINUTE)
    ]
    await outbox.wake(LANE)
    assert (await ask(store, "SELECT task_name, lock, scheduled_at FROM jobs.procrastinate_jobs ORDER BY id"))[1] == (
        "deliver",
        LANE,
        None,
    )


async def test_a_wake_up_as_early_as_one_that_waits_is_needless(store: SqlStore, outbox: SqlOutbox) -> None:
    for seconds in (60, 60.04, 90, 30, 45):
        await outbox.wake_at(LANE, NOW + seconds * SECOND)
    await outbox.wake_at("other", NOW + MINUTE)

    waiting = await ask(store, "SELECT args ->> 'lane', scheduled_at FROM jobs.procrastinate_jobs ORDER BY id")
    assert waiting == [(LANE, NOW + MINUTE), (LANE, NOW + 30 * SECOND), ("other", NOW + MINUTE)]


# ---- storms ----------------------------------------------------------------------------------


async def wanted_cards(store: SqlStore, cards: int) -> None:
    for number in range(1, cards + 1):
        await want(store, f"inc-{number}", not_before=NOW + 2 * SECOND)


@pytest.mark.parametrize(("cards", "folded"), [(10, 0), (11, 11)])
async def test_more_than_ten_new_cards_that_wait_are_folded(
    store: SqlStore, outbox: SqlOutbox, cards: int, folded: int
) -> None:
    await wanted_cards(store, cards)

    assert await outbox.fold(LANE, 10, 40, NOW) == folded


async def test_storm_messages_name_every_failure_in_parts_of_forty(store: SqlStore, outbox: SqlOutbox) -> None:
    await wanted_cards(store, 85)
    await outbox.fold(LANE, 10, 40, NOW)
    parts = []
    while message := await due(outbox):
        parts.append((message.subject, message.channel, message.numbers))
        await outbox.sent(message, f"{message.id}.1")

    assert [(subject, channel) for subject, channel, _ in parts] == [
        ("storm-1", CHANNEL),
        ("storm-41", CHANNEL),
        ("storm-81", CHANNEL),
    ]
    assert [number for _, _, numbers in parts for number in numbers] == list(range(1, 86))


async def test_cards_that_were_posted_or_unfolded_or_are_no_cards_are_not_folded(store: SqlStore, outbox: SqlOutbox) -> None:
    await wanted_cards(store, 11)
    await outbox.fold(LANE, 10, 40, NOW)
    async with store.unit() as unit:
        for number in range(1, 12):
            await unit.messages.unfold(f"inc-{number}")
    for number in range(20):
        await want(store, f"req-{number}", "approval", Rank.APPROVAL)

    assert await outbox.fold(LANE, 10, 40, NOW) == 0
    assert await count(store, "messages") == 11 + 20 + 1


async def test_a_storm_that_goes_on_fills_the_message_it_began(store: SqlStore, outbox: SqlOutbox) -> None:
    await wanted_cards(store, 11)
    await outbox.fold(LANE, 10, 40, NOW)
    for number in range(31, 65):
        await want(store, f"inc-{number}")

    assert await outbox.fold(LANE, 10, 40, NOW) == 34
    assert await subjects_sent(outbox) == ["storm-1", "storm-60"]


@pytest.mark.parametrize(("new", "folded"), [(2, 0), (3, 3)])
async def test_while_a_storm_goes_on_a_few_new_cards_suffice(store: SqlStore, outbox: SqlOutbox, new: int, folded: int) -> None:
    await wanted_cards(store, 11)
    await outbox.fold(LANE, 10, 40, NOW)
    for number in range(31, 31 + new):
        await want(store, f"inc-{number}")

    assert await outbox.fold(LANE, 10, 40, NOW) == folded


async def test_a_later_storm_has_a_message_of_its_own(store: SqlStore, outbox: SqlOutbox) -> None:
    await wanted_cards(store, 11)
    await outbox.fold(LANE, 10, 40, NOW)
    for number in range(31, 43):
        await want(store, f"inc-{number}")

    assert await outbox.fold(LANE, 10, 40, NOW + 2 * MINUTE) == 12
    assert await subjects_sent(outbox) == ["storm-1", "storm-31"]


async def test_delivering_a_lane_twice_at_once_folds_once(store: SqlStore, outbox: SqlOutbox) -> None:
    await wanted_cards(store, 11)

    folded = await asyncio.gather(*[outbox.fold(LANE, 10, 40, NOW) for _ in range(4)])

    assert sorted(folded) == [0, 0, 0, 11]
    assert len(await jobs(store)) == 11
