"""Harness NextGen: resuming retries an execution from chosen stages as a new one; the server guards next to nothing.

describe   details + chain (+ retryStages + inputs where it may be retried) → points
resume     that, as read right before → terminal? newest? listed? → retry once, inputs byte for byte → the new id
evidence   chain → a newer member whose notes carry our key?
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from bot.domain.errors import ContractViolation, Forbidden, NotFound, NotResumable, NotSent
from bot.domain.execution import (
    Evidence,
    Execution,
    ExecutionRef,
    FailureNotice,
    Finding,
    Receipt,
    ResumePoint,
    StartTarget,
)
from bot.domain.ports import Purpose, Throttle, purpose
from bot.engines._address import BaseAddress
from bot.engines._harness_inputs import notes_of
from bot.engines._harness_links import Links, at, is_id, typed_id
from bot.engines._http import path_segment
from bot.engines._ready import Ready
from bot.engines.harness_nextgen_api import PipelineApi
from bot.engines.harness_nextgen_poll import Failures
from bot.engines.harness_nextgen_start import Starts, carries
from bot.engines.harness_nextgen_view import FAILED, Found, PointKey, describe_execution
from bot.engines.harness_nextgen_wire import (
    BAD_ENDS,
    EVENTS_OF_STAGES,
    GOOD_ENDS,
    RETRYABLE,
    ChainBody,
    DetailsBody,
    EventBody,
    InputsBody,
    NoticeBody,
    PipelinesBody,
    RetryStagesBody,
    SummaryBody,
    says_failed,
    texts_in,
)

NOT_WRITTEN_YET = 0.4  # seconds; the record of a new execution is written asynchronously
ENDS_IN = ("executions", "deployments", "builds")
CALLS_OF_A_LOOK = 4


class HarnessNextgen:
    """One project of Harness NextGen."""

    kind = "harness_nextgen"
    title = "Harness NextGen"
    calls_of_a_resume = CALLS_OF_A_LOOK + 1
    features: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "resume": "yes",
            "choose a stage": "yes",
            "only the failed members of a parallel group": "yes",
            "follow the new execution": "yes",
            "know what continues an execution": "yes",
            "tell what became of a lost call": "yes",
            "notices": "yes",
            "poll": "yes",
            "start": "yes",
            "environment": "yes, once every stage that may deploy (all but CI and Approval) says where",
            "restart from an earlier step": "no: resuming from an earlier stage does that",
            "kill": "no: not offered yet",
        }
    )

    class Settings(BaseModel):
        """What a connection of this kind sets; the account stands in a token too."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        base_url: BaseAddress = Field(pattern=r"^https?://[^\s/]+(/gateway)?/?$")
        account: str = Field("", pattern=r"^[A-Za-z0-9_-]*$")
        org: str = Field(pattern=r"^[A-Za-z0-9_$-]+$")
        project: str = Field(pattern=r"^[A-Za-z0-9_$-]+$")
        ui_url: BaseAddress | Literal[""] = ""  # where people look, if not at base_url
        token: SecretStr | None = None

        @model_validator(mode="after")
        def _knows_its_account(self) -> "HarnessNextgen.Settings":
            if not self.account_id:
                raise ValueError("account is needed: the token does not name it")
            return self

        @property
        def account_id(self) -> str:
            """The account, as set or as the token names it."""
            parts = self.token.get_secret_value().split(".") if self.token else []
            named = parts[1] if len(parts) == 4 and parts[0] in {"pat", "sat"} else ""
            return self.account or named

        @property
        def counts_by(self) -> str:
            """Harness counts the calls of a key, whichever project they are about."""
            return f"{self.account_id} {self.token.get_secret_value() if self.token else ''}"

    def __init__(self, connection: str, settings: Settings, throttle: Throttle) -> None:
        self._connection = connection
        self._scope = {
            "accountIdentifier": settings.account_id,
            "orgIdentifier": settings.org,
            "projectIdentifier": settings.project,
        }
        token = settings.token.get_secret_value() if settings.token else ""
        self._api = PipelineApi(connection, settings.base_url, self._scope, token, throttle)
        self._links = Links(settings.base_url, settings.ui_url)
        self._page = ("ng", "#", "account", settings.account_id, "cd", "orgs", settings.org, "projects", settings.project)
        self._failures = Failures(connection, self._api)
        self._ready = Ready[Found]()
        self._starts = Starts(connection, self._api, self._links, self._page)

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The execution as it stands now."""
        is_before_call = purpose.get() is Purpose.CARRY_OUT
        async with self._api.budget.together(CALLS_OF_A_LOOK + is_before_call) as purse:
            found = await self._find(ref)
            execution = describe_execution(ref, found, self._link(found.summary))
            if is_before_call and execution.points:
                self._ready.keep(ref.id, found, await purse.keep())
        return execution

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Hold the point to what was read right before, because the server does not, and make the one call."""
        found, purse = self._ready.take(ref.id)
        try:
            found = found or await self._find(ref)
        except ContractViolation as error:
            # Nothing was sent yet, and a violation would be taken for an unknown outcome.
            raise NotSent(str(error)) from None
        execution = describe_execution(ref, found, self._link(found.summary))
        if point.key not in {one.key for one in execution.points}:
            raise NotResumable(execution.no_points or "Harness does not offer these stages any more.")
        of = PointKey.read(point.key)
        query = [
            ("planExecutionId", ref.id),
            *(("retryStages", stage) for stage in of.stages),
            ("runAllStages", "false" if of.mode == FAILED else "true"),
            ("notesForPipelineExecution", notes_of("Resumed from Slack", key)),
        ]
        path = f"/pipeline/execute/retry/{path_segment(found.summary.pipeline)}"
        with self._api.budget.spending(purse):
            new = await self._api.send(path, query, found.inputs or "", send_before)
        return Receipt(ExecutionRef(self._connection, new))

    async def evidence(self, ref: ExecutionRef, baseline: str, key: str) -> Evidence:
        """Members of the chain that are newer than the baseline's newest, and whether one carries our key."""
        summary = await self._summary(ref)
        before = baseline.partition(" ")[0]
        newer: list[str] = []
        for member in (await self._chain(summary)).members:
            if member.id == before:
                break
            newer.append(member.id)
        shown = [(one, await carries(self._api, one, key)) for one in newer]
        ours = next((one for one, is_ours in shown if is_ours), None)
        if ours is not None:
            sentence = f"Execution {ours} continues it and carries this request in its notes."
            return Evidence(Finding.HAPPENED, sentence, ExecutionRef(self._connection, ours))
        hidden = [one for one, is_ours in shown if is_ours is None]
        if len(hidden) == 1:
            sentence = f"Execution {hidden[0]} continues it; its notes cannot be read."
            return Evidence(Finding.HAPPENED, sentence, ExecutionRef(self._connection, hidden[0]), is_probable=True)
        if newer:
            return Evidence(Finding.UNCLEAR, f"It was retried by somebody else meanwhile: {', '.join(newer)}.")
        # 3.4 of the contract: a late call and a second one would run side by side.
        return Evidence(Finding.UNCLEAR, "Nothing continues it so far; a late call may still arrive.")

    async def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Sequence[FailureNotice]:
        """What a notification rule tells; a template of somebody's own as long as it names an execution."""
        try:
            read = json.loads(body)
            event = NoticeBody.model_validate(read).data if isinstance(read, dict) and "eventData" in read else None
        except (ValueError, RecursionError, ValidationError):
            raise ContractViolation("This is not a notification of Harness NextGen.") from None
        if event is None:
            return [self._notice(self._named_anywhere(read), EventBody(), is_certain=says_failed(texts_in(read)))]
        if not self._is_of_our_project(event):
            raise ContractViolation("The notification is about another account, organisation or project.")
        is_stage, is_end = event.event in EVENTS_OF_STAGES, event.event == "PipelineEnd"
        if not (is_stage or is_end or event.event == "PipelineFailed") or (is_end and event.node_status in GOOD_ENDS):
            return ()
        execution = event.execution or self.read_argument(event.url or "")
        stage = event.stage_id or "" if is_stage else ""
        return [self._notice(execution, event, stage, is_certain=not is_end or event.node_status in BAD_ENDS)]

    def read_argument(self, text: str) -> str | None:
        """An id, or an address of an execution in this project."""
        page = self._links.page(text)
        if page is None:
            return typed_id(text)
        found = page.in_order(("account",), ("orgs",), ("projects",), ("pipelines",), ENDS_IN) if page.is_nextgen else None
        if found is None or found[:3] != tuple(self._scope.values()) or not is_id(found[4]):
            return None
        return found[4]

    async def check(self) -> str:
        """Who we are there."""
        listed = await self._api.post(
            PipelinesBody, "/pipelines/list", {"filterType": "PipelineSetup"}, {"page": "0", "size": "1"}
        )
        place = "/".join(self._scope.values())
        return f"Project {place} of Harness NextGen; {listed.total} pipelines can be seen."

    async def aclose(self) -> None:
        """Close connections."""
        await self._api.aclose()

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """Executions that ended badly and were not retried since."""
        return await self._failures.find(since, limit)

    async def find_targets(self, application: str | None, name: str) -> Sequence[StartTarget]:
        """Pipelines of this name or identifier; projects stand for applications here, and there is one."""
        if application is not None and application.casefold() != self._scope["projectIdentifier"].casefold():
            return []
        return await self._starts.find(name)

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Make the one call that starts."""
        return await self._starts.start(target, inputs, key, send_before)

    async def start_evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """Whether an execution carries our key in its notes."""
        return await self._starts.evidence(target, key, since)

    async def _find(self, ref: ExecutionRef) -> Found:
        summary = await self._summary(ref)
        if summary.status not in RETRYABLE:
            return Found(summary, await self._chain(summary))
        # Side by side: before a call all of this must fit into the few seconds within which the call must leave.
        chain, retry, inputs = await asyncio.gather(
            self._chain(summary), self._retry_stages(summary), self._api.get(InputsBody, self._inputs_path(summary))
        )
        return Found(summary, chain, retry, inputs.text)

    async def _summary(self, ref: ExecutionRef) -> SummaryBody:
        if not is_id(ref.id):
            raise NotFound(f"“{ref.id}” is no execution of Harness NextGen.")
        path = f"/pipelines/execution/v2/{path_segment(ref.id)}"
        try:
            return (await self._api.get(DetailsBody, path)).summary
        except NotFound:
            await asyncio.sleep(NOT_WRITTEN_YET)
        return (await self._api.get(DetailsBody, path)).summary

    @staticmethod
    def _inputs_path(summary: SummaryBody) -> str:
        return f"/pipelines/execution/{path_segment(summary.id)}/inputsetV2"

    async def _chain(self, summary: SummaryBody) -> ChainBody:
        path = f"/pipeline/execute/retryHistory/{path_segment(summary.id)}"
        return await self._api.get(ChainBody, path, {"pipelineIdentifier": summary.pipeline})

    async def _retry_stages(self, summary: SummaryBody) -> RetryStagesBody:
        path = f"/pipeline/execute/{path_segment(summary.id)}/retryStages"
        try:
            envelope = await self._api.ask("GET", path, {"pipelineIdentifier": summary.pipeline})
        except Forbidden as error:
            # It can be seen and not executed: people are shown what there is.
            return RetryStagesBody(resumable=False, errorMessage=str(error))
        if envelope.data is None:
            return RetryStagesBody(resumable=False, errorMessage=envelope.text or None)
        return self._api.data(RetryStagesBody, envelope)

    def _link(self, summary: SummaryBody) -> str:
        return self._links.to(*self._page, "pipelines", summary.pipeline, "executions", summary.id, "pipeline")

    def _is_of_our_project(self, event: EventBody) -> bool:
        said = (event.account, event.org, event.project)
        return all(one in {None, ours} for one, ours in zip(said, self._scope.values(), strict=True))

    def _notice(self, execution: str | None, event: EventBody, stage: str = "", *, is_certain: bool = True) -> FailureNotice:
        if execution is None or not is_id(execution):
            raise ContractViolation("The notification names no execution.")
        return FailureNotice(
            ref=ExecutionRef(self._connection, execution),
            key=(f"{execution}:{stage}:{event.step_id or ''}" if stage else execution) + ("" if is_certain else " ended"),
            name=event.name or "",
            stage=event.stage or "" if stage else "",
            message=event.error or "",
            at=None if event.ended_at is None else at(event.ended_at * 1000),
            is_certain=is_certain,
        )

    def _named_anywhere(self, read: object) -> str | None:
        texts = list(texts_in(read))
        named = next((value for key, value in texts if key == "planExecutionId" and is_id(value)), None)
        addresses = (self.read_argument(value) for _, value in texts if value.startswith("http"))
        return named or next((one for one in addresses if one is not None), None)
