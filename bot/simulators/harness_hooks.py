"""How both simulated generations push: FirstGen's event rules and NextGen's notification rules, and their bodies.

Neither is signed; a rule carries a secret header. FirstGen repeats a failed delivery once, NextGen never.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from bot.simulators.harness_firstgen_shapes import Estate
from bot.simulators.harness_world import WORST_FIRST, Observer, Progress, Run, StageRun

INNER: Mapping[Progress, str] = {
    Progress.PREPARING: "PREPARING",
    Progress.NOT_STARTED: "NEW",
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
NODE_STATUS: Mapping[Progress, str] = {
    Progress.ABORTED: "aborted",
    Progress.EXPIRED: "expired",
    Progress.REJECTED: "rejected",
    Progress.FAILED: "failed",
    Progress.ERRORED: "failed",
    Progress.FROZEN: "failed",
}


@dataclass
class Rule:
    """Where to push what: `events` by their names on the wire, `copies` 0 loses and 2 doubles each delivery."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    events: frozenset[str] = frozenset()
    copies: int = 1
    tries: int = 1


@dataclass
class Pusher:
    """Delivers bodies to rules, in the background, and keeps what was answered."""

    rules: list[Rule] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def push(self, event: str, body: Mapping[str, Any]) -> None:
        """Send a body to every rule that wants this event."""
        for rule in self.rules:
            if not rule.events or event in rule.events:
                task = asyncio.create_task(self._deliver(rule, body))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until all deliveries so far are over."""
        await asyncio.gather(*self._tasks)

    async def _deliver(self, rule: Rule, body: Mapping[str, Any]) -> None:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            for _ in range(rule.copies):
                for _ in range(rule.tries):
                    status = await _post(client, rule, body)
                    self.answers.append(status)
                    if 200 <= status < 300:
                        break


async def _post(client: httpx.AsyncClient, rule: Rule, body: Mapping[str, Any]) -> int:
    try:
        answer = await client.post(rule.url, json=body, headers={**rule.headers, "User-Agent": "okhttp/4.9"})
    except httpx.HTTPError:
        return 0
    return answer.status_code


def firstgen_observer(estate: Estate, pusher: Pusher) -> Observer:
    """Tells a FirstGen account's event rules of the starts and ends of its runs."""

    async def observe(run: Run, stage: StageRun | None, what: str) -> None:
        if stage is None:
            event = f"{'workflow' if run.pipeline.is_workflow else 'pipeline'}_{what}"
            pusher.push(event, firstgen_event(estate, run, event))

    return observe


def firstgen_event(estate: Estate, run: Run, event: str) -> dict[str, Any]:
    """The body of an event rule for a run."""
    application = estate.applications[run.pipeline.scope]
    data: dict[str, Any] = {
        "application": {"id": application.identifier, "name": application.name},
        "executionArgs": {"notes": run.notes or None},
        "triggeredBy": {"uuid": "u", "name": "Deployer", "email": "deployer@company.example"},
        "triggeredByType": "USER",
        "startedAt": run.started_at,
        "services": [{"id": one} for one in run.pipeline.services],
        "environments": [{"id": one} for one in run.pipeline.environments],
        "infraDefinitions": [],
        "executionId": run.identifier,
        "completedAt": run.ended_at,
        "status": INNER[run.progress],
    }
    if run.pipeline.is_workflow:
        data |= {
            "workflow": {"id": run.pipeline.identifier, "name": run.pipeline.name},
            "workflowExecution": {"id": run.identifier},
        }
    else:
        data |= {
            "pipeline": {"id": run.pipeline.identifier, "name": run.pipeline.name},
            "pipelineExecution": {"id": run.identifier},
        }
    return {"id": str(uuid.uuid4()), "version": "v1", "eventType": event, "data": data}


def nextgen_observer(account: str, links: Mapping[str, str], pusher: Pusher) -> Observer:
    """Tells NextGen notification rules of the ends of runs and stages; `links` gives the address that links start with."""

    async def observe(run: Run, stage: StageRun | None, what: str) -> None:
        for event in nextgen_events(run, stage, what):
            pusher.push(event, nextgen_event(account, links["base"], run, stage, event))

    return observe


def nextgen_events(run: Run, stage: StageRun | None, what: str) -> list[str]:
    """Which events a step of a run causes: an aborted run is told of by PipelineEnd alone."""
    if stage is not None:
        return ["StageFailed" if stage.progress in WORST_FIRST else "StageSuccess"]
    if what == "start":
        return ["PipelineStart"]
    if run.progress is Progress.ABORTED:
        return ["PipelineEnd"]
    return ["PipelineFailed" if run.progress in WORST_FIRST else "PipelineSuccess", "PipelineEnd"]


def nextgen_event(account: str, base: str, run: Run, stage: StageRun | None, event: str) -> dict[str, Any]:
    """The body of a notification rule: empty members left out, times in seconds."""
    org, _, project = run.pipeline.scope.partition("/")
    page = f"{base}/ng/#/account/{account}/cd/orgs/{org}/projects/{project}/pipelines/{run.pipeline.identifier}"
    progress = run.progress if stage is None else stage.progress
    told: dict[str, Any] = {
        "accountIdentifier": account,
        "orgIdentifier": org,
        "projectIdentifier": project,
        "pipelineIdentifier": run.pipeline.identifier,
        "pipelineName": run.pipeline.name,
        "planExecutionId": run.identifier,
        "executionUrl": f"{page}/executions/{run.identifier}/pipeline",
        "pipelineUrl": f"{page}/pipeline-studio",
        "eventType": event,
        "nodeStatus": NODE_STATUS.get(progress, "completed"),
        "triggeredBy": {"triggerType": "MANUAL", "name": "Deployer", "email": "deployer@company.example"},
        "moduleInfo": {"services": list(run.pipeline.services), "environments": list(run.pipeline.environments)},
        **_times(run.started_at, run.ended_at),
        "errorMessage": run.message if stage is None else stage.message,
    }
    if stage is not None:
        # A looped stage tells of itself with the suffix of the copy that failed.
        failed = next((number for number, end in enumerate(stage.loop) if end in WORST_FIRST), 0)
        suffix = f"_{failed}" if stage.member.copies else ""
        told |= {"stageIdentifier": stage.member.identifier + suffix}
        told |= {"stageName": stage.member.name, "stepName": stage.member.name}
    return {"eventData": {key: value for key, value in told.items() if value}}


def _times(started_at: int | None, ended_at: int | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, moment in (("start", started_at), ("end", ended_at)):
        if moment is not None:
            told[f"{name}Ts"] = moment // 1000
            told[f"{name}Time"] = datetime.fromtimestamp(moment / 1000, UTC).strftime("%a %b %d %H:%M:%S GMT %Y")
    return told
