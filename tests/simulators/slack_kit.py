"""A simulated workspace for the tests of the simulator: who is in it, how to call it, and a stock Bolt app as its bot."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.simulators.serving import serve
from bot.simulators.slack import Channel, Group, Person, SlackSimulator

TOKEN, SECRET = "xoxb-of-a-test", "secret-of-a-test"
RITA, ARNO, OLGA, GINA, GONE, BOT = "U0RITA", "U0ARNO", "U0OLGA", "U0GINA", "U0GONE", "U0BOT"
OPEN, QUIET, PRIVATE, OLD, OUTSIDE = "C0OPEN", "C0QUIET", "C0PRIVATE", "C0OLD", "C0OUTSIDE"


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def simulator(**settings: Any) -> SlackSimulator:
    """A workspace with a guest, somebody of another organisation, a deactivated person, and channels of all kinds."""
    people = [
        Person(RITA, "rita", "Rita", "T0HOME"),
        Person(ARNO, "arno", "Arno", "T0HOME"),
        Person(OLGA, "olga", "Olga", "T0ELSE"),
        Person(GINA, "gina", "Gina", "T0HOME", is_restricted=True),
        Person(GONE, "gone", "Gone", "T0HOME", deleted=True),
        Person(BOT, "resumebot", "Resumebot", "T0HOME", is_bot=True),
    ]
    channels = [
        Channel(OPEN, "open", [RITA, ARNO, OLGA, BOT]),
        Channel(QUIET, "quiet", [RITA]),
        Channel(PRIVATE, "private", [ARNO, BOT], is_private=True),
        Channel(OLD, "old", [RITA, BOT], is_archived=True),
        Channel(OUTSIDE, "outside", [RITA], is_private=True),
    ]
    given = {
        "signing_secret": SECRET,
        "bot_token": TOKEN,
        "bot_url": "http://bot",
        "people": people,
        "channels": channels,
        "groups": [Group("S0RELEASE", "release", [ARNO])],
    }
    return SlackSimulator(**(given | settings))


class Caller:
    """Calls the simulated Slack in process, as bare HTTP."""

    def __init__(self, slack: SlackSimulator) -> None:
        self.slack = slack
        slack.public_url = slack.public_url or "http://slack"
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(slack.app), base_url="http://slack")

    async def __call__(self, method: str, **args: Any) -> dict[str, Any]:
        """The answer of a method."""
        answer: dict[str, Any] = (await self.raw(method, **args)).json()
        return answer

    async def raw(self, method: str, **args: Any) -> httpx.Response:
        """The whole response of a method."""
        return await self.http.post(f"/api/{method}", json=args, headers={"Authorization": f"Bearer {TOKEN}"})

    async def post(self, channel: str = OPEN, text: str = "words", **more: Any) -> str:
        """Posts a message and gives its timestamp."""
        return str((await self("chat.postMessage", channel=channel, text=text, **more))["ts"])


class Seat:
    """A served address at which each test puts an app of its own: starting and stopping servers is what takes time."""

    def __init__(self) -> None:
        self.app: ASGIApp = Starlette()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (Starlette() if scope["type"] == "lifespan" else self.app)(scope, receive, send)


class Stage:
    """A simulated Slack and a bot in reach of each other, over real ports."""

    def __init__(self, slack: Seat, bot: Seat, slack_url: str, bot_url: str) -> None:
        self._slack, self._bot = slack, bot
        self.slack_url, self.bot_url = slack_url, bot_url

    def put_slack(self, slack: SlackSimulator) -> None:
        """Lets this simulator be the Slack."""
        self._slack.app = slack.app
        slack.public_url, slack.bot_url = self.slack_url, self.bot_url

    def put_bot(self, app: AsyncApp) -> None:
        """Lets this Bolt app be the bot."""
        self._bot.app = Starlette(routes=[Route("/slack/events", AsyncSlackRequestHandler(app).handle, methods=["POST"])])
        app.client.base_url = f"{self.slack_url}/api/"

    def client(self) -> AsyncWebClient:
        """A client of the Slack that is there, which tries nothing twice."""
        return AsyncWebClient(TOKEN, base_url=f"{self.slack_url}/api/", retry_handlers=[])


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Two served addresses for as long as the block runs."""
    slack, bot = Seat(), Seat()
    async with serve(slack) as slack_url, serve(bot) as bot_url:
        yield Stage(slack, bot, slack_url, bot_url)


def bolt() -> AsyncApp:
    """A stock Bolt app that checks signatures and answers within the request."""
    return AsyncApp(token=TOKEN, signing_secret=SECRET, client=AsyncWebClient(TOKEN), process_before_response=True)


def plain(text: str) -> dict[str, Any]:
    """A plain_text object."""
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> dict[str, Any]:
    """A mrkdwn object."""
    return {"type": "mrkdwn", "text": text}


def option(value: str, label: str = "") -> dict[str, Any]:
    """An option of a select."""
    return {"text": plain(label or value), "value": value}


def button(action_id: str = "go", **more: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": plain("Go"), **more}


def select(action_id: str = "stage", **more: Any) -> dict[str, Any]:
    """A static select of two options."""
    return {"type": "static_select", "action_id": action_id, "options": [option("one"), option("two")], **more}


def actions(*elements: dict[str, Any], block_id: str = "row") -> dict[str, Any]:
    """An actions block."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def question(element: dict[str, Any], block_id: str = "why", **more: Any) -> dict[str, Any]:
    """An input block."""
    return {"type": "input", "block_id": block_id, "label": plain("Why"), "element": element, **more}


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A modal with a submit button."""
    return {"type": "modal", "title": plain("Title"), "submit": plain("Send"), "blocks": list(blocks), **more}


def hear(app: AsyncApp, *, answer: Any = None) -> list[dict[str, Any]]:
    """Lets the app take every interaction, and keeps what it was told."""
    heard: list[dict[str, Any]] = []

    async def listener(ack: Any, body: dict[str, Any]) -> None:
        heard.append(body)
        await ack(**(answer or {}))

    app.action({"type": "block_actions", "action_id": "go"})(listener)
    app.action({"type": "block_actions", "action_id": "stage"})(listener)
    app.action({"type": "block_actions", "action_id": "more"})(listener)
    app.view("asked")(listener)
    app.view_closed("asked")(listener)
    app.shortcut("resume")(listener)
    app.options("stage")(listener)
    return heard


async def card(app: AsyncApp, *elements: dict[str, Any], channel: str = OPEN) -> str:
    """Posts a message with these elements and gives its timestamp."""
    posted = await app.client.chat_postMessage(channel=channel, text="card", blocks=[actions(*elements)])
    return str(posted["ts"])


async def show(app: AsyncApp, slack: SlackSimulator, view: dict[str, Any], user: str = RITA) -> dict[str, Any]:
    """Opens a modal of the app's in front of a person."""
    await app.client.views_open(trigger_id=slack._state.issue_trigger(user), view=view)
    return slack.views[user][-1]
