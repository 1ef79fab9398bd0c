"""A FirstGen execution in our words: its stages group by group, and the points it can be resumed from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bot.domain.errors import NotResumable
from bot.domain.execution import (
    Execution,
    ExecutionRef,
    ExecutionStatus,
    RefusedPoint,
    ResumePoint,
    Stage,
    StageStatus,
)
from bot.engines._harness_links import at
from bot.engines.harness_firstgen_wire import RESUMABLE, STAGE_STATUSES, ExecutionBody, StageBody

WORST_FIRST = (StageStatus.FAILED, StageStatus.RUNNING, StageStatus.UNKNOWN, StageStatus.PENDING, StageStatus.SUCCEEDED)
ENTITY_ENVIRONMENT = "ENVIRONMENT"


@dataclass(frozen=True)
class Group:
    """The members that run at the same time; they share the stage's name."""

    name: str
    members: tuple[StageBody, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """What tells the members apart."""
        return tuple(member.step or self.name for member in self.members)

    @property
    def failed_steps(self) -> tuple[str, ...]:
        """Those of them that ended badly."""
        return tuple(member.step or self.name for member in self.members if member.is_negative)

    @property
    def status(self) -> StageStatus:
        """The worst of its members'."""
        statuses = {STAGE_STATUSES.get(member.status or "QUEUED", StageStatus.UNKNOWN) for member in self.members}
        return next((status for status in WORST_FIRST if status in statuses), StageStatus.SKIPPED)

    @property
    def label(self) -> str:
        """The stage's name, with its members where there are several."""
        return self.name if len(self.members) == 1 else f"{self.name} ({', '.join(self.steps)})"


@dataclass(frozen=True)
class PointKey:
    """What a resume call needs to know of a point: the names as the engine gave them."""

    application: str
    stage: str

    def text(self) -> str:
        """The key of a resume point."""
        return json.dumps([self.application, self.stage], ensure_ascii=False)

    @classmethod
    def read(cls, key: str) -> "PointKey":
        """The other way round; NotResumable when it is no key of ours."""
        try:
            application, stage = json.loads(key)
        except ValueError:
            raise NotResumable("This is no stage that Harness offered.") from None
        return cls(str(application), str(stage))


def grouped(stages: Sequence[StageBody]) -> list[Group]:
    """Stages in order, neighbours of one name together: the schema shows no other sign of a parallel group."""
    return [Group(name, tuple(members)) for name, members in groupby(stages, key=lambda stage: stage.name)]


def describe_execution(ref: ExecutionRef, body: ExecutionBody, newer: Sequence[ExecutionBody], link: str) -> Execution:
    """The execution with what it offers; `newer` are the pipeline's executions since, newest first."""
    groups = grouped(body.stages)
    failed = next((index for index, group in enumerate(groups) if group.failed_steps), None)
    reason = _no_points(body, failed)
    points = () if reason or failed is None else _points(body, groups[: failed + 1])
    return Execution(
        ref=ref,
        name=body.name,
        status=body.our_status,
        root=ref.id,
        baseline=f"{newer[0].id if newer else ref.id} {body.status} {body.ended_at}",
        stages=tuple(Stage(group.name, group.status, members=_members(group)) for group in groups),
        failed_stage="" if failed is None else groups[failed].name,
        error=_error(body, None if failed is None else groups[failed]),
        points=points,
        refused_points=_refused(groups, failed, points),
        no_points=reason or ("" if points else "Harness shows no failed stage that it could be resumed from."),
        chain=(ref.id,),
        link=link,
        environment=_environment(body),
        notes=(*_notes(body), *_overtaken(newer)),
        started_at=at(body.started_at or body.created_at),
        ended_at=at(body.ended_at),
        labels=_labels(body, None if failed is None else groups[failed]),
    )


def may_resume(one: ExecutionBody, old: ExecutionBody) -> bool:
    """Whether an execution may be the resume of an older one: by an API key, with the notes, stages and inputs it copies."""
    if not one.is_by_key or (one.notes or "") != (old.notes or ""):
        return False
    if one.stages and [_place(stage) for stage in one.stages] != [_place(stage) for stage in old.stages]:
        return False
    return all(_given(new) == _given(was) for new, was in zip(one.stages, old.stages, strict=False) if _both_begun(new, was))


def _place(stage: StageBody) -> tuple[str, str, str | None]:
    return stage.element, stage.name, stage.step


def _given(stage: StageBody) -> list[tuple[str, str]]:
    return sorted((one.name or "", one.value or "") for one in stage.inputs)


def _both_begun(new: StageBody, was: StageBody) -> bool:
    return new.has_begun and was.has_begun


def _members(group: Group) -> tuple[str, ...]:
    return group.steps if len(group.members) > 1 else ()


def _points(body: ExecutionBody, groups: Sequence[Group]) -> tuple[ResumePoint, ...]:
    application = body.application.id if body.application else ""
    offered: dict[str, ResumePoint] = {}
    for index, group in enumerate(groups):
        # The server takes the first stage of a name: a later one of the same name is out of reach.
        if group.name.strip() and group.name not in offered:
            key = PointKey(application, group.name).text()
            stages = (group.name, *_members(group))
            offered[group.name] = ResumePoint(key, group.label, _consequence(group, len(groups) - index), stages)
    # The nearest is the one people mean: the stage that failed, if its name leads to it.
    return tuple(reversed(offered.values()))


def _consequence(group: Group, distance: int) -> str:
    what = f"all members of “{group.name}”" if len(group.members) > 1 else f"“{group.name}”"
    sentence = f"Harness begins a new execution that runs {what} and every stage after it, with the old inputs and artifacts."
    if len(group.members) > 1 and group.failed_steps and len(group.failed_steps) < len(group.members):
        sentence += " The members that succeeded run again too."
    return sentence if distance == 1 else f"{sentence} Stages that succeeded run again."


def _refused(groups: Sequence[Group], failed: int | None, points: Sequence[ResumePoint]) -> tuple[RefusedPoint, ...]:
    if failed is None or not points:
        return ()
    reachable = {name for point in points for name in point.stages}
    refused = {}
    for index, group in enumerate(groups):
        for name in (group.name, *_members(group)):
            if name in reachable or not name.strip():
                continue
            refused[name] = (
                "It comes after the stage that failed; Harness would end a resume from there at once."
                if index > failed
                else "Harness finds stages by name and takes the first of this name."
            )
    return tuple(RefusedPoint(name, reason) for name, reason in refused.items())


def _no_points(body: ExecutionBody, failed: int | None) -> str:
    if body.kind == "WorkflowExecution" or body.pipeline is None:
        return "FirstGen cannot resume a workflow that was started alone; it can be started anew."
    if body.status in RESUMABLE:
        return "" if failed is not None else "It ended before any of its stages did, so there is none to resume from."
    if body.status == "SUCCESS":
        return "It succeeded: FirstGen resumes only failed, aborted, expired, rejected and errored executions."
    if body.our_status is ExecutionStatus.SUSPENDED:
        return "It is paused and goes on in Harness, where it waits for inputs or an approval."
    return f"It is {(body.status or 'preparing').lower()}: FirstGen resumes only executions that have failed."


def _error(body: ExecutionBody, failed: Group | None) -> str:
    if body.failure:
        return body.failure
    if failed is None or body.our_status is not ExecutionStatus.FAILED:
        return ""
    # 2.3 of the contract: details are kept for FAILED and REJECTED only.
    return f"{', '.join(failed.failed_steps)}: {(body.status or '').lower()}, and Harness says no more."


def _notes(body: ExecutionBody) -> tuple[str, ...]:
    awaited = [
        f"“{stage.name}” waits for the inputs {', '.join(one.name or '' for one in stage.awaited)}."
        for stage in body.stages
        if stage.awaited
    ]
    approvals = [
        f"“{stage.name}” waits for an approval in Harness."
        for stage in body.stages
        if stage.kind == "ApprovalStageExecution" and stage.status in {"PAUSED", "WAITING"}
    ]
    return (*awaited, *approvals)


def _overtaken(newer: Sequence[ExecutionBody]) -> tuple[str, ...]:
    # FirstGen shows no chain: this may be its continuation, or a deployment that a resume would go back behind.
    if not newer:
        return ()
    latest = newer[0]
    return (f"The pipeline ran again since: execution {latest.id} is {(latest.status or 'preparing').lower()}.",)


def _labels(body: ExecutionBody, failed: Group | None) -> dict[str, str]:
    labels = {"Application": body.application.name if body.application else "", "Harness says": body.status or ""}
    if failed is not None and len(failed.members) > 1:
        labels["Failed in"] = ", ".join(failed.failed_steps)
    return {name: value for name, value in labels.items() if value}


def _environment(body: ExecutionBody) -> str | None:
    """The environment's id, when every stage says the same one: a stage that says none may go anywhere."""
    if body.pipeline is None:
        return None
    names = {one.name for one in body.pipeline.variables if one.type == ENTITY_ENVIRONMENT}
    said = [
        {one.value for one in stage.inputs if one.name in names and one.value}
        for stage in body.stages
        if stage.kind == "WorkflowStageExecution"
    ]
    values = set().union(*said) if said else set()
    return values.pop() if len(values) == 1 and all(said) else None
