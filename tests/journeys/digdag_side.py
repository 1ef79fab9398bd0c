"""A Digdag server, real or simulated, behind a gate that counts start calls, and a process of the bot that it tells.

people ─▶ Slack ─▶ bot ─▶ Gate (down? PUTs, what happens after one) ─▶ server ─▶ doors that tasks call
                    ◀── notification, the only way the bot hears of failures here ──┘
"""

import itertools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import httpx
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.simulators.digdag import DigdagSimulator
from bot.simulators.digdag_run import Pace
from bot.simulators.serving import serve
from bot.simulators.slack import Message as Shown
from tests.digdag_lab.door import Forward
from tests.digdag_lab.lab import HOOK_TOKEN, PASSWORD, USER, DigdagLab, why_no_server
from tests.journeys import bots
from tests.journeys.bots import Bot
from tests.journeys.ledger import Ledger
from tests.journeys.people import AUDIT, DEPLOYS, RELEASE, RITA, SECRET, TOKEN, People, workspace
from tests.journeys.waiting import seen, until

CONNECTION = "etl"
CREDENTIAL = f"{USER}:{PASSWORD}"
# +load is turned away until the door that ${door} names is open; params stay the same when an attempt is resumed.
WORKFLOW = """
+prepare:
  echo>: prepared
+check:
  _parallel: true
  +left:
    echo>: left
  +right:
    echo>: right
+load:
  http>: ${door}
  method: POST
+publish:
  echo>: published
"""
CONFIGURATION = f"""
[slack]
audit_channel = "{AUDIT}"

[[connections]]
name = "{CONNECTION}"
engine = "digdag"
base_url = "%s"
token = "env:ETL_TOKEN"
hook_secret = "env:ETL_HOOK"
poll_seconds = 0

[[routes]]
match = {{ connection = "{CONNECTION}", name = "nightly*" }}
channel = "{DEPLOYS}"

[[policies]]
name = "journeys"
requesters = ["anyone"]
approvers = ["{RITA}", "{RELEASE}"]
"""
PATIENCE = 60.0  # a real server takes its time, and Retry stands there some seconds after its end


async def _nothing() -> None:
    """Nothing happens."""


class Gate:
    """An ASGI app before the server; `after_start` happens when a start call was answered and nobody knows it yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.starts: list[int] = []
        self.is_down = False
        self.after_start: Callable[[], Awaitable[None]] = _nothing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] == "http" and self.is_down:
            await Response(status_code=503)(scope, receive, send)
        elif scope["type"] == "http" and (scope["method"], scope["path"]) == ("PUT", "/api/attempts"):
            await self._app(scope, receive, self._counting(send))
        else:
            await self._app(scope, receive, send)

    def _counting(self, send: Send) -> Send:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.starts.append(message["status"])
                then, self.after_start = self.after_start, _nothing
                await then()
            await send(message)

        return counting


class Doors:
    """What tasks call: 500 until it is opened."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by path."""
        await Response(status_code=200 if scope["path"] in self.open else 500)(scope, receive, send)


class Server(Protocol):
    """What a journey does to a server, and sees of it from outside the bot."""

    app: ASGIApp

    async def start(self, workflow: str, params: Mapping[str, Any]) -> str: ...
    async def ended(self, attempt_id: str) -> bool: ...
    async def ran(self, attempt_id: str) -> set[str]: ...
    async def session(self, attempt_id: str) -> tuple[str, list[str]]: ...
    def tell(self, hook: str | None) -> None: ...


class Simulated:
    """The simulator."""

    def __init__(self) -> None:
        self._simulator = DigdagSimulator(credential=CREDENTIAL, pace=Pace(task_seconds=0.01))
        self._simulator.push("lab", {"nightly": WORKFLOW})
        self.app: ASGIApp = self._simulator
        self._minutes = itertools.count()

    async def start(self, workflow: str, params: Mapping[str, Any]) -> str:
        return str(self._simulator.start(workflow, f"2026-01-01T00:{next(self._minutes):02}:00Z", params).id)

    async def ended(self, attempt_id: str) -> bool:
        return (await self._simulator.ended(int(attempt_id))).success

    async def ran(self, attempt_id: str) -> set[str]:
        return self._simulator.world.attempt(int(attempt_id)).ran

    async def session(self, attempt_id: str) -> tuple[str, list[str]]:
        session = self._simulator.world.attempt(int(attempt_id)).session
        return str(session.id), [str(attempt.id) for attempt in session.attempts]

    def tell(self, hook: str | None) -> None:
        self._simulator.notification.url = hook
        self._simulator.notification.headers = {"Authorization": HOOK_TOKEN}

    async def close(self) -> None:
        await self._simulator.close()


