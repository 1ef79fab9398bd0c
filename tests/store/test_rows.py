"""What goes into the rows comes out of them, and what they lead to is found."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from bot.domain.execution import ExecutionRef, RefusedPoint, Stage, StageStatus
from bot.domain.incident import IncidentState
from bot.domain.policy import Policy
from bot.domain.request import Decision, RequestState
from bot.service.unit import ConnectionHealth, Place, PressedOn
from bot.store.unit_of_work import SqlStore, SqlUnit
from tests.domain.things import ARNO, HOME, LEA, MINUTE, NOW, POINT, RITA, execution, incident, request, rules
from tests.store.rows import add_incident, add_request, ask, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    async with opened(database) as store:
        yield store


# ---- what goes in comes out ------------------------------------------------------------------


async def test_an_incident_comes_out_as_it_went_in(store: SqlStore) -> None:
    seen = execution(
        stages=(Stage("deploy", StageStatus.FAILED, "disk full", ("a", "b")),),
        refused_points=(RefusedPoint("notify", "last"),),
        notes=("one",),
        labels=MappingProxyType({"Deployment": "dp_1"}),
        started_at=NOW,
        environment="production",
    )
    given = incident(
        id=0,
        seen=seen,
        acknowledged_by=RITA.actor,
        assigned_to=LEA.actor,
        snoozed_until=NOW + MINUTE,
        snoozed_by=RITA.actor,
        state=IncidentState.CLOSED,
        closed_at=NOW,
        closed_because="gone",
        failures=3,
    )

    async with store.unit() as unit:
        stored = await unit.incidents.add(given)
    async with store.unit() as unit:
        found = await unit.incidents.lock(stored.id)

    assert found == replace(given, id=stored.id, seen=replace(seen, labels={"Deployment": "dp_1"}))


async def test_a_request_comes_out_as_it_went_in(store: SqlStore) -> None:
    first = await add_incident(store)
    policies = rules(
        Policy("a", {"name": ("x*",)}, ("S0DEVS",), ("U0LEA",), 2, self_approval=True, expires=timedelta(seconds=90)),
        Policy("b", wants_reason=True),
    )
    made = await add_request(
        store,
        first,
        rules=policies,
        inputs={"tag": "v1"},
        reason="hotfix",
        warning="w",
        new_execution="run-2",
        sent_at=NOW,
        prepared_at=NOW,
        not_before=NOW,
        calls=2,
        tries=3,
        outcome="o",
        ended_at=NOW,
    )
    decided = (Decision(ARNO.actor, is_approval=True, at=NOW), Decision(LEA.actor, is_approval=False, at=NOW, reason="no"))

    async with store.unit() as unit:
        await unit.requests.save(made, replace(made, decisions=decided, state=RequestState.REJECTED))
    async with store.unit() as unit:
        found = await unit.requests.lock(made.id)

    assert found is not None
    assert found[0] == replace(made, decisions=decided, state=RequestState.REJECTED, version=2)
    assert found[0].rules.as_text() == policies.as_text()
    assert found[1] == first


async def test_a_start_has_no_incident(store: SqlStore) -> None:
    async with store.unit() as unit:
        made = request(id=await unit.requests.new_id(), incident_id=None, root="start:1", execution_id="")
        await unit.requests.add(made)

    async with store.unit() as unit:
        assert await unit.requests.lock(made.id) == (made, None)


async def test_what_is_not_there_is_not_found(store: SqlStore) -> None:
    async with store.unit() as unit:
        assert await unit.incidents.lock(1) is None
        assert await unit.incidents.lock_by_execution("orders", "run-1") is None
        assert await unit.incidents.lock_by_root("orders", "run-1") is None
        assert await unit.requests.lock(1) is None
        assert await unit.requests.live("orders", "run-1") is None
        assert await unit.requests.newest(1) is None
        assert await unit.commands.lock(1) is None


async def test_every_execution_of_a_chain_leads_to_its_incident(store: SqlStore) -> None:
    first = await add_incident(store)
    async with store.unit() as unit:
        await unit.incidents.link(first, ["run-1-2", "run-1-2", "", "run-1"])
        moved = await unit.incidents.save(first, replace(first, execution_id="run-1-3"))

    async with store.unit() as unit:
        found = [await unit.incidents.lock_by_execution("orders", each) for each in ("run-1", "run-1-2", "run-1-3")]
        elsewhere = await unit.incidents.lock_by_execution("billing", "run-1")
    assert found == [moved] * 3
    assert elsewhere is None


async def test_the_oldest_incident_of_a_chain_takes_in_a_younger_one(store: SqlStore) -> None:
    elder, younger = await add_incident(store, 1), await add_incident(store, 2, root="run-1")
    made = await add_request(store, younger)

    async with store.unit() as unit:
        oldest = await unit.incidents.lock_by_root("orders", "run-1")
        await unit.incidents.absorb(elder, younger)

    async with store.unit() as unit:
        found = await unit.requests.lock(made.id)
        assert await unit.incidents.lock_by_execution("orders", "run-2") == elder == oldest
    assert found is not None
    assert found[1] == elder


async def test_a_locked_incident_keeps_others_waiting(store: SqlStore) -> None:
    first = await add_incident(store)
    async with store.unit() as unit:
        await unit.incidents.lock(first.id)

        await cannot_lock(store, lambda other: other.incidents.lock(first.id))


async def cannot_lock(store: SqlStore, lock: Callable[[SqlUnit], Awaitable[object]]) -> None:
    async def work() -> None:
        async with store.unit(hurried=True) as other:
            await other.connection.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
            await lock(other)

    with pytest.raises(DBAPIError) as waited:
        await work()
    assert isinstance(waited.value.orig, psycopg.errors.LockNotAvailable)


async def test_a_press_on_an_incident_locks_it_and_reads_what_is_asked_of_it(store: SqlStore) -> None:
    stored = await add_incident(store)
    asked = await add_request(store, stored)
    async with store.unit() as unit:
        opening = await unit.open_press("one", NOW, (HOME, RITA.id), ("", ""), PressedOn(stored.id, is_request=False))

        await cannot_lock(store, lambda other: other.incidents.lock(stored.id))
        assert opening.is_first
        assert await unit.incidents.lock(stored.id) == stored
        assert await unit.requests.live_of(stored) == asked


async def test_a_press_on_a_request_locks_its_incident_too(store: SqlStore) -> None:
    stored = await add_incident(store)
    asked = await add_request(store, stored)
    async with store.unit() as unit:
        await unit.open_press("one", NOW, (HOME, RITA.id), ("", ""), PressedOn(asked.id, is_request=True))

        await cannot_lock(store, lambda other: other.incidents.lock(stored.id))
        assert await unit.requests.lock(asked.id) == (asked, stored)


async def test_a_press_whose_lock_is_not_had_in_time_ends_like_any_other_statement(store: SqlStore) -> None:
    stored = await add_incident(store)
    async with store.unit() as unit:
        await unit.incidents.lock(stored.id)

        on = PressedOn(stored.id, is_request=False)
        await cannot_lock(store, lambda other: other.open_press("one", NOW, (HOME, RITA.id), ("", ""), on))


# ---- commands, connections, rejected notices -------------------------------------------------


async def test_the_secret_address_of_a_command_is_wiped_with_its_answer(store: SqlStore) -> None:
    place = Place(HOME, "U0RITA", "C0DEPLOYS", response_url="https://hooks.slack.com/commands/secret", view_id="v")
    async with store.unit() as unit:
        lookup = await unit.commands.add(place, "resume", "run-1", "deploy", now=NOW, expires_at=NOW + 25 * MINUTE)
    async with store.unit() as unit:
        assert await unit.commands.lock(lookup.id) == lookup
        assert (lookup.place, lookup.verb, lookup.argument, lookup.stage) == (place, "resume", "run-1", "deploy")

        await unit.commands.answered(lookup.id, NOW)

    assert await ask(store, "SELECT response_url, answered_at FROM lookups") == [(None, NOW)]
    async with store.unit() as unit:
        assert await unit.commands.lock(lookup.id) is None


async def test_a_connections_health_is_made_when_it_is_new_and_kept(store: SqlStore) -> None:
    async with store.unit() as unit:
        assert await unit.connections.lock("orders") == ConnectionHealth("orders")
        health = ConnectionHealth("orders", NOW, NOW, NOW, NOW, NOW, "no answer", NOW)
        await unit.connections.save(health)

    async with store.unit() as unit:
        assert await unit.connections.lock("orders") == health


async def test_a_notice_that_cannot_be_read_is_kept_byte_for_byte(store: SqlStore) -> None:
    body = bytes(range(256))

    async with store.unit() as unit:
        await unit.keep_rejected("orders", "no JSON", body, NOW)

    assert await ask(store, "SELECT connection, reason, body FROM rejected_notices") == [("orders", "no JSON", body)]


async def test_a_key_with_anything_in_it_can_be_stored_as_part_of_a_point(store: SqlStore) -> None:
    point = replace(POINT, key="k\ufffd\u202e" * 3000)
    first = await add_incident(store, seen=execution(ref=ExecutionRef("orders", "run-1"), points=(point,)))

    async with store.unit() as unit:
        found = await unit.incidents.lock(first.id)

    assert found is not None
    assert found.seen is not None
    assert found.seen.points == (point,)
