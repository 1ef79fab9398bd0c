"""Hooks taken per second, each one durable transaction; beside it the same statements through psycopg alone.

recorded ─▶ what each hook says to the database      ours ─▶ hooks, eight at once      psycopg ─▶ the same, eight at once
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import psycopg

from bench.direct import Direct
from bench.figures import Figure
from bench.stand import bot_on
from bot.bootstrap import conninfo_of
from tests.in_process import HOOK_SECRET, Bot

A_ROUND, AT_ONCE = 96, 8
ROUNDS = [slice(start, start + A_ROUND) for start in range(0, 7 * A_ROUND, A_ROUND)]  # the first is the warm-up
HOOKS = 7 * A_ROUND
GOAL = 0.5
PATH = "-c search_path=public,jobs"
NOTICE = {
    "timestamp": "2026-11-23T04:56:38Z",
    "message": "Workflow session attempt failed",
    "project_id": 1,
    "project_name": "lab",
    "workflow_name": "load",
    "task_name": "+load+tell",
    "timezone": "UTC",
    "session_time": "2026-01-01T00:01:00+00:00",
}
Statements = list[tuple[Any, Any]]
Free = asyncio.Queue[psycopg.AsyncConnection[Any]]


async def measure(fresh_database: Callable[[str], str]) -> Figure:
    """Record all; then take some and replay some by turns, so that both bear the same load."""
    recorded_on, ours_on, replayed_on = (fresh_database(name) for name in ("recorded", "taken", "replayed"))
    async with bot_on(recorded_on) as bot:
        transactions = [await _record(bot, number) for number in range(HOOKS)]
    _copy_incidents(recorded_on, replayed_on)
    async with bot_on(ours_on) as bot, _connections(replayed_on) as free:
        hooks = [_hook(bot, number) for number in range(HOOKS)]
        replays = [_replay(free, statements) for statements in transactions]
        rounds = [(await _a_second(hooks[part]), await _a_second(replays[part])) for part in ROUNDS]
    ours, theirs = (median(pair[side] for pair in rounds[1:]) for side in (0, 1))
    ratio = median(mine / yardstick for mine, yardstick in rounds[1:])
    return Figure(
        "hooks taken per second, one durable transaction each",
        f"{ours:.0f} a second, {AT_ONCE} at once (median of {len(rounds) - 1} rounds of {A_ROUND})",
        f"{theirs:.0f} a second: the same {len(transactions[-1])} statements of each through psycopg alone",
        f"{ratio:.2f} ×",
        f"≥ {GOAL} ×",
        ratio >= GOAL,
    )


def _hook(bot: Bot, number: int) -> Callable[[], Awaitable[None]]:
    body = json.dumps({**NOTICE, "attempt_id": 1000 + number, "session_id": 1000 + number})
    client = Direct(bot.app)

    async def post() -> None:
        headers = {"X-Resumebot-Secret": HOOK_SECRET, "content-type": "application/json"}
        answer = await client.post("http://bot/hooks/flows", content=body.encode(), headers=headers)
        assert answer.text == "1 taken\n", answer.text

    return post


async def _a_second(works: Sequence[Callable[[], Awaitable[None]]]) -> float:
    """How many of these are done in a second, some at once."""
    begun = time.monotonic()
    await _all(works)
    return len(works) / (time.monotonic() - begun)


async def _all(works: Sequence[Callable[[], Awaitable[None]]]) -> None:
    waiting = iter(works)

    async def some() -> None:
        for work in waiting:
            await work()

    await asyncio.gather(*[some() for _ in range(AT_ONCE)])


@dataclass
class _Recorder:
    """What is said to the database while it listens."""

    heard: Statements = field(default_factory=list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """For the length of the block."""
        plain = psycopg.AsyncCursor.execute

        async def execute(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
            self.heard.append((query, params))
            return await plain(cursor, query, params, **options)

        psycopg.AsyncCursor.execute = execute  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            psycopg.AsyncCursor.execute = plain  # type: ignore[method-assign]


async def _record(bot: Bot, number: int) -> Statements:
    recorder = _Recorder()
    async with recorder.listening():
        await _hook(bot, number)()
    return [(query, params) for query, params in recorder.heard if query not in {";", b";"}]  # looks whether it lives


def _copy_incidents(recorded_on: str, replayed_on: str) -> None:
    """The incidents that the recorded statements name stand there already; new ones get other numbers."""
    with psycopg.connect(conninfo_of(recorded_on)) as recorded, psycopg.connect(conninfo_of(replayed_on)) as replayed:
        with (
            recorded.cursor().copy("COPY incidents TO STDOUT") as rows,
            replayed.cursor().copy("COPY incidents FROM STDIN") as copies,
        ):
            for row in rows:
                copies.write(row)
        replayed.execute("SELECT setval(pg_get_serial_sequence('incidents', 'id'), 1000000)")


@asynccontextmanager
async def _connections(database: str) -> AsyncIterator[Free]:
    """As many as work at once, each with its statements prepared as the driver does it by itself."""
    free: Free = asyncio.Queue()
    for _ in range(AT_ONCE):
        free.put_nowait(await psycopg.AsyncConnection.connect(conninfo_of(database), autocommit=True, options=PATH))
    try:
        yield free
    finally:
        while not free.empty():
            await free.get_nowait().close()


def _replay(free: Free, statements: Statements) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        connection = await free.get()
        async with connection.transaction():
            for query, params in statements:
                await connection.execute(query, params)
        free.put_nowait(connection)

    return run
