"""How the simulated NextGen shows its runs: envelopes, execution details with their stage graph, groups to retry."""

import uuid
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from starlette.responses import JSONResponse, Response

from bot.simulators.harness_world import POSITIVE, WORST_FIRST, Pipeline, Progress, Run, StageRun

SHOWN: Mapping[Progress, str] = {
    Progress.PREPARING: "Running",
    Progress.NOT_STARTED: "NotStarted",
    Progress.QUEUED: "Queued",
    Progress.RUNNING: "Running",
    Progress.PAUSED: "InterventionWaiting",
    Progress.WAITING: "ApprovalWaiting",
    Progress.PASSED: "Success",
    Progress.IGNORED: "IgnoreFailed",
    Progress.SKIPPED: "Skipped",
    Progress.FAILED: "Failed",
    Progress.ERRORED: "Errored",
    Progress.ABORTED: "Aborted",
    Progress.EXPIRED: "Expired",
    Progress.REJECTED: "ApprovalRejected",
    Progress.FROZEN: "AbortedByFreeze",
}
Shape = dict[str, Any]


class Refused(Exception):
    """A call is refused: HTTP status, the server's code, the text, and what else the envelope carries."""

    def __init__(self, message: str, *, status: int = 400, code: str = "INVALID_REQUEST", **further: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.further = status, code, further


def success(data: object) -> Response:
    """The envelope of an answer; members that are null are left out, as the server does."""
    body = {"status": "SUCCESS", "data": _without_nulls(data), "metaData": None, "correlationId": str(uuid.uuid4())}
    return JSONResponse(body)


def refusal(refused: Refused) -> Response:
    """The envelope of a refusal or fault."""
    message = f"Invalid request: {refused}" if refused.code == "INVALID_REQUEST" else str(refused)
    said: Shape = {"code": refused.code, "level": "ERROR", "message": message, "exception": None, "failureTypes": []}
    body = {
        "status": "ERROR",
        "code": refused.code,
        "message": message,
        "correlationId": None if refused.status == 401 else str(uuid.uuid4()),
        "detailedMessage": None,
        "responseMessages": [said],
        "metadata": None,
        **refused.further,
    }
    return JSONResponse(body, refused.status)


def failure(code: str, errors: Sequence[tuple[str, str]]) -> Response:
    """The envelope of bean validation and of unknown routes."""
    body = {
        "status": "FAILURE",
        "code": code,
        "message": ", ".join(f"{field}: {why}" for field, why in errors),
        "correlationId": str(uuid.uuid4()),
        "errors": [{"fieldId": field, "error": why} for field, why in errors],
    }
    return JSONResponse(body, 400)


def summary(run: Run) -> Shape:
    """An execution's summary, with the graph of its stages."""
    nodes, first = layout(run)
    org, _, project = run.pipeline.scope.partition("/")
    ends = [stage.progress for stage in run.stages]
    return {
        "pipelineIdentifier": run.pipeline.identifier,
        "orgIdentifier": org,
        "projectIdentifier": project,
        "planExecutionId": run.identifier,
        "name": run.pipeline.name,
        "yamlVersion": "0",
        "status": SHOWN[run.progress],
        "tags": [],
        "executionTriggerInfo": {"triggerType": "MANUAL", "triggeredBy": {"identifier": "Deployer"}, "isRerun": False},
        "failureInfo": {"message": run.message, "failureTypeList": [], "responseMessages": []},
        "layoutNodeMap": nodes,
        "startingNodeId": first,
        "modules": ["cd"],
        "moduleInfo": {"cd": {"envIdentifiers": list(run.pipeline.environments)}},
        "startTs": run.started_at or run.created_at,
        "endTs": run.ended_at,
        "createdAt": run.created_at,
        "canRetry": run.is_latest and not run.is_rolled_back,
        "showRetryHistory": run.root is not None,
        "runSequence": run.sequence,
        "successfulStagesCount": sum(end in POSITIVE for end in ends),
        "failedStagesCount": sum(end in WORST_FIRST for end in ends),
        "totalStagesCount": len(ends),
        "stagesExecution": False,
        "executionMode": "NORMAL",
        "notesExistForPlanExecutionId": bool(run.notes),
    }


def layout(run: Run) -> tuple[Shape, str | None]:
    """The stage graph: nodes by uuid and where it starts. Parallel groups are a node of their own with children."""
    nodes: Shape = {}
    heads: list[str] = []
    for index in sorted({stage.group for stage in run.stages}):
        members = run.group(index)
        tops = [_stage_nodes(nodes, stage) for stage in members]
        if len(members) == 1:
            heads.append(tops[0])
            continue
        block = f"p{index}{run.identifier}"
        nodes[block] = _node(block, f"parallel{block}", "parallel", "parallel", Progress.NOT_STARTED)
        nodes[block]["edgeLayoutList"]["currentNodeChildren"] = tops
        heads.append(block)
    for here, there in pairwise(heads):
        nodes[here]["edgeLayoutList"]["nextIds"] = [there]
    return nodes, heads[0] if heads else None


def _stage_nodes(nodes: Shape, stage: StageRun) -> str:
    member, here = stage.member, stage.node
    nodes[here] = _node(here, member.identifier, member.name, member.kind, stage.progress) | _failure(stage)
    nodes[here] |= {"startTs": stage.started_at, "endTs": stage.ended_at, "nodeExecutionId": stage.execution}
    nodes[here] |= _place(stage)
    if member.copies:
        nodes[here] |= {"nodeType": "LOOP", "nodeGroup": "STRATEGY"}
    for number in range(member.copies):
        copy = f"{here}{number}"
        progress = stage.loop[number] if number < len(stage.loop) else stage.progress
        node = _node(copy, f"{member.identifier}_{number}", f"{member.name}_{number}", member.kind, progress)
        nodes[copy] = node | (_failure(stage) if progress in WORST_FIRST else {}) | _place(stage)
        nodes[here]["edgeLayoutList"]["currentNodeChildren"].append(copy)
    return here


def _node(uuid_: str, identifier: str, name: str, kind: str, progress: Progress) -> Shape:
    return {
        "nodeType": kind,
        "nodeGroup": "STAGE",
        "nodeIdentifier": identifier,
        "name": name,
        "nodeUuid": uuid_,
        "status": SHOWN[progress],
        "module": "cd",
        "edgeLayoutList": {"currentNodeChildren": [], "nextIds": []},
        "hidden": False,
        "isRollbackStageNode": False,
    }


def _place(stage: StageRun) -> Shape:
    if not stage.member.environment or stage.progress in {Progress.NOT_STARTED, Progress.SKIPPED}:
        return {}
    place = {"identifier": stage.member.environment, "name": stage.member.environment.title(), "type": "Production"}
    return {"moduleInfo": {"cd": {"infraExecutionSummary": place}}}


def _failure(stage: StageRun) -> Shape:
    if stage.progress not in WORST_FIRST:
        return {}
    told = {"message": stage.message, "failureTypeList": [], "responseMessages": []}
    return {"failureInfo": {"message": stage.message}, "failureInfoDTO": told}


def retry_groups(run: Run) -> list[Shape]:
    """The groups of stages that ran, in order; never started and skipped ones are absent."""
    groups = []
    for index in sorted({stage.group for stage in run.stages}):
        ran = [stage for stage in run.group(index) if stage.progress not in {Progress.NOT_STARTED, Progress.SKIPPED}]
        if ran:
            groups.append({"info": [_group_member(stage) for stage in ran]})
    return groups


def _group_member(stage: StageRun) -> Shape:
    return {
        "name": stage.member.name,
        "identifier": stage.member.identifier,
        "status": SHOWN[stage.progress],
        "createdAt": stage.started_at or 0,
        "parentId": "",
        "nextId": "",
    }


def plan_execution(run: Run) -> Shape:
    """What a start or retry answers; the status is the engine's word here, not the display one."""
    return {
        "planExecution": {
            "uuid": run.identifier,
            "createdAt": run.created_at,
            "planId": run.identifier,
            "setupAbstractions": {},
            "status": "RUNNING",
            "startTs": run.created_at,
            "metadata": {"runSequence": run.sequence},
        },
        "gitDetails": {},
    }


def pipeline_entry(pipeline: Pipeline) -> Shape:
    """A pipeline in the list of a project."""
    return {
        "name": pipeline.name,
        "identifier": pipeline.identifier,
        "tags": {},
        "numOfStages": len(pipeline.members),
        "modules": ["cd"],
        "storeType": "INLINE",
    }


def page(content: Sequence[Shape], number: int, size: int) -> Shape:
    """One page as Spring tells of it."""
    shown = content[number * size : (number + 1) * size]
    return {
        "content": list(shown),
        "totalElements": len(content),
        "totalPages": -(-len(content) // size),
        "size": size,
        "number": number,
        "numberOfElements": len(shown),
        "empty": not shown,
    }


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return value
