"""Health, figures and the log of a process: true, in time, and without a secret."""

import base64
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Receive, Scope, Send

from bot import logs
from bot.store.embedded import Embedded
from bot.store.schema import NUMBER, migrate
from tests.in_process import ARNO, HOOK_SECRET, RITA, SECRET, TOKEN, Bot, logging_as_before, opened, seen
from tests.jobs.lab import freeze, own_server, take_down, thaw, url_on

pytestmark = pytest.mark.anyio
SAMPLE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?[0-9.]+')
METRICS_TOKEN = "token-of-whoever-counts"


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path) as made:
        yield made


# ---- health ------------------------------------------------------------------------------------


async def test_a_process_that_lives_and_reaches_its_database_is_ready(bot: Bot) -> None:
    assert (await bot.http.get("/healthz")).status_code == 200
    assert (await bot.http.get("/readyz")).status_code == 200


@pytest.mark.parametrize("change", [f"number = {NUMBER - 1}", f"floor = {NUMBER + 1}"], ids=["too old", "too new"])
async def test_a_schema_that_does_not_fit_is_not_ready(bot: Bot, change: str) -> None:
    await bot.ask(f"UPDATE schema_state SET {change}")

    assert (await bot.http.get("/readyz")).status_code == 503
    assert (await bot.http.get("/healthz")).status_code == 200


@pytest.fixture
async def frail(base: Path) -> AsyncIterator[Embedded]:
    with own_server(base) as server:
        await migrate(url_on(server, "postgres"))
        yield server


@pytest.mark.parametrize("way", ["frozen", "down"])
async def test_without_its_database_a_process_lives_and_is_not_ready_and_says_so_in_time(
    frail: Embedded, tmp_path: Path, way: str
) -> None:
    async with opened(url_on(frail, "postgres"), tmp_path) as bot:
        assert (await bot.http.get("/readyz")).status_code == 200
        if way == "frozen":
            freeze(frail)
        else:
            await take_down(frail)

        answers = [await bot.http.get(path) for path in ("/readyz", "/metrics", "/healthz")]

        assert [answer.status_code for answer in answers] == [503, 503, 200]
        assert max(answer.elapsed.total_seconds() for answer in answers) < 3
        if way == "frozen":
            thaw(frail)


# ---- figures -----------------------------------------------------------------------------------


