"""The simulated Restate server's insides: invocations that really move through their steps, retry, pause and end.

scheduled ─┐                    ┌─> suspended ─> (child ends, sleep over, resume) ─┐
inboxed  ──┴─> running ─────────┼─> backing-off ─> (time over, resume) ────────────┤
                 ^              ├─> paused ─> (resume) ────────────────────────────┤
                 │              └─> completed: success, failure                    │
                 └─────────────────────────────────────────────────────────────────┘
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from bot.simulators.restate_model import (
    Deployment,
    Entry,
    Failure,
    Invocation,
    Retrying,
    ServiceSpec,
    new_invocation_id,
    now_ms,
)
from bot.simulators.restate_registry import Registry

STEPS = ("checkout", "build", "test", "deploy", "verify")
DEFAULT_SERVICES = (
    ServiceSpec("Pipeline", STEPS),
    ServiceSpec("Release", STEPS, kind="workflow"),
    ServiceSpec("Shelf", STEPS, kind="virtual_object"),
    ServiceSpec("Chain", ("prepare",), calls="Pipeline"),
    ServiceSpec("Herald", ("announce", "close"), sends="Pipeline"),
    ServiceSpec("Fan", ("north", "east", "south"), is_parallel=True),
    ServiceSpec("Forgetful", STEPS, journal_seconds=0),
    ServiceSpec("Careful", ("probe", *STEPS[1:]), catches=frozenset({"probe"})),
)
MODES = frozenset({"pass", "fail", "terminal", "slow", "vanish", "nap"})
NAP = 3600.0
KILLED = "[409] killed"
CANCELLED = "[409] cancelled"


class _Failed(Exception):
    """Signal: a try failed and counts against the retry policy."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class _Ended(Exception):
    """Signal: the handler ended with a terminal failure."""


class _Resting(Exception):
    """Signal: nothing more happens until somebody or something wakes the invocation."""


