"""A simulated workspace over real HTTP, and the adapter's own client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.simulators.serving import serve
from bot.simulators.slack import Channel, Group, Person, SlackSimulator

TOKEN, SECRET, TEAM = "xoxb-of-a-test", "secret-of-a-test", "T0HOME"
RITA, ARNO, OLGA, GINA, GONE, BOT = "U0RITA", "U0ARNO", "U0OLGA", "U0GINA", "U0GONE", "U0BOT"
DEPLOYS, QUIET = "C0DEPLOYS", "C0QUIET"


@dataclass
class World:
    """The simulator and what speaks to it."""

    slack: SlackSimulator
    client: AsyncWebClient
    session: aiohttp.ClientSession

    def asked(self, method: str) -> list[dict[str, Any]]:
        """The arguments of all calls of a method."""
        return [dict(call.args) for call in self.slack.calls if call.method == method]


def simulator() -> SlackSimulator:
    """A workspace with people of every kind."""
    people = [
        Person(RITA, "rita", "Rita", TEAM),
        Person(ARNO, "arno", "Arno", TEAM),
        Person(OLGA, "olga", "Olga", "T0ELSE"),
        Person(GINA, "gina", "Gina", TEAM, is_restricted=True),
        Person(GONE, "gone", "Gone", TEAM, deleted=True),
        Person(BOT, "resumebot", "Resumebot", TEAM, is_bot=True),
    ]
    return SlackSimulator(
        signing_secret=SECRET,
        bot_token=TOKEN,
        bot_url="http://127.0.0.1:1",
        people=people,
        channels=[Channel(DEPLOYS, "deploys", [RITA, ARNO, OLGA, BOT]), Channel(QUIET, "quiet", [RITA], is_private=True)],
        groups=[Group("S0RELEASE", "release", [ARNO, RITA])],
        pace=False,
        page_size=2,
    )


class Door:
    """One server for many tests: whichever app is behind it answers."""

    def __init__(self) -> None:
        self.app: ASGIApp = Starlette()
        self.url = ""
        self.sessions: list[aiohttp.ClientSession] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the present app answer."""
        await self.app(scope, receive, send)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session all calls share."""
        return self.sessions[0]

    def client(self) -> AsyncWebClient:
        """A client as bootstrap makes it."""
        return AsyncWebClient(token=TOKEN, base_url=f"{self.url}/api/", session=self.session, retry_handlers=[])


@asynccontextmanager
async def open_door() -> AsyncIterator[Door]:
    """The server, up."""
    door = Door()
    async with serve(door) as url, aiohttp.ClientSession() as session:
        door.url = url
        door.sessions.append(session)
        yield door


@asynccontextmanager
async def world(door: Door) -> AsyncIterator[World]:
    """A fresh simulator behind the door."""
    slack = simulator()
    slack.public_url = door.url
    door.app = slack.app
    yield World(slack, door.client(), door.session)
    await slack.close()


def odd(door: Door, *bodies: str, content_type: str = "application/json") -> AsyncWebClient:
    """A client whose calls get these answers one after the other, and the last one from then on."""
    left = list(bodies)

    async def answer(_: Request) -> Response:
        return Response(left.pop(0) if len(left) > 1 else left[0], media_type=content_type)

    door.app = Starlette(routes=[Route("/api/{method}", answer, methods=["GET", "POST"])])
    return door.client()
