"""What the simulated NextGen promises: the contract's refusals and faults, and retries as unguarded as the server's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from bot.simulators.harness_nextgen import NextGenSimulator, Token
from bot.simulators.harness_nextgen_retry import THIRTY_DAYS
from bot.simulators.harness_samples import ORG, PROJECT, SHOP_INPUTS, nextgen_shop
from bot.simulators.harness_world import Member, Pipeline, Progress, Run, World
from bot.simulators.serving import serve

pytestmark = pytest.mark.anyio

DEPLOY = ["deploy_eu", "deploy_us", "deploy_ap"]
Params = dict[str, Any]


@dataclass
class Bench:
    """A simulator with its shop and a client of one token."""

    simulator: NextGenSimulator
    client: httpx.AsyncClient
    shop: Pipeline
    token: str

    @property
    def world(self) -> World:
        return self.simulator.world

    async def call(self, method: str, path: str, content: str = "", **params: Any) -> httpx.Response:
        scope = {"accountIdentifier": self.simulator.account, "orgIdentifier": ORG, "projectIdentifier": PROJECT}
        query = {key: value for key, value in (scope | params).items() if value is not None}
        headers = {"x-api-key": self.token}
        return await self.client.request(method, f"/pipeline/api{path}", params=query, content=content, headers=headers)

    async def details(self, run: Run) -> dict[str, Any]:
        answer = await self.call("GET", f"/pipelines/execution/v2/{run.identifier}")
        assert answer.status_code == 200
        shown: dict[str, Any] = answer.json()["data"]["pipelineExecutionSummary"]
        return shown

    async def retry(self, run: Run, stages: list[str] | None, content: str = "", **params: Any) -> httpx.Response:
        given = {"planExecutionId": run.identifier, "retryStages": stages} | params
        return await self.call("POST", "/pipeline/execute/retry/shop", content, **given)

    async def retried(self, run: Run, stages: list[str], content: str = "", **params: Any) -> Run:
        answer = await self.retry(run, stages, content, **params)
        assert answer.status_code == 200
        return await self.world.over(self.world.runs[answer.json()["data"]["planExecution"]["uuid"]])

    async def failed(self, *plan: tuple[str, Progress], inputs: str | None = None) -> Run:
        for stage, end in plan or (("deploy_us", Progress.FAILED),):
            self.world.plan(stage, end)
        return await self.world.over(self.world.start(self.shop, inputs=inputs))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    simulator = NextGenSimulator(world=World(step_seconds=0.002))
    transport = httpx.ASGITransport(simulator.app)
    async with httpx.AsyncClient(base_url="http://simulator", transport=transport) as client:
        yield Bench(simulator, client, nextgen_shop(simulator), simulator.token)
    await simulator.world.aclose()


@pytest.fixture
async def wire(bench: Bench) -> AsyncIterator[Bench]:
    """The same bench over a real connection, which can break."""
    async with serve(bench.simulator.app) as url, httpx.AsyncClient(base_url=url) as client:
        yield replace(bench, client=client)


def refused(answer: httpx.Response, status: int, code: str, status_word: str = "ERROR") -> str:
    """The text of a refusal in the server's envelope."""
    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (status, code, status_word)
    message = body["message"]
    assert isinstance(message, str)
    return message


def rerun(run: Run) -> list[str]:
    """The stages that a run did not copy."""
    return [stage.member.identifier for stage in run.stages if not stage.copied]


@pytest.mark.parametrize(("is_expired", "code"), [(False, "INVALID_TOKEN"), (True, "EXPIRED_TOKEN")])
async def test_a_bad_token_is_401(bench: Bench, is_expired: bool, code: str) -> None:
    bench.simulator.tokens["old"] = Token(is_expired=True)
    bench.token = "old" if is_expired else "wrong"

    answer = await bench.call("GET", "/pipelines/execution/v2/x")

    refused(answer, 401, code)
    assert answer.json()["correlationId"] is None


@pytest.mark.parametrize("name", ["accountIdentifier", "orgIdentifier", "projectIdentifier"])
async def test_a_missing_scope_parameter_is_a_failure(bench: Bench, name: str) -> None:
    left_out: Params = {name: None}

    answer = await bench.call("GET", "/pipelines/execution/v2/x", **left_out)

    assert name in refused(answer, 400, "INVALID_REQUEST", "FAILURE")
    assert answer.json()["errors"][0]["fieldId"] == name


