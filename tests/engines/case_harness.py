"""The rows of Harness: FirstGen and NextGen, each on its simulator."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bot.domain.execution import ExecutionRef
from bot.domain.ports import Engine
from bot.engines.harness_firstgen import HarnessFirstgen
from bot.engines.harness_nextgen import HarnessNextgen
from bot.simulators.harness_faults import Faults
from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_nextgen import NextGenSimulator, Token
from bot.simulators.harness_samples import ORG, PROJECT, firstgen_shop, nextgen_shop
from bot.simulators.harness_world import Pipeline, Progress, World
from tests.engines.cases import CONNECTION, NOBODY_LISTENS, SECRET, CallKind, Case, Opener, Sample, Stand, Trouble, Unlimited
from tests.engines.harness_stand import STEP_SECONDS, Socket, samples

ID_OF_SAMPLES = b"Wf2Zo3p1T_mH4kQx9dLr-A"
UNKNOWN = "A" * 22
ALWAYS = 20
FAULTS: Mapping[Trouble, str] = {
    Trouble.UNAUTHORISED: "invalid_token",
    Trouble.FORBIDDEN: "html-403",
    Trouble.LIMITED: "rate_limited",
    Trouble.FAULT: "server_fault",
    Trouble.STRANGE: "empty_object",
    Trouble.PAGE: "html-200",
    Trouble.CUT: "cut",
    Trouble.LOST: "lost",
}


class HarnessStand:
    """An engine on a simulated account."""

    def __init__(
        self,
        engine_at: Callable[[str], Engine],
        base_url: str,
        world: World,
        faults: Faults,
        shop: Pipeline,
        labels: Mapping[CallKind, Sequence[str]],
    ) -> None:
        self.engine = engine_at(base_url)
        self._away = engine_at(NOBODY_LISTENS)
        self._base_url = base_url
        self._world = world
        self._faults = faults
        self._shop = shop
        self._labels = labels

    @property
    def _stage(self) -> str:
        return self._shop.groups[1][1].identifier

    async def fail_one(self) -> ExecutionRef:
        """A run of which one of three parallel members fails, and goes on failing."""
        self._world.repair(self._stage)
        self._world.plan(self._stage, *[Progress.FAILED] * ALWAYS)
        return await self._run()

    async def succeed_one(self) -> ExecutionRef:
        """A run that passes."""
        self._world.repair(self._stage)
        return await self._run()

    async def _run(self) -> ExecutionRef:
        run = await self._world.over(self._world.start(self._shop))
        return ExecutionRef(CONNECTION, run.identifier)

    def unknown(self) -> ExecutionRef:
        """An id of the right form."""
        return ExecutionRef(CONNECTION, UNKNOWN)

    async def repair(self, _ref: ExecutionRef) -> None:
        """Let the stage pass."""
        self._world.repair(self._stage)

    def trouble(self, call: CallKind, trouble: Trouble, times: int = 1) -> None:
        """Script it in front of the simulator."""
        for label in self._labels[call]:
            self._faults.fail(label, FAULTS[trouble], times=times)

    def resumes(self) -> int:
        """Calls that came in."""
        return sum(self._faults.count(label) for label in self._labels[CallKind.RESUME])

    def elsewhere(self) -> Engine:
        """The engine for an address without a server."""
        return self._away

    def notices(self, ref: ExecutionRef) -> Sequence[Sample]:
        """The samples of pipelines, with id and address filled in."""
        filled = [
            Sample(name, body.replace(ID_OF_SAMPLES, ref.id.encode()), {"content-type": "application/json"})
            for name, body in samples(self.engine.kind)
            if not name.startswith("workflow")
        ]
        return [
            Sample(one.name, one.body.replace(b"https://app.harness.example", self._base_url.encode()), one.headers)
            for one in filled
        ]

    async def aclose(self) -> None:
        """Close both engines and stop all motion."""
        await self.engine.aclose()
        await self._away.aclose()
        await self._world.aclose()


def _firstgen(socket: Socket) -> HarnessStand:
    simulator = FirstGenSimulator(keys=(SECRET,), world=World(step_seconds=STEP_SECONDS), calls_per_minute=10_000)
    socket.app = simulator.app

    def engine_at(base_url: str) -> Engine:
        settings = {"base_url": base_url, "account": simulator.estate.account, "token": SECRET}
        return HarnessFirstgen(CONNECTION, HarnessFirstgen.Settings.model_validate(settings), Unlimited())

    labels = {CallKind.READ: ["[ae]*"], CallKind.RESUME: ["resumeExecution"]}
    shop = firstgen_shop(simulator)
    return HarnessStand(engine_at, socket.base_url, simulator.world, simulator.faults, shop, labels)


def _nextgen(socket: Socket) -> HarnessStand:
    simulator = NextGenSimulator(world=World(step_seconds=STEP_SECONDS))
    token = f"pat.{simulator.account}.tokenid.{SECRET}"
    simulator.tokens = {token: Token()}
    socket.app = simulator.app

    def engine_at(base_url: str) -> Engine:
        settings = {"base_url": base_url, "org": ORG, "project": PROJECT, "token": token}
        return HarnessNextgen(CONNECTION, HarnessNextgen.Settings.model_validate(settings), Unlimited())

    labels = {CallKind.READ: ["GET *", "POST /pipelines/*"], CallKind.RESUME: ["POST /pipeline/execute/retry/*"]}
    shop = nextgen_shop(simulator)
    return HarnessStand(engine_at, socket.base_url, simulator.world, simulator.faults, shop, labels)


def _served(make: Callable[[Socket], HarnessStand]) -> Callable[[], AbstractAsyncContextManager[Opener]]:
    @asynccontextmanager
    async def serving() -> AsyncIterator[Opener]:
        @asynccontextmanager
        async def opener() -> AsyncIterator[Stand]:
            stand = make(socket)
            try:
                yield stand
            finally:
                await stand.aclose()

        async with Socket().served() as socket:
            yield opener

    return serving


CASES = (
    Case("harness_firstgen", "harness_firstgen", _served(_firstgen), limit_wait=None, shows_chain=False),
    Case("harness_nextgen", "harness_nextgen", _served(_nextgen), limit_wait=None),
)
