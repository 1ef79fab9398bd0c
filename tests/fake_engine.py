"""A fake engine: enforces what the port promises of a real one, and does as told."""

import asyncio
import json
import re
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.errors import ContractViolation, EngineError, NotFound, NotResumable, NotSent, OutcomeUnknown
from bot.domain.execution import (
    Action,
    Evidence,
    Execution,
    ExecutionRef,
    ExecutionStatus,
    FailureNotice,
    Finding,
    Receipt,
    RefusedPoint,
    ResumePoint,
    StartTarget,
)
from bot.domain.ports import Clock


class Faults:
    """What the next calls of a method answer instead."""

    def __init__(self) -> None:
        self._next: dict[str, deque[Exception]] = defaultdict(deque)

    def add(self, method: str, *errors: Exception) -> None:
        """Errors of the next calls, one each."""
        self._next[method].extend(errors)

    def strike(self, method: str) -> None:
        """Raise what is next, if anything is."""
        if self._next[method]:
            raise self._next[method].popleft()


@dataclass
class Run:
    """One execution in the fake engine's own words; `moves` counts every change."""

    id: str
    root: str
    name: str = "Checkout"
    status: ExecutionStatus = ExecutionStatus.FAILED
    stage: str = "deploy"
    error: str = "disk full"
    environment: str | None = None
    moves: int = 0
    has_points: bool = True
    is_pending: bool = False

    def move(self, status: ExecutionStatus) -> None:
        """It stands otherwise now."""
        self.status, self.moves = status, self.moves + 1


@dataclass(frozen=True)
class EngineCall:
    """A resume call that reached the engine; `took_effect` tells whether it did anything."""

    execution: str
    point: str
    key: str
    took_effect: bool = True


