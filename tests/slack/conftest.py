"""The flag that rewrites golden files."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/slack --update-goldens` writes what the views make now."""
    parser.addoption("--update-goldens", action="store_true", help="rewrite the golden files of the Slack views")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-goldens", default=False))
