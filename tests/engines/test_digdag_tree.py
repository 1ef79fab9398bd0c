"""What a resume would skip, on task trees that no simulated workflow makes."""

import time
from typing import Any

import pytest

from bot.engines.digdag_points import PointKey, offer
from bot.engines.digdag_tree import TaskTree
from bot.engines.digdag_wire import AttemptBody, TaskBody


def task(number: int, name: str, state: str = "success", parent: int | None = 1, **more: Any) -> TaskBody:
    body = {"id": str(number), "fullName": name, "parentId": None if parent is None else str(parent), "state": state, **more}
    return TaskBody.model_validate(body)


ROOT = task(1, "+wf", "group_error", None, isGroup=True)


def labels(*tasks: TaskBody) -> list[str]:
    return [point.label for point in offer(TaskTree((ROOT, *tasks)), "5", "").points]


def test_a_later_branch_that_succeeded_runs_again_from_a_task_and_is_counted() -> None:
    # +background has no upstream: it ran beside +load and succeeded.
    tree = TaskTree((ROOT, task(2, "+wf+one"), task(3, "+wf+load", "error", upstreams=["2"]), task(4, "+wf+background")))

    point = next(one for one in offer(tree, "5", "").points if one.label == "From +wf+load")

    assert point.sentence.startswith("Runs +load and +background, 1 task of which had succeeded. 1 task before")


def test_a_part_cannot_be_jumped_to_past_something_unfinished() -> None:
    tree = TaskTree((ROOT, task(2, "+wf+one", "error"), task(3, "+wf+two", "blocked", upstreams=["2"])))

    assert tree.trouble_from(tree.tasks[2]) == "+one comes before it and has not succeeded"


def test_the_end_of_another_name_is_no_name() -> None:
    tree = TaskTree((ROOT, task(2, "+wf+x"), task(3, "+wf+b", parent=1), task(4, "+wf+b+wf+x", parent=3)))

    assert "another task's name ends with the same words" in str(tree.trouble_from(tree.tasks[1]))


@pytest.mark.parametrize(
    ("name", "is_readable"), [("+wf+a", True), ("+wf+a:b", True), ("+wf+a:", False), ("+wf+x=1&y=2", True)]
)
def test_a_name_that_the_server_breaks_into_single_characters_is_not_offered(name: str, *, is_readable: bool) -> None:
    tree = TaskTree((ROOT, task(2, name)))

    assert (tree.trouble_from(tree.tasks[1]) is None) is is_readable


def test_handlers_are_never_offered_nor_taken_for_the_failure() -> None:
    failed = task(2, "+wf+load", "error", error={"message": "no"})
    handler = task(3, "+wf^error", "error", error={"message": "hook is down"})
    alert = task(4, "+wf^failure-alert", "error")

    tree = TaskTree((ROOT, failed, handler, alert))

    assert [one.full_name for one in tree.stopped] == ["+wf+load"]
    assert labels(failed, handler, alert) == ["Failed tasks: +wf+load", "Everything, from +wf+load"]


def test_the_tree_is_read_by_parents_not_by_the_order_of_the_list() -> None:
    tasks = [task(4, "+wf+b", "error", upstreams=["3"]), task(3, "+wf+a"), ROOT]

    tree = TaskTree(tasks)

    assert tree.root is ROOT
    assert [one.full_name for one in tree.stages] == ["+wf+a", "+wf+b"]


def test_loops_and_missing_parents_come_to_an_end() -> None:
    looped = [task(2, "+wf+a", "error", parent=3, upstreams=["3"]), task(3, "+wf+b", "error", parent=2, upstreams=["2", "9"])]

    assert labels(*looped)[0] == "Failed tasks: +wf+a and 1 more"


def test_an_unknown_state_counts_as_not_successful() -> None:
    tree = TaskTree((ROOT, task(2, "+wf+a", "pondering"), task(3, "+wf+b", "blocked", upstreams=["2"])))

    assert "has not succeeded" in str(tree.trouble_from(tree.tasks[2]))


def test_a_thousand_tasks_are_read_in_a_moment() -> None:
    parts = [task(n, f"+wf+part{n}", upstreams=[str(n - 1)] if n > 2 else []) for n in range(2, 1000)]
    begun = time.process_time()

    offered = offer(TaskTree((ROOT, *parts, task(1000, "+wf+last", "error", upstreams=["999"]))), "5", "")

    assert time.process_time() - begun < 2
    assert len(offered.points) == 42  # the failed tasks, the failed part with 39 before it, everything


@pytest.mark.parametrize("key", [PointKey("5", "failed"), PointKey("5", "everything"), PointKey("5", "from", "+wf+a b")])
def test_a_points_key_says_all_that_a_call_needs(key: PointKey) -> None:
    assert PointKey.read(str(key)) == key


@pytest.mark.parametrize("text", ["", "from", "5 from", "5 failed +x", "5 other", "from +wf+a"])
def test_a_foreign_key_is_none_of_ours(text: str) -> None:
    assert PointKey.read(text) is None


def test_an_attempt_from_an_old_server_is_read() -> None:
    body = {
        "id": 7, "index": 1, "project": {"id": 1, "name": "p"}, "workflow": {"name": "wf", "id": None}, "sessionId": 3,
        "sessionTime": "2017-06-24T00:00:00+00:00", "done": True, "success": False, "params": None,
    }  # fmt: skip

    attempt = AttemptBody.model_validate(body)

    assert (attempt.id, attempt.session_id, attempt.params, attempt.has_failed) == ("7", "3", {}, True)
