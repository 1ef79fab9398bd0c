"""A bot that Slack reaches over a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.in_process import Bot, opened
from tests.socket_mode.double import SlackSockets, opened_sockets
from tests.socket_mode.stand import Stand, connected


@pytest.fixture
async def sockets() -> AsyncIterator[SlackSockets]:
    async with opened_sockets() as double:
        yield double


@pytest.fixture
async def bot(sockets: SlackSockets, database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    """A bot whose Slack delivers over the sockets only."""
    async with opened(database, tmp_path, delivered_by=lambda _: sockets.client()) as made:
        yield made


@pytest.fixture
async def stand(bot: Bot, sockets: SlackSockets) -> AsyncIterator[Stand]:
    async with connected(bot, sockets) as made:
        await sockets.connected()
        yield made
