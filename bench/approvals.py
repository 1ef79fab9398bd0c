"""From the click of the last approver to the resume call at the engine; bot, database and engine are processes of their own."""

import asyncio
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from bench.engine import EngineSide
from bench.figures import Figure, Spread
from bot.bootstrap import conninfo_of
from bot.simulators.serving import serve
from tests.journeys.people import ARNO, RITA, SECRET, TOKEN, People, workspace
from tests.journeys.waiting import seen, until

APPROVALS, WARM_UP, AT_ONCE = 40, 8, 8
GOAL_MS = 30.0
HOOK_SECRET = "secret-of-the-hook"
CONFIGURATION = """
[[connections]]
name = "orders"
engine = "restate"
admin_url = "{url}"
hook_secret = "env:ORDERS_HOOK"
poll_seconds = 0

[[routes]]
channel = "C0DEPLOYS"

[[policies]]
name = "bench"
requesters = ["channel"]
approvers = ["S0RELEASE"]
"""
BUSY = (  # what an earlier approval still makes the bot do
    "SELECT 1 FROM requests WHERE state IN ('approved', 'resuming', 'running')"
    " UNION ALL SELECT 1 FROM messages WHERE wanted > posted AND dead_at IS NULL"
    " UNION ALL SELECT 1 FROM jobs.procrastinate_jobs WHERE status = 'doing'"
    " OR (status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())) LIMIT 1"
)


async def measure(database: str, side: EngineSide) -> Figure:
    """Approve request after request, each when the bot rests."""
    async with _bot(database, side) as people, await psycopg.AsyncConnection.connect(conninfo_of(database)) as rows:
        await rows.set_autocommit(True)
        asked: list[str] = []
        while len(asked) < APPROVALS + WARM_UP:
            asked += await asyncio.gather(*[_asked(people, side) for _ in range(AT_ONCE)])
        taken = [await _approve(people, side, rows, execution) for execution in asked]
    ours, bare = Spread.of(taken[WARM_UP:]), await _bare_call(side)
    return Figure(
        f"approval to resume call at {side.name}, everything read afresh",
        str(ours),
        f"{bare}: a call to the same server over a fresh connection",
        f"{ours.p50 - bare.p50:.1f} ms more",
        f"p50 ≤ {GOAL_MS:.0f} ms",
        ours.p50 <= GOAL_MS,
    )


@asynccontextmanager
async def _bot(database: str, side: EngineSide) -> AsyncIterator[People]:
    """A workspace whose bot is up."""
    with tempfile.TemporaryDirectory(prefix="resumebot-bench-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        slack = workspace(f"http://127.0.0.1:{port}", pace=False)
        file = Path(folder, "resumebot.toml")
        file.write_text(CONFIGURATION.format(url=side.url), encoding="utf-8")  # noqa: ASYNC240 — nothing runs yet
        async with serve(slack.app) as slack.public_url:
            environment = {
                "RESUMEBOT_CONFIG": str(file),
                "DATABASE_URL": database,
                "SLACK_BOT_TOKEN": TOKEN,
                "SLACK_SIGNING_SECRET": SECRET,
                "SLACK_API_URL": f"{slack.public_url}/api/",
                "ORDERS_HOOK": HOOK_SECRET,
                "PORT": str(port),
                "LOG_LEVEL": "error",
            }
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.process", env=environment)
            try:
                await _is_ready(slack.bot_url)
                yield People(slack)
            finally:
                process.send_signal(signal.SIGTERM)
                await process.wait()
                await slack.close()


async def _is_ready(address: str) -> None:
    async with httpx.AsyncClient() as http:

        async def ready() -> bool:
            try:
                return (await http.get(f"{address}/readyz", timeout=3)).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "ready bot", 60)


async def _asked(people: People, side: EngineSide) -> str:
    """A request that waits for approval, of a failure that was repaired meanwhile; the execution."""
    made = await side.world.start(None, deploy="fail")
    await side.world.wait_status(made["id"], "paused")
    async with httpx.AsyncClient(headers={"X-Resumebot-Secret": HOOK_SECRET}) as http:
        answer = await http.post(f"{people.slack.bot_url}/hooks/orders", json={"invocation_id": made["id"]})
        assert answer.status_code == 202, answer.text
    await people.press(RITA, "Retry", made["id"])
    await side.world.plan(made["key"])
    await people.sees_button(made["id"], "Approve")
    return str(made["id"])


async def _approve(people: People, side: EngineSide, rows: psycopg.AsyncConnection, execution: str) -> float:
    async def is_at_rest() -> bool:
        return await (await rows.execute(BUSY.encode())).fetchone() is None

    await until(is_at_rest, "rest", 30)
    place, calls = await people.sees_button(execution, "Approve"), side.watcher.times
    before, begun = len(calls), time.monotonic()
    await people.press_at(ARNO, "Approve", execution, place)
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
