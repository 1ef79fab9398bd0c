"""What the figures are taken on: a PostgreSQL with fsync on a disk, and the whole bot in this process.

Nothing that a user would have is switched off; only waiting that has nothing to do with speed is shortened.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg

from bench.direct import Direct
from bot.domain.setup import Timings
from bot.store.data_folder import url_of
from bot.store.embedded import Embedded
from bot.store.schema import migrate
from tests.in_process import Bot, opened

TEMPLATE = "bench_template"
TIMINGS = Timings(lane_pause=0.0, updates_a_minute=100_000, first_card=0.05)
CONFIGURATION = """
[[connections]]
name = "orders"
engine = "restate"
admin_url = "{orders}"
poll_seconds = {poll_seconds}

[[connections]]
name = "flows"
engine = "digdag"
base_url = "{billing}"
hook_secret = "env:ORDERS_HOOK"
poll_seconds = {poll_seconds}

[[routes]]
channel = "C0DEPLOYS"

[[policies]]
name = "bench"
requesters = ["channel"]
approvers = ["S0RELEASE"]
"""


@contextmanager
def server() -> Iterator[Embedded]:
    """A server on the disk of the temporary folder, its template made."""
    folder = Path(tempfile.mkdtemp(prefix="resumebot-bench-"))
    folder.chmod(0o711)  # as root the server is another account
    try:
        with Embedded(folder / "data") as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def make_template(running: Embedded) -> None:
    """A migrated database to copy."""
    execute(running, f"CREATE DATABASE {TEMPLATE}")
    await migrate(url_of(running.socket, TEMPLATE))


def fresh_database(running: Embedded, name: str) -> str:
    """The address of a new, migrated database."""
    execute(running, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return url_of(running.socket, name)


def execute(running: Embedded, statement: str) -> None:
    """One statement in the server's main database."""
    with psycopg.connect(running.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())


@asynccontextmanager
async def bot_on(url: str) -> AsyncIterator[Bot]:
    """The bot on a database, no worker running yet."""
    with tempfile.TemporaryDirectory(prefix="resumebot-bench-") as folder:
        async with opened(
            url,
            Path(folder),
            timings=TIMINGS,
            configuration=CONFIGURATION,
            environment={"LOG_LEVEL": "error"},
            delivered_by=Direct,
        ) as bot:
            yield bot