async def test_a_missing_permission_is_403_and_names_it(bench: Bench) -> None:
    run = await bench.failed()
    bench.simulator.tokens["viewer"] = Token(may_execute=False)
    bench.token = "viewer"

    answer = await bench.retry(run, DEPLOY)

    assert "core_pipeline_execute" in refused(answer, 403, "NG_ACCESS_DENIED")
    assert answer.json()["failedPermissionChecks"][0]["resourceIdentifier"] == "shop"
    assert (await bench.details(run))["status"] == "Failed"


@pytest.mark.parametrize("path", ["/pipelines/execution/v2/none", "/pipeline/execute/none/retryStages"])
async def test_an_unknown_execution_is_404(bench: Bench, path: str) -> None:
    answer = await bench.call("GET", path, pipelineIdentifier="shop")

    refused(answer, 404, "ENTITY_NOT_FOUND")


async def test_retrying_an_unknown_execution_is_404(bench: Bench) -> None:
    answer = await bench.call("POST", "/pipeline/execute/retry/shop", planExecutionId="none", retryStages=["build"])

    refused(answer, 404, "ENTITY_NOT_FOUND")


async def test_inputs_of_an_unknown_execution_are_400(bench: Bench) -> None:
    answer = await bench.call("GET", "/pipelines/execution/none/inputsetV2")

    assert "Input Set did not exist or pipeline execution" in refused(answer, 400, "INVALID_REQUEST")


async def test_an_unknown_route_is_400(bench: Bench) -> None:
    answer = await bench.call("GET", "/nonsense")

    refused(answer, 400, "RESOURCE_NOT_FOUND_EXCEPTION", "FAILURE")


async def test_the_gateway_prefix_leads_to_the_same(bench: Bench) -> None:
    answer = await bench.client.get("/gateway/pipeline/api/pipelines/execution/v2/x", headers={"x-api-key": bench.token})

    refused(answer, 400, "INVALID_REQUEST", "FAILURE")


async def test_details_walk_from_the_start_through_blocks_and_loops(bench: Bench) -> None:
    run = await bench.failed(("deploy_us", Progress.FAILED), ("verify_1", Progress.FAILED))

    shown = await bench.details(run)

    nodes = shown["layoutNodeMap"]
    first = nodes[shown["startingNodeId"]]
    block = nodes[first["edgeLayoutList"]["nextIds"][0]]
    members = [nodes[one] for one in block["edgeLayoutList"]["currentNodeChildren"]]
    loop = nodes[block["edgeLayoutList"]["nextIds"][0]]
    copies = [nodes[one]["nodeIdentifier"] for one in loop["edgeLayoutList"]["currentNodeChildren"]]
    assert (first["nodeIdentifier"], first["status"], first["nodeGroup"]) == ("build", "Success", "STAGE")
    assert block["nodeType"] == "parallel"
    assert [one["status"] for one in members] == ["Success", "Failed", "Success"]
    assert members[1]["failureInfo"]["message"] == "the step did not pass"
    assert "failureInfo" not in members[0]
    assert (loop["nodeGroup"], loop["status"], copies) == ("STRATEGY", "NotStarted", ["verify_0", "verify_1", "verify_2"])


async def test_can_retry_ignores_the_status(bench: Bench) -> None:
    run = await bench.world.over(bench.world.start(bench.shop))

    shown = await bench.details(run)

    assert (shown["status"], shown["canRetry"]) == ("Success", True)


async def test_stages_to_retry_are_grouped_and_leave_out_what_never_ran(bench: Bench) -> None:
    run = await bench.failed()

    answer = await bench.call("GET", f"/pipeline/execute/{run.identifier}/retryStages", pipelineIdentifier="shop")

    data = answer.json()["data"]
    assert data["resumable"] is True
    assert [[one["identifier"] for one in group["info"]] for group in data["groups"]] == [["build"], DEPLOY]


async def test_a_looped_stage_is_retried_under_its_plain_identifier(bench: Bench) -> None:
    run = await bench.failed(("verify_1", Progress.FAILED))
    groups = await bench.call("GET", f"/pipeline/execute/{run.identifier}/retryStages", pipelineIdentifier="shop")

    new = await bench.retried(run, ["verify"])

    assert groups.json()["data"]["groups"][-1]["info"][0]["identifier"] == "verify"
    assert rerun(new) == ["verify"]
    assert new.progress is Progress.PASSED


