"""What the simulated FirstGen promises: the contract's refusals and faults, and pipelines that move."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_firstgen_resume import java_pattern
from bot.simulators.harness_samples import APPLICATION, firstgen_cleanup, firstgen_shop
from bot.simulators.harness_world import Member, Pipeline, Progress, Run, World
from bot.simulators.serving import serve

pytestmark = pytest.mark.anyio

RESUME = """mutation Resume($input: ResumeExecutionInput!) {
  resumeExecution(input: $input) { clientMutationId execution { id status } } }"""
START = """mutation Start($input: StartExecutionInput!) {
  startExecution(input: $input) { execution { id status } warningMessage } }"""
EXECUTION = """query Execution($id: String!) { execution(executionId: $id) { id status failureDetails notes
  ... on PipelineExecution { pipeline { id name } pipelineStageExecutions { pipelineStageElementId pipelineStageName
    pipelineStepName ... on WorkflowStageExecution { status } ... on ApprovalStageExecution { status } } } } }"""


@dataclass
class Bench:
    """A served simulator with its shop."""

    simulator: FirstGenSimulator
    client: httpx.AsyncClient
    shop: Pipeline
    headers: dict[str, str] = field(default_factory=lambda: {"x-api-key": "fg-key"})

    @property
    def world(self) -> World:
        return self.simulator.world

    async def post(self, query: str, **variables: Any) -> httpx.Response:
        url = f"/gateway/api/graphql?accountId={self.simulator.estate.account}"
        return await self.client.post(url, json={"query": query, "variables": variables}, headers=self.headers)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self.post(query, **variables)
        assert answer.status_code == 200
        read: dict[str, Any] = answer.json()
        return read

    async def resume(self, run: Run, stage: str = r"\QDeploy (prod)\E", **changed: Any) -> dict[str, Any]:
        given = {"applicationId": APPLICATION, "pipelineExecutionId": run.identifier, "pipelineStageName": stage}
        return await self.ask(RESUME, input=given | changed)

    async def failed(self, *plan: tuple[str, Progress]) -> Run:
        for stage, end in plan or (("el-deploy-us", Progress.FAILED),):
            self.world.plan(stage, end)
        return await self.world.over(self.world.start(self.shop))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    simulator = FirstGenSimulator(world=World(step_seconds=0.002), calls_per_minute=1000)
    async with direct(simulator) as client:
        yield Bench(simulator, client, firstgen_shop(simulator))
    await simulator.world.aclose()


@pytest.fixture
async def wire(bench: Bench) -> AsyncIterator[Bench]:
    """The same bench over a real connection, which can break."""
    async with serve(bench.simulator.app) as url, httpx.AsyncClient(base_url=url) as client:
        yield replace(bench, client=client)


def direct(simulator: FirstGenSimulator) -> httpx.AsyncClient:
    """A client that needs no port."""
    return httpx.AsyncClient(base_url="http://simulator", transport=httpx.ASGITransport(simulator.app))


def refusal(answer: dict[str, Any], field: str = "resumeExecution") -> str:
    """The one error of an answer whose field is null."""
    assert answer["data"] == {field: None}
    (error,) = answer["errors"]
    assert error["path"] == [field]
    assert error["extensions"] == {"classification": "DataFetchingException"}
    message = error["message"]
    assert isinstance(message, str)
    return message.removeprefix(f"Exception while fetching data (/{field}) : ")


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}])
async def test_no_or_wrong_key_is_the_old_envelope(bench: Bench, headers: dict[str, str]) -> None:
    bench.headers = headers

    answer = await bench.post("{ applications(limit: 1) { nodes { id } } }")

    assert answer.status_code == 401
    assert answer.headers["x-harness-error"] == "INVALID_TOKEN"
    assert answer.json()["responseMessages"][0]["code"] == "INVALID_TOKEN"


async def test_a_key_without_account_is_the_graphql_envelope(bench: Bench) -> None:
    bench.simulator.strangers.add("stranger")
    bench.headers = {"x-api-key": "stranger"}

    answer = await bench.post("{ applications(limit: 1) { nodes { id } } }")

    assert answer.status_code == 401
    assert "Invalid Api Key" in answer.json()["errors"][0]["message"]


async def test_the_call_budget_of_an_account_ends_in_429_without_a_wait() -> None:
    now = [0.0]
    simulator = FirstGenSimulator(calls_per_minute=2, clock=lambda: now[0])
    async with direct(simulator) as client:
        bench = Bench(simulator, client, firstgen_shop(simulator))

        statuses = [(await bench.post("{ applications(limit: 1) { nodes { id } } }")).status_code for _ in range(3)]
        refused = await bench.post("{ applications(limit: 1) { nodes { id } } }")
        now[0] = 61.0
        later = await bench.post("{ applications(limit: 1) { nodes { id } } }")

    assert statuses == [200, 200, 429]
    assert "retry-after" not in refused.headers
    assert "rate limit" in refused.json()["errors"][0]["message"]
    assert later.status_code == 200


async def test_the_feature_switched_off_is_400(bench: Bench) -> None:
    bench.simulator.has_api = False

    answer = await bench.post("{ applications(limit: 1) { nodes { id } } }")

    assert answer.status_code == 400
    assert "Feature not enabled" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [("server_fault", 500, "text/plain"), ("html-502", 502, "text/html"), ("html-503", 503, "text/html")],
)
async def test_faults_are_no_json(bench: Bench, kind: str, status: int, content: str) -> None:
    bench.simulator.faults.fail("execution", kind)

    answer = await bench.post(EXECUTION, id="x")

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(content)


DEEP = (
    "{ execution(executionId: 1) " + "{ cause { ... on ExecutedAlongPipeline { execution " * 5 + "{ id }" + " } } }" * 5 + " }"
)


@pytest.mark.parametrize(
    ("query", "classification"),
    [
        ("{ nonsense }", "ValidationError"),
        ("{ execution { id } }", "ValidationError"),
        ("query Q($id: String!) { execution(executionId: $id) { id } }", "ValidationError"),
        ("{ execution(", "InvalidSyntax"),
        (DEEP.replace("executionId: 1", 'executionId: "1"'), "ExecutionAborted"),
    ],
)
async def test_a_bad_query_is_200_with_errors_and_no_data(bench: Bench, query: str, classification: str) -> None:
    answer = await bench.ask(query)

    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["classification"] == classification


async def test_status_is_not_on_the_stage_interface(bench: Bench) -> None:
    query = """{ execution(executionId: "x") { ... on PipelineExecution { pipelineStageExecutions { status } } } }"""

    answer = await bench.ask(query)

    assert answer["errors"][0]["extensions"]["classification"] == "ValidationError"


async def test_a_bare_query_as_text_is_taken(bench: Bench) -> None:
    headers = bench.headers | {"content-type": "text/plain"}

    answer = await bench.client.post("/api/graphql", content='{ applicationByName(name: "Shop") { id } }', headers=headers)

    assert answer.json() == {"data": {"applicationByName": {"id": APPLICATION}}}


async def test_an_unknown_execution_is_null_with_an_error(bench: Bench) -> None:
    answer = await bench.ask(EXECUTION, id="nobody")

    assert "Execution does not exist or access is denied" in refusal(answer, "execution")


async def test_an_execution_moves_through_its_stages(bench: Bench) -> None:
    bench.world.step_seconds = 0.2
    run = bench.world.start(bench.shop)
    fresh = await bench.ask(EXECUTION, id=run.identifier)
    await bench.world.over(run)

    ended = (await bench.ask(EXECUTION, id=run.identifier))["data"]["execution"]

    assert fresh["data"]["execution"]["status"] is None
    assert ended["status"] == "SUCCESS"
    assert [one["status"] for one in ended["pipelineStageExecutions"]] == ["SUCCESS"] * 5
    assert [one["pipelineStageName"] for one in ended["pipelineStageExecutions"]][1:4] == ["Deploy (prod)"] * 3


async def test_a_failed_member_ends_its_group_and_the_run(bench: Bench) -> None:
    run = await bench.failed()

    shown = (await bench.ask(EXECUTION, id=run.identifier))["data"]["execution"]

    assert shown["status"] == "FAILED"
    assert shown["failureDetails"] == "the step did not pass"
    assert [one["status"] for one in shown["pipelineStageExecutions"]] == [
        "SUCCESS",
        "SUCCESS",
        "FAILED",
        "SUCCESS",
        "QUEUED",
    ]


async def test_failure_details_are_kept_for_failed_and_rejected_only(bench: Bench) -> None:
    run = await bench.failed(("el-build", Progress.EXPIRED))

    shown = (await bench.ask(EXECUTION, id=run.identifier))["data"]["execution"]

    assert (shown["status"], shown["failureDetails"]) == ("EXPIRED", None)


async def test_resuming_makes_a_new_run_of_the_whole_group_and_what_follows(bench: Bench) -> None:
    run = await bench.failed()

    answer = await bench.resume(run, clientMutationId="c-1")

    payload = answer["data"]["resumeExecution"]
    new = bench.world.runs[payload["execution"]["id"]]
    await bench.world.over(new)
    assert payload["clientMutationId"] == "c-1"
    assert payload["execution"]["status"] is None
    assert new.identifier != run.identifier
    assert [stage.copied for stage in new.stages] == [True, False, False, False, False]
    assert new.progress is Progress.PASSED
    assert bench.world.chain(run) == [new, run]


@pytest.mark.parametrize("name", ["applicationId", "pipelineExecutionId", "pipelineStageName"])
async def test_blank_fields_are_refused(bench: Bench, name: str) -> None:
    run = await bench.failed()

    answer = await bench.resume(run, **{name: " "})

    assert "Empty " in refusal(answer)


async def test_an_execution_of_another_application_is_unknown_without_the_prefix(bench: Bench) -> None:
    run = await bench.failed()

    answer = await bench.resume(run, applicationId="app-other")

    assert refusal(answer) == f"Execution [{run.identifier}] doesn't exist"


async def test_two_denied_checks_are_a_refusal(bench: Bench) -> None:
    run = await bench.failed()
    bench.simulator.deny("resumeExecution", 2)

    answer = await bench.resume(run)

    assert refusal(answer).startswith("User not authorized")
    assert len(bench.world.runs) == 1


async def test_one_denied_check_is_null_without_errors_and_the_resume_has_happened(bench: Bench) -> None:
    run = await bench.failed()
    bench.simulator.deny("resumeExecution", 1)

    answer = await bench.resume(run)

    assert answer == {"data": {"resumeExecution": None}}
    assert len(bench.world.runs) == 2


@pytest.mark.parametrize(
    ("stage", "fragment"),
    [
        ("Deploy (prod)", "Pipeline Stage does not exist or has not yet started: [Deploy (prod)]"),
        ("nothing", "Pipeline Stage does not exist or has not yet started: [nothing]"),
        ("Deploy (", "An error has occurred"),
        ("Verify", "An error has occurred"),
    ],
)
async def test_the_stage_is_a_regular_expression_over_stages_that_ran(bench: Bench, stage: str, fragment: str) -> None:
    bench.world.plan("el-build", Progress.FAILED)
    run = await bench.world.over(bench.world.start(bench.shop))

    answer = await bench.resume(run, stage)

    assert fragment in refusal(answer)


async def test_a_pattern_resumes_from_the_first_stage_it_hits(bench: Bench) -> None:
    run = await bench.failed()

    answer = await bench.resume(run, ".*")

    new = bench.world.runs[answer["data"]["resumeExecution"]["execution"]["id"]]
    assert not any(stage.copied for stage in new.stages)


async def test_resuming_after_the_failed_group_ends_at_once_and_costs_the_place(bench: Bench) -> None:
    groups = [[Member("a", "A")], [Member("b", "B")]]
    pipeline = bench.world.add(Pipeline("p", "p", groups, APPLICATION))
    bench.world.plan("a", Progress.FAILED)
    run = await bench.world.over(bench.world.start(pipeline))
    run.stages[1].progress = Progress.ABORTED

    answer = await bench.resume(run, "B")

    new = await bench.world.over(bench.world.runs[answer["data"]["resumeExecution"]["execution"]["id"]])
    assert new.progress is Progress.FAILED
    assert not run.is_latest


@pytest.mark.parametrize("end", [Progress.FAILED, Progress.ABORTED, Progress.REJECTED, Progress.EXPIRED, Progress.ERRORED])
async def test_five_states_can_be_resumed(bench: Bench, end: Progress) -> None:
    run = await bench.failed(("el-deploy-eu", end))

    answer = await bench.resume(run)

    assert answer["data"]["resumeExecution"]["execution"]["id"]


@pytest.mark.parametrize("end", [Progress.PASSED, Progress.PAUSED])
async def test_other_states_cannot_be_resumed(bench: Bench, end: Progress) -> None:
    bench.world.plan("el-deploy-eu", end)
    run = bench.world.start(bench.shop)
    await bench.world.until(lambda: run.progress is end)

    answer = await bench.resume(run)

    assert f"Pipeline resume is not available for [{run.identifier}]" in refusal(answer)


async def test_only_the_newest_of_a_chain_can_be_resumed(bench: Bench) -> None:
    run = await bench.failed()
    await bench.resume(run)
    await bench.world.until(lambda: not run.is_latest)

    answer = await bench.resume(run)

    assert "latest iteration" in refusal(answer)


async def test_two_resumes_within_the_window_both_succeed(bench: Bench) -> None:
    run = await bench.failed()
    bench.world.window = 5.0

    answers = [await bench.resume(run), await bench.resume(run)]

    ids = {one["data"]["resumeExecution"]["execution"]["id"] for one in answers}
    assert len(ids) == 2


async def test_workflow_executions_cannot_be_resumed(bench: Bench) -> None:
    workflow = firstgen_cleanup(bench.simulator)
    bench.world.plan("el-cleanup", Progress.FAILED)
    run = await bench.world.over(bench.world.start(workflow))

    answer = await bench.resume(run, "Clean up")

    assert "not available for workflow executions" in refusal(answer)


async def test_an_edited_pipeline_cannot_be_resumed(bench: Bench) -> None:
    run = await bench.failed()
    bench.shop.groups = [[Member("el-other", "Build")], *bench.shop.groups[1:]]

    answer = await bench.resume(run)

    assert "has been modified" in refusal(answer)


async def test_edits_after_the_target_are_not_seen(bench: Bench) -> None:
    run = await bench.failed()
    bench.shop.groups = bench.shop.groups[:2]

    answer = await bench.resume(run)

    assert "errors" not in answer


async def test_a_deleted_pipeline_cannot_be_resumed(bench: Bench) -> None:
    run = await bench.failed()
    bench.shop.is_deleted = True

    answer = await bench.resume(run)

    assert "Pipeline does not exist" in refusal(answer)


async def test_an_emptied_pipeline_cannot_be_resumed(bench: Bench) -> None:
    run = await bench.failed()
    bench.shop.groups = []

    answer = await bench.resume(run)

    assert "empty pipeline" in refusal(answer)


async def test_a_run_that_died_before_any_stage_ended_cannot_be_resumed(bench: Bench) -> None:
    run = await bench.failed()
    for stage in run.stages:
        stage.progress = Progress.QUEUED

    answer = await bench.resume(run, "Build")

    assert "failed during artifact collection" in refusal(answer)


async def test_an_open_freeze_window_refuses(bench: Bench) -> None:
    run = await bench.failed()
    bench.simulator.estate.freeze = "Black Friday"

    answer = await bench.resume(run)

    assert refusal(answer) == "Deployment Freeze is active: Black Friday"


async def test_a_lost_answer_has_taken_effect(wire: Bench) -> None:
    run = await wire.failed()
    wire.simulator.faults.fail("resumeExecution", "lost")

    with pytest.raises(httpx.HTTPError):
        await wire.resume(run)

    assert len(wire.world.runs) == 2


async def test_a_cut_call_has_not(wire: Bench) -> None:
    run = await wire.failed()
    wire.simulator.faults.fail("resumeExecution", "cut")

    with pytest.raises(httpx.HTTPError):
        await wire.resume(run)

    assert len(wire.world.runs) == 1
    assert wire.simulator.faults.count("resumeExecution") == 1


async def test_names_nobody_has_are_null_for_pipelines_and_an_error_for_workflows(bench: Bench) -> None:
    pipeline = await bench.ask(f'{{ pipelineByName(pipelineName: "none", applicationId: "{APPLICATION}") {{ id }} }}')
    workflow = await bench.ask(f'{{ workflowByName(workflowName: "none", applicationId: "{APPLICATION}") {{ id }} }}')

    assert pipeline == {"data": {"pipelineByName": None}}
    assert "does not exist" in refusal(workflow, "workflowByName")


LATEST_FAILED = """query Latest($application: String!, $pipeline: String, $after: DateTime!) {
  executions(limit: 1, filters: [{applicationId: $application},
    {pipeline: {operator: EQUALS, values: [$pipeline]}}, {creationTime: {operator: AFTER, value: $after}},
    {status: {operator: IN, values: ["FAILED", "ABORTED", "EXPIRED", "REJECTED", "ERROR"]}}]) {
    pageInfo { total hasMore } nodes { id createdAt } } }"""


async def test_the_latest_failed_execution_of_a_pipeline_is_found(bench: Bench) -> None:
    first, second = await bench.failed(), await bench.failed()

    answer = await bench.ask(
        LATEST_FAILED, application=APPLICATION, pipeline=bench.shop.identifier, after=str(first.created_at)
    )
    both = await bench.ask(LATEST_FAILED, application=APPLICATION, pipeline=bench.shop.identifier, after="0")

    assert answer["data"]["executions"]["nodes"] == [{"id": second.identifier, "createdAt": second.created_at}]
    assert both["data"]["executions"]["pageInfo"] == {"total": 2, "hasMore": True}


async def test_a_negative_limit_is_refused(bench: Bench) -> None:
    answer = await bench.ask("{ executions(limit: -1) { nodes { id } } }")

    assert "accepts only non negative values" in refusal(answer, "executions")


async def test_the_application_filter_may_be_compulsory(bench: Bench) -> None:
    bench.simulator.estate.must_filter_by_application = True

    answer = await bench.ask("{ executions(limit: 1) { nodes { id } } }")

    assert "Application Id filter is required" in refusal(answer, "executions")


async def test_workflow_runs_inside_pipelines_are_listed_when_asked_for(bench: Bench) -> None:
    await bench.failed()
    query = "{ executions(limit: 10, includeIndirectExecutions: %s) { pageInfo { total } } }"

    hidden, shown = await bench.ask(query % "false"), await bench.ask(query % "true")

    assert hidden["data"]["executions"]["pageInfo"]["total"] == 1
    assert shown["data"]["executions"]["pageInfo"]["total"] == 5


def start(variables: dict[str, tuple[str, str]], **further: Any) -> dict[str, Any]:
    """The input of a start of the shop."""
    return {
        "applicationId": APPLICATION,
        "entityId": "pipeline-shop",
        "executionType": "PIPELINE",
        "variableInputs": [
            {"name": name, "variableValue": {"type": kind, "value": value}} for name, (kind, value) in variables.items()
        ],
    } | further


GOOD = {"version": ("NAME", "1.1"), "environment": ("NAME", "staging")}


async def test_a_start_keeps_its_variables_and_warns_of_surplus_ones(bench: Bench) -> None:
    artifact = {
        "valueType": "BUILD_NUMBER",
        "buildNumber": {"artifactSourceName": "registry", "buildNumber": "1.1"},
    }
    given = start(GOOD | {"colour": ("NAME", "red")}, serviceInputs=[{"name": "web", "artifactValueInput": artifact}])

    answer = await bench.ask(START, input=given | {"notes": "by chat"})

    payload = answer["data"]["startExecution"]
    run = bench.world.runs[payload["execution"]["id"]]
    assert run.variables == {"version": "1.1", "environment": "env-staging", "size": "small", "owner": "team-web"}
    assert run.notes == "by chat"
    assert "Ignoring values for variables" in payload["warningMessage"]


BAD_STARTS = [
    (start({"environment": ("NAME", "staging")}), "Value not provided for required variable: [version]"),
    (start({"version": ("NAME", "1")}), "environment parameterized"),
    (start(GOOD | {"size": ("NAME", "huge")}), "can only take values"),
    (start(GOOD | {"size": ("EXPRESSION", "${x}")}), "Expression type"),
    (start(GOOD | {"environment": ("ID", "env-none")}), "doesn't exist"),
    (start(GOOD, specificHosts=["h"]), "Hosts can't be overridden for pipeline"),
    (start(GOOD, applicationId="other"), "Application does not exist"),
    (start(GOOD, entityId=" "), "Empty entity Id"),
    (start(GOOD, entityId="none"), "Pipeline does not exist"),
    (start(GOOD, serviceInputs=[{"name": "none"}]), "is not deployed here"),
    (
        start(
            GOOD,
            serviceInputs={
                "name": "web",
                "artifactValueInput": {
                    "valueType": "BUILD_NUMBER",
                    "buildNumber": {"artifactSourceName": "registry", "buildNumber": "9"},
                },
            },
        ),
        "Cannot find or collect artifact",
    ),
]


@pytest.mark.parametrize(("given", "fragment"), BAD_STARTS)
async def test_a_start_with_bad_values_is_refused(bench: Bench, given: dict[str, Any], fragment: str) -> None:
    answer = await bench.ask(START, input=given)

    assert fragment in refusal(answer, "startExecution")
    assert not bench.world.runs


async def test_approvals_are_listed_and_decided(bench: Bench) -> None:
    pipeline = bench.world.add(Pipeline("p", "p", [[Member("ask", "Ask", "Ask", "Approval")]], APPLICATION))
    bench.world.plan("ask", Progress.PAUSED)
    run = bench.world.start(pipeline)
    await bench.world.until(lambda: run.progress is Progress.PAUSED)
    details = await bench.ask(
        f'{{ approvalDetails(applicationId: "{APPLICATION}", executionId: "{run.identifier}") '
        "{ approvalDetails { approvalId stageName } } }"
    )
    (found,) = details["data"]["approvalDetails"]["approvalDetails"]

    decided = await bench.ask(
        """mutation D($input: ApproveOrRejectApprovalsInput!) { approveOrRejectApprovals(input: $input) { success } }""",
        input={
            "executionId": run.identifier,
            "approvalId": found["approvalId"],
            "action": "REJECT",
            "applicationId": APPLICATION,
        },
    )

    assert decided == {"data": {"approveOrRejectApprovals": {"success": True}}}
    assert (await bench.world.over(run)).progress is Progress.REJECTED


async def test_an_abort_by_rest_ends_the_run(bench: Bench) -> None:
    bench.world.plan("el-build", Progress.PAUSED)
    run = bench.world.start(bench.shop)
    await bench.world.until(lambda: run.progress is Progress.PAUSED)

    answer = await bench.client.put(
        f"/gateway/api/executions/{run.identifier}?appId={APPLICATION}",
        content=json.dumps({"executionInterruptType": "ABORT_ALL"}),
        headers=bench.headers,
    )

    assert answer.status_code == 200
    assert (await bench.world.over(run)).progress is Progress.ABORTED


@pytest.mark.parametrize(
    ("pattern", "text", "hits"),
    [
        (r"\QDeploy (prod)\E", "Deploy (prod)", True),
        (r"\Q.*\E", "anything", False),
        (r"\Qa\E\\E\Qb\E", r"a\Eb", True),
        (r"v1.2", "v1x2", True),
        (r"\Qopen", "open", True),
    ],
)
def test_java_quoting_is_understood(pattern: str, text: str, hits: bool) -> None:
    assert (java_pattern(pattern).fullmatch(text) is not None) is hits
