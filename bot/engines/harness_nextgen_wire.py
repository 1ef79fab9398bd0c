"""What Harness NextGen's REST API and its notification rules say, read into objects, and its words in ours."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from bot.domain.execution import ExecutionStatus, StageStatus
from bot.engines._harness_bodies import Body, or_empty, or_nothing

# The set is open (3.10 of the contract): what is not listed is UNKNOWN.
STATUSES: Mapping[str, ExecutionStatus] = MappingProxyType(
    {
        "NotStarted": ExecutionStatus.WAITING,
        "Queued": ExecutionStatus.WAITING,
        "QueuedLicenseLimitReached": ExecutionStatus.WAITING,
        "QueuedExecutionConcurrencyReached": ExecutionStatus.WAITING,
        "QueuedGlobalInfraCapacityReached": ExecutionStatus.WAITING,
        "QUEUED_PLAN_CREATION": ExecutionStatus.WAITING,
        "Running": ExecutionStatus.RUNNING,
        "AsyncWaiting": ExecutionStatus.RUNNING,
        "TaskWaiting": ExecutionStatus.RUNNING,
        "TimedWaiting": ExecutionStatus.RUNNING,
        "WaitStepRunning": ExecutionStatus.RUNNING,
        "Discontinuing": ExecutionStatus.RUNNING,
        "Pausing": ExecutionStatus.RUNNING,
        "Paused": ExecutionStatus.SUSPENDED,
        "ResourceWaiting": ExecutionStatus.SUSPENDED,
        "InterventionWaiting": ExecutionStatus.SUSPENDED,
        "ApprovalWaiting": ExecutionStatus.SUSPENDED,
        "InputWaiting": ExecutionStatus.SUSPENDED,
        "UploadWaiting": ExecutionStatus.SUSPENDED,
        "Waiting": ExecutionStatus.SUSPENDED,
        "Success": ExecutionStatus.SUCCEEDED,
        "IgnoreFailed": ExecutionStatus.SUCCEEDED,
        "Skipped": ExecutionStatus.SUCCEEDED,
        "Suspended": ExecutionStatus.CANCELLED,
        "Failed": ExecutionStatus.FAILED,
        "Errored": ExecutionStatus.FAILED,
        "Expired": ExecutionStatus.FAILED,
        "ApprovalRejected": ExecutionStatus.FAILED,
        "AbortedByFreeze": ExecutionStatus.FAILED,
        # It was people who ended it, and it can be retried: it still needs a human.
        "Aborted": ExecutionStatus.FAILED,
    }
)
# What older servers call them.
LEGACY: Mapping[str, str] = MappingProxyType(
    {
        "NOT_STARTED": "NotStarted",
        "INTERVENTION_WAITING": "InterventionWaiting",
        "APPROVAL_WAITING": "ApprovalWaiting",
        "APPROVAL_REJECTED": "ApprovalRejected",
    }
)
STAGE_STATUSES: Mapping[ExecutionStatus, StageStatus] = MappingProxyType(
    {
        ExecutionStatus.WAITING: StageStatus.PENDING,
        ExecutionStatus.RUNNING: StageStatus.RUNNING,
        ExecutionStatus.SUSPENDED: StageStatus.RUNNING,
        ExecutionStatus.SUCCEEDED: StageStatus.SUCCEEDED,
        ExecutionStatus.CANCELLED: StageStatus.SKIPPED,
        ExecutionStatus.FAILED: StageStatus.FAILED,
    }
)
RETRYABLE = ("Failed", "Errored", "Expired", "Aborted", "ApprovalRejected", "AbortedByFreeze")
"""The server would retry anything, a running execution too: this is our rule, and that of its own pages."""

RERUN_AS_FAILED = frozenset({"Failed", "Aborted", "Expired", "ApprovalRejected"})
"""What `runAllStages=false` counts as failed: neither Errored nor AbortedByFreeze."""

EVENTS_OF_STAGES = frozenset({"StageFailed", "StepFailed"})
BAD_ENDS = frozenset({"failed", "aborted", "rejected", "expired", "errored"})
GOOD_ENDS = frozenset({"completed", "success", "succeeded", "skipped"})
TEMPLATE_DEPTH = 6
STATE_KEYS = frozenset({"state", "result", "eventtype"})
FAILED_WORDS = BAD_ENDS | {"pipelinefailed", "stagefailed"} | {word.casefold() for word in RETRYABLE}


def _word(given: Any) -> Any:
    return LEGACY.get(given, given) if isinstance(given, str) else given or ""


def _moment(given: Any) -> Any:
    """A number, also where one stands in a text; nothing for what is none: when something ended decides nothing."""
    try:
        return None if given is None else float(given)
    except (TypeError, ValueError):
        return None


Word = Annotated[str, BeforeValidator(_word)]
Moment = Annotated[float | None, BeforeValidator(_moment)]


class Said(Body):
    """One message of an envelope."""

    code: str | None = None
    message: str | None = None


class Envelope(Body):
    """What every answer is wrapped in, good or bad; what a v1 address wraps otherwise has the same names."""

    status: str | None = None
    code: str | None = None
    message: str | None = None
    correlation: str | None = Field(None, validation_alias=AliasChoices("correlationId", "correlation_id"))
    said: Annotated[list[Said], BeforeValidator(or_empty)] = Field(default_factory=list, alias="responseMessages")
    data: Any = None
    plan: Any = Field(None, alias="planExecution")  # the published form of a retry's answer has no wrapper

    @property
    def word(self) -> str:
        """The server's code; by the last message where the envelope has none."""
        return self.code or next((one.code for one in reversed(self.said) if one.code), "") or ""

    @property
    def text(self) -> str:
        """What it says, and under which number people at Harness find it."""
        told = self.message or next((one.message for one in reversed(self.said) if one.message), "") or self.word
        told = told.removeprefix("Invalid request: ")
        return f"{told} (correlation {self.correlation})" if self.correlation and told else told


