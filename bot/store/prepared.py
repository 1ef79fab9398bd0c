"""Statements of the tables made once and run on the driver itself: for what every press, hook and call does.

SQLAlchemy takes three times as long for each execution as driver and database together; of a press that was most of all.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
Driver = psycopg.AsyncConnection[Any]


def driver_of(connection: AsyncConnection) -> Driver:
    """The driver's connection, inside the same transaction."""
    underneath = connection.sync_connection
    assert underneath is not None  # noqa: S101 — it was opened
    driver: Driver = underneath.connection.driver_connection  # type: ignore[assignment]  # what our URLs lead to
    return driver


class Prepared:
    """One statement; its `bindparam`s are the arguments of each run. Faults are SQLAlchemy's own, without values."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement

    @cached_property
    def _compiled(self) -> SQLCompiler:
        compiled = self._statement.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 — it is no DDL
        return compiled

    @cached_property
    def _sql(self) -> bytes:
        return str(self._compiled).encode()

    @cached_property
    def _fixed(self) -> Mapping[str, Any]:
        return dict(self._compiled.params)

    @cached_property
    def _processors(self) -> Mapping[str, Callable[[Any], Any]]:
        found = self._compiled._bind_processors  # noqa: SLF001 — no other way to what makes JSON of a value
        return {name: process for name, process in found.items() if callable(process)}

    async def run(self, driver: Driver, **values: Any) -> None:
        """Run it for its effect; in a pipeline nobody waits for it."""
        await self._run(driver, values)

    async def ask(self, driver: Driver, **values: Any) -> "Asked":
        """Run it in a pipeline, and go on to the next before its rows are there."""
        return Asked(await self._run(driver, values), self._sql)

    async def rows(self, driver: Driver, **values: Any) -> list[Any]:
        """Run it; its rows as named tuples."""
        return await (await self.ask(driver, **values)).rows()

    async def first(self, driver: Driver, **values: Any) -> Any:
        """Run it; its first row, or None."""
        return await (await self._run(driver, values)).fetchone()

    async def count(self, driver: Driver, **values: Any) -> int:
        """Run it; how many rows it changed."""
        return (await self._run(driver, values)).rowcount

    async def _run(self, driver: Driver, values: Mapping[str, Any]) -> psycopg.AsyncCursor[Any]:
        cursor = driver.cursor(row_factory=namedtuple_row)
        with faults_translated(self._sql):
            return await cursor.execute(self._sql, self._parameters(values))

    def _parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        parameters = {**self._fixed, **values}
        for name, process in self._processors.items():
            parameters[name] = process(parameters[name])
        return parameters


class Asked:
    """Rows on their way."""

    def __init__(self, cursor: psycopg.AsyncCursor[Any], sql: bytes) -> None:
        self._cursor, self._sql = cursor, sql

    async def rows(self) -> list[Any]:
        """They, as named tuples; faults come with them."""
        with faults_translated(self._sql):
            return await self._cursor.fetchall()

    async def first(self) -> Any:
        """The first, or None."""
        with faults_translated(self._sql):
            return await self._cursor.fetchone()


class Last:
    """Statements whose result nobody waits for, sent together with the commit: one way to the database and back."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Prepared, Mapping[str, Any]]] = []

    def add(self, statement: Prepared, **values: Any) -> None:
        """One more, after those there are."""
        self._waiting.append((statement, values))

    async def commit(self, driver: Driver) -> None:
        """Run them in their order and commit; all of it or, with a fault, nothing."""
        waiting, self._waiting = self._waiting, []
        async with together(driver):
            for statement, values in waiting:
                await statement.run(driver, **values)
            await driver.commit()


@asynccontextmanager
async def together(driver: Driver) -> AsyncIterator[None]:
    """Statements one after the other, in one way to the database and back; a BEGIN that is due goes along."""
    with faults_translated(b"statements sent together"):
        async with driver.pipeline():
            yield


@contextmanager
def faults_translated(statement: bytes) -> Iterator[None]:
    """The driver's faults as SQLAlchemy's, without what was to be written."""
    try:
        yield
    except psycopg.Error as fault:
        raise DBAPIError.instance(
            statement.decode(), None, fault, psycopg.Error, hide_parameters=True, dialect=DIALECT
        ) from fault
