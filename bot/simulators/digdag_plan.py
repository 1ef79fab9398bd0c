"""Rules of Digdag without a clock: which tasks a workflow has, and which of them a resumed attempt skips."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.simulators.digdag_records import Broken, Config, Refused, Task, TaskState

# Where a pattern breaks into pieces: before a character that is neither of a word nor one of these.
_BOUNDARY = re.compile(r"(?![-=\[\]{}%&@,._])(?=\W)")
_PACKAGE = "io.digdag.core.workflow.TaskMatchPattern"


@dataclass(frozen=True)
class PlannedTask:
    """A task before it has an id; parent and upstreams are places in the list it belongs to."""

    full_name: str
    parent: int | None
    upstreams: tuple[int, ...]
    config: Config
    is_group: bool


def operator_of(config: Config) -> str | None:
    """The operator's name, or none for a group."""
    for key in config:
        if key.endswith(">"):
            return key[:-1]
    return str(config["_type"]) if "_type" in config else None


def plan(full_name: str, config: Config) -> list[PlannedTask]:
    """The task and everything below it in the order in which the server numbers them."""
    planned: list[PlannedTask] = []
    _add(planned, full_name, config, None, ())
    return planned


def _add(planned: list[PlannedTask], name: str, config: Config, parent: int | None, upstreams: tuple[int, ...]) -> int:
    is_group = operator_of(config) is None
    own = {key: value for key, value in config.items() if not (is_group and key.startswith("+"))}
    place = len(planned)
    planned.append(PlannedTask(name, parent, upstreams, own, is_group))
    if is_group:
        before: tuple[int, ...] = ()
        for key, child in config.items():
            if key.startswith("+"):
                added = _add(planned, name + key, child, place, before)
                before = () if config.get("_parallel") else (added,)
    return place


def skipped_by_failed(tasks: list[Task]) -> dict[str, Task]:
    """Mode `failed`: all successful tasks, by full name."""
    if tasks and tasks[0].state is TaskState.SUCCESS:
        raise Refused(400, "Resuming successfully completed attempts is not supported")
    return {task.full_name: task for task in tasks if task.state is TaskState.SUCCESS}


def refuse_double_success(tasks: list[Task]) -> None:
    """Mode `failed` breaks when the attempt's rows are written, after it has used up an id."""
    names = Counter(task.full_name for task in tasks if task.state is TaskState.SUCCESS)
    _refuse_doubles(names)


def skipped_by_from(tasks: list[Task], pattern: str) -> dict[str, Task]:
    """Mode `from`: what lies before the one task whose full name ends with the pattern."""
    _refuse_odd(pattern)
    _refuse_doubles(Counter(task.full_name for task in tasks))
    target = _only_match(tasks, pattern)
    ancestors = list(_line_of(target))
    skipped: set[Task] = set()
    for member in ancestors:
        for earlier in _upstreams_of(member):
            skipped.update(task for task in tasks if earlier in _line_of(task))
    skipped.difference_update(ancestors)
    for task in sorted(skipped, key=lambda task: task.id):
        if task.state is not TaskState.SUCCESS:
            raise Refused(400, f"Resuming non-successful tasks is not allowed: task_id={task.id}")
    return {task.full_name: task for task in skipped}


def _refuse_odd(pattern: str) -> None:
    pieces = [piece for piece in _BOUNDARY.split(pattern) if piece]
    if any(len(piece) == 1 for piece in pieces):
        raise Broken(f"Match patterns excepting direct child (+name+name) is not supported: {pattern}")


def _refuse_doubles(names: Counter[str]) -> None:
    for name, times in names.items():
        if times > 1:
            raise Broken(f"Duplicate key {name}")


def _only_match(tasks: list[Task], pattern: str) -> Task:
    matches = [task for task in _in_hash_order(tasks) if task.full_name.endswith(pattern)]
    if not matches:
        raise Refused(400, f"{_PACKAGE}$NoMatchException: Task pattern '{pattern}' doesn't match with any tasks.")
    if len(matches) > 1:
        names = ", ".join(task.full_name for task in matches)
        raise Refused(
            400,
            f"{_PACKAGE}$MultipleTaskMatchException: Task pattern '{pattern}' is ambiguous. Matching candidates are [{names}]",
        )
    return matches[0]


def _in_hash_order(tasks: list[Task]) -> list[Task]:
    """The order of a Java hash map over the full names, in which the server lists its candidates."""
    size = 16
    while len(tasks) > size * 3 // 4:
        size *= 2
    return sorted(tasks, key=lambda task: _java_hash(task.full_name) & (size - 1))


def _java_hash(text: str) -> int:
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value ^ (value >> 16)


def _line_of(task: Task) -> Iterator[Task]:
    member: Task | None = task
    while member is not None:
        yield member
        member = member.parent


def _upstreams_of(task: Task) -> Iterable[Task]:
    found: list[Task] = []
    ahead = list(task.upstreams)
    while ahead:
        upstream = ahead.pop()
        if upstream not in found:
            found.append(upstream)
            ahead.extend(upstream.upstreams)
    return found