async def test_figures_are_in_prometheus_form_and_count_what_there_is(bot: Bot) -> None:
    async with bot.working():
        card = await bot.card()
        await bot.asked(card)

    answer = await bot.http.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not SAMPLE.fullmatch(line)] == []
    assert "resumebot_incidents_open 1" in lines
    assert 'resumebot_requests{state="pending"} 1' in lines
    assert 'resumebot_jobs{queue="timer",status="todo"} 2' in lines  # the reminder and the end of the request
    assert 'resumebot_engine_silent_seconds{connection="orders"} 0' in lines
    named = {line.split("{")[0].split(" ")[0] for line in lines}
    assert {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")} >= named


class From:
    """The same app as somebody at another address sees it."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "client": (self._host, 4711)}, receive, send)


async def ask_from(bot: Bot, host: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(From(bot.app, host)), base_url="http://bot") as client:
        return (await client.get("/metrics", headers=headers)).status_code


async def test_without_a_token_figures_are_for_this_machine_alone(bot: Bot) -> None:
    assert [await ask_from(bot, host) for host in ("127.0.0.1", "::1")] == [200, 200]
    assert [await ask_from(bot, host) for host in ("10.0.0.7", "::ffff:10.0.0.7", "nonsense")] == [401, 401, 401]


async def test_with_a_token_figures_are_for_whoever_has_it(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path, environment={"METRICS_TOKEN": METRICS_TOKEN}) as bot:
        assert await ask_from(bot, "10.0.0.7", METRICS_TOKEN) == 200
        assert await ask_from(bot, "127.0.0.1") == 401
        assert await ask_from(bot, "127.0.0.1", "another") == 401


async def test_nothing_else_is_served(bot: Bot) -> None:
    for path in ("/", "/docs", "/openapi.json", "/hooks", "/slack/events/x", "/../etc/passwd"):
        assert (await bot.http.get(path)).status_code == 404


# ---- the log -----------------------------------------------------------------------------------


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """What the log has written so far."""
    written: list[str] = []

    def so_far() -> str:
        written.append(capsys.readouterr().err)
        return "".join(written)

    with logging_as_before():
        yield so_far


def broken(words: str) -> RuntimeError:
    """An error with a traceback."""
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(words)
    return raised.value


async def test_every_line_of_a_json_log_is_an_object_with_time_level_and_message(
    database: str, tmp_path: Path, said: Said
) -> None:
    async with opened(database, tmp_path, environment={"LOG_FORMAT": "json", "LOG_LEVEL": "debug"}) as bot, bot.working():
        card = await bot.card()
        await bot.asked(card)
        await bot.http.post("/hooks/orders", content=b"\xff\n", headers={"X-Resumebot-Secret": HOOK_SECRET})
        log = logging.getLogger("bot.test")
        log.warning("two\nlines and \ud800 half a character", extra={"odd": {1, 2}, "when": object()})
        log.error("it broke", exc_info=broken("on\npurpose"))

    lines = said().split("\n")[:-1]
    entries = [json.loads(line) for line in lines]
    assert len(entries) >= 3
    assert all({"at", "level", "logger", "message"} <= entry.keys() for entry in entries)
    assert [entry for entry in entries if "on\npurpose" in entry.get("traceback", "")]


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_secret_is_in_a_log_line_or_a_traceback_in_whatever_form(form: str, said: Said) -> None:
    secret = 'pa"ss\\wörd /+='
    logs.set_up("debug", form, [secret, "xoxb-1-2-3"])
    log = logging.getLogger("bot.test")

    log.error("plain %s", secret, extra={"also": secret, "nested": {"it": [secret]}})
    log.error("quoted %s and %r", quote(secret, safe=""), secret)
    log.error("basic %s", base64.b64encode(secret.encode()).decode())
    log.error("it broke", exc_info=broken(f"token {secret} xoxb-1-2-3"))

    written = said()
    for word in (
        secret,
        "wörd",
        "w\\u00f6rd",
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
        "xoxb-1-2-3",
    ):
        assert word not in written
    assert written.count(logs.REDACTED) >= 6


@pytest.mark.parametrize("statement", ["INSERT INTO lookups (response_url) VALUES (:url)", "SELECT cast(:url AS integer)"])
async def test_a_fault_of_the_database_does_not_tell_what_was_to_be_written(bot: Bot, said: Said, statement: str) -> None:
    logs.set_up("info", "console", [])
    address = "https://hooks.slack.com/commands/T0/1/a-secret-address"

    with pytest.raises(DBAPIError) as fault:
        async with bot.parts.store.engine.begin() as connection:
            await connection.execute(text(statement), {"url": address})
    logging.getLogger("bot.test").error("it broke", exc_info=fault.value)

    logged = said()
    assert "Error" in logged
    assert "a-secret-address" not in logged


async def test_a_whole_journey_tells_no_secret_to_log_trail_messages_or_figures(
    database: str, tmp_path: Path, said: Said
) -> None:
    environment = {"LOG_LEVEL": "debug", "METRICS_TOKEN": METRICS_TOKEN}
    async with opened(database, tmp_path, environment=environment) as bot:
        async with bot.working():
            card = await bot.card()
            question = await bot.asked(card)
            bot.slack.fail("chat.postMessage", "invalid_auth")
            bot.orders.fail("PATCH */resume", 401)
            await bot.press(ARNO, question, "Approve")
            await seen(lambda: bot.orders.count("PATCH */resume"), "call")
            await bot.says(RITA, "list")
        figures = (await bot.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})).text
        rows = str(await bot.everything())
        shown = str([(message.text, message.blocks) for message in bot.slack.messages])

    addresses = re.findall(r"/response/\w+", str(bot.slack._state.tickets))
    logged = said()
    assert logged
    for word in (TOKEN, SECRET, HOOK_SECRET, METRICS_TOKEN, "/response/", *addresses):
        assert word not in logged
        assert word not in rows
        assert word not in shown
        assert word not in figures
