"""Rows of the chat: one per message, its delivery enqueued with the change, dead letters, storms and orphans."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from bot.domain.execution import InputKind, StartInput, StartTarget
from bot.domain.messages import (
    Answer,
    Choice,
    Line,
    Listing,
    Modal,
    PickFailure,
    PickPoint,
    RejectReason,
    Shown,
    StartForm,
    Tone,
    Trail,
    TrailEntry,
    Word,
)
from bot.service.unit import Message, Place, Rank
from bot.store.outbox import SqlOutbox
from bot.store.unit_of_work import SqlStore
from tests.domain.things import ARNO as ARNO_PERSON
from tests.domain.things import CHANNEL, HOME, MINUTE, NOW, POINT, approved_by, incident, request
from tests.store.rows import LANE, add_incident, ask, count, jobs, opened, want

pytestmark = pytest.mark.anyio
DELIVER = ("slack", "deliver", {"lane": LANE})
RITA = Place(HOME, "U0RITA", CHANNEL, thread_ts="1.1", response_url="https://hooks.slack.com/x", view_id=None)


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    async with opened(database) as store:
        yield store


@pytest.fixture
def outbox(store: SqlStore) -> SqlOutbox:
    return SqlOutbox(store)


async def due(outbox: SqlOutbox, lane: str = LANE, now: datetime = NOW) -> Message | None:
    return await outbox.next_due(lane, now, may_post=True, may_update=True)


async def post(outbox: SqlOutbox, ts: str, lane: str = LANE) -> Message:
    """Send what is due first."""
    message = await due(outbox, lane)
    assert message is not None
    await outbox.sent(message, ts)
    return message


# ---- wanting and changing --------------------------------------------------------------------


async def test_wanting_a_message_enqueues_the_delivery_of_its_channel(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")

    message = await due(outbox)
    assert message is not None
    assert (message.subject, message.surface, message.channel, message.ts, message.wanted, message.posted) == (
        "inc-1",
        "card",
        CHANNEL,
        None,
        1,
        0,
    )
    assert await jobs(store) == [DELIVER]


async def test_a_message_wanted_again_is_the_same_one_in_a_further_version(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    first = await post(outbox, "1.1")

    await want(store, "inc-1")

    again = await due(outbox)
    assert again is not None
    assert (again.id, again.ts, again.wanted, again.posted) == (first.id, "1.1", 2, 1)


async def test_a_message_wanted_later_waits_without_holding_up_its_lane(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1", not_before=NOW + MINUTE)
    await want(store, "inc-2")

    message = await due(outbox)

    assert message is not None
    assert message.subject == "inc-2"
    assert await jobs(store) == [("slack", "wake", {"lane": LANE}), DELIVER]
    assert await ask(store, "SELECT lock, scheduled_at FROM jobs.procrastinate_jobs WHERE task_name = 'wake'") == [
        (None, NOW + MINUTE)
    ]


async def test_a_change_does_not_hurry_a_message_that_waits_to_be_posted(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1", not_before=NOW + MINUTE)

    async with store.unit() as unit:
        unit.messages.change("inc-1", "card")
        unit.messages.change("inc-1", "approval")  # there is none

    assert await due(outbox) is None


async def test_a_message_in_a_thread_waits_for_the_message_it_hangs_on(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    await want(store, "req-1", "approval", Rank.APPROVAL, parent="inc-1")

    card = await post(outbox, "1.1")
    approval = await due(outbox)

    assert card.surface == "card"
    assert approval is not None
    assert (approval.surface, approval.parent_id, approval.parent_ts) == ("approval", card.id, "1.1")


# ---- private answers and announcements -------------------------------------------------------

PRIVATE: list[Shown | Modal] = [
    Answer("said", Tone.DONE, "foreign", incident(), (POINT,), (Choice("this one", "orders:run-1"),)),
    Answer("said"),
    Word("said", Tone.REFUSED, "foreign"),
    Word("said"),
    Listing("heading", (Line(incident=incident()), Line(request=request(decisions=approved_by(ARNO_PERSON)))), more=2),
    Listing("heading"),
    Trail("heading", (TrailEntry(NOW, "bot", "bot:process:started", "d"),), more=1),
    Trail("heading"),
    PickFailure((incident(),), CHANNEL, "error"),
    PickPoint(incident(), (POINT,), "from:deploy", wants_reason=True, again_of=17),
    RejectReason(request()),
    StartForm(StartTarget("orders", "k", "n", (StartInput("i", "I", InputKind.CHOICE, choices=("a",)),)), CHANNEL),
]


@pytest.mark.parametrize("shown", PRIVATE, ids=[f"{type(shown).__name__}-{n}" for n, shown in enumerate(PRIVATE)])
async def test_what_a_person_is_told_comes_out_as_it_went_in(store: SqlStore, outbox: SqlOutbox, shown: Shown | Modal) -> None:
    async with store.unit() as unit:
        await unit.messages.whisper("press:k", RITA, shown, NOW + MINUTE)

    message = await due(outbox, "private:press:k")

    assert message is not None
    assert message.shown == shown
    assert type(message.shown) is type(shown)


async def test_a_person_is_told_once_a_key_where_they_asked(store: SqlStore, outbox: SqlOutbox) -> None:
    for text in ("first", "second"):
        async with store.unit() as unit:
            await unit.messages.whisper("press:k", RITA, Answer(text), NOW + MINUTE)

    message = await due(outbox, "private:press:k")
    assert message is not None
    assert message.shown == Answer("first")
    assert (message.user, message.channel, message.response_url, message.parent_ts, message.expires_at) == (
        "U0RITA",
        CHANNEL,
        RITA.response_url,
        "1.1",
        NOW + MINUTE,
    )
    assert await count(store, "messages") == 1
    assert await jobs(store) == [("slack", "deliver", {"lane": "private:press:k"})]


async def test_a_secret_address_is_wiped_once_it_was_used_or_is_useless(store: SqlStore, outbox: SqlOutbox) -> None:
    for key in ("used", "useless"):
        async with store.unit() as unit:
            await unit.messages.whisper(key, RITA, Answer("said"), NOW + MINUTE)
    await post(outbox, "", "private:used")
    useless = await due(outbox, "private:useless")
    assert useless is not None

    async with store.unit() as unit:
        await unit.messages.bury(useless.id, "used_url", NOW)

    assert await ask(store, "SELECT response_url FROM messages") == [None, None]


async def test_an_announcement_is_made_once_a_key(store: SqlStore, outbox: SqlOutbox) -> None:
    for _ in range(2):
        async with store.unit() as unit:
            await unit.messages.announce("lost:orders", HOME, CHANNEL, Answer("silent", Tone.TROUBLE))

    message = await due(outbox)
    assert message is not None
    assert (message.shown, message.channel, message.user) == (Answer("silent", Tone.TROUBLE), CHANNEL, None)
    assert await count(store, "messages") == 1


async def test_a_home_is_one_row_a_person_and_comes_back_after_it_was_buried(store: SqlStore, outbox: SqlOutbox) -> None:
    lane = "private:home:U0RITA"
    async with store.unit() as unit:
        await unit.messages.want_home(HOME, "U0RITA")
    message = await due(outbox, lane)
    assert message is not None
    async with store.unit() as unit:
        await unit.messages.bury(message.id, "not_enabled", NOW)
    assert await due(outbox, lane) is None

    async with store.unit() as unit:
        await unit.messages.want_home(HOME, "U0RITA")

    again = await due(outbox, lane)
    assert again is not None
    assert (again.id, again.surface, again.user) == (message.id, "home", "U0RITA")


# ---- dead letters ----------------------------------------------------------------------------


async def bury_first(store: SqlStore, outbox: SqlOutbox) -> Message:
    message = await due(outbox)
    assert message is not None
    async with store.unit() as unit:
        await unit.messages.bury(message.id, "not_in_channel", NOW)
    return message


async def test_a_dead_letter_is_not_tried_again_by_itself(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    await bury_first(store, outbox)

    assert await due(outbox) is None
    assert await outbox.due_again_at(LANE, NOW) is None


async def test_a_dead_letter_is_tried_again_when_it_is_wanted_anew_or_changed(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    await bury_first(store, outbox)

    await want(store, "inc-1")
    await bury_first(store, outbox)
    async with store.unit() as unit:
        unit.messages.change("inc-1", "card")

    assert await due(outbox) is not None


async def test_an_invited_bot_tries_the_dead_letters_of_the_channel_again(store: SqlStore, outbox: SqlOutbox) -> None:
    for number in (1, 2):
        await want(store, f"inc-{number}")
        await bury_first(store, outbox)
    async with store.unit() as unit:
        await unit.messages.whisper("press:k", RITA, Answer("said"), NOW)
        await unit.messages.revive("C0OTHER")
    assert await due(outbox) is None

    async with store.unit() as unit:
        await unit.messages.revive(CHANNEL)

    assert [(await post(outbox, f"{number}.1")).subject for number in (1, 2)] == ["inc-1", "inc-2"]
    assert await ask(store, "SELECT count(*) FROM messages WHERE dead_at IS NOT NULL") == [0]


# ---- storms ----------------------------------------------------------------------------------


async def storm(store: SqlStore, outbox: SqlOutbox, cards: int = 12) -> Message:
    """So many cards folded into one message that was posted."""
    for number in range(1, cards + 1):
        await want(store, f"inc-{number}")
    assert await outbox.fold(LANE, 10, 40, NOW) == cards
    return await post(outbox, "9.9")


async def test_a_folded_card_is_a_line_of_its_storm_and_not_sent_itself(store: SqlStore, outbox: SqlOutbox) -> None:
    folded = await storm(store, outbox)

    assert (folded.surface, folded.numbers) == ("storm", tuple(range(1, 13)))
    assert await due(outbox) is None
    assert await outbox.due_again_at(LANE, NOW) is None


@pytest.mark.parametrize("how", ["change", "want"])
async def test_what_changes_of_a_folded_card_changes_its_line(store: SqlStore, outbox: SqlOutbox, how: str) -> None:
    folded = await storm(store, outbox)

    async with store.unit() as unit:
        if how == "change":
            unit.messages.change("inc-3", "card")
        else:
            unit.messages.want("inc-3", "card", Rank.CARD, workspace=HOME, channel=CHANNEL)

    assert await due(outbox) is None, "changes of lines gather for a few seconds"
    again = await due(outbox, now=NOW + MINUTE)
    assert again is not None
    assert (again.id, again.ts, again.wanted) == (folded.id, "9.9", folded.wanted + 1)


async def test_an_unfolded_card_is_posted_before_others(store: SqlStore, outbox: SqlOutbox) -> None:
    await storm(store, outbox)
    await want(store, "inc-50")

    async with store.unit() as unit:
        assert await unit.messages.unfold("inc-3")
        assert not await unit.messages.unfold("inc-50")

    first = await post(outbox, "3.1")
    assert (first.subject, first.surface, first.folded_into) == ("inc-3", "card", None)
    async with store.unit() as unit:
        assert not await unit.messages.unfold("inc-3")


async def test_asking_in_the_thread_of_a_folded_card_unfolds_it(store: SqlStore, outbox: SqlOutbox) -> None:
    await storm(store, outbox)

    await want(store, "req-1", "approval", Rank.APPROVAL, parent="inc-3")

    assert [(await post(outbox, ts)).subject for ts in ("3.1", "3.2")] == ["inc-3", "req-1"]


# ---- what stands where -----------------------------------------------------------------------


async def test_a_message_of_ours_is_found_where_it_stands(store: SqlStore, outbox: SqlOutbox) -> None:
    await want(store, "inc-1")
    card = await post(outbox, "1.1")

    async with store.unit() as unit:
        found = await unit.messages.at(CHANNEL, "1.1")
        assert await unit.messages.at(CHANNEL, "1.2") is await unit.messages.at("C0OTHER", "1.1") is None

    assert found is not None
    assert found.id == card.id


async def test_a_message_that_no_row_knows_is_an_orphan_only_when_none_is_on_its_way(
    store: SqlStore, outbox: SqlOutbox
) -> None:
    async def is_orphan(channel: str = CHANNEL, ts: str = "1.1") -> bool:
        async with store.unit() as unit:
            return await unit.messages.is_orphan("inc-1", channel, ts)

    assert not await is_orphan()  # we know nothing of it
    await want(store, "inc-1")
    assert not await is_orphan()  # it may be the one whose ts is about to be saved
    await post(outbox, "1.1")

    assert [await is_orphan(), await is_orphan(ts="1.2"), await is_orphan("C0OTHER")] == [False, True, False]


async def test_a_posted_card_of_an_absorbed_incident_is_brought_up_to_date_and_an_unposted_one_never_sent(
    store: SqlStore, outbox: SqlOutbox
) -> None:
    elder, posted, unposted = [await add_incident(store, number) for number in (1, 2, 3)]
    await want(store, posted.label)
    await post(outbox, "2.1")
    await want(store, unposted.label)

    for younger in (posted, unposted):
        async with store.unit() as unit:
            unit.messages.change(younger.label, "card")
            await unit.incidents.absorb(elder, younger)

    message = await due(outbox)
    assert message is not None
    assert message.subject == posted.label
    await outbox.sent(message, "2.1")
    assert await due(outbox) is None
