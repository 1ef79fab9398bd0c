"""What Harness FirstGen's GraphQL and its event rules say, read into objects, and its words in ours."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, Field

from bot.domain.execution import ExecutionStatus, StageStatus
from bot.engines._harness_bodies import Body, Shown, or_empty, or_nothing

STATUSES: Mapping[str, ExecutionStatus] = MappingProxyType(
    {
        "QUEUED": ExecutionStatus.WAITING,
        "RUNNING": ExecutionStatus.RUNNING,
        "RESUMED": ExecutionStatus.RUNNING,
        "PAUSED": ExecutionStatus.SUSPENDED,
        "WAITING": ExecutionStatus.SUSPENDED,
        "SUCCESS": ExecutionStatus.SUCCEEDED,
        "SKIPPED": ExecutionStatus.SUCCEEDED,
        "FAILED": ExecutionStatus.FAILED,
        "ERROR": ExecutionStatus.FAILED,
        "EXPIRED": ExecutionStatus.FAILED,
        "REJECTED": ExecutionStatus.FAILED,
        # It was people who ended it, and it can be resumed: it still needs a human.
        "ABORTED": ExecutionStatus.FAILED,
    }
)
STAGE_STATUSES: Mapping[str, StageStatus] = MappingProxyType(
    {
        "QUEUED": StageStatus.PENDING,
        "RUNNING": StageStatus.RUNNING,
        "RESUMED": StageStatus.RUNNING,
        "PAUSED": StageStatus.RUNNING,
        "WAITING": StageStatus.RUNNING,
        "SUCCESS": StageStatus.SUCCEEDED,
        "SKIPPED": StageStatus.SKIPPED,
        "FAILED": StageStatus.FAILED,
        "ERROR": StageStatus.FAILED,
        "EXPIRED": StageStatus.FAILED,
        "REJECTED": StageStatus.FAILED,
        "ABORTED": StageStatus.FAILED,
    }
)
RESUMABLE = ("FAILED", "ABORTED", "EXPIRED", "REJECTED", "ERROR")
"""The documentation leaves ERROR out; the server takes it."""

STAGES = """pipelineStageExecutions {
    __typename pipelineStageElementId pipelineStageName pipelineStepName
    ... on WorkflowStageExecution { status inputVariables { name value } runtimeInputVariables { name } }
    ... on ApprovalStageExecution { status approvalStepType } }"""

DESCRIBE = f"""query Describe($id: String!) {{ execution(executionId: $id) {{
  __typename id status createdAt startedAt endedAt failureDetails notes application {{ id name }}
  ... on PipelineExecution {{ pipeline {{ id name pipelineVariables {{ name type }} }} {STAGES} }}
  ... on WorkflowExecution {{ workflow {{ id name }} }} }} }}"""

RESUME = """mutation Resume($input: ResumeExecutionInput!) {
  resumeExecution(input: $input) { clientMutationId execution { id } } }"""

LISTED = """pageInfo { hasMore } nodes { id status createdAt endedAt notes failureDetails
  cause { __typename } application { id }
  ... on PipelineExecution { pipeline { id name } } ... on WorkflowExecution { workflow { id name } } }"""

CANDIDATES = f"""query Candidates($filters: [ExecutionFilter], $limit: Int!) {{
  executions(filters: $filters, limit: $limit) {{ {LISTED} nodes {{ ... on PipelineExecution {{ {STAGES} }} }} }} }}"""

EXECUTIONS = f"""query Executions($filters: [ExecutionFilter], $limit: Int!) {{
  executions(filters: $filters, limit: $limit) {{ {LISTED} }} }}"""

AT_ONCE = 40  # applications asked in one query
APPLICATIONS = """query Applications($limit: Int!, $offset: Int) {
  applications(limit: $limit, offset: $offset) { pageInfo { hasMore total } nodes { id name } } }"""


class Entity(Body):
    """Anything with an id and a name."""

    id: str
    name: Shown = ""


class VariableBody(Body):
    """A variable of a pipeline or workflow; the parts that were not asked for are empty."""

    name: Shown = ""
    type: str | None = None
    required: bool | None = None
    allowed: Annotated[list[str], BeforeValidator(or_empty)] = Field(default_factory=list, alias="allowedValues")
    default: str | None = Field(None, alias="defaultValue")
    fixed: bool | None = None
    multiple: bool | None = Field(None, alias="allowMultipleValues")


class PipelineBody(Entity):
    """A pipeline with what it is parametrised by."""

    variables: Annotated[list[VariableBody], BeforeValidator(or_empty)] = Field(default_factory=list, alias="pipelineVariables")


class WorkflowBody(Entity):
    """A workflow with what it is parametrised by."""

    variables: Annotated[list[VariableBody], BeforeValidator(or_empty)] = Field(default_factory=list, alias="workflowVariables")


class ValueBody(Body):
    """A variable's value in an execution."""

    name: str | None = None
    value: str | None = None


