"""The schema in the database: brought up to date by `migrate`, and checked before anything runs on it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

import bot
from bot.domain.errors import ConfigError
from bot.store.guard import grant
from bot.store.tables import schema_state

NUMBER = 1  # of the schema this program was written for; a revision that the program needs raises it
JOBS_SCHEMA = "jobs"
SEARCH_PATH = f"-c search_path=public,{JOBS_SCHEMA}"
MIGRATION_KEY = 7_305_001  # advisory lock: one migration at a time


def migrations_folder() -> Path:
    """Where the revisions are: inside an installed package, beside it in a checkout."""
    package = Path(bot.__file__).parent
    installed = package / "_migrations"
    return installed if installed.exists() else package.parent / "migrations"


async def migrate(url: str, role: str | None = None) -> None:
    """Bring the schema to the newest revision and grant another role what it needs; doing it again changes nothing.

    One process at a time, others wait.
    """
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(upgrade)
            if role:
                await connection.run_sync(grant, role)
    finally:
        await engine.dispose()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the revisions up to this one under an advisory lock."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_KEY})
    connection.commit()
    command.upgrade(alembic_config(connection), revision)
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_KEY})
    connection.commit()


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings for our folder, on this connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def check(engine: AsyncEngine) -> None:
    """Raises ConfigError with one sentence when this program must not run on this database."""
    async with engine.connect() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(schema_state.name)):
            raise ConfigError("The database has no schema yet: run `resumebot migrate`.")
        state = (await connection.execute(select(schema_state))).one()
        if state.number < NUMBER:
            raise ConfigError(
                f"The database's schema is number {state.number}, this program needs {NUMBER}: run `resumebot migrate`."
            )
        if state.floor > NUMBER:
            raise ConfigError(
                f"The database's schema wants programs of number {state.floor} or newer, this is {NUMBER}: upgrade resumebot."
            )
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            value = (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            if value == "off":
                raise ConfigError(f"The database runs with {name} = off and could lose what was acknowledged: turn it on.")
