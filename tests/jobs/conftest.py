"""A lab on the run's server, and one on a server of its own that may be taken down."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.store.embedded import Embedded
from bot.store.schema import migrate
from tests.jobs.lab import Lab, opened, thaw, url_on


@pytest.fixture
async def lab(database: str) -> AsyncIterator[Lab]:
    """A lab on a fresh database."""
    async with opened(database) as made:
        yield made


@dataclass(frozen=True)
class Frail:
    """A server that a test may end, freeze and bring back, and a migrated database on it."""

    server: Embedded
    url: str


@pytest.fixture
async def frail(base: Path) -> AsyncIterator[Frail]:
    """Up at the beginning, whatever it went through at the end."""
    with _server(base) as server:
        url = url_on(server, "postgres")
        await migrate(url)
        yield Frail(server, url)
        if server.is_running():
            thaw(server)


@contextmanager
def _server(base: Path) -> Iterator[Embedded]:
    folder = Path(tempfile.mkdtemp(prefix="resumebot-test-", dir=base))
    folder.chmod(0o711)  # as root the server is another account
    try:
        with Embedded(folder / "data") as server:
            yield server
    finally:
        shutil.rmtree(folder)
