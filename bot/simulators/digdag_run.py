"""Runs the tasks of one simulated attempt to their end, by Digdag's rules.

blocked -> running -> success                     an operator
           running -> planned -> success          an operator with generated children (^sub)
blocked -> planned -> success                     a group
a failure adds ^failure-alert (root) and ^error (where _error stands) and ends as error or group_error
"""

import asyncio
import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.simulators.digdag_notices import ATTEMPT_FAILED, Caller, notice_of
from bot.simulators.digdag_params import TaskFailure, evaluate, params_of
from bot.simulators.digdag_plan import PlannedTask, operator_of, plan
from bot.simulators.digdag_records import Attempt, Config, Task, TaskState

_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class Pace:
    """How long a task takes, how fast waits pass, and a gate that keeps everything where it is."""

    def __init__(self, task_seconds: float = 0.02, wait_factor: float = 1.0) -> None:
        self.task_seconds = task_seconds
        self.wait_factor = wait_factor
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """No task gets further until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Tasks go on."""
        self._open.set()

    async def work(self) -> None:
        """One operator's time."""
        await asyncio.sleep(self.task_seconds)
        await self._open.wait()

    async def wait(self, seconds: float) -> None:
        """A wait of the workflow or the server, shortened by the factor."""
        await asyncio.sleep(seconds * self.wait_factor)
        await self._open.wait()


@dataclass(frozen=True)
class Means:
    """What running an attempt needs from the server."""

    pace: Pace
    clock: Callable[[], datetime]
    next_task_id: Callable[[], int]
    caller: Caller
    secrets: Mapping[str, str]