class FakeEngine:
    """An engine with runs `<prefix>-<n>` of three stages; resuming moves the same run, or starts a new one of the chain."""

    kind = "fake"

    def __init__(
        self, connection: str, clock: Clock, *, prefix: str = "run", starts_new: bool = False, proves_absence: bool = False
    ) -> None:
        self.connection, self.clock = connection, clock
        self.prefix, self.starts_new, self.proves_absence = prefix, starts_new, proves_absence
        self.stages: tuple[str, ...] = ("build", "deploy", "smoke test")
        self.runs: dict[str, Run] = {}
        self.calls: list[EngineCall] = []
        self.reads = 0
        self.faults = Faults()
        self.down: EngineError | None = None
        self.answer_lost: EngineError | None = None  # the next resume takes effect and this is raised
        self.arrives_after: float | None = None  # the next resume gets no answer and takes effect so many seconds later
        self._on_their_way: list[tuple[float, Run, EngineCall]] = []
        self.is_slow = False
        self.held: asyncio.Event | None = None  # a resume waits for it before anything leaves
        self.says: Evidence | None = None  # evidence of its own choice

    # what happens in the engine

    def fail(self, number: int = 1, **details: object) -> Run:
        """A new run that has failed."""
        name = f"{self.prefix}-{number}"
        self.runs[name] = Run(id=name, root=name)
        for key, value in details.items():
            setattr(self.runs[name], key, value)
        return self.runs[name]

    def end(self, execution: str, status: ExecutionStatus, error: str = "") -> None:
        """A run comes to an end."""
        run = self.runs[execution]
        run.error = error or run.error
        run.move(status)

    def continue_elsewhere(self, execution: str) -> str:
        """Somebody resumes it without us; the id that runs now."""
        return self._resume(self.runs[execution])

    def notice(self, execution: str, key: str = "", *, with_name: bool = True) -> FailureNotice:
        """What a hook or a poll tells of a failed run."""
        run = self.runs[execution]
        name = run.name if with_name else ""
        ref = ExecutionRef(self.connection, run.id)
        key, at = key or f"{run.id} {run.moves}", self.clock.now()
        return FailureNotice(ref, key, name, run.stage, run.error, at, may_repeat=not self.starts_new)

    @property
    def effects(self) -> list[EngineCall]:
        """Calls that did something."""
        return [call for call in self.calls if call.took_effect]

    # the port

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The run as it stands now."""
        self.reads += 1
        await self._admit("describe")
        run = self.runs.get(ref.id)
        if run is None:
            raise NotFound(f"there is no run {ref.id}")
        chain = [other.id for other in self.runs.values() if other.root == run.root]
        newest = self.runs[chain[-1]]
        points = self._points(run) if run is newest else ()
        is_failed = run.status is ExecutionStatus.FAILED
        return Execution(
            ref=ref,
            name=run.name,
            status=run.status,
            root=run.root,
            baseline=f"{newest.id} {newest.status} {newest.moves}",
            failed_stage=run.stage if is_failed else "",
            error=run.error if is_failed else "",
            points=points,
            refused_points=(RefusedPoint("notify", "It runs only after all others."),),
            no_points="" if points else f"It is {run.status} and cannot be resumed.",
            pending_points=is_failed and run.is_pending,
            chain=tuple(chain),
            newest=newest.id if newest is not run else "",
            link=f"https://{self.connection}.example/runs/{run.id}",
            environment=run.environment,
        )

    def _points(self, run: Run) -> tuple[ResumePoint, ...]:
        if run.status is not ExecutionStatus.FAILED or run.is_pending or not run.has_points:
            return ()
        names = sorted(self.stages, key=lambda stage: stage != run.stage)
        return tuple(ResumePoint(f"from:{name}", name, f"Runs {name} again.", (name,)) for name in names)

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Make the call, unless it is too late for it."""
        if self.held is not None:
            await self.held.wait()
        if self.clock.boot() >= send_before:
            raise NotSent("too late to send")
        await self._admit("resume")
        run = self.runs.get(ref.id)
        if run is None:
            raise NotFound(f"there is no run {ref.id}")
        if point.key not in {offered.key for offered in self._points(run)}:
            self.calls.append(EngineCall(ref.id, point.key, key, took_effect=False))
            raise NotResumable(f"{ref.id} cannot be resumed at {point.label}")
        if self.arrives_after is not None:
            self._on_their_way.append((self.clock.boot() + self.arrives_after, run, EngineCall(ref.id, point.key, key)))
            self.arrives_after = None
            raise OutcomeUnknown("no answer in 20 s")
        self.calls.append(EngineCall(ref.id, point.key, key))
        watched = self._resume(run)
        if self.answer_lost is not None:
            lost, self.answer_lost = self.answer_lost, None
            raise lost
        return Receipt(ExecutionRef(self.connection, watched))

    def _arrive(self) -> None:
        """Calls that nobody has an answer to reach the engine; it takes what it would take from anybody."""
        due = [each for each in self._on_their_way if each[0] <= self.clock.boot()]
        for each in due:
            self._on_their_way.remove(each)
            _, run, call = each
            takes = self.starts_new or call.point in {offered.key for offered in self._points(run)}
            self.calls.append(replace(call, took_effect=takes))
            if takes:
                self._resume(run)

    def _resume(self, run: Run) -> str:
        if not self.starts_new:
            run.move(ExecutionStatus.RUNNING)
            return run.id
        new = replace(run, id=f"{run.root}-{sum(other.root == run.root for other in self.runs.values()) + 1}", moves=0)
        new.move(ExecutionStatus.RUNNING)
        self.runs[new.id] = new
        return new.id

    async def evidence(self, ref: ExecutionRef, baseline: str, key: str) -> Evidence:
        """What can be seen of a call: that it happened, or nothing."""
        await self._admit("evidence")
        if self.says is not None:
            return self.says
        if ref.id not in self.runs:
            raise NotFound(f"there is no run {ref.id}")
        if any(call.key == key and call.took_effect for call in self.calls):
            newest = [run.id for run in self.runs.values() if run.root == self.runs[ref.id].root][-1]
            return Evidence(Finding.HAPPENED, f"{newest} was begun by {key}.", ExecutionRef(self.connection, newest))
        if self.proves_absence:
            return Evidence(Finding.HARMLESS, "It stands as it did before the call.")
        return Evidence(Finding.UNCLEAR, "Nothing newer is to be seen.")

    async def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Sequence[FailureNotice]:
        """`{"failed": "run-1"}`."""
        try:
            return [self.notice(json.loads(body)["failed"])]
        except (ValueError, KeyError, TypeError):
            raise ContractViolation("the notice cannot be read") from None

    def read_argument(self, text: str) -> str | None:
        """An id, `run:<id>`, or a link to our own host."""
        link = rf"https://{self.connection}\.example/runs/"
        found = re.fullmatch(rf"(?:{link}|{self.prefix}:)?({self.prefix}-[\w-]+)", text.strip())
        return found[1] if found else None

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """All runs that stand failed."""
        await self._admit("find_failures")
        return [self.notice(run.id) for run in self.runs.values() if run.status is ExecutionStatus.FAILED][:limit]

    async def check(self) -> str:
        """Whether it answers."""
        await self._admit("check")
        return "a fake engine"

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _admit(self, method: str) -> None:
        self._arrive()
        if self.is_slow:
            await asyncio.Event().wait()
        if self.down is not None:
            raise self.down
        self.faults.strike(method)