async def test_all_of_a_group_run_again_and_what_follows(bench: Bench) -> None:
    run = await bench.failed()

    new = await bench.retried(run, DEPLOY, notesForPipelineExecution="req-17 for Rita")

    assert rerun(new) == [*DEPLOY, "verify"]
    assert new.notes == "req-17 for Rita"


async def test_only_the_failed_of_a_group_run_again(bench: Bench) -> None:
    run = await bench.failed()

    new = await bench.retried(run, DEPLOY, runAllStages="false")

    assert rerun(new) == ["deploy_us", "verify"]
    assert new.progress is Progress.PASSED


async def test_members_that_are_not_passed_are_copied_even_if_they_failed(bench: Bench) -> None:
    run = await bench.failed(("deploy_us", Progress.FAILED), ("deploy_ap", Progress.FAILED))

    new = await bench.retried(run, ["deploy_us"])

    assert rerun(new) == ["deploy_us", "verify"]
    assert new.progress is Progress.FAILED


@pytest.mark.parametrize("stages", [["nonsense"], [""], ["deploy_eu,deploy_us"]])
async def test_identifiers_that_match_nothing_execute_nothing_and_cost_the_place(bench: Bench, stages: list[str]) -> None:
    run = await bench.failed()

    new = await bench.retried(run, stages)

    assert rerun(new) == []
    await bench.world.until(lambda: not run.is_latest)


@pytest.mark.parametrize(
    ("stages", "plan", "fragment"),
    [
        (["build", "deploy_eu"], Progress.FAILED, "could not be found in any stage Groups"),
        (DEPLOY[:2], Progress.FAILED, "applicable only for failed parallel group stages"),
        (DEPLOY, Progress.ERRORED, "No failed stage found"),
    ],
)
async def test_only_failed_is_refused_for_other_lists(bench: Bench, stages: list[str], plan: Progress, fragment: str) -> None:
    run = await bench.failed(("deploy_us", plan))

    answer = await bench.retry(run, stages, runAllStages="false")

    assert fragment in refused(answer, 400, "INVALID_REQUEST")


async def test_a_retry_without_stages_is_refused(bench: Bench) -> None:
    answer = await bench.retry(await bench.failed(), None)

    assert "You need to select the stage" in refused(answer, 400, "INVALID_REQUEST")


def superseded(_: Bench, run: Run) -> None:
    run.root, run.is_latest = run.identifier, False


def rolled_back(_: Bench, run: Run) -> None:
    run.is_rolled_back = True


def deleted(bench: Bench, _: Run) -> None:
    bench.shop.is_deleted = True


def old(_: Bench, run: Run) -> None:
    run.created_at -= THIRTY_DAYS + 1000


def without_plan(_: Bench, run: Run) -> None:
    run.has_plan = False


def renamed(bench: Bench, _: Run) -> None:
    bench.shop.groups = [[Member("construct", "Build")], *bench.shop.groups[1:]]


REFUSALS = [
    (superseded, "not the latest of all retried"),
    (rolled_back, "undergone Pipeline Rollback"),
    (deleted, "does not exist or has been deleted"),
    (old, "more than 30 days old"),
    (without_plan, "No Plan Execution exists"),
    (renamed, "Adding, deleting or changing"),
]


@pytest.mark.parametrize(("change", "fragment"), REFUSALS)
async def test_refused_retries_are_400(bench: Bench, change: Any, fragment: str) -> None:
    run = await bench.failed()
    change(bench, run)

    answer = await bench.retry(run, DEPLOY)

    assert fragment in refused(answer, 400, "INVALID_REQUEST")


@pytest.mark.parametrize(("change", "fragment"), REFUSALS)
async def test_the_list_of_stages_refuses_with_200(bench: Bench, change: Any, fragment: str) -> None:
    run = await bench.failed()
    change(bench, run)

    answer = await bench.call("GET", f"/pipeline/execute/{run.identifier}/retryStages", pipelineIdentifier="shop")

    data = answer.json()["data"]
    assert (answer.status_code, data["resumable"]) == (200, False)
    assert fragment in data["errorMessage"]


async def test_a_run_without_any_stage_has_nothing_to_retry(bench: Bench) -> None:
    bench.world.step_seconds = 0.2
    run = bench.world.start(bench.shop)

    answer = await bench.call("GET", f"/pipeline/execute/{run.identifier}/retryStages", pipelineIdentifier="shop")

    assert "No stage to retry" in refused(answer, 400, "INVALID_REQUEST")