class FailureBody(Body):
    """Why something failed."""

    message: str | None = None


class EdgesBody(Body):
    """Where a node of the stage graph leads."""

    children: Annotated[list[str], BeforeValidator(or_empty)] = Field(default_factory=list, alias="currentNodeChildren")
    following: Annotated[list[str], BeforeValidator(or_empty)] = Field(default_factory=list, alias="nextIds")


class NodeBody(Body):
    """A node of the stage graph: a stage, a block of parallel ones, or a loop with its copies."""

    kind: str = Field("", alias="nodeType")
    group: str = Field("", alias="nodeGroup")
    identifier: str = Field("", alias="nodeIdentifier")
    name: str = ""
    status: Word = "NotStarted"
    edges: Annotated[EdgesBody, BeforeValidator(or_nothing)] = Field(default_factory=EdgesBody, alias="edgeLayoutList")
    failure: FailureBody | None = Field(None, alias="failureInfo")
    module_info: Annotated[dict[str, Any], BeforeValidator(or_nothing)] = Field(default_factory=dict, alias="moduleInfo")
    is_rollback: bool | None = Field(None, validation_alias=AliasChoices("isRollbackStageNode", "rollbackStageNode"))

    @property
    def is_block(self) -> bool:
        """It only holds stages that run at the same time."""
        return self.kind == "parallel"

    @property
    def is_loop(self) -> bool:
        """It is a looped stage; its children are the copies."""
        return self.group == "STRATEGY"

    @property
    def environments(self) -> frozenset[str]:
        """Where a stage deploys to, as far as it has come to know; empty before that, and where it deploys nowhere."""
        info = self.module_info.get("cd")
        given = info if isinstance(info, dict) else {}
        clusters = given.get("gitopsExecutionSummary")
        listed = clusters.get("environments") if isinstance(clusters, dict) else None
        places = [given.get("infraExecutionSummary"), *(listed if isinstance(listed, list) else [])]
        named = (place.get("identifier") for place in places if isinstance(place, dict))
        return frozenset(name for name in named if isinstance(name, str) and name)


