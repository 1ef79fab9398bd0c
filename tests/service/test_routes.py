"""Which channel a failure's card goes to, also while its name is not known, and what becomes of one without a route."""

from collections.abc import AsyncIterator

import pytest

from bot.domain.errors import NotSent
from bot.domain.setup import ConnectionInfo, Route
from tests.service.world import AUDIT, DEPLOYS, OTHER, World, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def routed(database: str) -> AsyncIterator[World]:
    """Checkout goes to one channel, the rest of production to another, what is left nowhere."""
    routes = (Route({"name": ("Checkout*",)}, DEPLOYS), Route({"environment": ("production",)}, OTHER))
    async with open_world(database, routes=routes) as world:
        yield world


# ---- routes ----------------------------------------------------------------------------------


async def test_a_failure_goes_to_the_channel_of_its_route(routed: World) -> None:
    await routed.failed(1)
    await routed.failed(2, name="Billing", environment="production")

    assert "run-1" in routed.card(channel=DEPLOYS).text
    assert "run-2" in routed.card(channel=OTHER).text


async def test_where_the_route_hangs_on_the_name_the_card_waits_for_it(routed: World) -> None:
    await routed.report(routed.engine.fail(), with_name=False)
    assert (await routed.incident()).channel is None

    await routed.work()

    assert (await routed.incident()).channel == DEPLOYS
    assert "Checkout" in routed.card().text


async def test_where_the_engine_does_not_say_the_name_in_time_the_card_goes_where_it_may_belong(routed: World) -> None:
    routed.engine.down = NotSent("connection refused")
    await routed.report(routed.engine.fail(), with_name=False)
    await routed.wait(29)
    assert routed.chat.posts == []

    await routed.wait(5)

    assert "run-1" in routed.card(channel=DEPLOYS).text
    assert "connection refused" in routed.card(channel=DEPLOYS).text


async def test_a_failure_without_a_route_is_announced_once_and_recorded(routed: World) -> None:
    await routed.failed(name="Billing", environment="staging")
    await routed.live(120)

    assert routed.chat.in_channel(DEPLOYS) == routed.chat.in_channel(OTHER) == []
    assert len(routed.chat.in_channel(AUDIT)) == 1
    assert "inc-1" in routed.chat.in_channel(AUDIT)[0].text
    undelivered = await routed.trail(action="bot:message:undeliverable")
    assert [entry["incident"] for entry in undelivered] == ["inc-1"]


async def test_a_connections_own_environment_routes_without_asking_the_engine(database: str) -> None:
    infos = {"orders": ConnectionInfo("orders", "fake", "Fake", environment="production")}
    async with open_world(database, routes=(Route({"environment": ("production",)}, OTHER),), connections=infos) as world:
        world.engine.down = NotSent("connection refused")
        await world.report(world.engine.fail())
        await world.wait(3)

        assert "run-1" in world.card(channel=OTHER).text
