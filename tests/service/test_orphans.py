"""A message that stands there twice, after a crash between Slack's answer and our commit, and a press on either."""

import pytest

from bot.domain.request import Request, RequestState
from bot.service.presses import Verb
from bot.service.unit import Message
from tests.service.world import ARNO, DEPLOYS, World

pytestmark = pytest.mark.anyio


async def approval_of(world: World, request: Request) -> Message:
    """The approval message as the rows have it."""
    for post in world.chat.in_thread(world.card()):
        async with world.store.unit() as unit:
            found = await unit.messages.at(DEPLOYS, post.ts)
        if found and (found.subject, found.surface) == (request.label, "approval"):
            return found
    raise AssertionError("no approval message stands where the rows believe it")


async def posted_twice(world: World) -> tuple[Request, Message, str]:
    """A request, its approval message as another worker read it, and the copy which that worker has just posted."""
    request = await world.asked(await world.failed())
    message = await approval_of(world, request)
    (shown,) = [post.shown for post in world.chat.in_thread(world.card()) if post.ts == message.ts]
    return request, message, await world.chat.post(DEPLOYS, shown, world.card().ts)


async def is_approved_where_it_stands(world: World, request: Request) -> bool:
    message = await approval_of(world, request)
    await world.press(ARNO, Verb.APPROVE, request, message_ts=message.ts or "")
    return (await world.again(request)).state is RequestState.APPROVED


async def test_a_copy_whose_place_is_saved_after_a_press_on_it_stays(world: World) -> None:
    request, message, copy = await posted_twice(world)

    refused = await world.press(ARNO, Verb.APPROVE, request, message_ts=copy)
    await world.outbox.sent(message, copy)
    await world.work()

    assert refused.is_refusal
    assert (await approval_of(world, request)).ts == copy
    assert await is_approved_where_it_stands(world, request)


async def test_a_copy_whose_place_is_saved_after_it_was_taken_away_is_posted_anew(world: World) -> None:
    request, message, copy = await posted_twice(world)

    await world.press(ARNO, Verb.APPROVE, request, message_ts=copy)
    await world.run_task("slack", "delete_orphan", channel=DEPLOYS, ts=copy, subject=request.label)
    await world.outbox.sent(message, copy)
    await world.work()
    await world.sweep()

    assert "delete" in world.chat.calls
    assert await is_approved_where_it_stands(world, request)
