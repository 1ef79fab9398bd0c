"""The whole bot in this process: the product's own composition over a real database, a simulated Slack and two engines.

people ─▶ SlackSimulator ─signed─▶ the ASGI app ─tx─▶ PostgreSQL ─▶ workers (inside `working`) ─▶ SlackSimulator, engines
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from psycopg import sql
from starlette.types import ASGIApp, Receive, Scope, Send

from bot import bootstrap, config
from bot.config import Settings
from bot.domain.setup import Timings
from bot.jobs import Workers
from bot.parts import Parts
from bot.service import people
from bot.simulators.restate import RestateSimulator
from bot.simulators.serving import serve
from bot.simulators.slack import Ack, Message, Person, SlackSimulator, default_cast

TOKEN, SECRET, HOOK_SECRET = "xoxb-of-a-test", "signing-secret-of-a-test", "hook-secret-of-a-test"
RITA, ARNO, OLGA, GINA, NORA = "U0RITA", "U0ARNO", "U0OLGA", "U0GINA", "U0NORA"
DEPLOYS, AUDIT, ELSEWHERE = "C0DEPLOYS", "C0AUDIT", "C0ELSEWHERE"
QUICK = Timings(
    send_window=2.0,
    call_timeout=1.0,
    settle=1.0,
    takeover=2.0,
    heartbeat=0.5,
    rescue_every=1,
    sweep_every=1,
    seal_every=1,
    first_card=0.2,
    unrouted_card=0.5,
    watch_first=0.05,
    watch_longest=0.3,
    lane_pause=0.0,
    updates_a_minute=6000,
)
CONFIGURATION = """
[slack]
audit_channel = "C0AUDIT"

[[connections]]
name = "orders"
engine = "restate"
admin_url = "{orders}"
hook_secret = "env:ORDERS_HOOK"
poll_seconds = {poll_seconds}

[[connections]]
name = "billing"
engine = "restate"
admin_url = "{billing}"
hook_secret = "env:BILLING_HOOK"
poll_seconds = {poll_seconds}

[[routes]]
match = {{ connection = "orders" }}
channel = "C0DEPLOYS"

[[routes]]
match = {{ connection = "billing" }}
channel = "C0ELSEWHERE"

[[policies]]
name = "tests"
requesters = ["channel"]
approvers = ["S0RELEASE"]
"""
Found = TypeVar("Found")


@dataclass
class Bot:
    """The bot and all that it speaks with."""

    settings: Settings
    parts: Parts
    url: str  # of the database
    app: ASGIApp
    http: httpx.AsyncClient  # speaks to the app
    slack: SlackSimulator
    orders: RestateSimulator
    billing: RestateSimulator

    async def ask(self, statement: str, *values: object) -> list[Any]:
        """Rows of a connection of the test's own; plain values where there is one column."""
        conninfo = bootstrap.conninfo_of(self.url)
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode(), values or None)
            rows = await cursor.fetchall() if cursor.description else []
        return [row[0] if len(row) == 1 else row for row in rows]

    async def everything(self) -> dict[str, list[Any]]:
        """All rows of all tables that tell of work: what a request that changes nothing leaves as it was."""
        tables = await self.ask(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema IN ('public', 'jobs') AND table_type = 'BASE TABLE'"
            " AND table_name NOT LIKE 'procrastinate_workers' ORDER BY 1"
        )
        rows = {}
        for table in tables:
            name = sql.Identifier(*table.split(".")).as_string()
            rows[table] = sorted(await self.ask(f"SELECT each::text FROM {name} AS each"))
        return rows

    async def trail(self, *actions: str) -> list[dict[str, Any]]:
        """The audit entries with these actions, oldest first."""
        entries: list[dict[str, Any]] = await self.ask("SELECT entry::jsonb FROM audit_entries ORDER BY id")
        return [entry for entry in entries if not actions or entry["action"] in actions]

    # ---- what happens --------------------------------------------------------------------

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Workers]:
        """The product's own workers, until the block ends."""
        workers = bootstrap.make_workers(self.parts, self.url)
        running = asyncio.create_task(workers.run())
        try:
            yield workers
        finally:
            workers.stop()
            await running

    async def hook(
        self, execution: str, connection: str = "orders", *, secret: str = HOOK_SECRET, **more: Any
    ) -> httpx.Response:
        """An engine tells of a failure."""
        headers = {"X-Resumebot-Secret": secret}
        body = {"invocation_id": execution, **more}
        return await self.http.post(f"/hooks/{connection}", json=body, headers=headers)

    async def failed(self, step: str = "deploy", how: str = "fail") -> str:
        """An execution of orders that has come to rest there; its id."""
        made = self.orders.start(None, **{step: how})  # type: ignore[arg-type]  # the names of steps are its keywords
        await self.orders.wait_status(made["id"], "paused", "completed")
        return made["id"]

    async def card(self) -> Message:
        """The card of a new failure, with its button."""
        execution = await self.failed()
        assert (await self.hook(execution)).status_code == 202
        return await seen(lambda: self.find(execution, "Retry"), f"card of {execution}")

    async def asked(self, card: Message, user: str = RITA) -> Message:
        """The question to the approvers after a press of Retry."""
        assert (await self.press(user, card, "Retry")).status == 200
        return await seen(lambda: self.find("", "Approve", thread=card.ts), "approval message")

    async def press(self, user: str, message: Message, label: str) -> Ack:
        """Press the button with this label."""
        found = self.slack.message(message.channel, message.ts) or message
        block, action = place_of(found, label)
        return await self.slack.press(user, message.channel, message.ts, block, action)

    async def says(self, user: str, text: str, command: str = "/resume", channel: str = DEPLOYS) -> str:
        """Type a command; what the person reads in the end."""
        before = len(self.slack.private(user))
        ack = await self.slack.command(user, channel, command, text)
        assert ack.status == 200, ack
        return await self.told(user, before)

    async def told(self, user: str, since: int = 0, words: str = "") -> str:
        """The private words to a person that come after so many others, once they are there."""

        def newest() -> str:
            texts = [words_of(message) for message in self.slack.private(user)[since:]]
            return next((text for text in reversed(texts) if "Looking it up" not in text and words in text), "")

        return await seen(newest, f"word to {user} {words}")

    # ---- what there is to see ------------------------------------------------------------

    def find(self, words: str, label: str = "", *, thread: str | None = None) -> Message | None:
        """The newest message of a channel, or of a thread, with these words in it and such a button."""
        found = [
            message
            for message in self.slack.messages
            if message.to is None
            and (thread is None or message.thread_ts == thread)
            and words in words_of(message)
            and (not label or _places(message, label))
        ]
        return found[-1] if found else None


