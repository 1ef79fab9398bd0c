"""The resume points of a Digdag attempt: the failed tasks, from a task, everything; each said with what would run again.

    failed      everything that has not succeeded
    from        each failed task (or the part of the text that made it), each direct part up to the first failed one
    everything  no resume at all, under a retry name
Points that would run the same tasks again are one point, under all their names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.execution import RefusedPoint, ResumePoint
from bot.domain.text import listed
from bot.engines.digdag_tree import TaskTree
from bot.engines.digdag_wire import TaskBody

_NAMES_SHOWN = 8
_PARTS_OFFERED = 40
_LATER_PARTS_REFUSED = 20


@dataclass(frozen=True)
class PointKey:
    """What a point asks of the server; as text it is the point's key."""

    workflow_id: str
    mode: str
    task: str = ""

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.mode} {self.task}".rstrip()

    @classmethod
    def read(cls, text: str) -> "PointKey | None":
        """The key of a text, None when it is none of ours."""
        workflow_id, _, rest = text.partition(" ")
        mode, _, task = rest.partition(" ")
        if mode not in {"failed", "from", "everything"} or (mode == "from") != bool(task):
            return None
        return cls(workflow_id, mode, task)


@dataclass(frozen=True)
class Offer:
    """All points of an attempt, and the parts that are none, with the reason."""

    points: tuple[ResumePoint, ...]
    refused: tuple[RefusedPoint, ...]


def offer(tree: TaskTree, workflow_id: str, revision_sentence: str) -> Offer:
    """What can be resumed; `workflow_id` is the revision that would run."""
    points: list[ResumePoint] = []
    refused: list[RefusedPoint] = []
    if tree.has_double_success:
        reason = "a group ran its tasks again by its own _retry, and the server cannot tell the successful ones apart"
        refused.append(RefusedPoint("failed", reason))
    else:
        points.append(_failed(tree, workflow_id, revision_sentence))
    everything: list[TaskBody] = []
    alike: dict[frozenset[str], list[TaskBody]] = {}
    for task in _candidates(tree):
        again = _again(tree, task)
        trouble = tree.trouble_from(task)
        if len(again) == len(tree.static):
            everything.append(task)
        elif trouble is not None:
            refused.append(RefusedPoint(task.full_name, trouble))
        else:
            alike.setdefault(frozenset(one.id for one in again), []).append(task)
    points += [_from(tree, tasks, workflow_id, revision_sentence) for tasks in alike.values()]
    points.append(_everything(tree, everything, workflow_id, revision_sentence))
    refused += _later_parts(tree)
    return Offer(tuple(points), tuple(refused))


def typed_names(tree: TaskTree, task: TaskBody) -> tuple[str, ...]:
    """The names by which a person may call a task: full, without the workflow's, its last part; with and without the sign."""
    short = tree.short(task.full_name)
    last = f"+{short.rpartition('+')[2]}"
    is_clear = sum(other.full_name.endswith(last) for other in tree.static) == 1
    return tuple(dict.fromkeys((task.full_name, short, short.lstrip("+"), *((last, last.lstrip("+")) if is_clear else ()))))


def maker_of(tree: TaskTree, task: TaskBody) -> TaskBody | None:
    """The task of the workflow's text that made this one, or the task itself."""
    return tree.named(task.full_name.partition("^")[0])


def _candidates(tree: TaskTree) -> list[TaskBody]:
    makers = [maker for maker in (maker_of(tree, task) for task in tree.stopped[:_PARTS_OFFERED]) if maker is not None]
    done = 0
    while done < len(tree.stages) and tree.stages[done].state == "success":
        done += 1
    parts = tree.stages[: done + 1]
    near = [*parts[:1], *parts[1:][-_PARTS_OFFERED:]]
    return list({task.full_name: task for task in (*makers, *reversed(near))}.values())


def _again(tree: TaskTree, task: TaskBody) -> tuple[TaskBody, ...]:
    skipped = {one.id for one in tree.skipped_from(task)}
    return tuple(one for one in tree.static if one.id not in skipped)


