"""The approval steps of a simulated NextGen: listed, asked for authority, decided by a person's token only."""

import json
from collections.abc import Iterator

from starlette.requests import Request

from bot.simulators.harness_nextgen_shapes import Refused, Shape
from bot.simulators.harness_world import POSITIVE, Progress, Run, StageRun, World

STATUS = {Progress.WAITING: "WAITING", Progress.EXPIRED: "EXPIRED", Progress.REJECTED: "REJECTED", Progress.ABORTED: "ABORTED"}


def instances(run: Run, wanted: str | None) -> list[Shape]:
    """The approval instances of a run, with a status only if one is asked for."""
    shapes = [_shape(stage) for stage in _steps(run)]
    return [shape for shape in shapes if wanted is None or shape["status"] == wanted]


def find(world: World, identifier: str) -> StageRun:
    """The approval step of an instance id."""
    for run in world.runs.values():
        for stage in _steps(run):
            if stage.node == identifier:
                return stage
    raise Refused(f"Invalid approval instance id: {identifier}")


def shape_of(world: World, identifier: str) -> Shape:
    """One instance."""
    return _shape(find(world, identifier))


async def decide(world: World, identifier: str, request: Request, *, is_service_account: bool) -> Shape:
    """Approve or reject, as the owner of a person's token."""
    stage = find(world, identifier)
    if is_service_account:
        raise Refused("Service account is not supported for Harness Approval Step yet")
    if stage.progress is Progress.EXPIRED:
        raise Refused("Harness Approval instance already expired")
    if stage.gate is None or stage.gate.done():
        raise Refused(f"Harness Approval instance already completed. Status: {_status(stage)}")
    action = json.loads(await request.body()).get("action")
    if action not in {"APPROVE", "REJECT"}:
        raise Refused("action: must be APPROVE or REJECT")
    end = Progress.PASSED if action == "APPROVE" else Progress.REJECTED
    world.release(stage, end)
    return _shape(stage) | {"status": "APPROVED" if end is Progress.PASSED else "REJECTED"}


def _steps(run: Run) -> Iterator[StageRun]:
    return (one for one in run.stages if one.member.kind == "Approval" and one.progress is not Progress.NOT_STARTED)


def _status(stage: StageRun) -> str:
    return "APPROVED" if stage.progress in POSITIVE else STATUS.get(stage.progress, "FAILED")


def _shape(stage: StageRun) -> Shape:
    return {
        "id": stage.node,
        "type": "HarnessApproval",
        "status": _status(stage),
        "details": {"approvalMessage": "Please look", "approvers": {"userGroups": ["release"], "minimumCount": 1}},
        "createdAt": stage.started_at,
        "lastModifiedAt": stage.ended_at or stage.started_at,
    }
