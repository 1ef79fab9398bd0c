"""What comes of choosing one of several things, in a private message or in a form."""

from collections.abc import AsyncIterator

import pytest

from bot.domain.execution import StartTarget
from bot.domain.messages import START_CHOICE, Answer, StartForm
from bot.service.starts import Wanted
from bot.slack.listeners import Listeners
from tests.fake_engine import FakeEngine, StartingEngine
from tests.fakes import FakeClock
from tests.service.world import HOME, RITA, World, open_world

pytestmark = pytest.mark.anyio
TARGET = StartTarget("orders", "deploy-shop", "Deploy Shop")
URL = "https://hooks.slack.com/commands/1"


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    clock = FakeClock()
    engine = StartingEngine("orders", clock)
    engine.targets = [TARGET, StartTarget("orders", "other", "Deploy Shop")]
    engines: list[FakeEngine] = [engine]
    async with open_world(database, engines=engines, clock=clock) as world:
        yield world


async def choose(world: World, argument: str, **where: object) -> None:
    """Press the button of a choice."""
    action = {"action_id": "rb:choose:1", "value": argument, "action_ts": "1795600000.000100"}
    body = {"user": {"id": RITA, "team_id": HOME}, "actions": [action], **where}
    await Listeners(world.core, world.forms, "U0BOT").action(body)
    await world.work()


async def test_a_choice_in_a_form_goes_on_in_the_form(world: World) -> None:
    world.chat.views["rb-1"] = []
    wanted = Wanted("Deploy Shop", "Deploy Shop", "orders", key="deploy-shop", channel="C0DEPLOYS")

    await choose(world, START_CHOICE + wanted.as_text(), view={"id": "V1", "external_id": "rb-1", "type": "modal"})

    assert world.chat.views["rb-1"] == [StartForm(TARGET, "C0DEPLOYS")]


async def test_a_choice_in_a_message_is_answered_there(world: World) -> None:
    world.chat.urls[URL] = RITA
    world.engine.fail(1)

    await choose(world, "orders:run-1", response_url=URL)

    shown = world.told(RITA).shown
    assert isinstance(shown, Answer)
    assert shown.incident is not None
    assert shown.incident.execution_id == "run-1"