class World(Registry):
    """Deployments and invocations; everything that changes is told to `on_change`."""

    def __init__(
        self,
        services: Iterable[ServiceSpec],
        on_change: Callable[[], None],
        *,
        step_seconds: float,
        slow_seconds: float,
        retry_seconds: float,
        max_attempts: int,
    ) -> None:
        super().__init__()
        self.invocations: dict[str, Invocation] = {}
        self.plans: dict[str, dict[str, str]] = {}
        self.reasons: dict[str, str] = {}  # what a failing step says, by its name
        self.tried: list[tuple[str, str]] = []
        self._changed = on_change
        self._step_seconds = step_seconds
        self._slow_seconds = slow_seconds
        self.retry_seconds = retry_seconds
        self._max_attempts = max_attempts
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.deploy(services)

    def accept(
        self, service: str, key: str, *, delay: float = 0.0, parent: Invocation | None = None, object_key: str | None = None
    ) -> Invocation:
        """Take in a new invocation, and start it unless it has to wait."""
        spec = self.latest(service).services[service]
        now = now_ms()
        own_key = None if spec.kind == "service" else object_key or key
        made = Invocation(new_invocation_id(), spec, key, own_key, now, now, "invoked", parent=parent)
        made.invoked_by = "service" if parent else "ingress"
        self.invocations[made.id] = made
        if delay:
            made.stored, made.scheduled_start_at = "scheduled", now + timedelta(seconds=delay)
            self._later(delay, lambda: self._admit(made))
        else:
            self._admit(made)
        return made

    def restart(self, origin: Invocation, kept: list[Entry], deployment: Deployment | None) -> Invocation:
        """A new invocation that begins with a part of an ended one's journal; without a deployment it takes the latest."""
        now = now_ms()
        made = Invocation(new_invocation_id(origin.id), origin.spec, origin.key, origin.object_key, now, now, "invoked")
        made.invoked_by, made.restarted_from = "restart_as_new", origin.id
        if deployment is not None:
            made.deployment_id, made.protocol = deployment.id, deployment.spoken_protocol
        made.journal = list(kept)
        self.invocations[made.id] = made
        self._admit(made)
        return made

    def wake(self, invocation: Invocation) -> None:
        """Go on with a paused or suspended invocation; a waiting retry is made at once; a running one is left alone."""
        if invocation.stored in {"paused", "suspended"}:
            self._launch(invocation)
        else:
            invocation.nudge.set()

    def pause(self, invocation: Invocation) -> None:
        """Pause at the end of the present step, or at once while a retry waits."""
        invocation.is_pause_wanted = True
        invocation.nudge.set()

    def cancel(self, invocation: Invocation) -> None:
        """Let it end as cancelled, its children first, at the next point where the handler looks."""
        invocation.is_cancel_wanted = True
        for child in self.children(invocation):
            if not child.is_sent:
                self.cancel(child)
        if invocation.stored in {"paused", "suspended"}:
            self._launch(invocation)

    def kill(self, invocation: Invocation) -> None:
        """End it at once, and then what it called or sent."""
        children = self.children(invocation)
        if invocation.task:
            invocation.task.cancel()
        self._complete(invocation, KILLED)
        for child in children:
            self.kill(child)

    def forget(self, invocation: Invocation) -> None:
        """Remove every trace."""
        del self.invocations[invocation.id]
        self._changed()

    def children(self, parent: Invocation) -> list[Invocation]:
        """The invocations a handler called or sent that have not ended."""
        return [one for one in self.invocations.values() if one.parent is parent and one.stored != "completed"]

    async def aclose(self) -> None:
        """Stop everything that moves."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.add(asyncio.get_running_loop().call_later(seconds, act))

    def _admit(self, invocation: Invocation) -> None:
        if invocation.id not in self.invocations:
            return  # killed while it was scheduled
        if invocation.spec.kind == "virtual_object" and self._is_occupied(invocation):
            invocation.stored = "inboxed"
            invocation.touch()
            self._changed()
            return
        if not invocation.journal:
            invocation.append("Command: Input", {"Command": {"Input": {}}}, "")
        self._launch(invocation)

    def _is_occupied(self, invocation: Invocation) -> bool:
        """An object works on one invocation of a key at a time, and keeps the key while that one is paused."""
        return any(
            other is not invocation
            and other.target == invocation.target
            and other.stored not in {"completed", "inboxed", "scheduled"}
            for other in self.invocations.values()
        )

    def _launch(self, invocation: Invocation) -> None:
        invocation.stored, invocation.retrying = "invoked", None
        invocation.nudge.clear()
        invocation.touch()
        invocation.task = asyncio.create_task(self._live(invocation))
        self._tasks.add(invocation.task)
        invocation.task.add_done_callback(self._tasks.discard)
        self._changed()

    async def _live(self, invocation: Invocation) -> None:
        """From a start or a resume to the next rest or the end."""
        tries = 0
        while True:
            tries += 1
            try:
                await self._try_once(invocation)
            except _Failed as failed:
                if not await self._back_off(invocation, failed.failure, tries):
                    return
            except _Ended as ended:
                self._complete(invocation, str(ended))
                return
            except _Resting:
                return
            else:
                self._complete(invocation, None)
                return

    async def _back_off(self, invocation: Invocation, failure: Failure, tries: int) -> bool:
        """Wait for the next try; False when none is left and the invocation is paused."""
        last = invocation.events[-1] if invocation.events else None
        if last is None or last.event_type != "TransientError" or last.after_index != len(invocation.journal) - 1:
            invocation.note("TransientError", failure.as_event())
        if tries >= self._max_attempts or invocation.is_pause_wanted:
            self._pause(invocation, failure)
            return False
        invocation.nudge.clear()
        invocation.retrying = Retrying(tries, now_ms() + timedelta(seconds=self.retry_seconds), failure)
        self._changed()
        with suppress(TimeoutError):
            await asyncio.wait_for(invocation.nudge.wait(), self.retry_seconds)
        if invocation.is_pause_wanted:
            self._pause(invocation, failure)
            return False
        invocation.retrying.next_at = None
        self._changed()
        return True

    async def _try_once(self, invocation: Invocation) -> None:
        self._look_for_orders(invocation)
        deployment = self.deployments.get(invocation.deployment_id or "") or self.latest(invocation.spec.name)
        if not deployment.reachable:
            await asyncio.sleep(self._step_seconds)
            raise _Failed(Failure("the service endpoint cannot be reached", 500, "RT0010"))
        spec = deployment.services.get(invocation.spec.name)
        if spec is None:  # the server lets an invocation move there all the same
            raise _Failed(Failure("unexpected http status code: 404 Not Found", 500, "RT0012"))
        if spec.sends:
            self._send(invocation, spec.sends)
        for step in spec.steps[len(invocation.runs()) :] if spec.is_parallel else ():
            self._record_command(invocation, deployment, step)
        for position, step in enumerate(spec.steps):
            await self._take(invocation, deployment, position, step)
            self._look_for_orders(invocation)
        if spec.calls:
            self._call(invocation, spec.calls)

    def _look_for_orders(self, invocation: Invocation) -> None:
        if invocation.is_cancel_wanted:
            invocation.append(
                "Notification: Signal", {"Notification": {"ty": "Signal", "id": {"SignalIndex": 1}, "result": "Void"}}
            )
            raise _Ended(CANCELLED)
        if invocation.is_pause_wanted:
            self._pause(invocation, None)
            raise _Resting

    async def _take(self, invocation: Invocation, deployment: Deployment, position: int, step: str) -> None:
        """Run one step, or take its result from the journal."""
        runs = invocation.runs()
        if position < len(runs):
            command = runs[position]
            if command.name != step:
                raise _Failed(Failure(f"Found a mismatch between the journal and the code: {step}", 570, "RT0016"))
        else:
            command = self._record_command(invocation, deployment, step)
        await self._attempt(invocation, command, step)
        if self._mode(invocation, step) == "vanish":
            raise _Failed(Failure("RuntimeError('bug between two steps')"))
        if self._mode(invocation, step) == "nap":
            self._sleep(invocation)

    def _record_command(self, invocation: Invocation, deployment: Deployment, step: str) -> Entry:
        if invocation.deployment_id is None:
            invocation.deployment_id, invocation.protocol = deployment.id, deployment.spoken_protocol
        number = invocation.next_completion_id()
        invocation.append("Command: Run", {"Command": {"Run": {"completion_id": number, "name": step}}}, step, number)
        self._changed()
        return invocation.journal[-1]

    async def _attempt(self, invocation: Invocation, command: Entry, step: str) -> None:
        """The step's result, out of the journal where it is there already."""
        done = invocation.completion_of(command)
        result = done.result if done else await self._run(invocation, command, step)
        if result != "Success" and step not in invocation.spec.catches:
            raise _Ended(result)

    async def _run(self, invocation: Invocation, command: Entry, step: str) -> str:
        mode = self._mode(invocation, step)
        self.tried.append((invocation.key, step))
        await asyncio.sleep(self._slow_seconds if mode == "slow" else self._step_seconds)
        if mode == "fail":
            position = invocation.command_position(command)
            reason = self.reasons.get(step, f"RuntimeError('step {step} failed on purpose')")
            raise _Failed(Failure(reason, 500, "RT0007", position, step, "Run"))
        result = f"[422] step {step} gave up" if mode == "terminal" else "Success"
        self._notify(invocation, "Run", command.completion_id, result)
        return result

    def _mode(self, invocation: Invocation, step: str) -> str:
        return self.plans.get(invocation.key, {}).get(step, "pass")

    def _notify(self, invocation: Invocation, kind: str, completion_id: int | None, result: str) -> None:
        word = result if result in {"Success", "InvocationId"} else "Failure"
        lite = {"ty": {"Completion": kind}, "id": {"CompletionId": completion_id}, "result": word}
        invocation.append(f"Notification: {kind}", {"Notification": lite}, None, completion_id, result)
        self._changed()

    def _sleep(self, invocation: Invocation) -> None:
        command = invocation.command("Command: Sleep")
        if command is None:
            number = invocation.next_completion_id()
            invocation.append("Command: Sleep", {"Command": {"Sleep": {"completion_id": number}}}, "", number)
            self._later(NAP, lambda: self._wake_up(invocation, number))
        elif invocation.completion_of(command):
            return
        self._suspend(invocation)

    def _wake_up(self, invocation: Invocation, completion_id: int) -> None:
        self._notify(invocation, "Sleep", completion_id, "Success")
        if invocation.stored == "suspended":
            self._launch(invocation)

    def _send(self, invocation: Invocation, service: str) -> None:
        """Send to the other service once, and wait for nothing."""
        if invocation.command("Command: OneWayCall"):
            return
        child = self.accept(service, invocation.key, parent=invocation)
        child.is_sent = True
        number = invocation.next_completion_id()
        target = {"Service": {"name": service, "handler": child.spec.handler, "scope": None}}
        sent = {"invocation_id": child.id, "invocation_target": target, "invoke_time": 0}
        invocation.append(
            "Command: OneWayCall", {"Command": {"OneWayCall": {**sent, "invocation_id_completion_id": number}}}, "", number
        )
        self._notify(invocation, "CallInvocationId", number, "InvocationId")

    def _call(self, invocation: Invocation, service: str) -> None:
        """Call the other service once, then wait for its end."""
        command = invocation.command("Command: Call")
        if command is None:
            child = self.accept(service, invocation.key, parent=invocation)
            number = invocation.next_completion_id()
            target = {"Service": {"name": service, "handler": child.spec.handler, "scope": None}}
            call = {"invocation_id": child.id, "invocation_target": target}
            numbers = {"invocation_id_completion_id": number, "result_completion_id": number + 1}
            invocation.append("Command: Call", {"Command": {"Call": {**call, **numbers}}}, "", number + 1)
            self._notify(invocation, "CallInvocationId", number, "InvocationId")
            self._suspend(invocation)
        done = invocation.completion_of(command) if command else None
        if done is None:
            self._suspend(invocation)
        elif done.result != "Success":
            raise _Ended(done.result)

    def _suspend(self, invocation: Invocation) -> None:
        invocation.stored = "suspended"
        invocation.touch()
        self._changed()
        raise _Resting

    def _pause(self, invocation: Invocation, failure: Failure | None) -> None:
        invocation.stored, invocation.retrying, invocation.is_pause_wanted = "paused", None, False
        invocation.note("Paused", {"last_failure": failure.as_event()} if failure else {})
        invocation.touch()
        self._changed()

    def _complete(self, invocation: Invocation, failure: str | None) -> None:
        if failure != KILLED:
            result = "Failure" if failure else "Success"
            invocation.append("Command: Output", {"Command": {"Output": {"result": result}}}, "")
        invocation.touch()
        invocation.stored, invocation.retrying, invocation.completion_failure = "completed", None, failure
        invocation.completed_at = invocation.modified_at
        if not invocation.spec.journal_seconds:
            invocation.journal.clear()
        self._changed()
        self._tell_parent(invocation)
        waiting = [one for one in self.invocations.values() if one.stored == "inboxed" and one.target == invocation.target]
        if waiting:
            self._admit(waiting[0])

    def _tell_parent(self, child: Invocation) -> None:
        parent = child.parent
        command = parent.command("Command: Call") if parent else None
        if parent is None or command is None or child.is_sent or parent.stored == "completed":
            return
        self._notify(parent, "Call", command.completion_id, child.completion_failure or "Success")
        if parent.stored == "suspended":
            self._launch(parent)