def _failed(tree: TaskTree, workflow_id: str, revision: str) -> ResumePoint:
    again = [task for task in tree.operators if task.state != "success"]
    kept = len(tree.operators) - len(again)
    names = [task.full_name for task in tree.stopped]
    sentence = (
        f"Runs what has not succeeded: {_names(tree, again)}. "
        f"{_tasks(kept)} that succeeded {'is' if kept == 1 else 'are'} skipped, also error handlers and the failure notice: "
        f"the server will not tell of another failure, the bot watches for it. {revision}"
    )
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    label = f"Failed tasks: {names[0]}{more}" if names else "Failed tasks"
    return ResumePoint(str(PointKey(workflow_id, "failed")), label, sentence, ("failed", "failed tasks"))


def _from(tree: TaskTree, tasks: Sequence[TaskBody], workflow_id: str, revision: str) -> ResumePoint:
    chosen = _spokesman(tree, tasks)
    again = [task for task in _again(tree, chosen) if not task.is_group]
    before = _tasks(len(tree.operators) - len(again))
    sentence = f"Runs {_names(tree, again)}{_of_these(again)}. {before} before that skipped. {revision}"
    key = str(PointKey(workflow_id, "from", chosen.full_name))
    return ResumePoint(key, f"From {_title(tree, chosen)}", sentence, _all_names(tree, tasks, chosen))


def _everything(tree: TaskTree, tasks: Sequence[TaskBody], workflow_id: str, revision: str) -> ResumePoint:
    names: tuple[str, ...] = ("everything", "all")
    label = "Everything"
    if tasks:
        chosen = _spokesman(tree, tasks)
        label = f"Everything, from {_title(tree, chosen)}"
        names += _all_names(tree, tasks, chosen)
    sentence = f"Runs all {_tasks(len(tree.operators))} again{_of_these(tree.operators)}. {revision}"
    return ResumePoint(str(PointKey(workflow_id, "everything")), label, sentence, names)


def _spokesman(tree: TaskTree, tasks: Sequence[TaskBody]) -> TaskBody:
    """Of tasks that run the same again: the outermost parallel group, else the innermost task."""
    groups = [task for task in tasks if task.is_parallel]
    by_depth = sorted(groups or tasks, key=lambda task: len(list(tree.line_of(task))))
    return by_depth[0] if groups else by_depth[-1]


def _title(tree: TaskTree, task: TaskBody) -> str:
    if not task.is_parallel:
        return task.full_name
    members = [child.full_name.removeprefix(task.full_name) for child in tree.children(task)]
    return f"{task.full_name} ({', '.join(members)})"


def _all_names(tree: TaskTree, tasks: Sequence[TaskBody], chosen: TaskBody) -> tuple[str, ...]:
    meant = [chosen, *tasks, *(tree.children(chosen) if chosen.is_parallel else ())]
    made = [task for task in tree.stopped if maker_of(tree, task) in tasks]
    return tuple(dict.fromkeys(name for task in (*meant, *made) for name in typed_names(tree, task)))


def _later_parts(tree: TaskTree) -> list[RefusedPoint]:
    first = next((place for place, task in enumerate(tree.stages) if task.state != "success"), len(tree.stages))
    found: list[RefusedPoint] = []
    for task in tree.stages[first + 1 :][:_LATER_PARTS_REFUSED]:
        trouble = tree.trouble_from(task)
        if trouble is not None:
            found.append(RefusedPoint(task.full_name, trouble))
    return found


def _names(tree: TaskTree, tasks: Sequence[TaskBody]) -> str:
    names = [tree.short(task.full_name) for task in tasks]
    if len(names) > _NAMES_SHOWN:
        names = [*names[: _NAMES_SHOWN - 1], f"{len(names) - _NAMES_SHOWN + 1} more"]
    return listed(names) or "nothing that the workflow names"


def _of_these(tasks: Sequence[TaskBody]) -> str:
    had = sum(task.state == "success" for task in tasks)
    return f", {_tasks(had)} of which had succeeded" if had else ""


def _tasks(number: int) -> str:
    return f"{number} {'task' if number == 1 else 'tasks'}"
