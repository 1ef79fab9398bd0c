"""What is known of people is read often enough, by few calls, and old facts never pass for new ones."""

from dataclasses import replace

import pytest

from bot.domain.errors import ChatRefused, ChatUnavailable
from bot.domain.policy import Person, PersonKind, Policy
from bot.service import people
from tests.service.world import ARNO, DEPLOYS, HOME, LEA, NORA, OTHER, RITA, World, open_world

pytestmark = pytest.mark.anyio
DOWN = ChatUnavailable("unreachable")


async def known(world: World, user: str) -> Person:
    return await world.readings.person(HOME, user)


async def test_groups_and_channels_that_count_and_the_people_in_them_are_read(database: str) -> None:
    policy = Policy("p", requesters=("S0DEVS",), approvers=("channel", NORA))
    async with open_world(database, policy) as world:
        world.clock.let_pass(300)
        await people.refresh_all(world.core)

        rita = await known(world, RITA)

        assert rita.groups == {"S0DEVS", DEPLOYS}
        assert rita.read_at == dict.fromkeys(["S0DEVS", DEPLOYS], world.clock.now())
        assert rita.kind_read_at == world.clock.now()
        assert rita.kind is (await known(world, NORA)).kind is PersonKind.MEMBER


async def test_kinds_are_read_again_every_few_minutes_and_not_every_round(world: World) -> None:
    world.people.asked.clear()
    await people.refresh_all(world.core)
    assert world.people.asked == [DEPLOYS]

    world.clock.let_pass(241)
    world.people.kinds[ARNO] = PersonKind.DEACTIVATED
    await people.refresh_all(world.core)

    assert (await known(world, ARNO)).kind is PersonKind.DEACTIVATED


async def test_many_people_are_read_as_a_list(world: World) -> None:
    world.people.kinds |= {f"U0X{number}": PersonKind.MEMBER for number in range(60)}
    world.people.channels[DEPLOYS] |= {f"U0X{number}" for number in range(60)}
    world.people.asked.clear()

    await people.refresh_all(world.core)

    assert world.people.asked == [DEPLOYS, "everybody"]
    assert (await known(world, "U0X59")).kind is PersonKind.MEMBER


async def test_where_the_list_cannot_be_read_some_are_read_one_by_one(world: World) -> None:
    async def no_list() -> dict[str, PersonKind]:
        raise ChatRefused("missing_scope")

    world.people.kinds |= {f"U0X{number}": PersonKind.MEMBER for number in range(60)}
    world.people.channels[DEPLOYS] |= {f"U0X{number}" for number in range(60)}
    world.people.all_kinds = no_list  # type: ignore[method-assign]

    await people.refresh_all(world.core)

    kinds = [(await known(world, f"U0X{number}")).kind for number in range(60)]
    assert kinds.count(PersonKind.MEMBER) == 40


async def test_a_group_that_cannot_be_read_keeps_its_members_and_grows_old(world: World) -> None:
    before = (await known(world, RITA)).read_at[DEPLOYS]
    world.clock.let_pass(60)
    world.people.down = DOWN

    assert await people.refresh_group(world.core, DEPLOYS) == frozenset()

    rita = await known(world, RITA)
    assert rita.groups == {DEPLOYS}
    assert rita.read_at[DEPLOYS] == before


async def test_somebody_whom_slack_does_not_know_is_a_stranger(world: World) -> None:
    assert await people.refresh_person(world.core, "U0GHOST")
    assert (await known(world, "U0GHOST")).kind is PersonKind.FOREIGN

    world.people.down = DOWN
    assert not await people.refresh_person(world.core, "U0OTHER")
    assert (await known(world, "U0OTHER")).kind is None


async def test_what_a_call_hangs_on_is_read_afresh_and_only_that(world: World) -> None:
    world.clock.let_pass(60)
    world.people.asked.clear()

    assert await people.refresh_for(world.core, [RITA, RITA], ("channel", LEA, "anyone"), DEPLOYS)
    assert world.people.asked == [RITA, DEPLOYS]
    assert await people.refresh_for(world.core, [RITA], ("channel",), DEPLOYS)
    assert world.people.asked == [RITA, DEPLOYS]


@pytest.mark.parametrize("missing", ["person", "group"])
async def test_what_could_not_be_read_afresh_is_not_passed_off_as_read(world: World, missing: str) -> None:
    world.clock.let_pass(60)
    users = ["U0NOBODY"] if missing == "person" else []
    words = () if missing == "person" else ("channel",)
    world.people.down = DOWN

    assert not await people.refresh_for(world.core, users, words, DEPLOYS)


async def test_a_group_slack_does_not_know_keeps_a_call_from_being_made(world: World) -> None:
    assert not await people.refresh_for(world.core, [RITA], ("S0GHOST",), DEPLOYS)


async def test_only_what_is_routed_or_named_is_followed(world: World) -> None:
    setup = replace(world.core.setup, policies=(Policy("p", approvers=(OTHER,)),))

    await people.refresh_all(replace(world.core, setup=setup))

    assert (await known(world, NORA)).groups == {OTHER}
    assert "S0DEVS" not in (await known(world, RITA)).read_at
