"""One unit is one transaction: all of it or nothing, whoever races, and nothing without its audit entry."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from bot.domain import lifecycle
from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.errors import Refusal
from bot.domain.request import Decision, RequestState
from bot.service.unit import Job
from bot.store.incidents import StaleWrite
from bot.store.unit_of_work import SqlStore
from tests.domain.things import ARNO, NOW, RITA, incident, rules
from tests.store.rows import add_incident, add_request, ask, count, jobs, opened, trail

pytestmark = pytest.mark.anyio
JOB = Job("describe", "engine:orders", {"incident_id": 1})


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    async with opened(database) as store:
        yield store


def entry(**changes: object) -> AuditEntry:
    values = {"at": NOW, "actor": "bot", "action": AuditAction.STARTED, "subject": "bot"} | changes
    return AuditEntry(**values)  # type: ignore[arg-type]


# ---- all or nothing --------------------------------------------------------------------------


async def test_a_unit_commits_row_entry_and_job_together(store: SqlStore) -> None:
    async with store.unit() as unit:
        await unit.incidents.add(incident(id=0))
        unit.record(entry())
        await unit.enqueue(JOB)
        assert await count(store, "audit_entries") == await count(store, "jobs.procrastinate_jobs") == 0

    assert await count(store, "incidents") == await count(store, "audit_entries") == 1
    assert await jobs(store) == [("engine:orders", "describe", {"incident_id": 1})]


async def test_an_error_in_a_unit_takes_row_entry_and_job_back(store: SqlStore) -> None:
    async def work() -> None:
        async with store.unit() as unit:
            await unit.incidents.add(incident(id=0))
            await unit.first_time("press", "k", NOW)
            unit.record(entry())
            await unit.enqueue(JOB)
            raise Refusal("no", "No.")

    with pytest.raises(Refusal):
        await work()

    tables = ("incidents", "incident_executions", "seen", "audit_entries", "jobs.procrastinate_jobs")
    assert [await count(store, table) for table in tables] == [0] * 5


async def test_where_the_entry_cannot_be_written_nothing_is(store: SqlStore) -> None:
    await ask(store, "ALTER TABLE audit_entries ADD CONSTRAINT never CHECK (entry = '')")

    async def work() -> None:
        async with store.unit() as unit:
            await unit.incidents.add(incident(id=0))
            await unit.enqueue(JOB)
            unit.record(entry())

    with pytest.raises(IntegrityError):
        await work()

    assert await count(store, "incidents") == await count(store, "jobs.procrastinate_jobs") == 0


async def test_an_error_of_the_database_inside_a_unit_takes_all_of_it_back(store: SqlStore) -> None:
    first = await add_incident(store)
    made = await add_request(store, first)

    async def work() -> None:
        async with store.unit() as unit:
            await unit.enqueue(JOB)
            await unit.requests.add(replace(made, id=await unit.requests.new_id()))

    with pytest.raises(IntegrityError):
        await work()

    assert await count(store, "jobs.procrastinate_jobs") == 0


async def test_whoever_waits_is_given_up_on_sooner(store: SqlStore) -> None:
    limits: list[str] = []
    for hurried in (True, False):
        async with store.unit(hurried=hurried) as unit:
            limits += [
                (await unit.connection.exec_driver_sql(f"SHOW {setting}")).scalar_one()
                for setting in ("statement_timeout", "lock_timeout")
            ]

    assert limits == ["1500ms", "1s", "15s", "10s"]


# ---- the audit trail -------------------------------------------------------------------------


async def test_an_entry_holds_all_fields_null_where_there_is_nothing(store: SqlStore) -> None:
    full = entry(
        actor=RITA.actor,
        action=AuditAction.APPROVED,
        subject="req-17",
        request="req-17",
        incident="inc-42",
        connection="orders",
        execution="run-1",
        data={"list": ["a\x00", ("b", 1)], "k\ud800": {"z": None}},
    )

    async with store.unit() as unit:
        unit.record(full, entry())

    first, second = await trail(store)
    assert first == {
        "at": "2026-11-25T09:30:00.000000Z",
        "actor": "slack:T0HOME/U0RITA",
        "action": "request:decision:approved",
        "subject": "req-17",
        "request": "req-17",
        "incident": "inc-42",
        "connection": "orders",
        "execution": "run-1",
        "data": {"list": ["a\ufffd", ["b", 1]], "k\ufffd": {"z": None}},
    }
    assert set(second) == set(first)
    assert [second[key] for key in ("request", "incident", "connection", "execution", "data")] == [None] * 4 + [{}]


async def test_entries_are_found_by_their_fields_and_keep_their_order(store: SqlStore) -> None:
    async with store.unit() as unit:
        unit.record(*[entry(subject=f"s{number}", execution="run-1") for number in range(5)])

    found = await ask(store, "SELECT entry::jsonb ->> 'subject' FROM audit_entries WHERE execution = 'run-1' ORDER BY id")
    assert found == ["s0", "s1", "s2", "s3", "s4"]


@pytest.mark.parametrize("table", ["audit_entries", "audit_seals"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"], ids=["update", "delete", "truncate"]
)
@pytest.mark.parametrize("role", ["origin", "replica"])
async def test_what_was_recorded_cannot_be_changed(store: SqlStore, table: str, statement: str, role: str) -> None:
    change = statement.format(table, "entry = ''" if table == "audit_entries" else "sha256 = ''")

    async def work() -> None:
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql(f"SET LOCAL session_replication_role = {role}")
            await connection.exec_driver_sql(change)

    with pytest.raises(DBAPIError, match="append-only"):
        await work()


# ---- one wins --------------------------------------------------------------------------------


async def test_eight_tasks_racing_over_fifty_requests_have_one_winner_each_and_one_entry_each(store: SqlStore) -> None:
    first = await add_incident(store)
    made = [await add_request(store, first, root=f"root-{number}", rules=rules()) for number in range(50)]
    wins: list[int] = []

    async def approve(number: int) -> None:
        approver = replace(ARNO, id=f"U0A{number}")
        for each in made:
            try:
                async with store.unit() as unit:
                    found = await unit.requests.lock(each.id)
                    assert found is not None
                    after, entries = lifecycle.approve(found[0], approver, [], NOW)
                    await unit.requests.save(found[0], after)
                    unit.record(*entries)
            except Refusal:
                continue
            wins.append(each.id)

    await asyncio.gather(*[approve(number) for number in range(8)])

    assert sorted(wins) == [each.id for each in made]
    assert await ask(store, "SELECT DISTINCT count(*) FROM audit_entries GROUP BY request") == [1]
    assert await count(store, "audit_entries") == await count(store, "decisions") == 50


async def test_of_eight_requests_for_one_chain_at_once_one_is_made(store: SqlStore) -> None:
    first = await add_incident(store)

    outcomes = await asyncio.gather(*[add_request(store, first) for _ in range(8)], return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IntegrityError"] * 7 + ["Request"]
    assert await count(store, "requests") == 1


@pytest.mark.parametrize("state", [state for state in RequestState if not state.is_live])
async def test_an_ended_request_stands_in_nobodys_way(store: SqlStore, state: RequestState) -> None:
    first = await add_incident(store)
    await add_request(store, first, state=state)

    await add_request(store, first)

    async with store.unit() as unit:
        live = await unit.requests.live("orders", "run-1")
    assert live is not None
    assert live.state is RequestState.PENDING


@pytest.mark.parametrize("state", [state for state in RequestState if state.is_live])
async def test_a_live_request_stands_in_the_way_of_another(store: SqlStore, state: RequestState) -> None:
    first = await add_incident(store)
    await add_request(store, first, state=state)

    with pytest.raises(IntegrityError):
        await add_request(store, first)


async def test_a_request_that_has_moved_on_is_not_written_over(store: SqlStore) -> None:
    made = await add_request(store, await add_incident(store))
    async with store.unit() as unit:
        await unit.requests.save(made, replace(made, outcome="first", version=2))

    async def work() -> None:
        async with store.unit() as unit:
            unit.record(entry())
            await unit.requests.save(made, replace(made, outcome="second", version=2))

    with pytest.raises(StaleWrite, match=made.label):
        await work()

    assert await ask(store, "SELECT outcome FROM requests") == ["first"]
    assert await count(store, "audit_entries") == 0


async def test_an_incident_that_has_moved_on_is_not_written_over(store: SqlStore) -> None:
    first = await add_incident(store)
    async with store.unit() as unit:
        await unit.incidents.save(first, replace(first, error="first"))

    async def work() -> None:
        async with store.unit() as unit:
            await unit.incidents.save(first, replace(first, error="second"))

    with pytest.raises(StaleWrite, match=first.label):
        await work()

    assert await ask(store, "SELECT error, version FROM incidents") == [("first", 2)]


async def test_one_person_decides_once_on_a_request(store: SqlStore) -> None:
    made = await add_request(store, await add_incident(store))
    twice = (Decision(ARNO.actor, is_approval=True, at=NOW), Decision(ARNO.actor, is_approval=False, at=NOW))

    async def work() -> None:
        async with store.unit() as unit:
            await unit.requests.save(made, replace(made, decisions=twice))

    with pytest.raises(IntegrityError):
        await work()


async def test_the_same_delivery_counts_once_however_many_arrive_at_once(store: SqlStore) -> None:
    async def arrive() -> bool:
        async with store.unit() as unit:
            return await unit.first_time("press", "k", NOW)

    assert sorted(await asyncio.gather(*[arrive() for _ in range(8)])) == [False] * 7 + [True]


async def test_a_delivery_whose_unit_failed_counts_the_next_time(store: SqlStore) -> None:
    async def work() -> None:
        async with store.unit() as unit:
            assert await unit.first_time("press", "k", NOW)
            raise Refusal("no", "No.")

    with pytest.raises(Refusal):
        await work()

    async with store.unit() as unit:
        assert await unit.first_time("press", "k", NOW)
        assert await unit.first_time("command", "k", NOW)
        assert not await unit.first_time("press", "k", NOW)
