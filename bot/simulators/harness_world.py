"""The world both simulated Harness generations share: pipelines whose runs really move through their stages.

plan(stage, ends…)                            what the next tries of a stage come to
start / resume ──> Run ──task──> group by group: running, then each member's end; the worst one ends the run
"""

import asyncio
import base64
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Progress(StrEnum):
    """How a stage or a run stands; each generation has its own words for these."""

    PREPARING = "preparing"
    NOT_STARTED = "not_started"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    PASSED = "passed"
    IGNORED = "ignored"
    SKIPPED = "skipped"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FROZEN = "frozen"


WORST_FIRST = (
    Progress.ABORTED,
    Progress.ERRORED,
    Progress.FAILED,
    Progress.FROZEN,
    Progress.REJECTED,
    Progress.EXPIRED,
)
POSITIVE = frozenset({Progress.PASSED, Progress.IGNORED, Progress.SKIPPED})
ENDS = frozenset(WORST_FIRST) | POSITIVE


@dataclass(frozen=True)
class Member:
    """One stage of a pipeline; FirstGen shows `name` for the whole group and `step` for the member."""

    identifier: str
    name: str
    step: str = ""
    kind: str = "Deployment"
    copies: int = 0  # of a looped stage
    environment: str = ""  # where it deploys to, which NextGen shows from when the stage has come to know it


@dataclass(frozen=True)
class Variable:
    """A value that a start wants or takes."""

    name: str
    type: str = "Text"
    required: bool = False
    default: str | None = None
    allowed: tuple[str, ...] = ()
    fixed: bool = False
    multiple: bool = False


@dataclass
class Pipeline:
    """What can be run: groups in order, each with one member or several in parallel. A workflow is one group of one."""

    identifier: str
    name: str
    groups: list[list[Member]]
    scope: str = ""  # an application's id, or org/project
    variables: tuple[Variable, ...] = ()
    is_workflow: bool = False
    is_deleted: bool = False
    template: str | None = None  # NextGen: what a start is asked for
    services: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    @property
    def members(self) -> list[Member]:
        """All stages in order."""
        return [member for group in self.groups for member in group]


