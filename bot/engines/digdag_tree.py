"""The task tree of a Digdag attempt, and what a resume would skip in it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from bot.engines.digdag_wire import TaskBody

_HANDLERS = ("^error", "^failure-alert", "^sla")

# Where the server breaks a pattern into pieces; a piece of one character makes it answer with a page of HTML.
_BOUNDARY = re.compile(r"(?![-=\[\]{}%&@,._])(?=\W)")


class TaskTree:
    """Tasks by parent and upstream; a group's retry makes several tasks of one name."""

    def __init__(self, tasks: Sequence[TaskBody]) -> None:
        self.tasks = tuple(sorted(tasks, key=lambda task: int(task.id)))
        self._by_id = {task.id: task for task in self.tasks}
        self._children: dict[str | None, list[TaskBody]] = {}
        for task in self.tasks:
            self._children.setdefault(task.parent_id, []).append(task)

    @cached_property
    def root(self) -> TaskBody | None:
        """The workflow itself."""
        return next((task for task in self.tasks if task.parent_id is None), None)

    @cached_property
    def static(self) -> tuple[TaskBody, ...]:
        """Tasks of the workflow's text, without those made while it ran; the newest of each name."""
        newest = {task.full_name: task for task in self.tasks if "^" not in task.full_name}
        return tuple(newest.values())

    @cached_property
    def operators(self) -> tuple[TaskBody, ...]:
        """Those of them that do something themselves."""
        return tuple(task for task in self.static if not task.is_group)

    @cached_property
    def stages(self) -> tuple[TaskBody, ...]:
        """The workflow's direct parts, in order."""
        root = self.root
        return tuple(task for task in self.static if root is not None and task.parent_id == root.id)

    @cached_property
    def stopped(self) -> tuple[TaskBody, ...]:
        """Tasks whose own operator failed or was cancelled, the newest of each name, handlers left out."""
        newest = {task.full_name: task for task in self.tasks if not is_handler(task)}
        failed = [task for task in newest.values() if task.state == "error"]
        cancelled = [task for task in newest.values() if task.state == "canceled" and not task.is_group]
        return tuple(failed or cancelled)

    @cached_property
    def is_failing(self) -> bool:
        """Whether the attempt is bound to end as failed, though it may not have ended."""
        return any("^failure-alert" in task.full_name for task in self.tasks) or any(
            task.state == "error" for task in self.stopped
        )

    @cached_property
    def has_doubles(self) -> bool:
        """Whether some name occurs twice."""
        return _has_double(task.full_name for task in self.tasks)

    @cached_property
    def has_double_success(self) -> bool:
        """Whether some name of a successful task occurs twice."""
        return _has_double(task.full_name for task in self.tasks if task.state == "success")

    def short(self, name: str) -> str:
        """A full name without the workflow's own."""
        return name.removeprefix(self.root.full_name) or name if self.root is not None else name

    def named(self, name: str) -> TaskBody | None:
        """The static task of this full name."""
        return next((task for task in self.static if task.full_name == name), None)

    def line_of(self, task: TaskBody) -> Iterator[TaskBody]:
        """The task, its parent, and so on up to the root."""
        seen: set[str] = set()
        member: TaskBody | None = task
        while member is not None and member.id not in seen:
            seen.add(member.id)
            yield member
            member = self._by_id.get(member.parent_id or "")

    def below(self, task: TaskBody) -> tuple[TaskBody, ...]:
        """The task with everything below it."""
        found: dict[str, TaskBody] = {}
        ahead = [task]
        while ahead:
            member = ahead.pop()
            if member.id not in found:
                found[member.id] = member
                ahead.extend(self._children.get(member.id, ()))
        return tuple(found.values())

    def children(self, task: TaskBody) -> tuple[TaskBody, ...]:
        """The static tasks right below it."""
        return tuple(one for one in self.static if one.parent_id == task.id)

    def skipped_from(self, task: TaskBody) -> tuple[TaskBody, ...]:
        """What a resume from this task would skip: all that lies before it or before one of its ancestors."""
        line = list(self.line_of(task))
        skipped: dict[str, TaskBody] = {}
        for member in line:
            for upstream in self._upstreams(member):
                skipped |= {one.id: one for one in self.below(upstream)}
        for member in line:
            skipped.pop(member.id, None)
        return tuple(skipped.values())

    def trouble_from(self, task: TaskBody) -> str | None:
        """Why the server would refuse a resume from this task, None when it would take it."""
        if self.has_doubles:
            return "a group ran its tasks again by its own _retry, and the server cannot tell them apart"
        if any(len(piece) == 1 for piece in _BOUNDARY.split(task.full_name) if piece):
            return "the server cannot read this task's name in a resume"
        if sum(one.full_name.endswith(task.full_name) for one in self.tasks) != 1:
            return "another task's name ends with the same words, and the server takes the end of a name only"
        unfinished = sorted((one for one in self.skipped_from(task) if one.state != "success"), key=lambda one: int(one.id))
        return f"{self.short(unfinished[0].full_name)} comes before it and has not succeeded" if unfinished else None

    def _upstreams(self, task: TaskBody) -> tuple[TaskBody, ...]:
        found: dict[str, TaskBody] = {}
        ahead = list(task.upstreams)
        while ahead:
            upstream = self._by_id.get(ahead.pop())
            if upstream is not None and upstream.id not in found:
                found[upstream.id] = upstream
                ahead.extend(upstream.upstreams)
        return tuple(found.values())


def is_handler(task: TaskBody) -> bool:
    """Whether it is an error handler, the server's own notification, or below one of these."""
    return any(mark in task.full_name for mark in _HANDLERS)


def _has_double(names: Iterable[str]) -> bool:
    return any(times > 1 for times in Counter(names).values())
