"""From where a Restate invocation can be begun anew under another id: the points, what each would do, and why not.

journal  0 input │ 1 checkout, 2 its result │ 3 build, 4 its result │ 5 deploy
         └─────────────── kept ───────────┘   └───── run again ─────┘
point `restart:3:build` ─> restart-as-new?from=2: an index of entries; later results of what is kept come along
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from bot.domain.errors import Unsupported
from bot.domain.execution import Action, ExecutionStatus, RefusedPoint, ResumePoint
from bot.domain.text import listed, shorten, storable
from bot.engines.restate_picture import Picture, failed_stage_of, named_runs, status_of
from bot.engines.restate_rows import JOURNAL_LIMIT, JournalRow

BEGINNING = "restart:0:"
_BEGINNING, _NEW_ID = "From the beginning", ", restart with a new id"
RESTARTABLE = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.RETRYING})
_KEY = re.compile(r"restart:(?P<index>\d{1,9}):.*", re.DOTALL)
_UNFIT: Mapping[ExecutionStatus, str] = MappingProxyType(
    {
        ExecutionStatus.WAITING: "It has not begun: there is nothing to begin anew.",
        ExecutionStatus.RUNNING: "It is running: it can be begun anew once it has failed.",
        ExecutionStatus.SUSPENDED: "It waits and has not failed; to begin it anew would end what it waits for as well.",
        ExecutionStatus.SUCCEEDED: "It has succeeded: there is nothing to begin anew.",
        ExecutionStatus.UNKNOWN: "Restate gives it a status that is not known here.",
    }
)
# Between the end of the old one and the restart a worker may die and another one take over, which takes up to a minute.
_SHORTEST_RETENTION = timedelta(minutes=2)
# [src] Older protocols: below 6 only the input may be kept, below 4 the journal has another form.
_OLDEST_PROTOCOL, _FIRST_PROTOCOL_WITH_PREFIX = 4, 6
_MOST_STEPS = 150
_LABEL = 75
_NAMES = 5
_NAME = 40


@dataclass(frozen=True)
class RestartOffer:
    """The points an invocation can be begun anew from, the nearest first, and the steps it cannot be."""

    points: tuple[ResumePoint, ...]
    refused: tuple[RefusedPoint, ...]


@dataclass(frozen=True)
class _Step:
    index: int
    key: str
    name: str
    refusal: str


def restart_offer(picture: Picture) -> RestartOffer:
    """What is on offer; the failed step of one that has not ended is left to resume."""
    failed, refusal = failed_stage_of(picture), restart_refusal(picture)
    is_ended = picture.row.status == "completed"
    steps = _steps(picture)
    told = [step for step in steps if is_ended or step.name != failed]
    if refusal:
        return RestartOffer((), tuple(RefusedPoint(step.name, refusal) for step in told))
    fit = [step for step in reversed(told) if not step.refusal and step.index > 1]
    points = [_point(picture, step, steps) for step in fit[:_MOST_STEPS]]
    if is_ended or told or any(one.kind.startswith("Notification: ") for one in picture.journal):
        points.append(_beginning(picture, steps))
    far = f"Only the {_MOST_STEPS} steps nearest to the end are on offer."
    refused = [RefusedPoint(step.name, step.refusal) for step in told if step.refusal]
    refused += [RefusedPoint(step.name, far) for step in fit[_MOST_STEPS:]]
    return RestartOffer(tuple(points), tuple(refused))


def restart_refusal(picture: Picture) -> str:
    """Why it cannot be begun anew from anywhere; empty when it can."""
    row, status = picture.row, status_of(picture.row)
    if picture.restarts:
        return f"It has been begun anew already, as {picture.restarts[-1].id}."
    if row.service_kind == "workflow":
        return "It is a workflow, and Restate begins no workflow anew."
    if status not in RESTARTABLE:
        return _UNFIT[status]
    return picture.server_refusal or _retention_refusal(picture) or _protocol_refusal(picture) or _length_refusal(picture)


def why_not(picture: Picture, point: ResumePoint) -> str:
    """Why this point does not hold any more; empty when it does."""
    if refusal := restart_refusal(picture):
        return refusal
    if point.key == BEGINNING:
        return ""
    step = next((step for step in _steps(picture) if step.key == point.key), None)
    return "This step is not in its journal." if step is None else step.refusal


def last_kept(point: ResumePoint) -> int:
    """The index of the last entry of the journal that is kept. Raises Unsupported for a key that is none of ours."""
    found = _KEY.fullmatch(point.key)
    if not found:
        raise Unsupported("Restate has no such point to begin anew from.")
    return max(int(found["index"]) - 1, 0)


def _retention_refusal(picture: Picture) -> str:
    row = picture.row
    if row.status == "completed":
        return "" if picture.journal else "Its journal is not kept any more: Restate cannot begin it anew."
    kept = min(row.completion_retention, row.journal_retention)
    if not kept:
        return "Restate keeps no journal of it after its end: it could not be begun anew."
    if kept < _SHORTEST_RETENTION:
        return f"Restate keeps its journal for only {kept.total_seconds():.0f} s after its end: too short to begin it anew."
    return ""


def _protocol_refusal(picture: Picture) -> str:
    protocol = picture.row.protocol
    is_old = protocol is not None and protocol < _OLDEST_PROTOCOL
    if is_old or (picture.journal and picture.journal[0].kind != "Command: Input"):
        return "It was run with a protocol that is too old for Restate to begin it anew."
    return ""


def _length_refusal(picture: Picture) -> str:
    if not picture.is_cut:
        return ""
    return f"Its journal has {JOURNAL_LIMIT:,} entries or more, so I cannot say what would be kept and what would run again."


def _steps(picture: Picture) -> list[_Step]:
    """The named steps reached, each with the reason why it cannot be begun from."""
    failed, runs = failed_stage_of(picture), named_runs(picture.journal)
    failed_at = next((run.index for run, name in runs if name == failed), None) if picture.row.status == "completed" else None
    unfinished = _first_unfinished(picture.journal)
    has_prefix = (picture.row.protocol or 0) >= _FIRST_PROTOCOL_WITH_PREFIX
    steps = []
    for run, name in runs:
        refusal = ""
        if run.index > 1 and not has_prefix:
            refusal = "It was run with a protocol for which Restate begins anew from the beginning only."
        elif unfinished is not None and unfinished.index < run.index:
            before = next((each for other, each in runs if other.index == unfinished.index), "something")
            refusal = f"It was begun beside or after {before}, which has no result that could be kept."
        elif failed_at is not None and failed_at < run.index:
            refusal = f"It comes after {failed}, whose failure would be kept."
        steps.append(_Step(run.index, f"restart:{run.index}:{storable(run.name)}", name, refusal))
    return steps


def _first_unfinished(journal: tuple[JournalRow, ...]) -> JournalRow | None:
    """The first command that waits for a result: what comes after it cannot be begun from."""
    there = _results(journal)
    return next((one for one in journal if not there.issuperset(one.completion.awaits)), None)


def _results(journal: tuple[JournalRow, ...]) -> set[int | None]:
    return {one.completion.completion_id for one in journal if one.kind.startswith("Notification: ")}


def _point(picture: Picture, step: _Step, steps: list[_Step]) -> ResumePoint:
    kept = _named([each.name for each in steps if each.index < step.index]) or "what came before"
    again = [each.name for each in steps if each.index >= step.index]
    start = step.name
    if len(start) + len(_NEW_ID) > _LABEL or start.startswith(_BEGINNING):  # what is not to be taken for another one
        mark = f" [{step.index}]"
        start = shorten(start, _LABEL - len(_NEW_ID) - len(mark)) + mark
    sentence = _sentence(picture, f"keeps {kept}", _named(again), step.index)
    return ResumePoint(step.key, start + _NEW_ID, sentence, (step.name,), Action.RESTART)


def _beginning(picture: Picture, steps: list[_Step]) -> ResumePoint:
    """Everything again; it goes by the name of the first step where nothing comes before that."""
    first = next((step.name for step in steps if step.index == 1), "")
    start = _BEGINNING
    if first:
        start += f": {shorten(first, _LABEL - len(start) - len(_NEW_ID) - 2)}"
    again = _named([step.name for step in steps]) or "everything"
    sentence = _sentence(picture, "keeps only its input", again, 0)
    return ResumePoint(BEGINNING, start + _NEW_ID, sentence, (first,) if first else (), Action.RESTART)


def _sentence(picture: Picture, kept: str, again: str, index: int) -> str:
    row = picture.row
    is_ended = row.status == "completed"
    begun = "Begins it anew under a new id" if is_ended else f"Ends {row.id} for good and begins it anew under a new id"
    said = [
        f"{begun}: {kept}, runs {again} again and goes on from there, on the same deployment.",
        "What was done before is not undone.",
    ]
    if not is_ended:
        said += [_callers(picture), *_ended_with_it(picture, index)]
    if row.service_kind == "virtual_object":
        said.append("The state it wrote stays, and what is queued for its key runs first.")
    return " ".join(said)


def _callers(picture: Picture) -> str:
    row = picture.row
    if row.parent_id:
        return f"{row.parent_target} ({row.parent_id}) called it: if it waits, it gets a failure and not the new result."
    return "Whoever waits for the old id gets a failure."


def _ended_with_it(picture: Picture, index: int) -> list[str]:
    """Killing ends whatever was called or sent; a journal that is kept says that it was sent, so nobody sends it again.

    Told by the journal alone: a sentence that changed whenever one of those ends would take approvals away.
    """
    there = _results(picture.journal)
    sent = [one for one in picture.journal if one.kind == "Command: OneWayCall"]
    called = [one for one in picture.journal if one.completion.called and not there.issuperset(one.completion.awaits)]
    if not sent and not called:
        return []
    said = ["What it called or sent and still runs ends as well."]
    return [*said, "What was sent before that step is not sent again."] if any(one.index < index for one in sent) else said


def _named(names: list[str]) -> str:
    shown = [shorten(name, _NAME) for name in names[:_NAMES]]
    return listed([*shown, f"{len(names) - _NAMES} more"] if len(names) > _NAMES else shown)
