"""What the simulated Harness pushes: event rules of FirstGen and notification rules of NextGen."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_hooks import Pusher, Rule, firstgen_observer, nextgen_observer
from bot.simulators.harness_nextgen import NextGenSimulator
from bot.simulators.harness_samples import firstgen_shop, nextgen_shop
from bot.simulators.harness_world import Progress, World
from bot.simulators.serving import serve

pytestmark = pytest.mark.anyio


class Receiver:
    """Somebody who takes hooks."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.secrets: list[str | None] = []
        self.status = 202
        self.url = ""

    async def take(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        self.secrets.append(request.headers.get("x-resumebot-secret"))
        return Response(status_code=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taking = Receiver()
    async with serve(Starlette(routes=[Route("/hook", taking.take, methods=["POST"])])) as url:
        taking.url = f"{url}/hook"
        yield taking


async def test_firstgen_tells_of_starts_and_ends_with_its_inner_words(receiver: Receiver) -> None:
    simulator = FirstGenSimulator(world=World(step_seconds=0.01))
    shop, pusher = firstgen_shop(simulator), Pusher([Rule(receiver.url, {"X-Resumebot-Secret": "s"})])
    simulator.world.observers.append(firstgen_observer(simulator.estate, pusher))
    simulator.world.plan("el-build", Progress.FAILED)

    run = await simulator.world.over(simulator.world.start(shop))
    await simulator.world.aclose()
    await pusher.settled()

    assert [(one["eventType"], one["data"]["status"]) for one in receiver.bodies] == [
        ("pipeline_start", "RUNNING"),
        ("pipeline_end", "FAILED"),
    ]
    assert receiver.bodies[1]["data"]["executionId"] == run.identifier
    assert receiver.secrets == ["s", "s"]


async def test_firstgen_repeats_a_failed_delivery_once(receiver: Receiver) -> None:
    simulator = FirstGenSimulator(world=World(step_seconds=0.01))
    pusher = Pusher([Rule(receiver.url, tries=2)])
    receiver.status = 500

    pusher.push("test", {"eventType": "test", "data": {"message": "hello"}})
    await pusher.settled()

    assert pusher.answers == [500, 500]
    assert simulator.world.runs == {}


@pytest.mark.parametrize(
    ("end", "events"),
    [
        (Progress.FAILED, ["PipelineStart", "StageFailed", "PipelineFailed", "PipelineEnd"]),
        (Progress.ABORTED, ["PipelineStart", "StageFailed", "PipelineEnd"]),
    ],
)
async def test_nextgen_tells_of_an_aborted_run_by_its_end_alone(receiver: Receiver, end: Progress, events: list[str]) -> None:
    simulator = NextGenSimulator(world=World(step_seconds=0.01))
    shop, pusher = nextgen_shop(simulator), Pusher([Rule(receiver.url)])
    simulator.world.observers.append(nextgen_observer(simulator.account, simulator.links, pusher))
    simulator.world.plan("build", end)

    await simulator.world.over(simulator.world.start(shop))
    await simulator.world.aclose()
    await pusher.settled()

    assert sorted(one["eventData"]["eventType"] for one in receiver.bodies) == sorted(events)
    told = next(one["eventData"] for one in receiver.bodies if one["eventData"]["eventType"] == "StageFailed")
    assert told["stageIdentifier"] == "build"
    assert told["startTs"] < 10_000_000_000  # seconds


async def test_a_rule_may_lose_or_double(receiver: Receiver) -> None:
    pusher = Pusher([Rule(receiver.url, copies=0), Rule(receiver.url, copies=2, events=frozenset({"b"}))])

    pusher.push("a", {})
    pusher.push("b", {})
    await pusher.settled()

    assert len(receiver.bodies) == 2
