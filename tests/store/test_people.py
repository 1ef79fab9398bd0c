"""What the store knows of people and groups, and how old it is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from bot.domain.policy import Person, PersonKind
from bot.store.queries import SqlReadings
from bot.store.unit_of_work import SqlStore
from tests.domain.things import ELSEWHERE, HOME, MINUTE, NOW
from tests.store.rows import opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    async with opened(database) as store:
        yield store


async def test_somebody_never_looked_up_has_no_kind(store: SqlStore) -> None:
    async with store.unit() as unit:
        assert await unit.directory.person(HOME, "U0A") == Person(HOME, "U0A")


async def test_a_person_has_the_kind_and_groups_last_read(store: SqlStore) -> None:
    async with store.unit() as unit:
        unit.directory.save_kind(HOME, "U0A", PersonKind.GUEST, NOW)
        unit.directory.save_kind(HOME, "U0A", PersonKind.MEMBER, NOW + MINUTE)
        unit.directory.save_members(HOME, "S0DEVS", ["U0A", "U0B", "U0A"], NOW)
        unit.directory.save_members(HOME, "S0RELEASE", ["U0B"], NOW)
        unit.directory.save_members(HOME, "S0EMPTY", [], NOW)

    async with store.unit() as unit:
        person = await unit.directory.person(HOME, "U0A")
    assert person == Person(
        HOME,
        "U0A",
        PersonKind.MEMBER,
        NOW + MINUTE,
        frozenset({"S0DEVS"}),
        {"S0DEVS": NOW, "S0RELEASE": NOW, "S0EMPTY": NOW},
    )
    assert await SqlReadings(store.engine).person(HOME, "U0A") == person


async def test_members_who_have_left_are_members_no_more(store: SqlStore) -> None:
    async with store.unit() as unit:
        unit.directory.save_members(HOME, "S0DEVS", ["U0A", "U0B"], NOW)
        unit.directory.save_members(HOME, "S0DEVS", ["U0B"], NOW + MINUTE)

    async with store.unit() as unit:
        people = [await unit.directory.person(HOME, user) for user in ("U0A", "U0B")]
    assert [person.groups for person in people] == [frozenset(), frozenset({"S0DEVS"})]
    assert people[0].read_at == {"S0DEVS": NOW + MINUTE}


async def test_a_group_that_cannot_be_read_grows_old_with_what_was_known(store: SqlStore) -> None:
    async with store.unit() as unit:
        unit.directory.save_members(HOME, "S0DEVS", ["U0A"], NOW)
        unit.directory.save_trouble(HOME, "S0DEVS", "no answer", NOW + MINUTE)
        unit.directory.save_trouble(HOME, "S0NEW", "no such group", NOW + MINUTE)

    async with store.unit() as unit:
        person = await unit.directory.person(HOME, "U0A")
    assert person.groups == {"S0DEVS"}
    assert person.read_at == {"S0DEVS": NOW, "S0NEW": datetime.fromtimestamp(0, UTC)}


async def test_workspaces_do_not_mix(store: SqlStore) -> None:
    async with store.unit() as unit:
        unit.directory.save_kind(HOME, "U0A", PersonKind.MEMBER, NOW)
        unit.directory.save_members(HOME, "S0DEVS", ["U0A"], NOW)

    async with store.unit() as unit:
        assert await unit.directory.person(ELSEWHERE, "U0A") == Person(ELSEWHERE, "U0A")


async def test_of_actors_the_people_are_found_in_their_order(store: SqlStore) -> None:
    async with store.unit() as unit:
        unit.directory.save_kind(HOME, "U0B", PersonKind.MEMBER, NOW)

    async with store.unit() as unit:
        found = await unit.directory.people([f"slack:{HOME}/U0B", "bot", "shell:ops@host", f"slack:{ELSEWHERE}/U0A"])

    assert [(person.workspace, person.id, person.kind) for person in found] == [
        (HOME, "U0B", PersonKind.MEMBER),
        (ELSEWHERE, "U0A", None),
    ]