class SummaryBody(Body):
    """One execution."""

    id: str = Field(alias="planExecutionId", min_length=1)
    pipeline: str = Field(alias="pipelineIdentifier", min_length=1)
    name: str = ""
    status: Word = ""
    failure: FailureBody | None = Field(None, alias="failureInfo")
    nodes: Annotated[dict[str, NodeBody], BeforeValidator(or_nothing)] = Field(default_factory=dict, alias="layoutNodeMap")
    first: str | None = Field(None, alias="startingNodeId")
    modules: Annotated[list[str], BeforeValidator(or_empty)] = Field(default_factory=list)
    module_info: Annotated[dict[str, Any], BeforeValidator(or_nothing)] = Field(default_factory=dict, alias="moduleInfo")
    started_at: Moment = Field(None, alias="startTs")
    ended_at: Moment = Field(None, alias="endTs")
    created_at: Moment = Field(None, alias="createdAt")
    can_retry: bool | None = Field(None, alias="canRetry")
    sequence: int | None = Field(None, alias="runSequence")

    @property
    def our_status(self) -> ExecutionStatus:
        """Its word in ours."""
        return STATUSES.get(self.status, ExecutionStatus.UNKNOWN)


class DetailsBody(Body):
    """The answer about one execution."""

    summary: SummaryBody = Field(alias="pipelineExecutionSummary")


class MemberBody(Body):
    """A stage that can be retried."""

    identifier: str = Field(min_length=1)
    name: str = ""
    status: Word = ""


class GroupBody(Body):
    """Stages that run at the same time."""

    members: Annotated[list[MemberBody], BeforeValidator(or_empty)] = Field(default_factory=list, alias="info")


class RetryStagesBody(Body):
    """What can be retried, or why nothing can."""

    is_resumable: bool = Field(False, validation_alias=AliasChoices("resumable", "isResumable"))
    reason: str | None = Field(None, alias="errorMessage")
    groups: Annotated[list[GroupBody], BeforeValidator(or_empty)] = Field(default_factory=list)


class ChainMember(Body):
    """One execution of a chain of retries."""

    id: str = Field(alias="uuid")


class ChainBody(Body):
    """A chain of retries, newest first; one that was never retried has none."""

    latest: str | None = Field(None, alias="latestExecutionId")
    members: Annotated[list[ChainMember], BeforeValidator(or_empty)] = Field(default_factory=list, alias="executionInfos")


class InputsBody(Body):
    """The runtime inputs of an execution; the text is missing when there were none."""

    text: str | None = Field(None, alias="inputSetYaml")


class TemplateBody(Body):
    """What a pipeline asks for when it starts."""

    text: str | None = Field(None, alias="inputSetTemplateYaml")


class ExecutionsBody(Body):
    """A page of executions."""

    content: Annotated[list[SummaryBody], BeforeValidator(or_empty)] = Field(default_factory=list)


class PipelineBody(Body):
    """A pipeline in the list of a project."""

    identifier: str
    name: str = ""


class PipelinesBody(Body):
    """A page of pipelines."""

    content: Annotated[list[PipelineBody], BeforeValidator(or_empty)] = Field(default_factory=list)
    total: int | None = Field(None, alias="totalElements")


class EventBody(Body):
    """What a notification rule tells; everything that is empty is left out."""

    account: str | None = Field(None, alias="accountIdentifier")
    org: str | None = Field(None, alias="orgIdentifier")
    project: str | None = Field(None, alias="projectIdentifier")
    name: str | None = Field(None, alias="pipelineName")
    execution: str | None = Field(None, alias="planExecutionId")
    url: str | None = Field(None, alias="executionUrl")
    stage: str | None = Field(None, alias="stageName")
    stage_id: str | None = Field(None, alias="stageIdentifier")
    step_id: str | None = Field(None, alias="stepIdentifier")
    event: str | None = Field(None, alias="eventType")
    node_status: str | None = Field(None, alias="nodeStatus")
    ended_at: Moment = Field(None, alias="endTs")  # seconds here, milliseconds elsewhere
    error: str | None = Field(None, alias="errorMessage")


class NoticeBody(Body):
    """The envelope of a notification."""

    data: EventBody = Field(alias="eventData")


def texts_in(value: object, depth: int = TEMPLATE_DEPTH, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a notification in somebody's own form, each with its key, not deeper than anybody writes."""
    if isinstance(value, str):
        yield key, value
    elif depth and isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_in(inner, depth - 1, str(name))
    elif depth and isinstance(value, list):
        for inner in value:
            yield from texts_in(inner, depth - 1, key)


def says_failed(texts: Iterable[tuple[str, str]]) -> bool:
    """Whether a notification in somebody's own form has a word for its state that is one for a failure."""
    states = (value for key, value in texts if "status" in key.casefold() or key.casefold() in STATE_KEYS)
    return any(state.casefold() in FAILED_WORDS for state in states)
