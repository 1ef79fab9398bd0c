"""The usual world of service tests: one connection, one channel, the built-in policy."""

from collections.abc import AsyncIterator

import pytest

from tests.service.world import World, open_world


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    """A world in which nothing has happened yet."""
    async with open_world(database) as world:
        yield world
