"""From the click of the last approver to the resume call that reaches the engine; all of it on loopback."""

import asyncio
import time
from urllib.parse import urlsplit

from bench.clicks import AT_ONCE, post_cards
from bench.figures import Figure, Spread
from bench.stand import Arrivals
from bot.simulators.slack import Message
from tests.in_process import ARNO, RITA, Bot, seen

APPROVALS, WARM_UP = 40, 8
GOAL_MS = 30.0


async def measure(bot: Bot, arrivals: Arrivals) -> Figure:
    """Approve request after request, and wait for each call."""
    async with bot.working():
        cards = await post_cards(bot, APPROVALS + WARM_UP)
        questions = []
        for start in range(0, len(cards), AT_ONCE):
            questions += await asyncio.gather(*[_ask(bot, card) for card in cards[start : start + AT_ONCE]])
        taken = [await _approve(bot, arrivals, question) for question in questions]
    ours, bare = Spread.of(taken[WARM_UP:]), await _bare_call(bot)
    return Figure(
        "approval to resume call at the engine, everything read afresh",
        str(ours),
        f"{bare}: one call to the same engine over a fresh connection",
        f"{ours.p50 / bare.p50:.1f} ×",
        f"p50 ≤ {GOAL_MS:.0f} ms",
        ours.p50 <= GOAL_MS,
    )


async def _ask(bot: Bot, card: Message) -> Message:
    invocation = next(one for one in bot.orders.world.invocations.values() if one.id in card.text)
    bot.orders.plan(invocation.key)  # it was repaired
    return await bot.asked(card, RITA)


async def _approve(bot: Bot, arrivals: Arrivals, question: Message) -> float:
    before, begun = len(arrivals.times), time.monotonic()
    await bot.press(ARNO, question, "Approve")
    await seen(lambda: len(arrivals.times) > before, "resume call")
    return arrivals.times[before] - begun


async def _bare_call(bot: Bot) -> Spread:
    admin = urlsplit(bot.settings.connections[0].settings.model_dump()["admin_url"])
    request = f"GET /version HTTP/1.1\r\nHost: {admin.netloc}\r\nConnection: close\r\n\r\n".encode()
    taken = []
    for _ in range(APPROVALS):
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection(admin.hostname, admin.port)
        writer.write(request)
        assert b" 200 " in await reader.readline()
        taken.append(time.monotonic() - begun)
        writer.close()
        await writer.wait_closed()
    return Spread.of(taken)
