"""The simulated FirstGen's GraphQL schema: the SDL of the contract with a resolver behind each root field."""

from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any, cast

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, build_schema
from graphql.language import IntValueNode, StringValueNode, ValueNode

from bot.simulators.harness_firstgen_resume import GENERIC, INVALID, UNAUTHORIZED, Refused, resume_execution
from bot.simulators.harness_firstgen_shapes import (
    SHOWN,
    Estate,
    Shape,
    application_shape,
    connection,
    member_shapes,
    pipeline_shape,
    run_shape,
)
from bot.simulators.harness_firstgen_start import execution_inputs, find_entity, start_execution
from bot.simulators.harness_world import Pipeline, Progress, Run

Fetch = Callable[[Estate, dict[str, Any]], Any]


def build(estate: Estate) -> GraphQLSchema:
    """The schema, with every root field answered from the estate."""
    schema = build_schema(resources.files("bot.simulators").joinpath("harness_firstgen.graphql").read_text("utf-8"))
    _teach_time(schema.type_map["DateTime"])
    for root, fetches in ((schema.query_type, QUERIES), (schema.mutation_type, MUTATIONS)):
        fields = cast("GraphQLObjectType", root).fields
        for name, fetch in fetches.items():
            fields[name].resolve = _guarded(estate, name, fetch)
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLInterfaceType):
            kind.resolve_type = lambda value, *_: value["__typename"]
    return schema


def _guarded(estate: Estate, field: str, fetch: Fetch) -> Callable[..., Any]:
    # 2.1 of the contract: after a first refusal the server clears its cache and runs the resolver again, but throws
    # what that second run gives away.
    def resolve(_source: object, _info: GraphQLResolveInfo[Any], **given: Any) -> Any:
        if not _denied(estate, field):
            return fetch(estate, given)
        if _denied(estate, field):
            raise Refused(UNAUTHORIZED)
        fetch(estate, given)
        return None

    return resolve


def _denied(estate: Estate, field: str) -> bool:
    left = estate.denials.get(field, 0)
    estate.denials[field] = max(0, left - 1)
    return left > 0


def _teach_time(scalar: Any) -> None:
    def read(value: object) -> int:
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return int(value)
        raise ValueError("a DateTime is epoch milliseconds: an integer or a string of digits")

    def read_literal(node: ValueNode, _variables: object = None) -> int:
        if isinstance(node, IntValueNode | StringValueNode):
            return read(node.value)
        raise ValueError("a DateTime is epoch milliseconds: an integer or a string of digits")

    scalar.parse_value = read
    scalar.coerce_input_value = read
    scalar.parse_literal = read_literal


def _execution(estate: Estate, given: dict[str, Any]) -> Shape:
    wanted = given["executionId"]
    if wanted in estate.world.runs:
        return run_shape(estate, estate.world.runs[wanted])
    for run in estate.world.runs.values():
        for shape in member_shapes(estate, run):
            if shape["id"] == wanted:
                return shape
    raise Refused(f"{INVALID}Execution does not exist or access is denied")


def _executions(estate: Estate, given: dict[str, Any]) -> Shape:
    filters: list[dict[str, Any]] = given.get("filters") or []
    if given["limit"] < 0 or (given.get("offset") or 0) < 0:
        raise Refused(f"{INVALID}This argument accepts only non negative values")
    _check_application_filter(estate, filters)
    runs = sorted(estate.world.runs.values(), key=lambda run: -run.created_at)
    parents = {name for one in filters if one.get("pipelineExecutionId") for name in one["pipelineExecutionId"]["values"]}
    if parents:
        return connection((shape for run in runs if run.identifier in parents for shape in member_shapes(estate, run)), given)
    kept = [run for run in runs if all(_passes(run, one) for one in filters)]
    shapes = [run_shape(estate, run) for run in kept]
    if given.get("includeIndirectExecutions"):
        shapes += [shape for run in kept for shape in member_shapes(estate, run)]
    return connection(shapes, given)