def words_of(message: Message) -> str:
    """All words of a message."""
    return "\n".join([message.text, *_texts(message.blocks)])


def _texts(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _texts(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "text" and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)


def place_of(message: Message, label: str) -> tuple[str, str]:
    """Block and action of a button."""
    places = _places(message, label)
    assert places, f"no button {label} on {words_of(message)}"
    return places[0]


def _places(message: Message, label: str) -> list[tuple[str, str]]:
    return [
        (block["block_id"], element["action_id"])
        for block in message.blocks
        for element in [*block.get("elements", []), block.get("accessory", {})]
        if element.get("type") == "button" and element["text"]["text"] == label
    ]


async def until(probe: Callable[[], Awaitable[Found]], what: str, limit: float = 10.0) -> Found:
    """The first answer that is neither empty nor false; fails with `what` when there is none in time."""
    end = asyncio.get_running_loop().time() + limit
    while not (found := await probe()):
        assert asyncio.get_running_loop().time() < end, f"within {limit:g} s there was no {what}"
        await asyncio.sleep(0.02)
    return found


async def seen(probe: Callable[[], Found | None], what: str, limit: float = 10.0) -> Found:
    """The same for what can be looked at without waiting."""

    async def look() -> Found | None:
        return probe()

    found = await until(look, what, limit)
    assert found is not None
    return found


class Seam:
    """An ASGI app that is put in later."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it answer."""
        await self.app(scope, receive, send)


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    """A client of an app in this process; a fault of the app is an answer with status 500."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://bot")


def workspace(http: Any) -> SlackSimulator:
    """A Slack with one who asks, one who approves, one elsewhere, a guest and one of another organisation."""
    cast = default_cast()
    cast.people[NORA] = Person(NORA, "nora", "Nora Novak", cast.team_id, role="Member elsewhere")
    deploys = cast.channels[DEPLOYS]
    elsewhere = replace(deploys, id=ELSEWHERE, name="elsewhere", members=[NORA, cast.bot.id])
    return SlackSimulator(
        signing_secret=SECRET,
        bot_token=TOKEN,
        bot_url="http://bot",
        people=cast.people.values(),
        channels=[*cast.channels.values(), elsewhere],
        groups=cast.groups.values(),
        pace=False,
        http=http,
    )


@contextmanager
def logging_as_before() -> Iterator[None]:
    """What a process sets up for its log ends with the block."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level


@asynccontextmanager
async def opened(
    database: str,
    folder: Path,
    *,
    timings: Timings = QUICK,
    poll_seconds: int = 0,
    environment: Mapping[str, str] | None = None,
    configuration: str = CONFIGURATION,
    delivered_by: Callable[[ASGIApp], Any] = client_of,
) -> AsyncIterator[Bot]:
    """A bot on a migrated database, everybody's facts read, no worker running yet.

    `delivered_by` makes the client that Slack's requests come by.
    """
    seam = Seam()
    orders, billing = RestateSimulator(retry_seconds=0.01), RestateSimulator(retry_seconds=0.01)
    slack = workspace(delivered_by(seam))
    async with AsyncExitStack() as stack:
        stack.enter_context(logging_as_before())
        slack.public_url = await stack.enter_async_context(serve(slack.app))
        for each in (slack.close, orders.aclose, billing.aclose):
            stack.push_async_callback(each)
        served = {name: serve(app) for name, app in (("orders", orders), ("billing", billing))}
        urls = {name: await stack.enter_async_context(server) for name, server in served.items()}
        file = folder / "resumebot.toml"
        file.write_text(configuration.format(**urls, poll_seconds=poll_seconds), encoding="utf-8")
        variables = {
            "RESUMEBOT_CONFIG": str(file),
            "DATABASE_URL": database,
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_API_URL": f"{slack.public_url}/api/",
            "ORDERS_HOOK": HOOK_SECRET,
            "BILLING_HOOK": HOOK_SECRET,
        }
        settings = config.load({**variables, **(environment or {})}, cwd=folder)
        parts = await stack.enter_async_context(bootstrap.prepared(settings, database, timings=timings))
        await people.refresh_all(parts.core)
        seam.app = bootstrap.web_app(settings, parts)
        http = await stack.enter_async_context(client_of(seam))
        yield Bot(settings, parts, database, seam, http, slack, orders, billing)
