"""A NextGen execution in our words: its stage graph walked in order, and the points it can be resumed from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType

from bot.domain.execution import Execution, ExecutionRef, ExecutionStatus, RefusedPoint, ResumePoint, Stage, StageStatus
from bot.engines._harness_links import at
from bot.engines.harness_nextgen_wire import (
    RERUN_AS_FAILED,
    RETRYABLE,
    STAGE_STATUSES,
    STATUSES,
    ChainBody,
    GroupBody,
    MemberBody,
    NodeBody,
    RetryStagesBody,
    SummaryBody,
)

LIMIT = timedelta(days=30)
WARN = timedelta(days=3)
ALL, FAILED = "all", "failed"
DEPLOYS_NOWHERE = frozenset({"CI", "Approval"})  # all other kinds can: a Custom stage by its steps, a Pipeline by its child
OF_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "IgnoreFailed": "It came to a good end: what failed in it was ignored.",
        "Skipped": "All of it was skipped: nothing ran, and nothing failed.",
        "Suspended": "It was suspended in Harness, which is an end there: it goes no further, and did not fail.",
    }
)
OF_STATUSES: Mapping[ExecutionStatus, str] = MappingProxyType(
    {
        ExecutionStatus.WAITING: "It has not begun yet ({0}).",
        ExecutionStatus.RUNNING: "It is still going on ({0}).",
        ExecutionStatus.SUSPENDED: "It waits in Harness for something outside of it ({0}).",
        ExecutionStatus.SUCCEEDED: "It succeeded.",
        ExecutionStatus.CANCELLED: "It was ended in Harness ({0}).",
        ExecutionStatus.FAILED: "It failed in a way that Harness retries nothing after ({0}).",
        ExecutionStatus.UNKNOWN: "Harness calls its state “{0}”, which I do not know: look at it there.",
    }
)


@dataclass(frozen=True)
class Found:
    """All that was read of an execution: `retry` and `inputs` only where it may be retried."""

    summary: SummaryBody
    chain: ChainBody
    retry: RetryStagesBody | None = None
    inputs: str | None = None


@dataclass(frozen=True)
class PointKey:
    """Which stages are run again: `mode` all, or only the failed ones of a group whose members are all named."""

    mode: str
    stages: tuple[str, ...]

    def text(self) -> str:
        """The key of a resume point."""
        return " ".join((self.mode, *self.stages))

    @classmethod
    def read(cls, key: str) -> "PointKey":
        """The other way round."""
        mode, *stages = key.split(" ")
        return cls(mode, tuple(stages))


def describe_execution(ref: ExecutionRef, found: Found, link: str) -> Execution:
    """The execution with what it offers."""
    summary, ids = found.summary, tuple(one.id for one in found.chain.members) or (ref.id,)
    newest = found.chain.latest or ids[0]
    groups = list(walk(summary))
    failed = next((node for group in groups for node in group if _status(node) is StageStatus.FAILED), None)
    reason = _no_points(found, newest)
    offered = [] if reason or found.retry is None else _offered_groups(found.retry)
    points = tuple(point for group in offered for point in _points_of(group))
    is_going_on = not summary.our_status.is_terminal and failed is not None
    return Execution(
        ref=ref,
        name=summary.name or summary.pipeline,
        status=summary.our_status,
        root=ids[-1],
        baseline=f"{newest} {summary.status} {summary.ended_at}",
        stages=tuple(_stage(summary, node) for group in groups for node in group),
        failed_stage=failed.name if failed else "",
        error=_error(summary, failed),
        points=points,
        refused_points=_refused(groups, points) if points else (),
        no_points=reason or ("" if points else "Harness lists no stage that it could be retried from."),
        pending_points=is_going_on,
        chain=tuple(dict.fromkeys((*ids, ref.id))),
        newest=newest if newest != ref.id else "",
        link=link,
        environment=_environment(summary, groups),
        inputs=sha256(found.inputs.encode()).hexdigest() if found.inputs else "",
        notes=_notes(summary, bool(points)),
        started_at=at(summary.started_at or summary.created_at),
        ended_at=at(summary.ended_at),
        labels={"Run": f"#{summary.sequence}"} if summary.sequence is not None else {},
        earlier={one: link.replace(ref.id, one) for one in (ids[ids.index(ref.id) + 1 :] if ref.id in ids else ())},
    )


def walk(summary: SummaryBody) -> Iterator[list[NodeBody]]:
    """The groups of stages in order; rollback stages are none of them."""
    here, seen = summary.first, set[str]()
    while here is not None and here not in seen and here in summary.nodes:
        seen.add(here)
        node = summary.nodes[here]
        inside = [summary.nodes[one] for one in node.edges.children if one in summary.nodes] if node.is_block else [node]
        members = [one for one in inside if not one.is_rollback and not one.identifier.startswith("prb-")]
        if members:
            yield members
        here = node.edges.following[0] if node.edges.following else None


def _status(node: NodeBody) -> StageStatus:
    return _stage_status(node.status)


def _stage_status(word: str) -> StageStatus:
    if word == "Skipped":
        return StageStatus.SKIPPED
    return STAGE_STATUSES.get(STATUSES.get(word, ExecutionStatus.UNKNOWN), StageStatus.UNKNOWN)


def _stage(summary: SummaryBody, node: NodeBody) -> Stage:
    copies = tuple(summary.nodes[one].name for one in node.edges.children if one in summary.nodes) if node.is_loop else ()
    return Stage(node.name, _status(node), _message(node), copies)


def _message(node: NodeBody) -> str:
    return (node.failure.message or "") if node.failure else ""


def _error(summary: SummaryBody, failed: NodeBody | None) -> str:
    told = (summary.failure.message or "") if summary.failure else ""
    return told or (_message(failed) if failed else "")


def _offered_groups(retry: RetryStagesBody) -> list[GroupBody]:
    """Groups up to and including the first that failed, that one first: it is the one people mean."""
    groups = [group for group in retry.groups if group.members]
    failed = next((index for index, group in enumerate(groups) if _has_failed(group)), None)
    return [] if failed is None else list(reversed(groups[: failed + 1]))


def _has_failed(group: GroupBody) -> bool:
    return any(_stage_status(member.status) is StageStatus.FAILED for member in group.members)


def _points_of(group: GroupBody) -> Iterator[ResumePoint]:
    identifiers = tuple(member.identifier for member in group.members)
    failed = [member for member in group.members if _stage_status(member.status) is StageStatus.FAILED]
    # The server leaves Errored members out: they would be copied as they are, and the new run would fail at once.
    can_be_told = all(member.status in RERUN_AS_FAILED for member in failed)
    if failed and len(failed) < len(group.members) and can_be_told:
        names = ", ".join(_name(member) for member in failed)
        yield ResumePoint(
            PointKey(FAILED, identifiers).text(),
            f"{names} (only what failed)",
            f"Harness begins a new execution that runs {names} and every stage after it; what succeeded is kept.",
            _typed(failed),
        )
    names = ", ".join(_name(member) for member in group.members)
    yield ResumePoint(
        PointKey(ALL, identifiers).text(),
        names,
        f"Harness begins a new execution that runs {names} and every stage after it, with the old inputs; "
        "stages before are kept. Steps edited since run as they are now.",
        _typed(group.members),
    )


def _typed(members: Sequence[MemberBody]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for member in members for one in (_name(member), member.identifier)))


def _name(member: MemberBody) -> str:
    return member.name or member.identifier


def _refused(groups: Sequence[Sequence[NodeBody]], points: Sequence[ResumePoint]) -> tuple[RefusedPoint, ...]:
    reachable = {name for point in points for name in point.stages}
    refused: dict[str, str] = {}
    has_failed = False
    for group in groups:
        for node in group:
            if node.name not in reachable:
                refused.setdefault(node.name, _why_refused(node, comes_after=has_failed))
        has_failed = has_failed or any(_status(node) is StageStatus.FAILED for node in group)
    return tuple(RefusedPoint(name, reason) for name, reason in refused.items())


def _why_refused(node: NodeBody, *, comes_after: bool) -> str:
    if comes_after:
        return "It comes after the stage that failed; a retry from there would keep the failure."
    if _status(node) is StageStatus.SKIPPED:
        return "It was skipped, and Harness begins at no stage that did not run."
    return "Harness does not list it among the stages that can be retried."


def _no_points(found: Found, newest: str) -> str:
    summary = found.summary
    match summary.status:
        case "InterventionWaiting":
            return "It waits for a manual intervention in Harness: retry or ignore the step there."
        case "ApprovalWaiting":
            return "It waits for an approval in Harness."
        case word if word not in RETRYABLE:
            return OF_WORDS.get(word) or OF_STATUSES[summary.our_status].format(word or "no status")
        case _ if newest != summary.id:
            return f"It was retried already; the newest execution of its chain is {newest}."
        case _ if found.retry is None:
            return "Harness does not say which of its stages can be retried."
    if not found.retry.is_resumable:
        return found.retry.reason or "Harness says that it cannot be retried, and gives no reason."
    if summary.can_retry is False:
        return "Harness says that it cannot be retried: it is not the newest of its chain, or it was rolled back."
    return ""


def _notes(summary: SummaryBody, has_points: bool) -> tuple[str, ...]:
    notes = []
    if summary.status == "AbortedByFreeze":
        notes.append("A deployment freeze ended it; a retry while the freeze lasts ends the same way.")
    last = (at(summary.created_at) or datetime.now(UTC)) + LIMIT
    if has_points and last - datetime.now(UTC) < WARN:
        notes.append(f"Harness retries nothing that is older than 30 days: this one until {last:%d %B %Y, %H:%M} UTC.")
    return tuple(notes)


def _environment(summary: SummaryBody, groups: Sequence[Sequence[NodeBody]]) -> str | None:
    """The environment, when it is one and every stage that may deploy says so: any other may go anywhere."""
    info = summary.module_info.get("cd")
    said = info.get("envIdentifiers") if isinstance(info, dict) else None
    found = {one for one in said if isinstance(one, str)} if isinstance(said, list) else set[str]()
    for stage in (copy for group in groups for node in group for copy in _copies(summary, node)):
        if stage.kind in DEPLOYS_NOWHERE:
            continue
        if not stage.environments:
            return None
        found |= stage.environments
    return found.pop() if len(found) == 1 else None


def _copies(summary: SummaryBody, node: NodeBody) -> Sequence[NodeBody]:
    """The copies of a looped stage, as far as they have begun; any other stage itself."""
    return [summary.nodes[one] for one in node.edges.children if one in summary.nodes] or [node] if node.is_loop else [node]
