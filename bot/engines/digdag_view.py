"""A Digdag attempt as an execution: how it stands, its stages, and whether and from where it can be resumed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.errors import NotFound, NotResumable
from bot.domain.execution import Execution, ExecutionRef, RefusedPoint, ResumePoint, Stage, StageStatus
from bot.engines.digdag_points import offer
from bot.engines.digdag_tree import TaskTree, is_handler
from bot.engines.digdag_wire import TASK_STATES, AttemptBody, TaskBody


@dataclass(frozen=True)
class Revision:
    """The revision of the workflow that a resume would run; `trouble` says why there is none."""

    workflow_id: str = ""
    sentence: str = ""
    word: str = ""
    trouble: str = ""


def guard(attempts: Sequence[AttemptBody], attempt_id: str) -> AttemptBody:
    """The attempt, if it may be resumed; the server itself would take the call in nearly every state."""
    old = next((attempt for attempt in attempts if attempt.id == attempt_id), None)
    if old is None:
        raise NotFound(f"Digdag does not know attempt {attempt_id}.")
    if old.success:
        raise NotResumable(f"Attempt {old.id} succeeded.")
    if not old.done:
        raise NotResumable(f"Attempt {old.id} has not come to its end yet.")
    running = [attempt for attempt in attempts if not attempt.done]
    if running:
        raise NotResumable(f"Attempt {running[-1].id} of the same session is running.")
    newest = attempts[-1]
    if newest.id != old.id:
        ended = "succeeded" if newest.success else "is newer"
        raise NotResumable(f"Attempt {newest.id} of the same session {ended}.")
    return old


def describe_attempt(
    ref: ExecutionRef, attempt: AttemptBody, attempts: Sequence[AttemptBody], tree: TaskTree, *, revision: Revision, link: str
) -> Execution:
    """The execution with its points."""
    points, refused, no_points = _points(attempt, attempts, tree, revision)
    newest = attempts[-1] if attempts else attempt
    stopped = tree.stopped[0] if tree.stopped and not attempt.success else None
    return Execution(
        ref=ref,
        name=attempt.workflow.name,
        status=attempt.status,
        root=attempts[0].id if attempts else attempt.id,  # of the session's first: conflicts are the session's
        baseline=_fingerprint([[a.id, a.done, a.success, a.cancel_requested] for a in attempts]),
        stages=_stages(tree),
        failed_stage=stopped.full_name if stopped is not None else "",
        error=_error(tree) if stopped is not None else "",
        points=points,
        refused_points=refused,
        no_points=no_points,
        pending_points=not attempt.done and tree.is_failing,
        chain=tuple(a.id for a in attempts) or (attempt.id,),
        newest=newest.id if newest.id != attempt.id else "",
        link=link,
        inputs=_fingerprint([revision.workflow_id, attempt.session_time, attempt.params]),
        started_at=attempt.created_at,
        ended_at=attempt.finished_at,
        labels=_labels(attempt, revision),
    )


def _points(
    attempt: AttemptBody, attempts: Sequence[AttemptBody], tree: TaskTree, revision: Revision
) -> tuple[tuple[ResumePoint, ...], tuple[RefusedPoint, ...], str]:
    try:
        guard(attempts or [attempt], attempt.id)
    except NotResumable as reason:
        return (), (), str(reason)
    if revision.trouble:
        return (), (), revision.trouble
    offered = offer(tree, revision.workflow_id, revision.sentence)
    return offered.points, offered.refused, ""


def _stages(tree: TaskTree) -> tuple[Stage, ...]:
    parts = {task.id: task for task in (*tree.stages, *tree.stopped)}
    return tuple(
        Stage(task.full_name, _status(tree, task), task.message, _members(tree, task))
        for task in sorted(parts.values(), key=lambda task: int(task.id))
    )


def _members(tree: TaskTree, task: TaskBody) -> tuple[str, ...]:
    return tuple(child.full_name for child in tree.children(task)) if task.is_parallel else ()


def _status(tree: TaskTree, task: TaskBody) -> StageStatus:
    status = TASK_STATES.get(task.state, StageStatus.UNKNOWN)
    # A task that a resume skipped shows as successful and has never started.
    if status is StageStatus.SUCCEEDED and not any(one.started_at for one in tree.below(task)):
        return StageStatus.SKIPPED
    return status


def _error(tree: TaskTree) -> str:
    first, *others = [task for task in tree.stopped if not is_handler(task)]
    message = first.message or "It was stopped."
    return f"{message} (and {len(others)} more tasks)" if others else message


def _labels(attempt: AttemptBody, revision: Revision) -> Mapping[str, str]:
    labels = {
        "Project": attempt.project.name,
        "Session time": attempt.session_time,
        "Attempt": f"{attempt.index} of session {attempt.session_id}",
    }
    return labels | ({"Revision": revision.word} if revision.word else {})


def _fingerprint(parts: object) -> str:
    """A short stable text for whatever JSON can hold; params themselves stay out of our tables."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]
