"""From a signed click to its acknowledgement, its change committed; beside it the acknowledgement of a bare Bolt app."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bench.direct import Direct
from bench.figures import Figure, Spread
from bot.domain.execution import ExecutionRef, FailureNotice
from bot.service.incidents import report_failure
from bot.simulators.slack import Ack, Message
from tests.in_process import DEPLOYS, RITA, SECRET, TOKEN, Bot, place_of, seen

CLICKS, WARM_UP = 120, 20
AT_ONCE, A_TURN = 8, 20
GOAL = 0.35


async def measure(bot: Bot) -> Figure:
    """Retry on failure after failure, and the same signed bytes at the bare app, in turns, so that both bear the same load."""
    async with bot.working():
        cards = await post_cards(bot, CLICKS + WARM_UP)
    bare = Direct(_bare_app(bot))
    ours, theirs = [], []
    for start in range(0, len(cards), A_TURN):
        acks = [await bot.slack.press(RITA, DEPLOYS, one.ts, *place_of(one, "Retry")) for one in cards[start : start + A_TURN]]
        ours += [ack.seconds for ack in acks]
        theirs += [await _timed(bare, ack) for ack in acks]
    assert await bot.ask("SELECT count(*) FROM requests") == [CLICKS + WARM_UP]
    mine, yardstick = Spread.of(ours[WARM_UP:]), Spread.of(theirs[WARM_UP:])
    ratio = mine.p50 / yardstick.p50
    return Figure(
        "signed click to acknowledgement, commit included",
        str(mine),
        f"{yardstick}: a bare Bolt AsyncApp in its default mode, which commits nothing",
        f"{ratio:.2f} ×",
        f"≤ {GOAL} ×",
        ratio <= GOAL,
    )


async def post_cards(bot: Bot, count: int) -> list[Message]:
    """So many failures, each with its card; few at a time, so that no storm folds them."""
    cards: list[Message] = []
    while len(cards) < count:
        cards += await asyncio.gather(*[_post_card(bot) for _ in range(min(AT_ONCE, count - len(cards)))])
    return cards


async def _post_card(bot: Bot) -> Message:
    execution = await bot.failed()
    await report_failure(bot.parts.core, FailureNotice(ExecutionRef("orders", execution), execution), "hook")
    return await seen(lambda: bot.find(execution, "Retry"), "card")


def _bare_app(bot: Bot) -> ASGIApp:
    """As in Bolt's own examples."""
    app = AsyncApp(token=TOKEN, signing_secret=SECRET)
    app.client.base_url = bot.settings.slack_api_url

    @app.action("rb:retry")
    async def retry(ack: Callable[[], Awaitable[None]]) -> None:
        await ack()

    handler = AsyncSlackRequestHandler(app)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    return Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])


async def _timed(bare: Direct, ack: Ack) -> float:
    begun = time.monotonic()
    answer = await bare.post("http://bot/slack/events", content=ack.sent.content, headers=ack.sent.headers)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - begun