class AttemptRun:
    """One attempt on its way."""

    def __init__(self, attempt: Attempt, means: Means) -> None:
        self._attempt = attempt
        self._means = means
        self._add(None, plan(f"+{attempt.workflow.name}", attempt.workflow.config))

    async def run(self) -> None:
        """Runs all tasks, then marks the attempt done."""
        attempt, root = self._attempt, self._attempt.tasks[0]
        await self._bring_to_end(root)
        attempt.success = root.state is TaskState.SUCCESS
        attempt.finished_at = self._means.clock()
        attempt.ended.set()

    def cancel(self) -> None:
        """What a kill does at once: nothing new starts, what runs is told."""
        self._attempt.cancel_requested = True
        for task in self._attempt.tasks:
            if not task.state.is_final:
                task.cancel_requested = True

    # ---- adding tasks -------------------------------------------------------------------

    def _add(self, parent: Task | None, planned: list[PlannedTask], *, is_generated: bool = False) -> Task:
        added: list[Task] = []
        for one in planned:
            own_parent = parent if one.parent is None else added[one.parent]
            task = Task(
                self._means.next_task_id(), one.full_name, own_parent, one.config, one.is_group, self._means.clock(),
                [added[place] for place in one.upstreams], is_generated, export_params=one.config.get("_export", {}),
            )  # fmt: skip
            skipped = self._attempt.skips.get(one.full_name)
            if skipped is not None:
                task.state, task.updated_at = TaskState.SUCCESS, skipped.updated_at
                task.export_params, task.store_params = skipped.export_params, skipped.store_params
                task.settled.set()
            added.append(task)
            self._attempt.tasks.append(task)
        return added[0]

    def _copy_children(self, parent: Task, children: list[Task]) -> list[Task]:
        """A group's retry: the same tasks again, under the same names."""
        again: dict[Task, Task] = {}
        for old in [task for task in self._attempt.tasks if not task.is_generated and _is_below(task, parent, children)]:
            own_parent = parent if old.parent is parent or old.parent is None else again[old.parent]
            again[old] = Task(
                self._means.next_task_id(), old.full_name, own_parent, old.config, old.is_group, self._means.clock(),
                [again[upstream] for upstream in old.upstreams], export_params=old.config.get("_export", {}),
            )  # fmt: skip
        self._attempt.tasks.extend(again.values())
        return [again[child] for child in children]

    # ---- running them -------------------------------------------------------------------

    async def _when_ready(self, task: Task) -> None:
        for upstream in task.upstreams:
            await upstream.settled.wait()
        may_start = all(upstream.state is TaskState.SUCCESS for upstream in task.upstreams)
        if may_start and not self._attempt.cancel_requested:
            await self._bring_to_end(task)
        task.settled.set()

    async def _bring_to_end(self, task: Task) -> None:
        if task.state is TaskState.SUCCESS:
            return
        if not task.is_group:
            try:
                generated = await self._operate(task)
            except TaskFailure as failure:
                task.error = failure.error
                await self._fail(task)
                return
            if not generated:
                if task.state is not TaskState.CANCELED:
                    self._set(task, TaskState.SUCCESS)
                return
            self._add(task, generated, is_generated=True)
        self._set(task, TaskState.PLANNED)
        await self._run_children(task)

    async def _run_children(self, task: Task) -> None:
        children = [child for child in self._attempt.tasks if child.parent is task]
        while True:
            async with asyncio.TaskGroup() as together:
                for child in children:
                    together.create_task(self._when_ready(child))
            if all(child.state is TaskState.SUCCESS for child in children):
                self._set(task, TaskState.SUCCESS)
                return
            if self._attempt.cancel_requested:
                self._set(task, TaskState.CANCELED)
                return
            if not self._may_retry(task):
                await self._fail(task)
                return
            children = self._copy_children(task, children)

    def _may_retry(self, task: Task) -> bool:
        tried = int(task.state_params.get("retry_count", 0))
        if tried >= int(task.config.get("_retry", 0)):
            return False
        task.state_params = {**task.state_params, "retry_count": tried + 1}
        return True

    async def _fail(self, task: Task) -> None:
        extras: list[Task] = []
        if task.parent is None:
            alert: Config = {"_type": "notify", "_command": ATTEMPT_FAILED}
            extras.append(self._add(task, plan(f"{task.full_name}^failure-alert", alert), is_generated=True))
        if "_error" in task.config:
            handler = {**task.config["_error"], "_export": {"error": self._error_below(task)}}
            extras.append(self._add(task, plan(f"{task.full_name}^error", handler), is_generated=True))
        if extras:
            self._set(task, TaskState.PLANNED)
            async with asyncio.TaskGroup() as together:
                for extra in extras:
                    together.create_task(self._when_ready(extra))
        self._set(task, TaskState.ERROR if task.error else TaskState.GROUP_ERROR)

    def _error_below(self, task: Task) -> Config:
        merged: Config = dict(task.error)
        for one in self._attempt.tasks:
            if one.error and _is_below(one, task):
                merged |= one.error
        return merged

    # ---- operators ----------------------------------------------------------------------

    async def _operate(self, task: Task) -> list[PlannedTask]:
        """Runs the task's operator, again while its own `_retry` allows; gives the tasks it generates."""
        self._set(task, TaskState.RUNNING)
        task.started_at = self._means.clock()
        self._attempt.logs[task.full_name] = gzip.compress(f"{task.full_name} started\n".encode(), mtime=0)
        while True:
            await self._means.pace.work()
            if self._attempt.cancel_requested:
                self._set(task, TaskState.CANCELED)
                return []
            try:
                generated = await self._command(task)
            except TaskFailure:
                if not self._may_retry(task):
                    raise
            else:
                return generated

    async def _command(self, task: Task) -> list[PlannedTask]:
        operator = operator_of(task.config)
        config = evaluate(task.config, params_of(self._attempt, task), self._means.secrets)
        command = config.get(f"{operator}>")
        if operator == "fail":
            raise TaskFailure(str(command))
        if operator == "wait":
            await self._wait(task, str(command))
        elif operator == "if":
            branch = config.get("_do" if str(command).lower() == "true" else "_else_do")
            return plan(f"{task.full_name}^sub", branch) if branch else []
        elif operator == "http":
            await self._call(task, config)
        elif operator == "notify":
            notice = notice_of(self._attempt, task, str(config.get("_command", command)), self._means.clock())
            if not await self._means.caller.notify(notice):
                raise TaskFailure("Sending notification failed (runtime)")
        elif operator != "echo":
            raise TaskFailure(f"Unknown task type: {operator} (config)")
        return []

    async def _wait(self, task: Task, duration: str) -> None:
        found = _DURATION.fullmatch(duration.strip())
        if found is None:
            raise TaskFailure(f"Invalid duration: {duration} (config)")
        seconds = int(found[1]) * _UNIT_SECONDS[found[2]]
        now = self._means.clock()
        task.state_params = {**task.state_params, "wait_start_time_millis": int(now.timestamp() * 1000)}
        task.retry_at = now + timedelta(seconds=seconds)
        self._set(task, TaskState.RETRY_WAITING)
        await self._means.pace.wait(seconds)
        task.retry_at = None
        if self._attempt.cancel_requested:
            self._set(task, TaskState.CANCELED)

    async def _call(self, task: Task, config: Config) -> None:
        status = await self._means.caller.call(config)
        if status is None or not 200 <= status < 300:
            raise TaskFailure(f"HTTP request failed: {status or 'no answer'} (runtime)")
        task.store_params = {"http": {"last_status": status}}

    def _set(self, task: Task, state: TaskState) -> None:
        task.state, task.updated_at = state, self._means.clock()


def _is_below(task: Task, ancestor: Task, children: list[Task] | None = None) -> bool:
    """Whether a task lies below another one, and there below one of the children if they are given."""
    member = task
    while member.parent is not None:
        if member.parent is ancestor:
            return children is None or member in children
        member = member.parent
    return False
