"""From the click of the last approver to the resume call at the engine; all of it on loopback, one after the other."""

import asyncio
import time
from urllib.parse import urlsplit

from bench.engine import EngineSide
from bench.figures import Figure, Spread
from bot.domain.execution import ExecutionRef, FailureNotice
from bot.service.incidents import report_failure
from bot.simulators.slack import Message
from tests.in_process import ARNO, RITA, Bot, seen, until

APPROVALS, WARM_UP, AT_ONCE = 24, 8, 8
GOAL_MS = 30.0
BUSY = (  # what an earlier approval still makes the bot do
    "SELECT 1 FROM requests WHERE state IN ('approved', 'resuming', 'running')"
    " UNION ALL SELECT 1 FROM messages WHERE wanted > posted AND dead_at IS NULL"
    " UNION ALL SELECT 1 FROM jobs.procrastinate_jobs WHERE status = 'doing'"
    " OR (status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))"
)


async def measure(bot: Bot, side: EngineSide) -> Figure:
    """Approve request after request, each when the bot rests."""
    async with bot.working():
        questions: list[Message] = []
        while len(questions) < APPROVALS + WARM_UP:
            questions += await asyncio.gather(*[_asked(bot, side) for _ in range(AT_ONCE)])
        taken = [await _approve(bot, side, question) for question in questions]
    ours, bare = Spread.of(taken[WARM_UP:]), await _bare_call(side)
    return Figure(
        f"approval to resume call at {side.name}, everything read afresh",
        str(ours),
        f"{bare}: a call to the same server over a fresh connection",
        f"{ours.p50 - bare.p50:.1f} ms more",
        f"p50 ≤ {GOAL_MS:.0f} ms",
        ours.p50 <= GOAL_MS,
    )


async def _asked(bot: Bot, side: EngineSide) -> Message:
    """The question about a failure that was repaired meanwhile."""
    made = await side.world.start(None, deploy="fail")
    await side.world.wait_status(made["id"], "paused")
    await report_failure(bot.parts.core, FailureNotice(ExecutionRef("orders", made["id"]), made["id"]), "hook")
    card = await seen(lambda: bot.find(made["id"], "Retry"), "card")
    await side.world.plan(made["key"])
    return await bot.asked(card, RITA)


async def _approve(bot: Bot, side: EngineSide, question: Message) -> float:
    async def is_at_rest() -> bool:
        return not await bot.ask(f"{BUSY} LIMIT 1")

    await until(is_at_rest, "rest", 30)
    calls = side.watcher.times
    before, begun = len(calls), time.monotonic()
    await bot.press(ARNO, question, "Approve")
    await seen(lambda: len(calls) > before, "resume call")
    return calls[before] - begun


async def _bare_call(side: EngineSide) -> Spread:
    address = urlsplit(side.url)
    request = f"GET /version HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode()
    taken = []
    for _ in range(APPROVALS):
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(request)
        assert b" 200 " in await reader.readline()
        taken.append(time.monotonic() - begun)
        writer.close()
    return Spread.of(taken)