class StageBody(Body):
    """One stage, or one member of a parallel group, whose stage name repeats."""

    kind: str = Field("", alias="__typename")
    element: Shown = Field("", alias="pipelineStageElementId")
    name: Shown = Field("", alias="pipelineStageName")
    step: str | None = Field(None, alias="pipelineStepName")
    status: str | None = None
    inputs: Annotated[list[ValueBody], BeforeValidator(or_empty)] = Field(default_factory=list, alias="inputVariables")
    awaited: Annotated[list[ValueBody], BeforeValidator(or_empty)] = Field(default_factory=list, alias="runtimeInputVariables")

    @property
    def has_begun(self) -> bool:
        """Before that nothing is known of its inputs."""
        return self.status not in {None, "QUEUED"}

    @property
    def is_negative(self) -> bool:
        """It ended in one of the states that can be resumed."""
        return self.status in RESUMABLE


class CauseBody(Body):
    """What set an execution off."""

    kind: str = Field("", alias="__typename")


class ExecutionBody(Body):
    """One execution of a pipeline, or of a workflow alone."""

    id: str = Field(min_length=1)
    kind: str = Field("", alias="__typename")
    status: str | None = None
    created_at: int | None = Field(None, alias="createdAt")
    started_at: int | None = Field(None, alias="startedAt")
    ended_at: int | None = Field(None, alias="endedAt")
    failure: str | None = Field(None, alias="failureDetails")
    notes: str | None = None
    cause: CauseBody | None = None
    application: Entity | None = None
    pipeline: PipelineBody | None = None
    workflow: Entity | None = None
    stages: Annotated[list[StageBody], BeforeValidator(or_empty)] = Field(default_factory=list, alias="pipelineStageExecutions")

    @property
    def name(self) -> str:
        """The pipeline's or the workflow's."""
        target = self.pipeline or self.workflow
        return target.name if target else ""

    @property
    def is_by_key(self) -> bool:
        """An API key set it off."""
        return self.cause is not None and self.cause.kind == "ExecutedByAPIKey"

    @property
    def target(self) -> str:
        """The id of what it ran."""
        ran = self.pipeline or self.workflow
        return ran.id if ran else ""

    @property
    def our_status(self) -> ExecutionStatus:
        """PREPARING has no word in the schema: a fresh execution shows none at all."""
        return ExecutionStatus.WAITING if self.status is None else STATUSES.get(self.status, ExecutionStatus.UNKNOWN)


class ExecutionsBody(Body):
    """A page of executions."""

    nodes: Annotated[list[ExecutionBody], BeforeValidator(or_empty)] = Field(default_factory=list)


class PageBody(Body):
    """What a page tells of the rest."""

    has_more: bool | None = Field(None, alias="hasMore")
    total: int | None = None


class EntitiesBody(Body):
    """A page of anything."""

    info: Annotated[PageBody, BeforeValidator(or_nothing)] = Field(default_factory=PageBody, alias="pageInfo")
    nodes: Annotated[list[Entity], BeforeValidator(or_empty)] = Field(default_factory=list)


class EventBody(Body):
    """What an event rule tells, with the inner names of states."""

    application: Entity | None = None
    pipeline: Entity | None = None
    workflow: Entity | None = None
    workflow_execution: Entity | None = Field(None, alias="workflowExecution")
    pipeline_execution: Entity | None = Field(None, alias="pipelineExecution")
    execution: str | None = Field(None, alias="executionId")
    status: str | None = None
    completed_at: int | None = Field(None, alias="completedAt")


class NoticeBody(Body):
    """The envelope of an event rule."""

    event: str = Field(alias="eventType")
    data: EventBody


def executions_of(applications: int) -> str:
    """The list of executions of several applications at once, each with filters of its own."""
    declared = ", ".join(f"$f{index}: [ExecutionFilter]" for index in range(applications))
    fields = "\n".join(
        f"e{index}: executions(filters: $f{index}, limit: $limit) {{ ...Page }}" for index in range(applications)
    )
    return f"query Executions($limit: Int!, {declared}) {{ {fields} }} fragment Page on ExecutionConnection {{ {LISTED} }}"


def quoted(name: str) -> str:
    r"""A stage's name as the Java regular expression that means exactly it."""
    # 2.4 of the contract: the server matches the text as a pattern against whole names, and the first hit wins.
    if re.fullmatch(r"[A-Za-z0-9 _-]+", name):
        return name
    return "\\Q" + name.replace("\\E", "\\E\\\\E\\Q") + "\\E"
