"""Harness FirstGen: resuming makes a new execution from a named stage on, and everything after it runs again.

describe   execution → stages → points, never past the group that failed
resume     resumeExecution once, the name quoted as the literal it is → the new execution's id
evidence   executions of the pipeline since the baseline → exactly one by an API key?
"""

import itertools
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from bot.domain.errors import ContractViolation, Forbidden, NotFound, OutcomeUnknown
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
from bot.domain.ports import Throttle
from bot.engines._address import BaseAddress
from bot.engines._harness_links import Links, at, is_id, typed_id
from bot.engines.harness_firstgen_api import GraphQL
from bot.engines.harness_firstgen_applications import MOST, Applications
from bot.engines.harness_firstgen_start import Starts, batched
from bot.engines.harness_firstgen_view import PointKey, describe_execution, may_resume
from bot.engines.harness_firstgen_wire import (
    AT_ONCE,
    CANDIDATES,
    DESCRIBE,
    EXECUTIONS,
    RESUMABLE,
    RESUME,
    ExecutionBody,
    ExecutionsBody,
    NoticeBody,
    executions_of,
    quoted,
)

log = logging.getLogger(__name__)
OVERLAP = timedelta(minutes=5)
STANDING = timedelta(days=30)
NEWER = 20


class HarnessFirstgen:
    """One account of Harness FirstGen."""

    kind = "harness_firstgen"
    title = "Harness FirstGen"
    environments_are_opaque = True
    forgets_chains = True
    features: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "resume": "yes",
            "choose a stage": "yes",
            "only the failed members of a parallel group": "no: FirstGen runs all members of the group again",
            "follow the new execution": "yes",
            "know what continues an execution": "no: FirstGen shows no chain; newer runs of the pipeline are told",
            "tell what became of a lost call": "no: FirstGen keeps no name of the call; it is told what is probable",
            "notices": "yes",
            "poll": "yes",
            "start": "yes",
            "environment": "yes, where every stage takes it from a variable and the connection maps its id; not of a start",
            "restart from an earlier step": "no: resuming from an earlier stage does that",
            "kill": "no: its API has no call for it but an old one of uncertain address",
        }
    )

    class Settings(BaseModel):
        """What a connection of this kind sets."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        base_url: BaseAddress = Field(pattern=r"^https?://[^\s/]+(/gateway)?/?$")
        account: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
        ui_url: BaseAddress | Literal[""] = ""  # where people look, if not at base_url
        token: SecretStr | None = None

        @property
        def counts_by(self) -> str:
            """Harness counts the calls of an account, whatever the key."""
            return self.account

    def __init__(self, connection: str, settings: Settings, throttle: Throttle) -> None:
        token = settings.token.get_secret_value() if settings.token else ""
        self._connection = connection
        self._account = settings.account
        self._api = GraphQL(connection, settings.base_url, settings.account, token, throttle)
        self._links = Links(settings.base_url, settings.ui_url)
        self._applications = Applications(connection, self._api)
        self._starts = Starts(connection, settings.account, self._api, self._applications, self._links)

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The execution as it stands now."""
        body = await self._execution(ref)
        newer = await self._newer(body) if body.status in RESUMABLE else []
        return describe_execution(ref, body, newer, self._link(body))

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Make the one call."""
        of = PointKey.read(point.key)
        given = {
            "clientMutationId": key,
            "applicationId": of.application,
            "pipelineExecutionId": ref.id,
            "pipelineStageName": quoted(of.stage),
        }
        reply = await self._api.send(RESUME, {"input": given}, send_before)
        payload = reply.data.get("resumeExecution")
        complaint = reply.complaint("resumeExecution")
        if payload is None and complaint is not None:
            raise self._api.refused(complaint)
        if payload is None:
            # 2.1 of the contract: the server may have resumed it and thrown the answer away.
            raise OutcomeUnknown(f"{self._connection} answered with nothing: the resume may have happened.")
        new = self._api.read(ExecutionBody, payload.get("execution") or {})
        return Receipt(ExecutionRef(self._connection, new.id))

    async def evidence(self, ref: ExecutionRef, baseline: str, key: str) -> Evidence:
        """Executions of the same pipeline since the baseline that may be the resume of this one; never more than probable."""
        old = await self._execution(ref)
        before = baseline.partition(" ")[0]
        since = itertools.takewhile(lambda one: one.id != before, await self._newer(old, CANDIDATES))
        ours = [one for one in since if may_resume(one, old)]
        if len(ours) == 1:
            new = ExecutionRef(self._connection, ours[0].id)
            sentence = f"Exactly one newer execution of the pipeline was set off by an API key with the same inputs: {new.id}."
            return Evidence(Finding.HAPPENED, sentence, new, is_probable=True)
        count = f"{len(ours)} newer executions" if ours else "No newer execution"
        said = f"{count} of the pipeline set off by an API key with the same inputs; FirstGen shows no more."
        return Evidence(Finding.UNCLEAR, said)

    async def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Sequence[FailureNotice]:
        """What an event rule tells; rules know no "failed only", so ends of other kinds are of no interest."""
        try:
            notice = NoticeBody.model_validate_json(body)
        except ValidationError:
            raise ContractViolation("This is not an event of Harness FirstGen.") from None
        told = notice.data
        is_inner = told.workflow_execution is not None and told.pipeline_execution not in {None, told.workflow_execution}
        if notice.event not in {"pipeline_end", "workflow_end"} or told.status not in RESUMABLE or is_inner:
            return ()
        target = told.pipeline_execution or told.workflow_execution
        execution = told.execution or (target.id if target else "")
        if not is_id(execution):
            raise ContractViolation("The event names no execution.")
        name = told.pipeline or told.workflow
        return (
            FailureNotice(
                ref=ExecutionRef(self._connection, execution),
                key=execution,
                name=name.name if name else "",
                at=at(told.completed_at),
            ),
        )

    def read_argument(self, text: str) -> str | None:
        """An id, or an address of an execution in this account."""
        page = self._links.page(text)
        if page is None:
            return typed_id(text)
        execution = page.after("pipeline-execution") or page.after("executions")
        is_ours = not page.is_nextgen and page.after("account") == self._account
        return execution if is_ours and execution is not None and is_id(execution) else None

    async def check(self) -> str:
        """Who we are there."""
        total = await self._applications.count()
        said = f"Account {self._account} of Harness FirstGen; {total} applications can be seen."
        if total > MOST:
            said += (
                f" `/start` without an application looks in {MOST} of them, and so does a poll that has to name applications."
            )
        return said

    async def aclose(self) -> None:
        """Close connections."""
        await self._api.aclose()

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """Executions that ended badly; of all standing ones, the newest of each pipeline."""
        after = since - OVERLAP if since else datetime.now(UTC) - STANDING
        filters: list[Mapping[str, object]] = [
            {"status": {"operator": "IN", "values": list(RESUMABLE)}},
            {"endTime": {"operator": "AFTER", "value": str(int(after.timestamp() * 1000))}},
        ]
        listed = await self._executions(filters, limit)
        if since is None:
            # The list shows members of a chain that were resumed since; nothing tells them apart but their age.
            listed = list({one.target: one for one in reversed(listed)}.values())
        listed.sort(key=lambda one: one.ended_at or 0)
        return [
            FailureNotice(
                ref=ExecutionRef(self._connection, one.id),
                key=one.id,
                name=one.name,
                message=one.failure or "",
                at=at(one.ended_at),
            )
            for one in listed
        ]

    async def find_targets(self, application: str | None, name: str) -> Sequence[StartTarget]:
        """Pipelines and workflows of this name."""
        return await self._starts.find(application, name)

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Make the one call that starts."""
        return await self._starts.start(target, inputs, key, send_before)

    async def start_evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """Whether an execution carries our key in its notes."""
        return await self._starts.evidence(target, key, since)

    async def _execution(self, ref: ExecutionRef) -> ExecutionBody:
        if not is_id(ref.id):
            raise NotFound(f"“{ref.id}” is no execution of Harness FirstGen.")
        # A null without an error is what the server says after it has cleared its cache of permissions: ask again.
        for _ in range(2):
            reply = await self._api.ask(DESCRIBE, {"id": ref.id})
            found, complaint = reply.data.get("execution"), reply.complaint("execution")
            if found is not None:
                return self._api.read(ExecutionBody, found)
            if complaint is not None:
                error = self._api.refused(complaint)
                raise error if isinstance(error, NotFound | Forbidden) else ContractViolation(str(error))
        raise ContractViolation(f"{self._connection} shows nothing of execution {ref.id}, and no reason.")

    async def _newer(self, body: ExecutionBody, query: str = EXECUTIONS) -> list[ExecutionBody]:
        if body.pipeline is None or body.application is None:
            return []
        filters: list[Mapping[str, object]] = [
            {"applicationId": body.application.id},
            {"pipeline": {"operator": "EQUALS", "values": [body.pipeline.id]}},
            {"creationTime": {"operator": "AFTER", "value": str(body.created_at or 0)}},
        ]
        return await self._executions(filters, NEWER, query)

    async def _executions(
        self, filters: Sequence[Mapping[str, object]], limit: int, query: str = EXECUTIONS
    ) -> list[ExecutionBody]:
        reply = await self._api.ask(query, {"filters": filters, "limit": limit})
        complaint = reply.complaint("executions")
        if complaint is not None and "Application Id filter is required" in complaint.text:
            return await self._executions_by_application(filters, limit)
        if complaint is not None:
            raise ContractViolation(self._api.sentence("does not list executions", complaint.text))
        return self._api.read(ExecutionsBody, reply.data.get("executions") or {}).nodes

    async def _executions_by_application(self, filters: Sequence[Mapping[str, object]], limit: int) -> list[ExecutionBody]:
        # A flag of the account demands the filter: then all applications are asked, many in one query.
        listed = await self._applications.all()
        if not listed.is_all:
            told = {"connection": self._connection, "applications": listed.total, "asked": len(listed.applications)}
            log.warning("not all applications were asked", extra=told)
        found: list[ExecutionBody] = []
        for some in batched(listed.applications, AT_ONCE):
            asked = {f"f{index}": [{"applicationId": one.id}, *filters] for index, one in enumerate(some)}
            reply = await self._api.ask(executions_of(len(some)), {**asked, "limit": limit})
            pages = [self._api.read(ExecutionsBody, page) for page in reply.data.values() if page is not None]
            found += [one for page in pages for one in page.nodes]
        return sorted(found, key=lambda one: -(one.created_at or 0))[:limit]

    def _link(self, body: ExecutionBody) -> str:
        application = body.application.id if body.application else ""
        page = ("pipeline-execution", body.id, "workflow-execution", "undefined", "details")
        if body.pipeline is None:
            page = ("env", "undefined", "executions", body.id, "details")
        return self._links.to("#", "account", self._account, "app", application, *page)