def _check_application_filter(estate: Estate, filters: Iterable[dict[str, Any]]) -> None:
    if not estate.must_filter_by_application:
        return
    named = {key for one in filters for key, value in one.items() if value is not None}
    if not named & {"application", "applicationId"}:
        raise Refused(f"{INVALID}Application Id filter is required")
    if {"application", "applicationId"} <= named:
        raise Refused(f"{INVALID}Only one of the two application filters may be given")


def _passes(run: Run, wanted: Mapping[str, Any]) -> bool:
    return all(_matches(run, key, value) for key, value in wanted.items() if value is not None)


def _matches(run: Run, key: str, wanted: Any) -> bool:
    ids = {
        "application": run.pipeline.scope,
        "execution": run.identifier,
        "pipeline": None if run.pipeline.is_workflow else run.pipeline.identifier,
        "workflow": run.pipeline.identifier if run.pipeline.is_workflow else None,
        "status": SHOWN[run.progress] or Progress.PREPARING.upper(),
    }
    times = {"creationTime": run.created_at, "startTime": run.started_at, "endTime": run.ended_at}
    if key == "applicationId":
        return bool(run.pipeline.scope == wanted)
    if key in ids:
        return _id_matches(ids[key], wanted)
    if key in times:
        return _time_matches(times[key], wanted)
    raise Refused(f"The filter {key} is not simulated")


def _id_matches(value: str | None, wanted: Mapping[str, Any]) -> bool:
    match wanted["operator"]:
        case "EQUALS" | "IN":
            return value in wanted["values"]
        case "NOT_IN":
            return value not in wanted["values"]
        case "LIKE":
            return value is not None and any(part in value for part in wanted["values"])
        case _:
            return value is not None


def _time_matches(value: int | None, wanted: Mapping[str, Any]) -> bool:
    if value is None:
        return False
    match wanted["operator"]:
        case "BEFORE":
            return bool(value < wanted["value"])
        case "AFTER":
            return bool(value > wanted["value"])
        case _:
            return bool(value == wanted["value"])


def _by_name(estate: Estate, name: str, application: str, *, is_workflow: bool) -> Pipeline | None:
    return next(
        (
            one
            for one in estate.world.pipelines.values()
            if one.name == name and one.scope == application and one.is_workflow is is_workflow and not one.is_deleted
        ),
        None,
    )


def _pipeline_by_name(estate: Estate, given: dict[str, Any]) -> Shape | None:
    found = _by_name(estate, given["pipelineName"], given["applicationId"], is_workflow=False)
    return None if found is None else pipeline_shape(found)


def _workflow_by_name(estate: Estate, given: dict[str, Any]) -> Shape:
    found = _by_name(estate, given["workflowName"], given["applicationId"], is_workflow=True)
    if found is None:
        raise Refused(f"{INVALID}Workflow does not exist")
    return pipeline_shape(found)


def _entity(estate: Estate, identifier: str, *, is_workflow: bool) -> Shape:
    found = estate.world.pipelines.get(identifier)
    if found is None:
        raise Refused(f"{INVALID}{'Workflow' if is_workflow else 'Pipeline'} does not exist")
    return pipeline_shape(find_entity(estate, found.scope, identifier, is_workflow))


def _entities(estate: Estate, given: dict[str, Any], *, is_workflow: bool) -> Shape:
    filters: list[dict[str, Any]] = given.get("filters") or []
    listed = [
        one
        for one in estate.world.pipelines.values()
        if one.is_workflow is is_workflow
        and not one.is_deleted
        and all(
            _id_matches(one.scope if key == "application" else one.identifier, value)
            for wanted in filters
            for key, value in wanted.items()
            if value is not None
        )
    ]
    return connection((pipeline_shape(one) for one in listed), given)


def _application(estate: Estate, key: str, value: str) -> Shape:
    for one in estate.applications.values():
        if value == (one.name if key == "name" else one.identifier):
            return application_shape(estate, one)
    raise Refused(f"{INVALID}Application does not exist")