class StartingEngine(FakeEngine):
    """One that can also start what `targets` holds."""

    def __init__(self, connection: str, clock: Clock, **options: bool) -> None:
        super().__init__(connection, clock, **options)  # type: ignore[arg-type]  # booleans only
        self.targets: list[StartTarget] = []
        self.started: list[tuple[str, dict[str, str], str]] = []  # target, inputs, key of the call

    async def find_targets(self, application: str | None, name: str) -> Sequence[StartTarget]:
        """By name or key."""
        await self._admit("find_targets")
        return [target for target in self.targets if name in {target.name, target.key}]

    def check_inputs(self, target: StartTarget, inputs: Mapping[str, str]) -> None:
        """No tag is called latest here."""
        if inputs.get("tag") == "latest":
            raise NotResumable("A tag has to be one of a release.")

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Begin a run of its own chain."""
        if self.clock.boot() >= send_before:
            raise NotSent("too late to send")
        await self._admit("start")
        self.started.append((target.key, dict(inputs), key))
        name = f"{self.prefix}-{90 + len(self.started)}"
        self.runs[name] = Run(id=name, root=name, name=target.name)
        self.runs[name].move(ExecutionStatus.RUNNING)
        if self.answer_lost is not None:
            lost, self.answer_lost = self.answer_lost, None
            raise lost
        return Receipt(ExecutionRef(self.connection, name))

    async def start_evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """A run that a call of this key began, or nothing."""
        await self._admit("evidence")
        if any(started == key for _, _, started in self.started):
            return Evidence(Finding.HAPPENED, "a run began", ExecutionRef(self.connection, list(self.runs)[-1]))
        return Evidence(Finding.UNCLEAR, "no run is to be seen")


class EndingEngine(FakeEngine):
    """One that can end what runs."""

    async def kill(self, ref: ExecutionRef, send_before: float) -> None:
        """End it; already ended is done."""
        if self.clock.boot() >= send_before:
            raise NotSent("too late to send")
        await self._admit("kill")
        self.calls.append(EngineCall(ref.id, "kill", "", took_effect=True))
        if not self.runs[ref.id].status.is_terminal:
            self.runs[ref.id].move(ExecutionStatus.CANCELLED)


class RestartingEngine(FakeEngine):
    """One whose points end the run before a new one keeps what it has done."""

    def __init__(self, connection: str, clock: Clock) -> None:
        super().__init__(connection, clock, starts_new=True)
        self.prepared: list[str] = []
        self.holds = asyncio.Event()  # an end has come as far as `held`
        self.end_lost: EngineError | None = None  # the next end takes effect and this is raised

    def _points(self, run: Run) -> tuple[ResumePoint, ...]:
        is_over = run.status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
        point = ResumePoint("restart:build", "build (restart)", "Ends it and begins anew.", ("build",), Action.RESTART)
        return (point,) if is_over else ()

    def needs_preparation(self, point: ResumePoint) -> bool:
        """All of them."""
        return True

    async def prepare(self, ref: ExecutionRef, point: ResumePoint, send_before: float) -> bool:
        """End the run; already ended is done."""
        if self.held is not None:
            self.holds.set()
            await self.held.wait()
        if self.clock.boot() >= send_before:
            raise NotSent("too late to send")
        await self._admit("prepare")
        self.prepared.append(ref.id)
        if self.runs[ref.id].status is ExecutionStatus.CANCELLED:
            return False
        self.runs[ref.id].move(ExecutionStatus.CANCELLED)
        if self.end_lost is not None:
            lost, self.end_lost = self.end_lost, None
            raise lost
        return True

    def go_on(self) -> None:
        """What is held goes on, and nothing is held any more."""
        if self.held is not None:
            self.held.set()
        self.held = None

    def is_own_doing(self, before: str, now: str) -> bool:
        """One move, from a failure to its end."""
        run, status, moves = before.split()
        return status == ExecutionStatus.FAILED and now == f"{run} {ExecutionStatus.CANCELLED} {int(moves) + 1}"

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Begin anew; the run must have been ended before."""
        assert ref.id in self.prepared, "the second call before the first"
        return await super().resume(ref, point, key, send_before)

    async def restart_evidence(self, ref: ExecutionRef, point: ResumePoint, key: str) -> Evidence:
        """A newer run of the chain, or nothing."""
        return await self.evidence(ref, "", key)
