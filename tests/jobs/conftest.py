"""A lab on the run's server, and one on a server of its own that may be taken down."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.store.embedded import Embedded
from bot.store.schema import migrate
from tests.jobs.lab import Lab, opened, own_server, url_on


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
    with own_server(base) as server:
        url = url_on(server, "postgres")
        await migrate(url)
        yield Frail(server, url)
