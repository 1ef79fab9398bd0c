"""A bot on a socket: its own Bolt app, the double of Slack's side, and what the tests of Socket Mode say and look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from slack_sdk.web.async_client import AsyncWebClient

from bot import bootstrap
from bot.slack.socket import Pace, SocketMode
from tests.in_process import DEPLOYS, RITA, TOKEN, Bot
from tests.socket_mode.double import APP_TOKEN, SlackSockets, Wire, envelope

QUICK = Pace(ask=1.0, connect=1.0, ping=0.2, first_wait=0.05, longest_wait=0.2, overlap=2.0)


@dataclass
class Stand:
    """A bot, Slack's side of the sockets, and the connection between them."""

    bot: Bot
    sockets: SlackSockets
    line: SocketMode
    running: asyncio.Task[None]

    async def help(self, wire: Wire | None = None) -> dict[str, Any]:
        """What `/resume help` is answered over a connection."""
        return await answered(await self.sockets.deliver(envelope("slash_commands", command("help")), wire))

    async def ends(self) -> None:
        """Told to stop, it has come to its end."""
        self.line.stop()
        async with asyncio.timeout(5):
            await self.running


def command(text: str, **more: str) -> dict[str, str]:
    """A slash command as Slack sends it."""
    fields = {"token": "unused", "team_id": "T0PLAY", "user_id": RITA, "channel_id": DEPLOYS, "trigger_id": "1.2.trigger"}
    return {**fields, "command": "/resume", "text": text, "response_url": "", **more}


async def answered(answer: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
    """The answer within Slack's patience."""
    async with asyncio.timeout(3):
        return await answer


def client_of(sockets: SlackSockets, bot: Bot) -> AsyncWebClient:
    """A client of the double, as bootstrap makes it."""
    client = AsyncWebClient(token=TOKEN, base_url=f"{sockets.url}/api/", session=bot.parts.session, retry_handlers=[])
    client.proxy = None
    return client


@asynccontextmanager
async def connected(bot: Bot, sockets: SlackSockets, pace: Pace = QUICK) -> AsyncIterator[Stand]:
    """The bot's own Bolt app on a socket, whether or not Slack is there."""
    line = SocketMode(bootstrap.slack_app(bot.parts).bolt, client_of(sockets, bot), APP_TOKEN, pace)
    await line.prepare()
    stand = Stand(bot, sockets, line, asyncio.create_task(line.run()))
    yield stand
    await stand.ends()
    assert not sockets.wires
    assert sockets.broken == []


@asynccontextmanager
async def holding(bot: Bot, table: str) -> AsyncIterator[None]:
    """Nobody else gets at this table."""
    async with await psycopg.AsyncConnection.connect(bootstrap.conninfo_of(bot.url)) as connection:
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        await connection.rollback()