async def test_running_and_successful_runs_are_retried_all_the_same(bench: Bench) -> None:
    bench.world.plan("build", Progress.WAITING)
    running = bench.world.start(bench.shop)
    await bench.world.until(lambda: running.progress is Progress.WAITING)
    passed = await bench.world.over(bench.world.start(bench.shop))

    assert [(await bench.retry(run, ["build"])).status_code for run in (running, passed)] == [200, 200]


async def test_two_retries_within_the_window_both_succeed(bench: Bench) -> None:
    run = await bench.failed()
    bench.world.window = 5.0

    answers = [await bench.retry(run, DEPLOY) for _ in range(2)]

    assert len({one.json()["data"]["planExecution"]["uuid"] for one in answers}) == 2


async def test_inputs_that_never_were_are_absent(bench: Bench) -> None:
    run = await bench.failed()

    answer = await bench.call("GET", f"/pipelines/execution/{run.identifier}/inputsetV2")

    assert "inputSetYaml" not in answer.json()["data"]


@pytest.mark.parametrize("inputs", ['pipeline:\n  x: "a\\\\nb"\n', "pipeline:\n" + "  y: ü\n" * 30_000])
async def test_inputs_go_out_and_come_back_byte_for_byte(bench: Bench, inputs: str) -> None:
    run = await bench.failed(inputs=inputs)
    read = await bench.call("GET", f"/pipelines/execution/{run.identifier}/inputsetV2")

    new = await bench.retried(run, DEPLOY, read.json()["data"]["inputSetYaml"])

    assert new.inputs == inputs


@pytest.mark.parametrize(("takes_any", "status"), [(False, 400), (True, 200)])
async def test_a_body_that_is_no_yaml_is_taken_or_not(bench: Bench, takes_any: bool, status: int) -> None:
    bench.simulator.takes_any_body = takes_any

    answer = await bench.retry(await bench.failed(), DEPLOY, "null")

    assert answer.status_code == status


@pytest.mark.parametrize("kind", ["rate_limited", "rate_limited_html"])
async def test_429_says_no_wait(bench: Bench, kind: str) -> None:
    bench.simulator.faults.fail("POST /pipeline/execute/retry/*", kind)

    answer = await bench.retry(await bench.failed(), DEPLOY)

    assert answer.status_code == 429
    assert "retry-after" not in answer.headers


async def test_a_fault_is_500_in_the_envelope(bench: Bench) -> None:
    bench.simulator.faults.fail("GET *", "server_fault")

    refused(await bench.call("GET", "/pipelines/execution/v2/x"), 500, "UNKNOWN_ERROR")


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_gateway_trouble_is_html(bench: Bench, status: int) -> None:
    bench.simulator.faults.fail("GET *", f"html-{status}")

    answer = await bench.call("GET", "/pipelines/execution/v2/x")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


async def test_a_lost_answer_has_taken_effect(wire: Bench) -> None:
    run = await wire.failed()
    wire.simulator.faults.fail("POST /pipeline/execute/retry/*", "lost")

    with pytest.raises(httpx.HTTPError):
        await wire.retry(run, DEPLOY)

    assert len(wire.world.chain(run)) == 2


async def test_the_details_of_a_new_run_may_be_missing_for_a_moment(bench: Bench) -> None:
    new = await bench.retried(await bench.failed(), DEPLOY)
    bench.simulator.hidden.add(new.identifier)

    early = await bench.call("GET", f"/pipelines/execution/v2/{new.identifier}")
    bench.simulator.hidden.clear()
    later = await bench.call("GET", f"/pipelines/execution/v2/{new.identifier}")

    assert (early.status_code, later.status_code) == (404, 200)


async def test_the_chain_is_told_newest_first(bench: Bench) -> None:
    run = await bench.failed()
    before = await bench.call("GET", f"/pipeline/execute/latestExecutionId/{run.identifier}", pipelineIdentifier="shop")
    new = await bench.retried(run, DEPLOY)

    latest = await bench.call("GET", f"/pipeline/execute/latestExecutionId/{run.identifier}", pipelineIdentifier="shop")
    history = await bench.call("GET", f"/pipeline/execute/retryHistory/{run.identifier}", pipelineIdentifier="shop")

    assert "not a part of retry execution" in before.json()["data"]["errorMessage"]
    assert latest.json()["data"] == {"latestExecutionId": new.identifier}
    assert [one["uuid"] for one in history.json()["data"]["executionInfos"]] == [new.identifier, run.identifier]