def new_id() -> str:
    """22 characters of A-Za-z0-9_-, as both generations make their ids."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


@dataclass
class StageRun:
    """A stage within a run."""

    member: Member
    group: int
    progress: Progress = Progress.NOT_STARTED
    copied: bool = False
    message: str = ""
    loop: list[Progress] = field(default_factory=list)
    started_at: int | None = None
    ended_at: int | None = None
    node: str = field(default_factory=new_id)
    execution: str = field(default_factory=new_id)
    gate: asyncio.Future[Progress] | None = None


@dataclass
class Run:
    """One execution of a pipeline, with its place in the chain of resumes."""

    identifier: str
    pipeline: Pipeline
    stages: list[StageRun]
    created_at: int
    sequence: int
    progress: Progress = Progress.PREPARING
    started_at: int | None = None
    ended_at: int | None = None
    notes: str = ""
    inputs: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    root: str | None = None
    is_latest: bool = True
    is_rolled_back: bool = False
    has_plan: bool = True
    parent: str | None = None

    @property
    def message(self) -> str:
        """What the first failed stage said."""
        return next((stage.message for stage in self.stages if stage.message), "")

    @property
    def is_over(self) -> bool:
        """It came to an end."""
        return self.progress in ENDS

    def group(self, index: int) -> list[StageRun]:
        """The members of one group."""
        return [stage for stage in self.stages if stage.group == index]


Observer = Callable[[Run, StageRun | None, str], Coroutine[Any, Any, None]]


def worst(ends: list[Progress]) -> Progress | None:
    """The negative end that decides for all, None when none is negative."""
    return next((end for end in WORST_FIRST if end in ends), None)


class World:
    """Pipelines and their runs. `window`: how long after a resume the old run still counts as the newest of its chain."""

    def __init__(self, *, step_seconds: float = 0.05, window: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self.step_seconds = step_seconds
        self.window = window
        self.pipelines: dict[str, Pipeline] = {}
        self.runs: dict[str, Run] = {}
        self.observers: list[Observer] = []
        self._clock = clock
        self._plans: dict[str, deque[tuple[Progress, str]]] = defaultdict(deque)
        self._sequences: dict[str, int] = defaultdict(int)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loose: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()

    def now(self) -> int:
        """Epoch milliseconds; never the same twice, so that "newest first" is one order."""
        latest = max((run.created_at for run in self.runs.values()), default=0)
        return max(int(self._clock() * 1000), latest + 1)

    def add(self, pipeline: Pipeline) -> Pipeline:
        """Make a pipeline known."""
        self.pipelines[pipeline.identifier] = pipeline
        return pipeline

    def plan(self, stage: str, *ends: Progress, message: str = "the step did not pass") -> None:
        """Say how the next tries of a stage end; beyond the plan they pass. PAUSED and WAITING stay until released."""
        self._plans[stage].extend((end, message) for end in ends)

    def repair(self, stage: str) -> None:
        """Forget what was planned for a stage: its next tries pass."""
        self._plans.pop(stage, None)

    def start(
        self,
        pipeline: Pipeline,
        *,
        notes: str = "",
        inputs: str | None = None,
        variables: dict[str, str] | None = None,
    ) -> Run:
        """Begin a new run, which moves by itself from here on."""
        stages = [StageRun(member, index) for index, group in enumerate(pipeline.groups) for member in group]
        run = self._new_run(pipeline, stages)
        run.notes, run.inputs, run.variables = notes, inputs, dict(variables or {})
        self._set_off(run)
        return run

    def resume(self, old: Run, rerun: Callable[[StageRun], bool], *, notes: str = "") -> Run:
        """Begin a new run that copies the stages `rerun` does not ask for; the old one loses its place after `window`."""
        stages = [
            StageRun(stage.member, stage.group)
            if rerun(stage)
            else StageRun(stage.member, stage.group, stage.progress, True, stage.message, list(stage.loop))
            for stage in old.stages
        ]
        run = self._new_run(old.pipeline, stages)
        run.notes, run.inputs, run.variables, run.parent = notes, old.inputs, old.variables, old.identifier
        run.root = old.root or old.identifier
        self._spawn(self._take_place(old, run.root))
        self._set_off(run)
        return run

    def chain(self, run: Run) -> list[Run]:
        """All runs that continue one another, newest first."""
        root = run.root or run.identifier
        return sorted(
            (one for one in self.runs.values() if (one.root or one.identifier) == root), key=lambda one: -one.created_at
        )

    def abort(self, run: Run) -> None:
        """End a run as people do."""
        task = self._tasks.pop(run.identifier, None)
        if task is None or run.is_over:
            return
        task.cancel()
        for stage in run.stages:
            if stage.progress in {Progress.RUNNING, Progress.PAUSED, Progress.WAITING, Progress.QUEUED}:
                stage.progress = Progress.ABORTED
        self._spawn(self._end(run, Progress.ABORTED))

    def release(self, stage: StageRun, end: Progress) -> None:
        """Let a paused or waiting stage come to its end."""
        if stage.gate is not None and not stage.gate.done():
            stage.gate.set_result(end)

    async def until(self, claim: Callable[[], bool], limit: float = 10.0) -> None:
        """Wait until a claim about the world holds; TimeoutError beyond the limit."""
        async with asyncio.timeout(limit):
            while not claim():
                await self._moved.wait()

    async def over(self, run: Run, limit: float = 10.0) -> Run:
        """Wait for the end of a run."""
        await self.until(lambda: run.is_over, limit)
        return run

    async def aclose(self) -> None:
        """Stop all motion."""
        tasks = [*self._tasks.values(), *self._loose]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def touch(self) -> None:
        """Wake everybody who waits for a change."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _new_run(self, pipeline: Pipeline, stages: list[StageRun]) -> Run:
        self._sequences[pipeline.identifier] += 1
        run = Run(new_id(), pipeline, stages, self.now(), self._sequences[pipeline.identifier])
        self.runs[run.identifier] = run
        return run

    def _set_off(self, run: Run) -> None:
        self._tasks[run.identifier] = asyncio.create_task(self._move(run))
        self.touch()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    async def _take_place(self, old: Run, root: str) -> None:
        await asyncio.sleep(self.window)
        old.root, old.is_latest = root, False
        self.touch()

    async def _move(self, run: Run) -> None:
        await self._pass(run, Progress.QUEUED)
        await self._pass(run, Progress.RUNNING)
        run.started_at = self.now()
        await self._tell(run, None, "start")
        for index in sorted({stage.group for stage in run.stages}):
            fresh = [stage for stage in run.group(index) if not stage.copied]
            await asyncio.gather(*(self._run_stage(run, stage) for stage in fresh))
            end = worst([stage.progress for stage in run.group(index)])
            if end is not None:
                await self._end(run, end)
                return
        await self._end(run, Progress.PASSED)

    async def _pass(self, run: Run, progress: Progress) -> None:
        await asyncio.sleep(self.step_seconds / 2)
        run.progress = progress
        self.touch()

    async def _run_stage(self, run: Run, stage: StageRun) -> None:
        stage.progress, stage.started_at = Progress.RUNNING, self.now()
        self.touch()
        await asyncio.sleep(self.step_seconds)
        end, message = self._planned(stage)
        if end not in ENDS:
            end = await self._wait_at(run, stage, end)
        stage.progress, stage.ended_at = end, self.now()
        stage.message = message if end in WORST_FIRST else ""
        self.touch()
        await self._tell(run, stage, "stage")

    def _planned(self, stage: StageRun) -> tuple[Progress, str]:
        member = stage.member
        if not member.copies:
            return self._take(member.identifier)
        ends = [self._take(f"{member.identifier}_{number}") for number in range(member.copies)]
        stage.loop = [end for end, _ in ends]
        end = worst(stage.loop)
        return (end, next(said for one, said in ends if one is end)) if end else (Progress.PASSED, "")

    def _take(self, stage: str) -> tuple[Progress, str]:
        plan = self._plans[stage]
        return plan.popleft() if plan else (Progress.PASSED, "")

    async def _wait_at(self, run: Run, stage: StageRun, halt: Progress) -> Progress:
        stage.gate = asyncio.get_running_loop().create_future()
        stage.progress, before, run.progress = halt, run.progress, halt
        self.touch()
        end = await stage.gate
        run.progress = before
        return end

    async def _end(self, run: Run, end: Progress) -> None:
        run.progress, run.ended_at = end, self.now()
        self.touch()
        await self._tell(run, None, "end")
        self._tasks.pop(run.identifier, None)

    async def _tell(self, run: Run, stage: StageRun | None, what: str) -> None:
        for observer in self.observers:
            await observer(run, stage, what)
