"""Statements of the tables made once and run on the driver itself: for what every press, hook and call does.

SQLAlchemy takes three times as long for each execution as driver and database together; of a press that was most of all.
"""

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

    async def rows(self, driver: Driver, **values: Any) -> list[Any]:
        """Run it; its rows as named tuples, none where it gives none."""
        cursor = await self._run(driver, values)
        return await cursor.fetchall() if cursor.description else []

    async def first(self, driver: Driver, **values: Any) -> Any:
        """Run it; its first row, or None."""
        return await (await self._run(driver, values)).fetchone()

    async def count(self, driver: Driver, **values: Any) -> int:
        """Run it; how many rows it changed."""
        return (await self._run(driver, values)).rowcount

    async def _run(self, driver: Driver, values: dict[str, Any]) -> psycopg.AsyncCursor[Any]:
        compiled = self._compiled
        parameters = {**compiled.params, **values}
        for name, process in compiled._bind_processors.items():  # noqa: SLF001 — no other way to what makes JSON of a value
            parameters[name] = process(parameters[name])  # type: ignore[operator]  # sequences are those of tuples
        cursor = driver.cursor(row_factory=namedtuple_row)
        try:
            return await cursor.execute(self._sql, parameters)
        except psycopg.Error as fault:
            raise DBAPIError.instance(
                self._sql.decode(), None, fault, psycopg.Error, hide_parameters=True, dialect=DIALECT
            ) from fault
