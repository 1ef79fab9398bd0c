"""P18: at level *guarded* the running role does all its work and cannot change what was recorded."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.errors import ConfigError
from bot.service.unit import Job
from bot.store import schema
from bot.store.guard import AuditLevel, audit_level
from bot.store.seals import seal
from bot.store.unit_of_work import SqlStore
from bot.store.verify import verify
from tests.store.trail import StandingClock, entry, opened, tamper, write

pytestmark = pytest.mark.anyio
ROLE = 'running "bot"'


@pytest.fixture
async def running(database: str) -> AsyncIterator[AsyncEngine]:
    """The database as another role than its owner sees it, after a migration that was told of the role, twice."""
    async with opened(database) as owner, owner.begin() as connection:
        await connection.execute(text('DROP ROLE IF EXISTS "running ""bot"""'))
        await connection.execute(text('CREATE ROLE "running ""bot""" LOGIN'))
    for _ in range(2):
        await schema.migrate(database, ROLE)
    async with opened(str(make_url(database).set(username=ROLE))) as engine:
        yield engine
    async with opened(database) as owner, owner.begin() as connection:
        await connection.execute(text('DROP OWNED BY "running ""bot"""'))
        await connection.execute(text('DROP ROLE "running ""bot"""'))


@pytest.mark.parametrize(
    "statement",
    [
        *[
            f"{verb} {table}{rest}"
            for table in ("audit_entries", "audit_seals")
            for verb, rest in (
                ("UPDATE", " SET at = at" if table == "audit_seals" else " SET entry = '{}'"),
                ("DELETE FROM", ""),
                ("TRUNCATE", ""),
                ("DROP TABLE", ""),
                ("ALTER TABLE", " DISABLE TRIGGER ALL"),
                ("CREATE TRIGGER mine BEFORE INSERT ON", " EXECUTE FUNCTION audit_refuse_change()"),
            )
        ],
        "SELECT setval('audit_entries_id_seq', 1)",
        "UPDATE schema_state SET floor = 0",
        "DROP FUNCTION audit_refuse_change()",
        "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
    ],
)
async def test_the_running_role_cannot_change_what_was_recorded(running: AsyncEngine, statement: str) -> None:
    await write(running, entry(1))
    await seal(running, StandingClock())

    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        async with running.begin() as connection:
            await connection.execute(text(statement))


async def test_the_running_role_does_all_its_work(running: AsyncEngine) -> None:
    clock = StandingClock()
    store = SqlStore(running, clock)

    await schema.check(running)
    async with store.unit() as unit:
        assert await unit.first_time("event", "E1", clock.now())
        await unit.keep_rejected("orders", "no JSON", b"{", clock.now())
        assert await unit.requests.new_id() == 1
        await unit.enqueue(Job("expire", "timer", {"request_id": 1}))
        unit.directory.save_members("T1", "C1", frozenset({"U1"}), clock.now())
        unit.directory.save_members("T1", "C1", frozenset(), clock.now())
        unit.record(entry(1))
    sealed = await seal(running, clock)

    assert sealed
    assert sealed.last_id == 1
    assert (await verify(running)).fault is None
    assert await audit_level(running, embedded=False) is AuditLevel.GUARDED


async def test_every_table_but_those_of_the_trail_may_be_written(running: AsyncEngine) -> None:
    async with running.connect() as connection:
        closed = await connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'jobs')"
                " AND NOT (has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')"
                " AND has_table_privilege(oid, 'DELETE') AND has_table_privilege(oid, 'SELECT')) ORDER BY relname"
            )
        )
        assert closed.scalars().all() == ["alembic_version", "audit_entries", "audit_seals", "schema_state"]


async def test_the_owner_is_held_back_by_triggers_and_it_shows_when_they_are_off(database: str) -> None:
    async with opened(database) as engine:
        as_embedded = await audit_level(engine, embedded=True)
        as_owner = await audit_level(engine, embedded=False)
        await tamper(engine)  # which enables the triggers again, and not as they were
        opened_up = await audit_level(engine, embedded=False)

    assert (as_embedded, as_owner, opened_up) == (AuditLevel.EMBEDDED, AuditLevel.TRIGGER, AuditLevel.OPEN)


async def test_a_role_that_does_not_exist_is_named(database: str) -> None:
    with pytest.raises(ConfigError, match="names the role nobody_here, which the database does not know"):
        await schema.migrate(database, "nobody_here")


async def test_the_owner_needs_no_grant(database: str) -> None:
    await schema.migrate(database, "postgres")
