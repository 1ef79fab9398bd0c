"""The playground's Digdag: a nightly load whose last third goes to a warehouse that may be down."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.play.engine import STEP_SECONDS, PlayEngine, Row, Step, below, newest
from bot.play.playground import ConnectionFacts
from bot.play.sheet import sheet
from bot.simulators.digdag import DigdagSimulator
from bot.simulators.digdag_faults import Fault, FaultKind
from bot.simulators.digdag_notices import Notification
from bot.simulators.digdag_records import Attempt, Task, TaskState
from bot.simulators.digdag_run import Pace

START = "/api/attempts"
WORDS = {
    TaskState.BLOCKED: "not started",
    TaskState.PLANNED: "running",
    TaskState.RETRY_WAITING: "waiting",
    TaskState.GROUP_RETRY_WAITING: "waiting",
    TaskState.SUCCESS: "succeeded",
    TaskState.ERROR: "failed",
    TaskState.GROUP_ERROR: "failed",
}
WORKFLOW = """
+extract:
  _parallel: true
  +orders:
    echo>: 48211 orders
  +customers:
    echo>: 1520 customers
+load:
  http>: {warehouse}
  method: POST
+report:
  echo>: sent to 12 people
"""


class DigdagPlay(PlayEngine):
    """A server with one project, `warehouse`."""

    kind, connection, title = "digdag", "etl", "Digdag"
    breaking = ("Load · Digdag", "The warehouse is down, so a workflow fails at its task +load. Digdag tells the bot.")

    def __init__(self, base: str, secret: str, step_seconds: float = STEP_SECONDS) -> None:
        super().__init__(base, secret)
        self._credential, self._is_down = f"bot:{secret}", False
        self._night = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
        self._simulator = DigdagSimulator(
            credential=self._credential,
            notification=Notification(f"{base}/hooks/{self.connection}", {"X-Resumebot-Secret": secret}),
            pace=Pace(task_seconds=step_seconds),
        )
        self._simulator.push("warehouse", {"nightly_load": WORKFLOW.format(warehouse=f"{base}/sim/warehouse/load")})

    @property
    def facts(self) -> ConnectionFacts:
        """It pushes."""
        settings = {"base_url": f"{self._base}/sim/digdag", "token": self._credential}
        return ConnectionFacts(self.connection, self.kind, settings)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The REST API, a page for people, and the warehouse that the workflow calls."""
        return {
            **below("/sim/digdag", self._simulator),
            "/sim/digdag/attempts/": sheet(self),
            "/sim/warehouse/": self._warehouse,
        }

    async def break_something(self) -> str:
        """The warehouse goes down, and a night is loaded: the last one first, then those before it."""
        self._is_down = True
        self._simulator.start("nightly_load", self._night.isoformat(), {})
        self._night -= timedelta(days=1)
        return "The nightly load is on its way and will fail at +load."

    def repair(self) -> None:
        """The warehouse is up."""
        self._is_down = False

    def lose_answer(self) -> None:
        """Of the call that makes a new attempt."""
        self._simulator.script(Fault(FaultKind.LOST, "PUT", START))

    def keep_answers(self) -> None:
        """Drop the fault."""
        self._simulator.heal()

    @property
    def resume_calls(self) -> int:
        """Calls that make a new attempt."""
        return sum(call.method == "PUT" and call.path == START for call in self._simulator.calls)

    def rows(self) -> list[Row]:
        """Attempts with the tasks that do something."""
        return [self._row(one) for one in newest(list(self._simulator.world.attempts.values()), lambda one: one.id)]

    async def aclose(self) -> None:
        """Stop all attempts."""
        await self._simulator.close()

    async def _warehouse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = PlainTextResponse("down for maintenance", 503) if self._is_down else PlainTextResponse("loaded")
        await answer(scope, receive, send)

    def _row(self, one: Attempt) -> Row:
        status = "running" if not one.is_done else "succeeded" if one.success else "failed"
        steps = tuple(Step(_name(task), _word(task)) for task in one.tasks if not task.is_group and not task.is_generated)
        note = f"session of {one.session.time:%Y-%m-%d}, attempt {one.index}"
        link = f"{self._base}/sim/digdag/attempts/{one.id}"
        return Row(str(one.id), one.workflow.name, status, link, steps, one.created_at.timestamp(), note)


def _name(task: Task) -> str:
    return "+" + task.full_name.split("+", 2)[2]


def _word(task: Task) -> str:
    return WORDS.get(task.state, task.state.value)
