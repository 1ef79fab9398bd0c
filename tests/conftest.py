"""What many tests share: the event loop's backend, one real server a run, a fresh database a test."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bot.store.data_folder import url_of
from bot.store.embedded import Embedded

TEMPLATE = "template_migrated"
MEMORY = Path("/dev/shm")  # noqa: S108 — a folder of our own in it; a database costs 20 ms there, 100 to 280 on a disk
ROOM = 2 * 2**30  # bytes; containers often have 64 MB
names = (f"test_{number}" for number in itertools.count(1))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio; session scope, so that fixtures of any scope may be async."""
    return "asyncio"


@pytest.fixture(scope="session")
def base() -> Path:
    """Where test servers keep their data: in memory where there is room."""
    is_roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if is_roomy else Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def server(base: Path) -> Iterator[Embedded]:
    """A running PostgreSQL for the whole run, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="resumebot-test-", dir=base))
    folder.chmod(0o711)  # as root the server is another account
    with Embedded(folder / "data") as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(server: Embedded) -> str:
    """The name of a database at the newest revision, to be cloned and never connected to."""
    from bot.store.schema import migrate  # noqa: PLC0415 — tests without a database load none of it

    execute(server, f"CREATE DATABASE {TEMPLATE}")
    asyncio.run(migrate(url_of(server.socket, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database(server: Embedded, template: str) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh, migrated database that nobody else uses."""
    name = next(names)
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield url_of(server.socket, name)
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def execute(server: Embedded, statement: str) -> None:
    """Run one statement in the server's main database, outside a transaction."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())
