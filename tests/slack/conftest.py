"""The flag that rewrites golden files, and one served Slack for all tests that speak HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.slack.world import Door, open_door


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/slack --update-goldens` writes what the views make now."""
    parser.addoption("--update-goldens", action="store_true", help="rewrite the golden files of the Slack views")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-goldens", default=False))


@pytest.fixture(scope="session")
async def door(anyio_backend: str) -> AsyncIterator[Door]:
    """A server for the whole run."""
    async with open_door() as opened:
        yield opened
