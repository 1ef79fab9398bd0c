"""What a simulated FirstGen account holds, and how GraphQL shows it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.simulators.harness_world import Pipeline, Progress, Run, StageRun, World

# 2.3 of the contract: PREPARING is not mapped, so a fresh run shows no status at all.
SHOWN: Mapping[Progress, str | None] = {
    Progress.PREPARING: None,
    Progress.NOT_STARTED: "QUEUED",
    Progress.QUEUED: "QUEUED",
    Progress.RUNNING: "RUNNING",
    Progress.PAUSED: "PAUSED",
    Progress.WAITING: "WAITING",
    Progress.PASSED: "SUCCESS",
    Progress.IGNORED: "SUCCESS",
    Progress.SKIPPED: "SKIPPED",
    Progress.FAILED: "FAILED",
    Progress.ERRORED: "ERROR",
    Progress.ABORTED: "ABORTED",
    Progress.EXPIRED: "EXPIRED",
    Progress.REJECTED: "REJECTED",
    Progress.FROZEN: "ERROR",
}
RESUMABLE = frozenset(
    {
        Progress.FAILED,
        Progress.ABORTED,
        Progress.REJECTED,
        Progress.EXPIRED,
        Progress.ERRORED,
    }
)

Shape = dict[str, Any]


@dataclass(frozen=True)
class Application:
    """An application: what pipelines, workflows, services and environments belong to."""

    identifier: str
    name: str


@dataclass(frozen=True)
class Service:
    """A service with its artifact sources and app manifests: name -> builds or versions that exist."""

    identifier: str
    name: str
    artifacts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    manifests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """An environment and the infrastructure definitions in it."""

    identifier: str
    name: str
    infrastructures: tuple[str, ...] = ()


@dataclass
class Estate:
    """All that one account holds. `denials`: field -> permission checks that say no before one says yes."""

    world: World
    account: str
    public_url: str = "https://app.harness.example"
    applications: dict[str, Application] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    denials: dict[str, int] = field(default_factory=dict)
    freeze: str = ""  # the name of the freeze window that is open
    must_filter_by_application: bool = False


def execution_link(estate: Estate, run: Run) -> str:
    """The address of a pipeline execution, with the literal word `undefined` as the server writes it."""
    scope = f"{estate.public_url}/#/account/{estate.account}/app/{run.pipeline.scope}"
    if run.pipeline.is_workflow:
        environment = next(iter(run.pipeline.environments), "none")
        return f"{scope}/env/{environment}/executions/{run.identifier}/details"
    return f"{scope}/pipeline-execution/{run.identifier}/workflow-execution/undefined/details"


def application_shape(estate: Estate, application: Application) -> Shape:
    """An Application, with its pipelines and workflows behind their own arguments."""

    def listing(is_workflow: bool) -> Callable[..., Shape]:
        return lambda _info, **page: connection(
            [
                pipeline_shape(one)
                for one in estate.world.pipelines.values()
                if one.scope == application.identifier and one.is_workflow is is_workflow and not one.is_deleted
            ],
            page,
        )

    return {
        "id": application.identifier,
        "name": application.name,
        "pipelines": listing(False),
        "workflows": listing(True),
    }


def pipeline_shape(pipeline: Pipeline) -> Shape:
    """A Pipeline or a Workflow."""
    variables = [
        {
            "name": one.name,
            "type": one.type,
            "required": one.required,
            "allowedValues": list(one.allowed),
            "defaultValue": one.default,
            "fixed": one.fixed,
            "allowMultipleValues": one.multiple,
        }
        for one in pipeline.variables
    ]
    return {
        "id": pipeline.identifier,
        "name": pipeline.name,
        "pipelineVariables": variables,
        "workflowVariables": variables,
    }


def run_shape(estate: Estate, run: Run) -> Shape:
    """A PipelineExecution, or the WorkflowExecution of a workflow started alone."""
    application = estate.applications[run.pipeline.scope]
    is_told = run.progress in {Progress.FAILED, Progress.REJECTED}
    shape: Shape = {
        "__typename": "WorkflowExecution" if run.pipeline.is_workflow else "PipelineExecution",
        "id": run.identifier,
        "executionUrl": execution_link(estate, run),
        "application": application_shape(estate, application),
        "createdAt": run.created_at,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "status": SHOWN[run.progress],
        "notes": run.notes or None,
        "tags": [],
        "failureDetails": run.message if is_told else None,
        "cause": {"__typename": "ExecutedByAPIKey", "apiKey": {"id": "key", "name": "key"}, "using": "GRAPHQL_API"},
    }
    if run.pipeline.is_workflow:
        variables = [{"name": name, "value": value} for name, value in run.variables.items()]
        return shape | {"workflow": pipeline_shape(run.pipeline), "artifacts": [], "inputVariables": variables}
    return shape | {
        "pipeline": pipeline_shape(run.pipeline),
        "pipelineStageExecutions": [stage_shape(stage, run) for stage in run.stages],
        "memberExecutions": lambda _info: connection(list(member_shapes(estate, run)), {"limit": 100}),
    }


def stage_shape(stage: StageRun, run: Run) -> Shape:
    """One stage of a pipeline execution; members of a parallel group repeat the stage's name."""
    member = stage.member
    shape: Shape = {
        "pipelineStageElementId": member.identifier,
        "pipelineStageName": member.name,
        "pipelineStepName": member.step or member.name,
        "status": SHOWN[stage.progress],
    }
    if member.kind == "Approval":
        return shape | {"__typename": "ApprovalStageExecution", "approvalStepType": "USER_GROUP"}
    return shape | {
        "__typename": "WorkflowStageExecution",
        "workflowExecutionId": stage.execution if stage.progress is not Progress.NOT_STARTED else None,
        "runtimeInputVariables": pipeline_shape(run.pipeline)["pipelineVariables"]
        if stage.progress is Progress.PAUSED
        else None,
        "inputVariables": [{"name": name, "value": value} for name, value in run.variables.items()],
    }


def member_shapes(estate: Estate, run: Run) -> Iterator[Shape]:
    """The workflow executions inside a pipeline execution."""
    for stage in run.stages:
        if stage.member.kind == "Approval" or stage.progress is Progress.NOT_STARTED:
            continue
        yield {
            "__typename": "WorkflowExecution",
            "id": stage.execution,
            "application": application_shape(estate, estate.applications[run.pipeline.scope]),
            "createdAt": run.created_at,
            "startedAt": stage.started_at,
            "endedAt": stage.ended_at,
            "status": SHOWN[stage.progress],
            "workflow": {"id": f"workflow-of-{stage.member.identifier}", "name": stage.member.step},
            "cause": {"__typename": "ExecutedAlongPipeline", "execution": {"id": run.identifier}},
        }


def connection(nodes: Iterable[Shape], page: Mapping[str, Any]) -> Shape:
    """One page of a list with what it tells of the rest."""
    listed = list(nodes)
    offset, limit = page.get("offset") or 0, page["limit"]
    shown = listed[offset : offset + limit]
    info = {"total": len(listed), "offset": offset, "limit": limit, "hasMore": offset + len(shown) < len(listed)}
    return {"pageInfo": info, "nodes": shown}
