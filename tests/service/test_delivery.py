"""Messages reach the chat in order and within its limits, show the state of now, and are told of when they cannot."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.domain.errors import ChatRateLimited, ChatRefused, ChatUnavailable
from bot.domain.execution import ExecutionStatus
from bot.domain.messages import Answer, Home, Word
from bot.domain.setup import Timings
from bot.service.presses import Verb
from bot.service.unit import Place
from tests.service.world import ARNO, AUDIT, DEPLOYS, HOME, LEA, RITA, World, open_world

pytestmark = pytest.mark.anyio
DOWN = ChatUnavailable("unreachable", "Slack does not answer.")


@pytest.fixture
async def paced(database: str) -> AsyncIterator[World]:
    """One post a second on a channel, as outside tests."""
    async with open_world(database, timings=Timings()) as world:
        yield world


async def whisper(world: World, shown: Answer | Word, place: Place, key: str = "k", minutes: int = 25) -> None:
    async with world.store.unit() as unit:
        await unit.messages.whisper(key, place, shown, world.clock.now() + timedelta(minutes=minutes))


# ---- pace and order --------------------------------------------------------------------------


async def test_a_channel_gets_one_post_a_second(paced: World) -> None:
    for number in range(1, 5):
        await paced.report(paced.engine.fail(number))
    seen = []
    for _ in range(6):
        await paced.wait(1)
        seen.append(len(paced.chat.in_channel(DEPLOYS)))

    assert seen[-1] == 4
    assert all(posts <= second + 1 for second, posts in enumerate(seen, 1))


async def test_a_question_goes_before_cards_that_wait(paced: World) -> None:
    incident = await paced.failed()
    await paced.wait(1)
    paced.chat.faults.add("post", ChatRateLimited(5.0))
    for number in range(2, 5):
        await paced.report(paced.engine.fail(number))
    await paced.wait(3)

    await paced.asked(incident)
    await paced.wait(10)

    kinds = [post.thread_ts is not None for post in paced.chat.posts]
    assert kinds == [False, True, False, False, False]


async def test_many_changes_are_one_update_that_shows_the_last(world: World) -> None:
    incident = await world.failed()
    versions = len(world.card().versions)

    for verb, user in ((Verb.ACKNOWLEDGE, RITA), (Verb.ASSIGN, ARNO), (Verb.ASSIGN, LEA)):
        await world.press(user, verb, incident)
    await world.work()

    assert len(world.card().versions) == versions + 1
    assert "assigned to <@U0LEA>" in world.card().text
    assert "acknowledged by <@U0RITA>" in world.card().text


async def test_a_wait_that_slack_asks_for_is_kept_and_nothing_is_lost(world: World) -> None:
    world.chat.faults.add("post", ChatRateLimited(7.0))
    await world.report(world.engine.fail())
    await world.wait(3)
    posts = world.chat.calls.count("post")
    assert (posts, world.chat.posts) == (1, [])

    await world.wait(3.9)
    assert world.chat.calls.count("post") == 1
    await world.wait(0.2)

    assert "run-1" in world.card().text


async def test_while_posting_pauses_updates_go_on(world: World) -> None:
    incident = await world.failed()
    world.chat.faults.add("post", ChatRateLimited(30.0))
    await world.report(world.engine.fail(2))
    await world.wait(3)

    await world.press(RITA, Verb.ACKNOWLEDGE, incident)
    await world.wait(1)

    assert "acknowledged by" in world.card().text
    assert len(world.chat.in_channel(DEPLOYS)) == 1


async def test_a_workspace_gets_forty_updates_a_minute(world: World) -> None:
    incidents = [await world.failed(number) for number in range(1, 4)]
    before = world.chat.calls.count("update")
    for _ in range(20):
        for incident in incidents:
            async with world.store.unit() as unit:
                unit.messages.change(incident.label, "card")
            await world.work()

    assert world.chat.calls.count("update") - before == 40
    await world.wait(60)
    assert all(len(post.versions) > 1 for post in world.chat.in_channel(DEPLOYS))
    assert await world.outbox.due_again_at(f"{HOME}:{DEPLOYS}", world.clock.now()) is None


# ---- outages ---------------------------------------------------------------------------------


async def test_what_was_to_be_said_while_slack_was_down_is_said_afterwards(world: World) -> None:
    incident = await world.failed()
    world.chat.down = DOWN
    await world.press(RITA, Verb.RETRY, incident)
    request = await world.newest(incident)
    await world.press(ARNO, Verb.APPROVE, request)
    await world.wait(5)
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.wait(30)
    assert len(world.engine.calls) == 1

    world.chat.down = None
    await world.wait(61)

    assert "Succeeded" in world.card().text
    assert [text.split()[1].strip("*") for text in world.thread()] == ["Succeeded:", "Approved", "Checkout"]


async def test_a_slack_that_is_down_is_not_asked_once_a_message(world: World) -> None:
    world.chat.down = DOWN
    for number in range(1, 10):
        await world.report(world.engine.fail(number))
    await world.wait(60)
    assert len(world.chat.calls) < 30

    world.chat.down = None
    await world.wait(90)

    assert len(world.chat.in_channel(DEPLOYS)) == 9


async def test_a_message_that_slack_cannot_take_now_does_not_hold_up_the_next(world: World) -> None:
    world.chat.faults.add("post", *[ChatUnavailable("internal_error")] * 3)
    await world.report(world.engine.fail(1))
    await world.report(world.engine.fail(2))
    await world.wait(30)

    assert sorted(post.text.count("run-1") > 0 for post in world.chat.in_channel(DEPLOYS)) == [False, True]


async def test_a_post_whose_answer_was_lost_may_stand_twice_and_the_stored_one_is_live(world: World) -> None:
    world.chat.unanswered = DOWN
    incident = await world.failed()
    orphan, live = world.chat.in_channel(DEPLOYS)

    refused = await world.press(RITA, Verb.RETRY, incident, message_ts=orphan.ts)
    taken = await world.press(RITA, Verb.RETRY, incident, message_ts=live.ts)
    await world.work()

    assert (refused.is_refusal, taken.is_refusal) == (True, False)
    assert world.chat.in_channel(DEPLOYS) == [live]


# ---- dead letters ----------------------------------------------------------------------------


async def test_a_card_that_cannot_be_posted_is_a_dead_letter_said_in_trail_and_audit_channel(world: World) -> None:
    world.chat.refusals[DEPLOYS] = "not_in_channel"
    await world.report(world.engine.fail())
    await world.wait(5)

    dead = await world.trail(action="bot:message:undeliverable")
    assert [(entry["incident"], entry["data"]["code"]) for entry in dead] == [("inc-1", "not_in_channel")]
    said = world.chat.in_channel(AUDIT)
    assert len(said) == 1
    assert "inc-1" in said[0].text
    assert "invite me" in said[0].text


async def test_once_invited_the_bot_posts_what_it_could_not(world: World) -> None:
    world.chat.refusals[DEPLOYS] = "not_in_channel"
    await world.report(world.engine.fail())
    await world.wait(5)
    del world.chat.refusals[DEPLOYS]

    async with world.store.unit() as unit:
        await unit.messages.revive(DEPLOYS)
    await world.work()

    assert "run-1" in world.card().text


async def test_an_update_that_was_refused_is_tried_again_with_the_next_change(world: World) -> None:
    incident = await world.failed()
    world.chat.faults.add("update", ChatRefused("invalid_blocks"))
    await world.press(RITA, Verb.ACKNOWLEDGE, incident)
    await world.work()
    assert "acknowledged" not in world.card().text

    await world.press(ARNO, Verb.ASSIGN, incident)
    await world.work()

    assert "acknowledged by <@U0RITA>" in world.card().text


async def test_an_audit_channel_that_cannot_be_posted_to_is_no_endless_story(world: World) -> None:
    world.chat.refusals = {DEPLOYS: "is_archived", AUDIT: "is_archived"}
    await world.report(world.engine.fail())
    await world.wait(300)

    assert len(await world.trail(action="bot:message:undeliverable")) == 2


async def test_a_card_that_people_deleted_is_posted_anew(world: World) -> None:
    incident = await world.failed()
    await world.chat.delete(DEPLOYS, world.card().ts)

    await world.press(RITA, Verb.ACKNOWLEDGE, incident)
    await world.work()

    assert "acknowledged by" in world.card().text
    assert len(world.chat.in_channel(DEPLOYS)) == 1


# ---- private answers -------------------------------------------------------------------------


async def test_an_answer_goes_to_the_address_of_its_command(world: World) -> None:
    world.chat.urls["https://hooks.slack.com/1"] = RITA
    await whisper(world, Answer("said"), Place(HOME, RITA, DEPLOYS, response_url="https://hooks.slack.com/1"))
    await world.work()

    assert (world.told(RITA).via, world.chat.calls) == ("https://hooks.slack.com/1", ["answer"])


async def test_an_address_that_is_used_up_is_replaced_by_a_word_in_the_channel(world: World) -> None:
    await whisper(world, Answer("said"), Place(HOME, RITA, DEPLOYS, response_url="https://hooks.slack.com/old"))
    await world.work()

    assert (world.told(RITA).channel, world.told(RITA).via) == (DEPLOYS, "ephemeral")
    assert await world.trail() == []


async def test_an_answer_without_an_address_goes_to_the_person_in_channel_and_thread(world: World) -> None:
    await whisper(world, Answer("said"), Place(HOME, RITA, DEPLOYS, thread_ts="1.1"))
    await whisper(world, Answer("said"), Place(HOME, ARNO), "other")
    await world.work()

    assert (world.told(RITA).channel, world.told(RITA).thread_ts) == (DEPLOYS, "1.1")
    assert world.told(ARNO).channel == ARNO


async def test_an_answer_waits_for_slack_until_nobody_wants_it_any_more(world: World) -> None:
    world.chat.down = DOWN
    await whisper(world, Answer("said"), Place(HOME, RITA, DEPLOYS), minutes=5)
    await world.wait(299)
    assert await world.trail() == []

    await world.wait(120)
    world.chat.down = None
    await world.wait(120)

    assert world.chat.whispers == []
    assert await world.tags() == ["bot:message:undeliverable"]


async def test_an_answer_that_slack_asks_to_wait_with_comes_then(world: World) -> None:
    world.chat.faults.add("whisper", ChatRateLimited(3.0))
    await whisper(world, Answer("said"), Place(HOME, RITA, DEPLOYS))
    await world.wait(4)

    assert "said" in world.told(RITA).text


async def test_a_form_is_changed_and_one_that_was_closed_is_nobodys_trouble(world: World) -> None:
    world.chat.views["open"] = []
    await whisper(world, Word("said"), Place(HOME, RITA, view_id="open"))
    await whisper(world, Word("said"), Place(HOME, RITA, view_id="closed"), "other")
    await world.work()

    assert world.chat.views["open"] == [Word("said")]
    assert await world.trail() == []
    assert world.chat.in_channel(AUDIT) == []


async def test_a_home_shows_what_waits_what_was_asked_and_what_is_open(world: World) -> None:
    incident = await world.failed()
    await world.failed(2)
    await world.asked(incident)
    for user in (RITA, ARNO):
        async with world.store.unit() as unit:
            await unit.messages.want_home(HOME, user)
    await world.work()

    def shown(home: Home) -> tuple[int, int, int]:
        return len(home.waiting), len(home.asked), len(home.open)

    assert shown(world.chat.homes[RITA]) == (0, 1, 2)
    assert shown(world.chat.homes[ARNO]) == (1, 0, 2)


async def test_a_form_that_slack_opens_late_is_changed_again_and_a_closed_one_is_no_dead_letter(world: World) -> None:
    await whisper(world, Word("said"), Place(HOME, RITA, view_id="late"), "one")
    await whisper(world, Word("said"), Place(HOME, RITA, view_id="closed"), "two")
    world.chat.views["late"] = []

    await world.wait(10)

    assert world.chat.views["late"] == [Word("said")]
    async with world.store.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM messages WHERE dead_at IS NOT NULL"))).scalar_one() == 0
