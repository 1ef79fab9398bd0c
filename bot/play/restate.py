"""The playground's Restate: shops' handlers of five steps that pause where they fail."""

from collections.abc import Mapping

from starlette.types import ASGIApp

from bot.play.engine import STEP_SECONDS, PlayEngine, Row, Step, below, newest
from bot.play.playground import ConnectionFacts
from bot.play.sheet import sheet
from bot.simulators.restate import RestateSimulator
from bot.simulators.restate_door import Call
from bot.simulators.restate_model import Invocation, ServiceSpec
from bot.simulators.restate_world import STEPS

NAMES = (
    "Checkout",
    "Payments",
    "Invoices",
    "Search",
    "Catalogue",
    "Shipping",
    "Returns",
    "Accounts",
    "Loyalty",
    "Reviews",
    "Stock",
    "Newsletter",
    "Vouchers",
    "Wishlists",
    "Tracking",
    "Pricing",
)
CALLS = "PATCH */res*"  # resume, and restart-as-new
REASONS = {
    "build": 'Get "https://registry.example.com/v2/": dial tcp 10.0.3.17:443: i/o timeout',
    "deploy": 'Rollout of deployment "web" did not finish: 2 of 3 replicas are unavailable (CrashLoopBackOff, exit code 137)',
}


class RestatePlay(PlayEngine):
    """One server; each service is there in an older and a newer deployment, and executions begin on the older one."""

    kind, connection, title = "restate", "orders", "Restate"
    breaking = ("Checkout · Restate", "A run of Checkout fails at its step deploy and pauses. The bot finds it by asking.")

    def __init__(self, base: str, secret: str, step_seconds: float = STEP_SECONDS) -> None:
        super().__init__(base, secret)
        services = [ServiceSpec(name, STEPS) for name in NAMES]
        self._simulator = RestateSimulator(
            services=services, token=secret, step_seconds=step_seconds, retry_seconds=step_seconds, max_attempts=2
        )
        self._simulator.world.reasons.update(REASONS)
        self._older = self._simulator.deployments[0]
        self._simulator.deploy(services)

    @property
    def facts(self) -> ConnectionFacts:
        """Polled every second."""
        settings = {"admin_url": f"{self._base}/sim/restate", "token": self._secret}
        return ConnectionFacts(self.connection, self.kind, settings, poll_seconds=1)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The admin API, and a page for people."""
        return {**below("/sim/restate", self._simulator), "/sim/restate/ui/": sheet(self)}

    async def until_asked(self) -> None:
        """Return when the bot has asked for failures: what fails from now on is news to it."""
        await self._simulator.until(lambda: any(call.status == 200 for call in self._queries()), timeout=3600)

    async def break_something(self) -> str:
        """A checkout that fails at deploy."""
        self._begin("Checkout", "deploy")
        return "A run of Checkout is on its way and will fail at deploy."

    async def break_all(self) -> str:
        """Everything at once: the registry is gone."""
        for name in NAMES:
            self._begin(name, "build")
        return f"{len(NAMES)} runs are on their way and will all fail at build."

    def repair(self) -> None:
        """Nothing fails any more, whichever deployment it runs on."""
        for key in self._simulator.world.plans:
            self._simulator.plan(key)

    def lose_answer(self) -> None:
        """Of either verb that lets it go on."""
        self._simulator.fail(CALLS, "lost")

    def keep_answers(self) -> None:
        """Drop the fault."""
        self._simulator.heal()

    @property
    def resume_calls(self) -> int:
        """Calls of either verb that lets it go on."""
        return self._simulator.count(CALLS)

    def rows(self) -> list[Row]:
        """Invocations with all steps of their service."""
        found = newest(list(self._simulator.world.invocations.values()), lambda one: one.created_at)
        return [self._row(one) for one in found]

    async def aclose(self) -> None:
        """Stop all invocations."""
        await self._simulator.aclose()

    def _begin(self, service: str, failing: str) -> None:
        run = self._simulator.start(service=service)
        self._simulator.plan(run["key"], **{failing: "fail"})
        started = self._simulator.invocation(run["id"])
        if started is not None:  # as if the newer deployment had been registered a moment later
            started.deployment_id, started.protocol = self._older.id, self._older.spoken_protocol

    def _queries(self) -> list[Call]:
        return [call for call in self._simulator.calls if call.path == "/query"]

    def _row(self, one: Invocation) -> Row:
        reached = {run.name: one.completion_of(run) for run in one.runs()}
        steps = tuple(Step(name, _status(one, name in reached, bool(reached.get(name)))) for name in one.spec.steps)
        status = one.status
        if status == "completed":
            status = "failed" if one.completion_failure else "succeeded"
        note = f"begun anew from {one.restarted_from}" if one.restarted_from else ""
        if one.deployment_id not in {None, self._older.id}:
            note = f"{note} on the latest deployment".strip()
        link = f"{self._base}/sim/restate/ui/invocations/{one.id}"
        return Row(one.id, one.target, status, link, steps, one.created_at.timestamp(), note)


def _status(one: Invocation, is_reached: bool, is_done: bool) -> str:
    if is_done:
        return "succeeded"
    if not is_reached:
        return "not started"
    return "failed" if one.status == "paused" else "running"
