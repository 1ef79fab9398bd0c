"""Groups of workers as the product runs them, over a database that a test may take away.

store.unit ─ job by name ─▶ database (up, down, frozen) ─▶ Workers(group, …) ─▶ functions of the test
"""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bot.bootstrap import conninfo_of
from bot.domain.setup import Timings
from bot.jobs import Group, Periodic, Work, Workers
from bot.parts import SystemClock
from bot.service.unit import Job
from bot.store.data_folder import url_of
from bot.store.embedded import Embedded
from bot.store.unit_of_work import SqlStore
from tests.fakes import open_store
from tests.in_process import QUICK, until

FAR = 60.0  # seconds between two looks of a worker: what starts sooner was announced
LISTENING = (
    "SELECT DISTINCT application_name FROM pg_stat_activity"
    " WHERE query LIKE 'LISTEN%' AND datname = current_database() ORDER BY 1"
)


async def nothing() -> None:
    """What keeps a group from going deaf."""


def group(name: str = "slack", *, poll: float = FAR, concurrency: int = 8, **tasks: Work) -> Group:
    """A group on the queue of its name, with these tasks."""
    all_tasks: Mapping[str, Work] = {**tasks, f"{name}_tick": nothing}
    return Group(name, name, concurrency, poll, all_tasks, [Periodic(f"{name}_tick", 60)])


@dataclass
class Lab:
    """One database for one test."""

    url: str
    store: SqlStore
    failures: list[tuple[str, str]] = field(default_factory=list)  # task and fault of each job that failed

    @property
    def conninfo(self) -> str:
        """As the driver takes it."""
        return conninfo_of(self.url)

    async def ask(self, statement: str, *values: object) -> list[Any]:
        """Rows of a connection of its own; plain values where there is one column."""
        async with await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode(), values or None)
            rows = await cursor.fetchall() if cursor.description else []
        return [row[0] if len(row) == 1 else row for row in rows]

    async def enqueue(self, task: str, queue: str = "slack", lane: str | None = None, **args: int | str) -> None:
        """One job with a change."""
        async with self.store.unit() as unit:
            await unit.enqueue(Job(task, queue, args, lane=lane))

    async def jobs(self) -> list[tuple[str, str]]:
        """Task and status of the jobs that stand there, without the ticks."""
        return await self.ask(
            "SELECT task_name, status::text FROM jobs.procrastinate_jobs WHERE task_name NOT LIKE '%\\_tick' ORDER BY id"
        )

    async def is_heard(self, *groups: str) -> None:
        """Wait until a worker of each group listens."""
        wanted = sorted(f"resumebot {name}" for name in groups)

        async def listening() -> bool:
            return await self.ask(LISTENING) == wanted

        await until(listening, f"listener of {groups}", 30)

    @asynccontextmanager
    async def working(self, *groups: Group, timings: Timings = QUICK) -> AsyncIterator[Workers]:
        """The product's supervised workers, listening."""

        async def note(task: str, _job: int | None, fault: Exception) -> None:
            self.failures.append((task, type(fault).__name__))

        workers = Workers(groups, self.conninfo, timings, note)
        running = asyncio.create_task(workers.run())
        try:
            await self.is_heard(*[each.name for each in groups])
            yield workers
        finally:
            workers.stop()
            await running


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Lab]:
    """A lab on a migrated database."""
    async with open_store(url, SystemClock(), 8) as store:
        yield Lab(url, store)


class Calls:
    """A task that notes its calls, and does what a test says besides."""

    def __init__(self, act: Callable[..., Awaitable[None]] | None = None) -> None:
        self.seen: list[dict[str, Any]] = []
        self.times: list[float] = []
        self._act = act

    async def __call__(self, **arguments: Any) -> None:
        """One run."""
        self.seen.append(arguments)
        self.times.append(asyncio.get_running_loop().time())
        if self._act:
            await self._act(**arguments)

    async def reach(self, count: int, limit: float = 10.0) -> None:
        """Wait until there were so many."""

        async def reached() -> bool:
            return len(self.seen) >= count

        await until(reached, f"call number {count}", limit)


# ---- a server that may go away ---------------------------------------------------------------


@contextmanager
def own_server(base: Path) -> Iterator[Embedded]:
    """A server of the test's own, up at the beginning, whatever it goes through until the end."""
    folder = Path(tempfile.mkdtemp(prefix="resumebot-test-", dir=base))
    folder.chmod(0o711)  # as root the server is another account
    try:
        with Embedded(folder / "data") as server:
            try:
                yield server
            finally:
                if server.is_running():
                    thaw(server)
    finally:
        shutil.rmtree(folder)


async def take_down(server: Embedded, sign: signal.Signals = signal.SIGINT) -> None:
    """End it, in good order or not."""
    assert server.server
    server.server.send_signal(sign)
    await asyncio.to_thread(server.server.wait)


async def bring_back(server: Embedded) -> None:
    """Start it again on the same socket."""
    await asyncio.to_thread(server.restart)


def freeze(server: Embedded) -> None:
    """Let it do nothing: the server and all its sessions, which are processes of their own."""
    _signal_all(server, signal.SIGSTOP)


def thaw(server: Embedded) -> None:
    """Let it go on."""
    _signal_all(server, signal.SIGCONT)


def _signal_all(server: Embedded, sign: signal.Signals) -> None:
    assert server.server
    parent = server.server.pid
    os.kill(parent, sign)  # first, so that no new session escapes
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(ProcessLookupError):  # a session that has ended meanwhile
            os.kill(int(child), sign)


def url_on(server: Embedded, database: str) -> str:
    """The address of a database there."""
    return url_of(server.socket, database)