def _runtime_inputs(estate: Estate, given: dict[str, Any]) -> Shape:
    run = estate.world.runs.get(given["pipelineExecutionId"])
    if run is None:
        raise Refused(f"Execution [{given['pipelineExecutionId']}] doesn't exist")
    return execution_inputs(
        estate,
        {"applicationId": given["applicationId"], "entityId": run.pipeline.identifier, "executionType": "PIPELINE"},
    )


def _approvals(estate: Estate, given: dict[str, Any]) -> Shape:
    run = estate.world.runs.get(given["executionId"])
    if run is None or run.pipeline.scope != given["applicationId"]:
        raise Refused(f"{INVALID}Execution does not exist or access is denied")
    waiting = [stage for stage in run.stages if stage.gate is not None and not stage.gate.done()]
    return {
        "approvalDetails": [
            {
                "__typename": "UserGroupApprovalDetails",
                "approvalId": stage.node,
                "approvalType": "USER_GROUP",
                "stepName": stage.member.step,
                "stageName": stage.member.name,
                "startedAt": stage.started_at,
                "approvers": ["release"],
                "executionId": run.identifier,
            }
            for stage in waiting
            if stage.member.kind == "Approval"
        ]
    }


def _decide(estate: Estate, given: dict[str, Any]) -> Shape:
    wanted = given["input"]
    run = estate.world.runs.get(wanted["executionId"])
    stage = next((one for one in run.stages if one.node == wanted["approvalId"]), None) if run else None
    if stage is None or stage.gate is None or stage.gate.done():
        raise Refused(f"{INVALID}Approval does not exist or is over")
    if wanted.get("variableInputs"):
        raise Refused(f"{INVALID}Variable with name {wanted['variableInputs'][0].get('name')} does not exist")
    estate.world.release(stage, Progress.PASSED if wanted["action"] == "APPROVE" else Progress.REJECTED)
    return {"success": True, "clientMutationId": wanted.get("clientMutationId")}


def _resume(estate: Estate, given: dict[str, Any]) -> Shape:
    if given.get("input") is None:
        raise Refused(GENERIC)
    return resume_execution(estate, given["input"])


def _continue(estate: Estate, given: dict[str, Any]) -> Shape:
    wanted = given["input"]
    run = estate.world.runs.get(wanted["pipelineExecutionId"])
    stages = run.stages if run else []
    stage = next((one for one in stages if one.member.identifier == wanted["pipelineStageElementId"]), None)
    if stage is None or stage.progress is not Progress.PAUSED:
        raise Refused(f"{INVALID}The stage does not wait for inputs")
    estate.world.release(stage, Progress.PASSED)
    return {"clientMutationId": wanted.get("clientMutationId"), "status": True}


QUERIES: Mapping[str, Fetch] = {
    "application": lambda estate, given: _application(estate, "id", given["applicationId"]),
    "applicationByName": lambda estate, given: _application(estate, "name", given["name"]),
    "applications": lambda estate, given: connection(
        (application_shape(estate, one) for one in estate.applications.values()), given
    ),
    "pipeline": lambda estate, given: _entity(estate, given["pipelineId"], is_workflow=False),
    "pipelineByName": _pipeline_by_name,
    "pipelines": lambda estate, given: _entities(estate, given, is_workflow=False),
    "workflow": lambda estate, given: _entity(estate, given["workflowId"], is_workflow=True),
    "workflowByName": _workflow_by_name,
    "workflows": lambda estate, given: _entities(estate, given, is_workflow=True),
    "execution": _execution,
    "executions": _executions,
    "executionInputs": execution_inputs,
    "runtimeExecutionInputsToResumePipeline": _runtime_inputs,
    "approvalDetails": _approvals,
}
MUTATIONS: Mapping[str, Fetch] = {
    "resumeExecution": _resume,
    "pipelineResumeRuntime": _continue,
    "startExecution": lambda estate, given: start_execution(estate, given["input"]),
    "approveOrRejectApprovals": _decide,
}