async def test_runs_retried_away_are_listed_only_on_demand(bench: Bench) -> None:
    run = await bench.failed()
    new = await bench.retried(run, DEPLOY)

    shown = [
        [
            one["planExecutionId"]
            for one in (await bench.call("POST", "/pipelines/execution/summary", **more)).json()["data"]["content"]
        ]
        for more in ({}, {"showAllExecutions": "true"}, {"status": ["Failed", "Aborted"], "showAllExecutions": "true"})
    ]

    assert shown == [[new.identifier], [new.identifier, run.identifier], [run.identifier]]


@pytest.mark.parametrize("size", ["0", "1001"])
async def test_a_page_has_1_to_1000_entries(bench: Bench, size: str) -> None:
    refused(await bench.call("POST", "/pipelines/execution/summary", size=size), 400, "INVALID_REQUEST", "FAILURE")


async def test_an_interrupt_aborts(bench: Bench) -> None:
    bench.world.plan("build", Progress.WAITING)
    run = bench.world.start(bench.shop)
    await bench.world.until(lambda: run.progress is Progress.WAITING)

    answer = await bench.call("PUT", f"/pipeline/execute/interrupt/{run.identifier}", interruptType="AbortAll")

    assert answer.json()["data"]["planExecutionId"] == run.identifier
    assert (await bench.world.over(run)).progress is Progress.ABORTED


async def approval(bench: Bench) -> tuple[Run, str]:
    """A run that waits for approval, and the instance's id."""
    pipeline = bench.world.add(Pipeline("ask", "Ask", [[Member("ask", "Ask", kind="Approval")]], f"{ORG}/{PROJECT}"))
    bench.world.plan("ask", Progress.WAITING)
    run = bench.world.start(pipeline)
    await bench.world.until(lambda: run.progress is Progress.WAITING)
    path = f"/v1/orgs/{ORG}/projects/{PROJECT}/approvals/execution/{run.identifier}"
    (found,) = (await bench.call("GET", path, approval_status="WAITING")).json()
    return run, found["id"]


async def test_an_approval_is_decided_once_by_a_person(bench: Bench) -> None:
    run, instance = await approval(bench)

    decided = await bench.call("POST", f"/approvals/{instance}/harness/activity", '{"action":"APPROVE"}')
    await bench.world.over(run)
    again = await bench.call("POST", f"/approvals/{instance}/harness/activity", '{"action":"REJECT"}')

    assert decided.json()["data"]["status"] == "APPROVED"
    assert run.progress is Progress.PASSED
    assert "already completed. Status:" in refused(again, 400, "INVALID_REQUEST")


async def test_an_expired_approval_is_refused(bench: Bench) -> None:
    run, instance = await approval(bench)
    bench.world.release(run.stages[0], Progress.EXPIRED)
    await bench.world.over(run)

    answer = await bench.call("POST", f"/approvals/{instance}/harness/activity", '{"action":"APPROVE"}')

    assert "already expired" in refused(answer, 400, "INVALID_REQUEST")


async def test_a_service_account_cannot_approve(bench: Bench) -> None:
    _, instance = await approval(bench)
    bench.simulator.tokens["sat"] = Token(is_service_account=True)
    bench.token = "sat"

    answer = await bench.call("POST", f"/approvals/{instance}/harness/activity", '{"action":"APPROVE"}')

    assert "not supported for Harness Approval Step yet" in refused(answer, 400, "INVALID_REQUEST")


async def test_a_start_wants_its_inputs(bench: Bench) -> None:
    template = await bench.call("POST", "/inputSets/template", "{}", pipelineIdentifier="shop")
    filled = SHOP_INPUTS.replace("<+input>.allowedValues(staging,production)", "staging").replace("<+input>", "1.1")

    empty = await bench.call("POST", "/pipeline/execute/shop")
    started = await bench.call("POST", "/pipeline/execute/shop", filled, notesForPipelineExecution="req-1")

    run = bench.world.runs[started.json()["data"]["planExecution"]["uuid"]]
    assert template.json()["data"]["inputSetTemplateYaml"] == SHOP_INPUTS
    assert "runtime inputs" in refused(empty, 400, "INVALID_REQUEST")
    assert (run.inputs, run.notes) == (filled, "req-1")


async def test_pipelines_are_found_by_part_of_name_or_identifier(bench: Bench) -> None:
    answer = await bench.call("POST", "/pipelines/list", '{"filterType":"PipelineSetup"}', searchTerm="Deploy sh")

    assert [one["identifier"] for one in answer.json()["data"]["content"]] == ["shop"]
