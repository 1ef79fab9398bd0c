"""A migrated database and a Restate server for the journeys of one file."""

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from bot.store.data_folder import url_of
from bot.store.embedded import Embedded

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def journey_database(server: Embedded, template: str) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh, migrated database for one file."""
    name = f"journey_{next(numbers)}"
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
    yield url_of(server.socket, name)
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
