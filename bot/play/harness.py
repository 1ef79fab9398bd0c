"""The playground's Harness, both generations: a shop that is built, deployed to three regions at once, and verified."""

from collections.abc import Mapping

from starlette.types import ASGIApp

from bot.play.engine import STEP_SECONDS, PlayEngine, Row, Step, newest
from bot.play.playground import ConnectionFacts
from bot.play.sheet import sheet
from bot.simulators.harness_faults import Faults
from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_firstgen_shapes import execution_link
from bot.simulators.harness_hooks import Pusher, Rule, firstgen_observer, nextgen_observer
from bot.simulators.harness_nextgen import NextGenSimulator, Token
from bot.simulators.harness_samples import ORG, PROJECT, firstgen_cleanup, firstgen_shop, nextgen_shop
from bot.simulators.harness_world import Progress, Run, World

FOREVER = 10_000  # tries
WORDS = {Progress.PASSED: "succeeded", Progress.IGNORED: "succeeded", Progress.ERRORED: "failed", Progress.FROZEN: "failed"}
INPUTS = """pipeline:
  identifier: shop
  variables:
    - name: version
      type: String
      value: 1.4.2
    - name: environment
      type: String
      value: production
"""


class HarnessPlay(PlayEngine):
    """What both generations have: a world that moves, calls that can be counted, rules that push."""

    _world: World
    _calls: Faults
    _resume: str  # the label of the resume call

    def repair(self) -> None:
        """Every stage passes."""
        for pipeline in self._world.pipelines.values():
            for member in pipeline.members:
                self._world.repair(member.identifier)

    def lose_answer(self) -> None:
        """Of the resume call."""
        self._calls.fail(self._resume, "lost")

    def keep_answers(self) -> None:
        """Drop the fault."""
        self._calls.heal()

    @property
    def resume_calls(self) -> int:
        """Resume calls."""
        return self._calls.count(self._resume)

    def rows(self) -> list[Row]:
        """Runs with their stages."""
        return [self._row(run) for run in newest(list(self._world.runs.values()), lambda run: run.created_at)]

    async def aclose(self) -> None:
        """Stop all runs."""
        await self._world.aclose()

    def _fail(self, stage: str, message: str) -> None:
        self._world.repair(stage)
        self._world.plan(stage, *[Progress.FAILED] * FOREVER, message=message)

    def _rule(self, event: str) -> Rule:
        return Rule(f"{self._base}/hooks/{self.connection}", {"X-Resumebot-Secret": self._secret}, frozenset({event}))

    def _row(self, run: Run) -> Row:
        steps = tuple(Step(one.member.step or one.member.name, _word(one.progress)) for one in run.stages)
        note = f"continues {run.parent}" if run.parent else ""
        return Row(run.identifier, run.pipeline.name, _word(run.progress), self._link(run), steps, run.created_at / 1000, note)

    def _link(self, run: Run) -> str:
        raise NotImplementedError


class HarnessNextgenPlay(HarnessPlay):
    """A project of NextGen."""

    kind, connection, title = "harness_nextgen", "platform", "Harness NextGen"
    breaking = ("Shop · NextGen", "Two of three regions fail to deploy, in parallel stages. Harness tells the bot.")

    def __init__(self, base: str, secret: str, step_seconds: float = STEP_SECONDS) -> None:
        super().__init__(base, secret)
        self._world, self._resume = World(step_seconds=step_seconds), "POST /pipeline/execute/retry/*"
        self._simulator = NextGenSimulator(world=self._world)
        self._simulator.tokens, self._simulator.public_url = {secret: Token()}, base
        self._calls, self._shop = self._simulator.faults, nextgen_shop(self._simulator)
        rules = Pusher([self._rule("PipelineFailed")])
        self._world.observers.append(nextgen_observer(self._simulator.account, self._simulator.links, rules))

    @property
    def facts(self) -> ConnectionFacts:
        """It pushes."""
        settings = {"base_url": f"{self._base}/gateway", "account": self._simulator.account, "token": self._secret}
        return ConnectionFacts(self.connection, self.kind, settings | {"org": ORG, "project": PROJECT})

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The paths of the product itself: its base address takes no path of ours."""
        return {"/gateway/pipeline/": self._simulator.app, "/ng/": sheet(self)}

    async def break_something(self) -> str:
        """Two regions fail."""
        self._fail("deploy_us", 'Error from server: deployment "web" exceeded its progress deadline (region us-east-1)')
        self._fail("deploy_ap", "ImagePullBackOff: registry.example.com/shop/web:1.4.2 not found (region ap-south-1)")
        self._world.start(self._shop, inputs=INPUTS)
        return "The pipeline is on its way and will fail in two regions."

    def _link(self, run: Run) -> str:
        org, _, project = run.pipeline.scope.partition("/")
        page = f"{self._base}/ng/#/account/{self._simulator.account}/cd/orgs/{org}/projects/{project}"
        return f"{page}/pipelines/{run.pipeline.identifier}/executions/{run.identifier}/pipeline"


class HarnessFirstgenPlay(HarnessPlay):
    """An account of FirstGen."""

    kind, connection, title = "harness_firstgen", "legacy", "Harness FirstGen"
    breaking = ("Shop · FirstGen", "The smoke tests at the end of a FirstGen pipeline fail. Harness tells the bot.")

    def __init__(self, base: str, secret: str, step_seconds: float = STEP_SECONDS) -> None:
        super().__init__(base, secret)
        self._world, self._resume = World(step_seconds=step_seconds), "resumeExecution"
        self._simulator = FirstGenSimulator(keys=(secret,), world=self._world, calls_per_minute=600)
        self._simulator.public_url = self._ui
        self._calls, self._shop = self._simulator.faults, firstgen_shop(self._simulator)
        firstgen_cleanup(self._simulator)
        self._world.observers.append(firstgen_observer(self._simulator.estate, Pusher([self._rule("pipeline_end")])))

    @property
    def _ui(self) -> str:
        return f"{self._base}/sim/harness_firstgen"

    @property
    def facts(self) -> ConnectionFacts:
        """It pushes."""
        account = self._simulator.estate.account
        settings = {"base_url": f"{self._base}/gateway", "account": account, "ui_url": self._ui, "token": self._secret}
        return ConnectionFacts(self.connection, self.kind, settings)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The paths of the product itself: its base address takes no path of ours."""
        return {"/gateway/api/": self._simulator.app, "/sim/harness_firstgen/": sheet(self)}

    async def break_something(self) -> str:
        """The last stage fails."""
        self._fail("el-verify", "3 of 42 smoke tests failed: POST /checkout answered 502 Bad Gateway")
        self._world.start(self._shop, variables={"version": "1.1", "environment": "env-production"})
        return "The pipeline is on its way and will fail at its smoke tests."

    def _link(self, run: Run) -> str:
        return execution_link(self._simulator.estate, run)


def _word(progress: Progress) -> str:
    return WORDS.get(progress, progress.value.replace("_", " "))
