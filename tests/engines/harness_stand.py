"""Both simulated Harness generations behind one port, and the engines that talk to them."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from bot.domain.execution import Execution, ExecutionRef, Receipt, ResumePoint, StartTarget, find_point
from bot.domain.ports import StartsExecutions
from bot.engines._http import boot_time
from bot.engines.harness_firstgen import HarnessFirstgen
from bot.engines.harness_nextgen import HarnessNextgen
from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_nextgen import NextGenSimulator
from bot.simulators.harness_samples import ORG, PROJECT, firstgen_shop, nextgen_shop
from bot.simulators.harness_world import Pipeline, Progress, Run, World
from bot.simulators.serving import serve

CONNECTION = "harness"
SAMPLES = Path(__file__).parent / "samples"
STEP_SECONDS = 0.002
SLOWLY = 0.2  # long enough to be seen under way
KEY = "req-17-1"
SampleParams = list[tuple[str, bytes]]


class Unlimited:
    """A budget without an end."""

    async def admit(self) -> None:
        """Let every call through."""


class Socket:
    """One port for all tests of a module: serving anew costs a test 0.2 s."""

    def __init__(self) -> None:
        self.base_url = ""
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.app is not None:
            await self.app(scope, receive, send)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Socket"]:
        async with serve(self) as self.base_url:
            yield self


E = TypeVar("E", HarnessFirstgen, HarnessNextgen)
S = TypeVar("S", FirstGenSimulator, NextGenSimulator)


@dataclass
class Stand(Generic[S, E]):
    """A simulator with its shop, and an engine connected to it."""

    simulator: S
    engine: E
    shop: Pipeline
    resumes: str  # the label that the simulator counts resume calls under

    @property
    def world(self) -> World:
        return self.simulator.world

    async def failed(self, *plan: tuple[str, Progress], pipeline: Pipeline | None = None, inputs: str | None = None) -> Run:
        """A run that came to its planned end."""
        for stage, end in plan:
            self.world.plan(stage, end)
        return await self.world.over(self.world.start(pipeline or self.shop, inputs=inputs))

    async def describe(self, run: Run | str) -> Execution:
        return await self.engine.describe(self.ref(run))

    async def resume(self, run: Run, point: ResumePoint | None = None, *, seconds: float = 5.0) -> Receipt:
        """Resume from a point, the preselected one if none is given."""
        point = point or (await self.describe(run)).points[0]
        return await self.engine.resume(self.ref(run), point, KEY, boot_time() + seconds)

    async def resume_from(self, run: Run, stage: str) -> Run:
        """Resume from a stage as a person types it, and wait for the new run's end."""
        point = find_point((await self.describe(run)).points, stage)
        assert point is not None
        receipt = await self.resume(run, point)
        return await self.world.over(self.world.runs[receipt.ref.id])

    def ref(self, run: Run | str) -> ExecutionRef:
        return ExecutionRef(CONNECTION, run if isinstance(run, str) else run.identifier)

    def rename(self, run: Run, identifier: str) -> None:
        """Let a run have the id that a sample speaks of."""
        self.world.runs[identifier] = self.world.runs.pop(run.identifier)
        run.identifier = identifier

    @property
    def sent(self) -> int:
        """How many resume calls arrived."""
        return self.simulator.faults.count(self.resumes)


def rerun(run: Run) -> list[str]:
    """The stages that a run did not copy."""
    return [stage.member.identifier for stage in run.stages if not stage.copied]


FirstGenStand = Stand[FirstGenSimulator, HarnessFirstgen]
NextGenStand = Stand[NextGenSimulator, HarnessNextgen]


@asynccontextmanager
async def firstgen_stand(socket: Socket, *, budget: int = 1000) -> AsyncIterator[FirstGenStand]:
    """A fresh FirstGen on the module's port."""
    simulator = FirstGenSimulator(world=World(step_seconds=STEP_SECONDS), calls_per_minute=budget)
    simulator.public_url = socket.base_url
    socket.app = simulator.app
    settings = HarnessFirstgen.Settings.model_validate(
        {"base_url": socket.base_url, "account": simulator.estate.account, "token": "fg-key"}
    )
    engine = HarnessFirstgen(CONNECTION, settings, Unlimited())
    yield Stand(simulator, engine, firstgen_shop(simulator), "resumeExecution")
    await engine.aclose()
    await simulator.world.aclose()


@asynccontextmanager
async def nextgen_stand(socket: Socket) -> AsyncIterator[NextGenStand]:
    """A fresh NextGen on the module's port."""
    simulator = NextGenSimulator(world=World(step_seconds=STEP_SECONDS))
    simulator.public_url = socket.base_url
    socket.app = simulator.app
    settings = HarnessNextgen.Settings.model_validate(
        {"base_url": socket.base_url, "org": ORG, "project": PROJECT, "token": simulator.token}
    )
    engine = HarnessNextgen(CONNECTION, settings, Unlimited())
    yield Stand(simulator, engine, nextgen_shop(simulator), "POST /pipeline/execute/retry/*")
    await engine.aclose()
    await simulator.world.aclose()


def samples(kind: str) -> Iterator[tuple[str, bytes]]:
    """The names and bodies of an engine's sample notifications."""
    for path in sorted((SAMPLES / kind).glob("*.json")):
        yield path.stem, path.read_bytes()


def edited(body: bytes, **changes: object) -> bytes:
    """A sample with some members of its inner object changed."""
    read = json.loads(body)
    inner = read["eventData"] if "eventData" in read else read["data"]
    inner.update(changes)
    return json.dumps(read).encode()


async def one_target(engine: StartsExecutions, name: str, application: str | None = None) -> StartTarget:
    """The only target of this name."""
    (target,) = await engine.find_targets(application, name)
    return target


async def start(engine: StartsExecutions, target: StartTarget, values: Mapping[str, str]) -> Receipt:
    """Start with values by label, as a person gives them."""
    inputs = {one.key: values[one.label] for one in target.inputs if one.label in values}
    return await engine.start(target, inputs, KEY, boot_time() + 5)
