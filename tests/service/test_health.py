"""An engine that falls silent is said so once, and so is its coming back."""

import pytest

from bot.domain.errors import Forbidden, NotFound, NotSent, RateLimited
from bot.service import health
from tests.service.world import AUDIT, World

pytestmark = pytest.mark.anyio
REFUSED = NotSent("connection refused\x00")


async def fail_for(world: World, seconds: int, every: int = 15) -> None:
    """Calls that fail every so often."""
    for _ in range(seconds // every):
        await health.failed(world.core, "orders", REFUSED)
        await world.wait(every)


def said(world: World) -> list[str]:
    return [post.text for post in world.chat.in_channel(AUDIT)]


async def test_silence_is_said_once_after_five_minutes_with_its_reason(world: World) -> None:
    await health.answered(world.core, "orders")
    await fail_for(world, 300)
    assert said(world) == []

    await fail_for(world, 900)

    (text,) = said(world)
    assert "orders" in text
    assert "has not answered since" in text
    assert "connection refused\ufffd" in text
    (lost,) = await world.trail(action="bot:engine:lost")
    assert (lost["connection"], lost["actor"], lost["data"]["reason"]) == ("orders", "bot", "connection refused\ufffd")


async def test_its_coming_back_is_said_once(world: World) -> None:
    await fail_for(world, 600)

    for _ in range(3):
        await health.answered(world.core, "orders")
    await world.wait(1)

    assert len(said(world)) == 2
    assert "answers again" in said(world)[1]
    assert len(await world.trail(action="bot:engine:found")) == 1


async def test_a_second_silence_is_said_again(world: World) -> None:
    for _ in range(2):
        await fail_for(world, 600)
        await health.answered(world.core, "orders")

    assert await world.tags() == ["bot:engine:lost", "bot:engine:found"] * 2


async def test_a_short_silence_is_nobodys_concern(world: World) -> None:
    await fail_for(world, 240)
    await health.answered(world.core, "orders")
    await fail_for(world, 240)

    assert await world.trail() == []


@pytest.mark.parametrize("error", [NotFound("no such run"), RateLimited("slow down", 5.0)])
async def test_an_engine_that_says_no_has_answered(world: World, error: NotFound | RateLimited) -> None:
    await fail_for(world, 240)
    await health.failed(world.core, "orders", error)
    await fail_for(world, 240)

    assert await world.trail() == []


async def test_an_engine_that_refuses_our_credential_is_as_good_as_silent(world: World) -> None:
    for _ in range(2):
        await health.failed(world.core, "orders", Forbidden("the token is refused"))
        await world.wait(300)

    assert await world.tags() == ["bot:engine:lost"]


async def test_silence_seen_by_polls_and_readings_counts_together(world: World) -> None:
    world.engine.down = NotSent("connection refused")
    await world.report(world.engine.fail())
    for _ in range(12):
        await world.run_task("engine:orders", "poll orders")
        await world.wait(30)
    world.engine.down = None
    await world.wait(120)

    assert [tag for tag in await world.tags() if tag.startswith("bot:engine")] == ["bot:engine:lost", "bot:engine:found"]
