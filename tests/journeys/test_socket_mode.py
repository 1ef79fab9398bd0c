"""The real process without a public address: Slack reaches it over Socket Mode alone."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from bot import bootstrap
from bot.simulators.serving import serve
from bot.simulators.slack import SlackSimulator, sign
from tests.in_process import DEPLOYS, RITA, SECRET, TOKEN, workspace
from tests.journeys.bots import Bot, start
from tests.journeys.waiting import seen, until
from tests.socket_mode.double import APP_TOKEN, SlackSockets, opened_sockets

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


@dataclass
class Place:
    """A Slack that delivers over sockets, and where a process finds it."""

    folder: Path
    slack: SlackSimulator
    sockets: SlackSockets
    settings: dict[str, str]

    @asynccontextmanager
    async def running(self, role: str = "run", **more: str) -> AsyncIterator[Bot]:
        """A process of the bot."""
        bot = await start(role, (), {**self.settings, **more}, self.folder / "log")
        try:
            yield bot
        finally:
            if bot.is_running:
                bot.terminate()
            await bot.ended()

    def log(self) -> str:
        """What it has written."""
        return (self.folder / "log").read_text(encoding="utf-8")

    async def is_ready(self, bot: Bot) -> None:
        """Wait until it is."""

        async def ready() -> bool:
            assert bot.is_running, self.log()
            return await self.status("/readyz") == 200

        await until(ready, "ready bot", 60.0)

    async def status(self, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None) -> int:
        """What its HTTP side answers; 0 when nobody does."""
        url = f"http://127.0.0.1:{self.settings['PORT']}{path}"
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                asked = http.get(url) if content is None else http.post(url, content=content, headers=headers)
                return (await asked).status_code
            except httpx.TransportError:
                return 0


@pytest.fixture
def folder(base: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="resumebot-socket-", dir=base))
    made.chmod(0o711)  # as root the database is another account
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def place(folder: Path) -> AsyncIterator[Place]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with opened_sockets() as sockets:
        slack = workspace(sockets.client())
        async with serve(slack.app) as sockets.upstream:
            slack.public_url = sockets.url
            settings = {
                "RESUMEBOT_DATA": str(folder / "data"),
                "SLACK_BOT_TOKEN": TOKEN,
                "SLACK_APP_TOKEN": APP_TOKEN,
                "SLACK_API_URL": f"{sockets.url}/api/",
                "PORT": str(port),
                "LOG_LEVEL": "debug",
            }
            yield Place(folder, slack, sockets, settings)
            assert sockets.broken == []


async def test_with_two_tokens_alone_it_becomes_ready_answers_over_the_socket_and_ends_with_0(place: Place) -> None:
    async with place.running() as bot:
        await place.is_ready(bot)
        wire = await place.sockets.connected()

        helped = await place.slack.command(RITA, DEPLOYS, "/resume", "help")
        listed = await place.slack.command(RITA, DEPLOYS, "/resume", "list")

        assert "/resume" in str(helped.data["blocks"])
        assert "Looking it up" in listed.data["text"]
        await seen(lambda: _told(place, "Nothing is open"), "answer at the response_url")
        assert await place.status("/slack/events", b"command=x", sign(SECRET, b"command=x")) == 404
        bot.terminate()
        assert await bot.ended() == 0

    assert wire.close_code == 1000
    written = place.log()
    assert "Socket Mode is connected" in written
    for secret in (TOKEN, APP_TOKEN, *place.sockets.tickets):
        assert secret not in written


def _told(place: Place, words: str) -> bool:
    return any(words.lower() in message.text.lower() for message in place.slack.private(RITA))


async def test_told_to_stop_while_it_handles_a_delivery_it_answers_it_and_ends_with_0(place: Place, database: str) -> None:
    conninfo = bootstrap.conninfo_of(database)
    async with place.running(DATABASE_URL=database) as bot, await psycopg.AsyncConnection.connect(conninfo) as holding:
        await place.is_ready(bot)
        await place.sockets.connected()
        await holding.execute("LOCK TABLE lookups IN ACCESS EXCLUSIVE MODE")
        answer = asyncio.create_task(place.slack.command(RITA, DEPLOYS, "/resume", "list"))

        async def waits() -> bool:
            cursor = await holding.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return (await cursor.fetchone() or [0])[0] > 0

        await until(waits, "delivery that is being handled")
        bot.terminate()
        await seen(lambda: "stopping" in place.log(), "end")
        await holding.rollback()

        assert "Looking it up" in (await answer).data["text"]
        assert await bot.ended() == 0


async def test_a_refused_token_is_one_sentence(place: Place) -> None:
    async with place.running(SLACK_APP_TOKEN="xapp-of-nobody") as bot:
        assert await bot.ended(60.0) == 1

    assert place.log().splitlines()[-1].startswith("Slack refuses SLACK_APP_TOKEN (invalid_auth): make an app-level token")
    assert "Traceback" not in place.log()


async def test_while_slack_opens_no_connection_it_is_ready_all_the_same(place: Place) -> None:
    place.sockets.down = True
    async with place.running(SLACK_SIGNING_SECRET=SECRET) as bot:
        await place.is_ready(bot)
        assert not place.sockets.tickets

        place.sockets.down = False

        await place.sockets.connected()
        content = b"ssl_check=1"
        assert await place.status("/slack/events", content, {"Content-Type": "application/x-www-form-urlencoded"}) == 200