class Real:
    """A real server, from a thread beside the loop."""

    def __init__(self, lab: DigdagLab) -> None:
        self._lab = lab
        self._forward = Forward(lab.base_url)
        self.app: ASGIApp = self._forward
        lab.push({"nightly": WORKFLOW})

    async def start(self, workflow: str, params: Mapping[str, Any]) -> str:
        return await anyio.to_thread.run_sync(self._lab.start, workflow, params)

    async def ended(self, attempt_id: str) -> bool:
        return await anyio.to_thread.run_sync(self._lab.ended, attempt_id)

    async def ran(self, attempt_id: str) -> set[str]:
        return await anyio.to_thread.run_sync(self._lab.ran, attempt_id)

    async def session(self, attempt_id: str) -> tuple[str, list[str]]:
        return await anyio.to_thread.run_sync(self._lab.session, attempt_id)

    def tell(self, hook: str | None) -> None:
        self._lab.hooks.forward_to = hook

    async def close(self) -> None:
        await self._forward.aclose()


@asynccontextmanager
async def simulated() -> AsyncIterator[Server]:
    """The simulator, without anything to install."""
    server = Simulated()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def real() -> AsyncIterator[Server]:
    """A real server; skipped where there is none, with the reason."""
    if (reason := why_no_server()) is not None:
        pytest.skip(reason)
    with DigdagLab() as lab:
        server = Real(lab)
        try:
            yield server
        finally:
            await server.close()


@dataclass(frozen=True)
class Failure:
    """An attempt that has failed at +load, and what opens its door."""

    id: str
    path: str


