"""A simulated Harness NextGen: the pipeline service's REST API with its envelopes, its checks and the checks it lacks.

request ── token ── route ── scope parameters ── [execution ── permission] ── answer
            401      400            400             404          403
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from bot.simulators.harness_faults import Faults
from bot.simulators.harness_nextgen_approvals import decide, instances, shape_of
from bot.simulators.harness_nextgen_retry import (
    check_retryable,
    latest_execution,
    missing_inputs,
    retry,
    retry_history,
    retry_stages,
)
from bot.simulators.harness_nextgen_shapes import (
    SHOWN,
    Refused,
    failure,
    page,
    pipeline_entry,
    plan_execution,
    refusal,
    success,
    summary,
)
from bot.simulators.harness_world import Pipeline, Run, World

SCOPE = ("accountIdentifier", "orgIdentifier", "projectIdentifier")
Answer = Callable[[Request], Awaitable[Response]]


@dataclass
class Token:
    """What a token may do; `is_service_account` for `sat` tokens."""

    may_view: bool = True
    may_execute: bool = True
    is_expired: bool = False
    is_service_account: bool = False


class NextGenSimulator:
    """One account of the simulated NextGen. `app` is served; `faults` scripts and counts; `world` moves.

    `hidden`: executions whose details are not written yet. `takes_any_body`: whether a retry takes a body that is no YAML.
    """

    def __init__(self, *, account: str = "acc0NextGen01234567890", world: World | None = None) -> None:
        self.account = account
        self.world = world or World()
        self.token = f"pat.{account}.tokenid.secret"
        self.tokens = {self.token: Token()}
        self.links = {"base": "https://app.harness.example"}
        self.hidden: set[str] = set()
        self.words: dict[str, str] = {}  # execution -> a status word of its own
        self.freeze = ""
        self.takes_any_body = False
        self.faults = Faults(
            Starlette(routes=self._routes(), exception_handlers={404: _no_route, 405: _no_route}),
            _label,
            {
                "invalid_token": lambda: refusal(Refused("Token is not valid.", status=401, code="INVALID_TOKEN")),
                "expired_token": lambda: refusal(Refused("Token has expired.", status=401, code="EXPIRED_TOKEN")),
                "rate_limited": lambda: Response(status_code=429),
                "rate_limited_html": lambda: HTMLResponse("<html><h1>429</h1></html>", 429),
                "server_fault": lambda: refusal(Refused("Oops, something went wrong", status=500, code="UNKNOWN_ERROR")),
                "missing": lambda: refusal(Refused("Plan Execution not found", status=404, code="ENTITY_NOT_FOUND")),
                "null": lambda: JSONResponse({"status": "SUCCESS", "data": None, "metaData": None, "correlationId": "c"}),
                "empty_object": lambda: JSONResponse({}),
            },
        )
        self.app = self.faults

    @property
    def public_url(self) -> str:
        """The address that links start with."""
        return self.links["base"]

    @public_url.setter
    def public_url(self, url: str) -> None:
        self.links["base"] = url.rstrip("/")

    def _routes(self) -> list[Route]:
        execution = "/pipelines/execution"
        execute = "/pipeline/execute"
        table: list[tuple[str, str, Answer]] = [
            ("GET", f"{execution}/v2/{{execution}}", self._details),
            ("GET", f"{execution}/canRetry/{{execution}}", self._can_retry),
            ("GET", f"{execution}/{{execution}}/inputsetV2", self._inputs),
            ("GET", f"{execution}/{{execution}}/notes", self._notes),
            ("POST", f"{execution}/summary", self._list),
            ("POST", f"{execution}/executionSummary", self._list),
            ("POST", f"{execution}/url", self._link),
            ("GET", f"{execute}/retryHistory/{{execution}}", self._history),
            ("GET", f"{execute}/latestExecutionId/{{execution}}", self._latest),
            ("GET", f"{execute}/{{execution}}/retryStages", self._retry_stages),
            ("POST", f"{execute}/retry/{{pipeline}}", self._retry),
            ("PUT", f"{execute}/interrupt/{{execution}}", self._interrupt),
            ("POST", f"{execute}/{{pipeline}}", self._start),
            ("POST", "/pipelines/list", self._pipelines),
            ("POST", "/inputSets/template", self._template),
            ("GET", "/approvals/{approval}", self._approval),
            ("GET", "/approvals/{approval}/harness/authorization", self._authority),
            ("POST", "/approvals/{approval}/harness/activity", self._decide),
            ("GET", "/v1/orgs/{org}/projects/{project}/approvals/execution/{execution}", self._approvals),
        ]
        return [
            Route(f"{prefix}/pipeline/api{path}", self._guarded(answer, scoped="/v1/" not in path), methods=[method])
            for prefix in ("", "/gateway")
            for method, path, answer in table
        ]

    def _guarded(self, answer: Answer, *, scoped: bool) -> Answer:
        async def guarded(request: Request) -> Response:
            try:
                self._authenticate(request)
                missing = [name for name in SCOPE if not request.query_params.get(name)] if scoped else []
                if missing:
                    return failure("INVALID_REQUEST", [(name, "must not be null") for name in missing])
                return await answer(request)
            except Refused as refused:
                return refusal(refused)

        return guarded

    def _authenticate(self, request: Request) -> Token:
        token = self.tokens.get(request.headers.get("x-api-key", ""))
        if token is None:
            raise Refused("Token is not valid.", status=401, code="INVALID_TOKEN")
        if token.is_expired:
            raise Refused("Token has expired.", status=401, code="EXPIRED_TOKEN")
        return token

    def _allow(self, request: Request, permission: str, pipeline: str) -> None:
        token = self._authenticate(request)
        is_home = request.query_params.get("accountIdentifier", self.account) == self.account
        if is_home and (token.may_execute if permission == "execute" else token.may_view):
            return
        name = f"core_pipeline_{permission}"
        check = {
            "resourceScope": {key: request.query_params.get(key) for key in SCOPE},
            "resourceType": "PIPELINE",
            "resourceAttributes": {},
            "resourceIdentifier": pipeline,
            "permission": name,
        }
        raise Refused(
            f"Missing permission {name} on pipeline with identifier {pipeline}",
            status=403,
            code="NG_ACCESS_DENIED",
            failedPermissionChecks=[check],
        )

    def _run(self, request: Request, identifier: str, *, status: int = 404) -> Run:
        run = self.world.runs.get(identifier)
        if run is None or identifier in self.hidden or run.pipeline.scope != _scope(request):
            if status == 404:
                raise Refused(f"Plan Execution not found for id: {identifier}", status=404, code="ENTITY_NOT_FOUND")
            raise Refused("Input Set did not exist or pipeline execution has been deleted")
        return run

    def _pipeline(self, request: Request, identifier: str) -> Pipeline:
        pipeline = self.world.pipelines.get(identifier)
        if pipeline is None or pipeline.scope != _scope(request) or pipeline.is_deleted:
            raise Refused(f"Pipeline with the given ID: {identifier} does not exist or has been deleted")
        return pipeline

    async def _details(self, request: Request) -> Response:
        run = self._run(request, request.path_params["execution"])
        self._allow(request, "view", run.pipeline.identifier)
        word = {"status": self.words[run.identifier]} if run.identifier in self.words else {}
        return success({"pipelineExecutionSummary": summary(run) | word})

    async def _can_retry(self, request: Request) -> Response:
        run = self._run(request, request.path_params["execution"])
        return success(run.is_latest and not run.is_rolled_back)

    async def _inputs(self, request: Request) -> Response:
        run = self._run(request, request.path_params["execution"], status=400)
        self._allow(request, "view", run.pipeline.identifier)
        return success({"inputSetYaml": run.inputs, "inputSetTemplateYaml": run.pipeline.template})

    async def _notes(self, request: Request) -> Response:
        run = self._run(request, request.path_params["execution"])
        self._allow(request, "view", run.pipeline.identifier)
        return success({"notes": run.notes})

    async def _retry_stages(self, request: Request) -> Response:
        pipeline = request.query_params.get("pipelineIdentifier")
        if not pipeline:
            return failure("INVALID_REQUEST", [("pipelineIdentifier", "must not be null")])
        self._allow(request, "execute", pipeline)
        return success(retry_stages(self.world, self._run(request, request.path_params["execution"])))

    async def _retry(self, request: Request) -> Response:
        self._allow(request, "execute", request.path_params["pipeline"])
        stages = request.query_params.getlist("retryStages")
        if not stages:
            raise Refused("You need to select the stage to retry!!")
        old = self._run(request, request.query_params.get("planExecutionId", ""))
        check_retryable(self.world, old)
        await self._check_body(request)
        if self.freeze:
            raise Refused(f"Pipeline is in freeze: {self.freeze}", code="NG_PIPELINE_EXECUTION_EXCEPTION")
        notes = request.query_params.get("notesForPipelineExecution", "")
        run_all = request.query_params.get("runAllStages", "true") != "false"
        run = retry(self.world, old, stages, run_all=run_all, notes=notes)
        body = (await request.body()).decode("utf-8")
        run.inputs = body or None
        return success(plan_execution(run))

    async def _check_body(self, request: Request) -> None:
        body = (await request.body()).decode("utf-8")
        if body and not self.takes_any_body and "pipeline:" not in body:
            raise Refused("The input set YAML is not valid")

    async def _history(self, request: Request) -> Response:
        return success(retry_history(self.world, self._run(request, request.path_params["execution"])))

    async def _latest(self, request: Request) -> Response:
        return success(latest_execution(self.world, self._run(request, request.path_params["execution"])))

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        number, size = int(query.get("page", "0")), int(query.get("size", "10"))
        if not 1 <= size <= 1000:
            return failure("INVALID_REQUEST", [("size", "must be between 1 and 1000")])
        wanted = json.loads(await request.body() or b"{}")
        runs = [run for run in self.world.runs.values() if _passes(request, run, wanted) and run.identifier not in self.hidden]
        runs.sort(key=lambda run: -(run.started_at or run.created_at))
        return success(page([summary(run) for run in runs], number, size))

    async def _link(self, request: Request) -> Response:
        run = self._run(request, request.query_params.get("planExecutionId", ""))
        org, _, project = run.pipeline.scope.partition("/")
        path = f"cd/orgs/{org}/projects/{project}/pipelines/{run.pipeline.identifier}/executions/{run.identifier}/pipeline"
        return success(f"{self.public_url}/ng/#/account/{self.account}/{path}")

    async def _interrupt(self, request: Request) -> Response:
        run = self._run(request, request.path_params["execution"])
        self._allow(request, "execute", run.pipeline.identifier)
        if request.query_params.get("interruptType") != "AbortAll":
            raise Refused("This interrupt is not simulated")
        self.world.abort(run)
        return success({"id": f"int-{run.identifier}", "type": "AbortAll", "planExecutionId": run.identifier})

    async def _start(self, request: Request) -> Response:
        self._allow(request, "execute", request.path_params["pipeline"])
        pipeline = self._pipeline(request, request.path_params["pipeline"])
        body = (await request.body()).decode("utf-8")
        if missing_inputs(pipeline, body):
            raise Refused("The pipeline has runtime inputs that were given no value")
        if self.freeze:
            raise Refused(f"Pipeline is in freeze: {self.freeze}", code="NG_PIPELINE_EXECUTION_EXCEPTION")
        notes = request.query_params.get("notesForPipelineExecution", "")
        return success(plan_execution(self.world.start(pipeline, notes=notes, inputs=body or None)))

    async def _pipelines(self, request: Request) -> Response:
        self._allow(request, "view", "")
        term = request.query_params.get("searchTerm", "").casefold()
        found = [
            pipeline_entry(one)
            for one in self.world.pipelines.values()
            if one.scope == _scope(request)
            and not one.is_deleted
            and (term in one.name.casefold() or term in one.identifier.casefold())
        ]
        query = request.query_params
        return success(page(found, int(query.get("page", "0")), int(query.get("size", "25"))))

    async def _template(self, request: Request) -> Response:
        pipeline = self._pipeline(request, request.query_params.get("pipelineIdentifier", ""))
        self._allow(request, "view", pipeline.identifier)
        return success({"inputSetTemplateYaml": pipeline.template, "hasInputSets": False})

    async def _approval(self, request: Request) -> Response:
        return success(shape_of(self.world, request.path_params["approval"]))

    async def _authority(self, request: Request) -> Response:
        shape_of(self.world, request.path_params["approval"])
        return success({"authorized": not self._authenticate(request).is_service_account, "reason": None})

    async def _decide(self, request: Request) -> Response:
        is_service = self._authenticate(request).is_service_account
        return success(await decide(self.world, request.path_params["approval"], request, is_service_account=is_service))

    async def _approvals(self, request: Request) -> Response:
        run = self.world.runs.get(request.path_params["execution"])
        if run is None:
            raise Refused("Plan Execution not found", status=404, code="ENTITY_NOT_FOUND")
        return JSONResponse(instances(run, request.query_params.get("approval_status")))


def _scope(request: Request) -> str:
    return f"{request.query_params.get('orgIdentifier')}/{request.query_params.get('projectIdentifier')}"


def _passes(request: Request, run: Run, wanted: dict[str, Any]) -> bool:
    query = request.query_params
    statuses = [*query.getlist("status"), *(wanted.get("status") or [])]
    pipelines = [*query.getlist("pipelineIdentifier"), *(wanted.get("pipelineIdentifiers") or [])]
    times = wanted.get("timeRange") or {}
    return (
        run.pipeline.scope == _scope(request)
        and (not statuses or SHOWN[run.progress] in statuses)
        and (not pipelines or run.pipeline.identifier in pipelines)
        and (query.get("showAllExecutions") == "true" or run.is_latest)
        and (not wanted.get("planExecutionIds") or run.identifier in wanted["planExecutionIds"])
        and times.get("startTime", 0) <= (run.started_at or run.created_at) <= times.get("endTime", float("inf"))
    )


def _label(method: str, path: str, _body: bytes) -> str:
    """Method and path without prefixes."""
    return f"{method} {path.removeprefix('/gateway').removeprefix('/pipeline/api')}"


async def _no_route(_request: Request, _error: Exception) -> Response:
    return failure("RESOURCE_NOT_FOUND_EXCEPTION", [("path", "HTTP 404 Not Found")])
