"""The schema's revisions: one line, the same as the tables, back and forth; the program refuses what does not fit."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate import App, PsycopgConnector
from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.errors import ConfigError
from bot.store import schema
from bot.store.data_folder import url_of
from bot.store.embedded import Embedded
from bot.store.tables import metadata
from bot.store.unit_of_work import open_engine
from tests.conftest import execute
from tests.domain.things import HOME
from tests.store.rows import add_incident, add_request, ask, jobs, opened, trail, want

pytestmark = pytest.mark.anyio
TABLES = "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema IN ('public', 'jobs')"


@pytest.fixture
def empty(server: Embedded) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    execute(server, "CREATE DATABASE test_empty")
    yield url_of(server.socket, "test_empty")
    execute(server, "DROP DATABASE test_empty WITH (FORCE)")


@asynccontextmanager
async def engine_on(url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()


async def in_database(url: str, work: Callable[[Connection], Any]) -> Any:
    async with engine_on(url) as engine, engine.connect() as connection:
        return await connection.run_sync(work)


def differences(connection: Connection) -> list[Any]:
    connection.execute(text("SET search_path = public"))
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def shape(connection: Connection) -> set[str]:
    """Tables, indexes, constraints, routines and triggers by name."""
    queries = (
        TABLES,
        "SELECT schemaname || '.' || indexdef FROM pg_indexes WHERE schemaname IN ('public', 'jobs')",
        "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint",
        "SELECT tgrelid::regclass || ' ' || tgname || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT oid::regprocedure || md5(prosrc) FROM pg_proc WHERE pronamespace::regnamespace::text IN ('public', 'jobs')",
    )
    return {str(row[0]) for query in queries for row in connection.execute(text(query))}


def downgrade_to(revision: str) -> Callable[[Connection], None]:
    return lambda connection: command.downgrade(schema.alembic_config(connection), revision)


# ---- revisions -------------------------------------------------------------------------------


def test_the_revisions_have_one_head_and_one_base() -> None:
    scripts = ScriptDirectory.from_config(schema.alembic_config())

    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1


async def test_from_nothing_the_revisions_make_the_tables(empty: str) -> None:
    await schema.migrate(empty)

    assert await in_database(empty, differences) == []


async def test_migrating_again_changes_nothing(database: str) -> None:
    before = await in_database(database, shape)

    await schema.migrate(database)

    assert await in_database(database, shape) == before
    assert await in_database(database, differences) == []


async def test_down_to_nothing_and_up_again_is_the_same(database: str) -> None:
    before = await in_database(database, shape)

    await in_database(database, downgrade_to("base"))
    nothing = await in_database(database, lambda connection: [row[0] for row in connection.execute(text(TABLES))])
    await schema.migrate(database)

    assert nothing == ["public.alembic_version"]
    assert await in_database(database, shape) == before


async def test_data_survives_the_way_down_to_the_tables_and_up_again(database: str) -> None:
    async with opened(database) as store:
        made = await add_request(store, await add_incident(store))
        await want(store, "inc-1")
        await ask(store, 'INSERT INTO audit_entries (entry) VALUES (\'{"actor": "bot"}\')')
    await in_database(database, downgrade_to("0001"))

    await schema.migrate(database)

    async with opened(database) as store:
        async with store.unit() as unit:
            found = await unit.requests.lock(made.id)
        assert found is not None
        assert found[0] == made
        assert await trail(store) == [{"actor": "bot"}]
        assert await ask(store, "SELECT workspace, subject FROM messages") == [(HOME, "inc-1")]
        assert await jobs(store) == []


async def test_the_job_engines_schema_is_the_one_of_the_installed_release(empty: str, database: str) -> None:
    def install(connection: Connection) -> None:
        connection.execute(text("CREATE SCHEMA jobs"))
        connection.execute(text("SET search_path = jobs, public"))
        sql = App(connector=PsycopgConnector()).schema_manager.get_schema()
        connection.exec_driver_sql(sql.replace("%", "%%"))
        connection.commit()

    def of_jobs(connection: Connection) -> set[str]:
        return {each for each in shape(connection) if "procrastinate" in each}

    await in_database(empty, install)

    assert await in_database(database, of_jobs) == await in_database(empty, of_jobs)


async def test_every_table_of_ours_is_in_the_public_schema(database: str) -> None:
    names = await in_database(database, lambda connection: set(inspect(connection).get_table_names("public")))

    assert names == {*metadata.tables, "alembic_version"}


# ---- what the program refuses ----------------------------------------------------------------


async def test_a_schema_of_our_number_is_taken(database: str) -> None:
    async with engine_on(database) as engine:
        await schema.check(engine)


async def refusal(url: str, *statements: str) -> str:
    async with engine_on(url) as engine:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        with pytest.raises(ConfigError) as refused:
            await schema.check(engine)
    return str(refused.value)


async def test_a_database_without_a_schema_is_refused(empty: str) -> None:
    assert await refusal(empty) == "The database has no schema yet: run `resumebot migrate`."


async def test_a_schema_older_than_needed_is_refused(database: str) -> None:
    said = await refusal(database, "UPDATE schema_state SET number = 0, floor = 0")

    assert said == f"The database's schema is number 0, this program needs {schema.NUMBER}: run `resumebot migrate`."


async def test_a_schema_whose_floor_is_above_us_is_refused(database: str) -> None:
    said = await refusal(database, f"UPDATE schema_state SET number = 99, floor = {schema.NUMBER + 1}")

    assert "upgrade resumebot" in said
    assert str(schema.NUMBER + 1) in said


async def test_a_newer_schema_that_lets_us_run_is_taken(database: str) -> None:
    async with engine_on(database) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE schema_state SET number = 99"))

        await schema.check(engine)


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
async def test_a_database_that_could_lose_what_was_acknowledged_is_refused(database: str, setting: str) -> None:
    async with engine_on(database) as engine:

        def claim(*args: Any) -> tuple[str, Any]:
            """As a server with the setting off would answer."""
            statement, parameters = args[2], args[3]
            return ("SELECT 'off'", parameters) if statement == f"SHOW {setting}" else (statement, parameters)

        event.listen(engine.sync_engine, "before_cursor_execute", claim, retval=True)
        with pytest.raises(ConfigError, match=f"runs with {setting} = off .*turn it on"):
            await schema.check(engine)