class Journey:
    """One installation: the server, the people, and the process between them."""

    def __init__(self, server: Server, gate: Gate, doors: Doors, people: People, ledger: Ledger) -> None:
        self.server, self.gate, self.doors, self.people, self.ledger = server, gate, doors, people, ledger
        self.settings: dict[str, str] = {}
        self.folder = Path()
        self.doors_url = ""
        self.bot: Bot | None = None
        self._numbers = itertools.count(1)

    # ---- the process ---------------------------------------------------------------------

    async def start_bot(self) -> None:
        """A new process, waited for until it serves."""
        log = self.folder / f"{next(self._numbers)}.log"
        self.bot = bot = await bots.start("run", ("--hurried",), self.settings, log)
        async with httpx.AsyncClient() as http:

            async def ready() -> bool:
                assert bot.is_running, log.read_text(encoding="utf-8")[-3000:]
                try:
                    return (await http.get(f"{self.people.slack.bot_url}/readyz", timeout=3)).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "ready bot", PATIENCE)

    async def kill_bot(self) -> None:
        """It ends at once."""
        assert self.bot is not None
        self.bot.kill()
        await self.bot.ended()

    async def is_dead(self) -> None:
        """Wait until the process has ended."""
        await seen(lambda: self.bot is not None and not self.bot.is_running, "end of the process", PATIENCE)

    @property
    def hook(self) -> str:
        """Where the server tells of failures."""
        return f"{self.people.slack.bot_url}/hooks/{CONNECTION}"

    # ---- what happens --------------------------------------------------------------------

    async def fail(self) -> Failure:
        """An attempt that fails at +load."""
        path = f"/{next(self._numbers)}"
        attempt_id = await self.server.start("nightly", {"door": f"{self.doors_url}{path}"})
        assert await self.server.ended(attempt_id) is False
        return Failure(attempt_id, path)

    def repair(self, failure: Failure) -> None:
        """From now on its +load passes."""
        self.doors.open.add(failure.path)

    async def choose(self, user: str, card: Shown, label: str) -> None:
        """Somebody chooses a stage on the card."""
        block, element = _select(card)
        value = next(option["value"] for option in element["options"] if option["text"]["text"] == label)
        await self.people.slack.choose(user, card.channel, card.ts, block, element["action_id"], value=value)

    async def press(self, user: str, card: Shown, label: str) -> None:
        """Somebody presses the newest such button on the card or in its thread."""
        place = await seen(lambda: self._buttons(card, label), f"button {label}", PATIENCE)
        pressed = await self.people.press_at(user, label, "", place[-1])
        assert pressed.ack.status == 200

    # ---- what is to be seen --------------------------------------------------------------

    async def card(self, failure: Failure) -> Shown:
        """The card of the attempt, once it can be resumed."""

        def found() -> Shown | None:
            cards = self.cards_of(failure.id)
            return cards[-1] if cards and self._buttons(cards[-1], "Retry") else None

        return await seen(found, f"card of attempt {failure.id}", PATIENCE)

    async def reads(self, card: Shown, words: str) -> Shown:
        """The line below the card with these words, once it is there."""
        return await seen(
            lambda: next((m for m in self._messages(card)[1:] if words in m.text), None), f"“{words}” in the thread", PATIENCE
        )

    def offered(self, card: Shown) -> list[str]:
        """The labels of the card's stages."""
        return [option["text"]["text"] for option in _select(card)[1]["options"]]

    def now(self, card: Shown) -> Shown:
        """The card as it stands now."""
        return self._messages(card)[0]

    def cards_of(self, *attempt_ids: str) -> list[Shown]:
        """All cards that show one of these attempts."""
        return [m for m in self._cards() if any(f'/attempts/{one}"' in json.dumps(m.blocks) for one in attempt_ids)]

    async def exported(self, failure: Failure) -> list[dict[str, Any]]:
        """The trail of the attempt and its requests, as the program exports it."""
        lines = [json.loads(line) for line in (await bots.call(("audit", "export"), self.settings)).splitlines()]
        ours = {entry.id for entry in await self.ledger.entries(failure.id)}
        return [line for line in lines if line["id"] in ours]

    def _cards(self) -> list[Shown]:
        return [m for m in self.people.slack.messages if m.channel == DEPLOYS and not m.thread_ts and m.to is None]

    def _messages(self, card: Shown) -> list[Shown]:
        return [m for m in self.people.slack.messages if card.ts in {m.ts, m.thread_ts} and m.to is None]

    def _buttons(self, card: Shown, label: str) -> list[tuple[Shown, str, str]]:
        return [
            (message, block["block_id"], element["action_id"])
            for message in self._messages(card)
            for block in message.blocks
            for element in block.get("elements", [])
            if element.get("type") == "button" and element["text"]["text"] == label
        ]


def _select(card: Shown) -> tuple[str, dict[str, Any]]:
    elements = [(block["block_id"], element) for block in card.blocks for element in block.get("elements", [])]
    return next((block, element) for block, element in elements if element["type"] == "static_select")


@asynccontextmanager
async def opened(server: Server, database: str, folder: Path) -> AsyncIterator[Journey]:
    """An installation with one process that runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slack, gate, doors = workspace(f"http://127.0.0.1:{port}", pace=False), Gate(server.app), Doors()
    async with serve(slack.app) as slack.public_url, serve(gate) as base_url, serve(doors) as doors_url:
        journey = Journey(server, gate, doors, People(slack), Ledger(database))
        journey.folder, journey.doors_url = folder, doors_url
        (folder / "resumebot.toml").write_text(CONFIGURATION % base_url, encoding="utf-8")
        journey.settings = {
            "RESUMEBOT_CONFIG": str(folder / "resumebot.toml"),
            "RESUMEBOT_DATA": str(folder / "data"),
            "DATABASE_URL": database,
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_API_URL": f"{slack.public_url}/api/",
            "ETL_TOKEN": CREDENTIAL,
            "ETL_HOOK": HOOK_TOKEN.removeprefix("Bearer "),
            "PORT": str(port),
        }
        server.tell(journey.hook)
        try:
            await journey.start_bot()
            yield journey
        finally:
            if journey.bot is not None and journey.bot.is_running:
                await journey.kill_bot()
            await slack.close()
