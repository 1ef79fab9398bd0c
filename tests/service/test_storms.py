"""How many messages a burst of failures makes, and which card of an incident is the real one."""

from dataclasses import replace

import pytest

from bot.service.presses import Verb
from tests.service.world import DEPLOYS, RITA, World

pytestmark = pytest.mark.anyio


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
