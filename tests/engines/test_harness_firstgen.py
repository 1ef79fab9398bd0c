"""What the engine for Harness FirstGen promises beyond what all engines do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.domain.execution import ExecutionStatus, Finding, ResumePoint, StageStatus
from bot.engines.harness_firstgen_view import PointKey
from bot.engines.harness_firstgen_wire import quoted
from bot.simulators.harness_firstgen_resume import java_pattern
from bot.simulators.harness_firstgen_shapes import Application
from bot.simulators.harness_samples import APPLICATION, firstgen_cleanup
from bot.simulators.harness_world import Member, Pipeline, Progress, Run
from tests.engines.harness_stand import SLOWLY, FirstGenStand, Socket, edited, firstgen_stand, rerun, samples

pytestmark = pytest.mark.anyio

DEPLOY = ["el-deploy-eu", "el-deploy-us", "el-deploy-ap"]
FAILED_US = ("el-deploy-us", Progress.FAILED)


@pytest.fixture(scope="module")
async def socket() -> AsyncIterator[Socket]:
    async with Socket().served() as socket:
        yield socket


@pytest.fixture
async def stand(socket: Socket) -> AsyncIterator[FirstGenStand]:
    async with firstgen_stand(socket) as stand:
        yield stand


async def test_a_parallel_group_is_one_point_that_names_its_members(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    assert [point.label for point in shown.points] == ["Deploy (prod) (Deploy eu, Deploy us, Deploy ap)", "Build"]
    assert shown.points[0].stages == ("Deploy (prod)", "Deploy eu", "Deploy us", "Deploy ap")
    assert "members that succeeded run again" in shown.points[0].sentence
    assert shown.stages[1].status is StageStatus.FAILED
    assert shown.stages[1].members == ("Deploy eu", "Deploy us", "Deploy ap")
    assert (shown.failed_stage, shown.error) == ("Deploy (prod)", "the step did not pass")
    assert shown.labels["Failed in"] == "Deploy us"


async def test_no_stage_after_the_failed_group_is_offered(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    (refused,) = shown.refused_points
    assert refused.name == "Verify"
    assert "after the stage that failed" in refused.reason


async def test_resuming_runs_the_group_and_what_follows_under_a_new_id(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.world.step_seconds = SLOWLY

    receipt = await stand.resume(run)

    fresh = await stand.engine.describe(receipt.ref)
    new = await stand.world.over(stand.world.runs[receipt.ref.id])
    assert receipt.ref.id != run.identifier
    assert fresh.status is ExecutionStatus.WAITING
    assert rerun(new) == [*DEPLOY, "el-verify"]
    assert (await stand.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


STRANGE_NAMES = [
    "Deploy (prod)",
    ".*",
    "v1.2",
    'say "hello"',
    r"a\Eb\Qc",
    "$x",
    "} ... on Query { __typename } {",
    "日本 deploy",
    "a\\",
    "tab\there",
]


@pytest.mark.parametrize("name", STRANGE_NAMES)
async def test_a_stage_is_meant_literally_whatever_its_name(stand: FirstGenStand, name: str) -> None:
    groups = [[Member("e0", "v1x2")], [Member("e1", "first")], [Member("e2", name)], [Member("e3", "last")]]
    pipeline = stand.world.add(Pipeline("odd", "odd", groups, APPLICATION))
    run = await stand.failed(("e2", Progress.FAILED), pipeline=pipeline)

    new = await stand.resume_from(run, name)

    assert rerun(new) == ["e2", "e3"]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_quoting_hits_the_name_and_nothing_else(name: str) -> None:
    pattern = java_pattern(quoted(name))

    assert pattern.fullmatch(name)
    assert not pattern.fullmatch(name + "x")
    assert not pattern.fullmatch("x")


async def test_values_travel_as_variables_never_in_the_query(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    await stand.resume(run)

    (call,) = [one for one in stand.simulator.faults.calls if one.label == "resumeExecution"]
    assert b"Deploy (prod)" not in call.body.partition(b'"variables"')[0]
    assert run.identifier.encode() not in call.body.partition(b'"variables"')[0]


async def test_forty_stages_are_all_offered_up_to_the_failed_one(stand: FirstGenStand) -> None:
    groups = [[Member(f"e{number}", f"Stage {number}")] for number in range(40)]
    pipeline = stand.world.add(Pipeline("long", "long", groups, APPLICATION))
    run = await stand.failed(("e38", Progress.FAILED), pipeline=pipeline)

    shown = await stand.describe(run)

    assert len(shown.points) == 39
    assert shown.points[0].label == "Stage 38"
    assert [one.name for one in shown.refused_points] == ["Stage 39"]


async def test_a_second_stage_of_the_same_name_is_out_of_reach(stand: FirstGenStand) -> None:
    groups = [[Member("e0", "Deploy")], [Member("e1", "Test")], [Member("e2", "Deploy")]]
    pipeline = stand.world.add(Pipeline("twice", "twice", groups, APPLICATION))
    run = await stand.failed(("e2", Progress.FAILED), pipeline=pipeline)

    shown = await stand.describe(run)

    assert [point.label for point in shown.points] == ["Test", "Deploy"]


@pytest.mark.parametrize("end", [Progress.FAILED, Progress.ABORTED, Progress.EXPIRED, Progress.REJECTED, Progress.ERRORED])
async def test_five_states_are_failures_with_points(stand: FirstGenStand, end: Progress) -> None:
    shown = await stand.describe(await stand.failed(("el-deploy-eu", end)))

    assert shown.status is ExecutionStatus.FAILED
    assert shown.points
    assert shown.error


async def test_success_is_refused_with_its_reason_before_any_call(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed())

    assert (shown.status, shown.points) == (ExecutionStatus.SUCCEEDED, ())
    assert "succeeded" in shown.no_points


async def test_a_pause_is_refused_with_what_it_waits_for(stand: FirstGenStand) -> None:
    groups = [[Member("ask", "Ask", "Ask", "Approval")]]
    pipeline = stand.world.add(Pipeline("ask", "ask", groups, APPLICATION))
    stand.world.plan("ask", Progress.PAUSED)
    run = stand.world.start(pipeline)
    await stand.world.until(lambda: run.progress is Progress.PAUSED)

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (ExecutionStatus.SUSPENDED, ())
    assert "paused" in shown.no_points
    assert shown.notes == ("“Ask” waits for an approval in Harness.",)


async def test_missing_runtime_inputs_are_named(stand: FirstGenStand) -> None:
    stand.world.plan("el-build", Progress.PAUSED)
    run = stand.world.start(stand.shop)
    await stand.world.until(lambda: run.progress is Progress.PAUSED)

    shown = await stand.describe(run)

    assert "waits for the inputs version, environment" in shown.notes[0]


async def test_a_workflow_alone_is_shown_without_points(stand: FirstGenStand) -> None:
    workflow = firstgen_cleanup(stand.simulator)
    run = await stand.failed(("el-cleanup", Progress.FAILED), pipeline=workflow)

    shown = await stand.describe(run)

    assert (shown.name, shown.points) == ("Clean up", ())
    assert "started anew" in shown.no_points


async def test_the_environment_is_known_only_when_every_stage_says_it(stand: FirstGenStand) -> None:
    stand.world.plan("el-build", Progress.FAILED, Progress.FAILED)
    said = await stand.world.over(stand.world.start(stand.shop, variables={"environment": "env-production"}))
    unsaid = await stand.world.over(stand.world.start(stand.shop))

    assert (await stand.describe(said)).environment == "env-production"
    assert (await stand.describe(unsaid)).environment is None


async def test_an_unknown_id_is_not_found(stand: FirstGenStand) -> None:
    for identifier in ("A" * 22, "x' } {"):
        with pytest.raises(NotFound):
            await stand.describe(identifier)


async def test_a_read_that_shows_nothing_is_made_again(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.deny("execution", 1)

    shown = await stand.describe(run)

    assert shown.points


async def test_a_read_that_is_denied_twice_is_forbidden(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.deny("execution", 2)

    with pytest.raises(Forbidden):
        await stand.describe(run)


async def test_null_without_an_error_is_unknown_and_never_sent_again(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    shown = await stand.describe(run)
    stand.simulator.deny("resumeExecution", 1)

    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, shown.points[0])

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")
    (new,) = [one for one in stand.world.runs.values() if one is not run]
    assert stand.sent == 1
    assert (found.finding, found.is_probable, found.ref) == (Finding.HAPPENED, True, stand.ref(new))


@pytest.mark.parametrize(
    "kind", ["lost", "cut", "server_fault", "html-502", "html-503", "html-504", "null", "no_id", "empty_object"]
)
async def test_an_answer_that_says_nothing_leaves_the_outcome_unknown(stand: FirstGenStand, kind: str) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    stand.simulator.faults.fail("resumeExecution", kind)

    with pytest.raises((OutcomeUnknown, ContractViolation)):
        await stand.resume(run, point)

    assert stand.sent == 1


async def test_nothing_newer_is_unclear(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR


async def test_several_newer_executions_are_unclear(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))
    await stand.failed()
    await stand.failed()

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR
    assert found.sentence.startswith("2 newer executions")


async def test_an_execution_with_other_inputs_is_no_evidence(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    shown = await stand.describe(run)
    other = await stand.world.over(stand.world.start(stand.shop, variables={"version": "9"}))

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR
    assert found.sentence.startswith("No newer execution")
    assert other.progress is Progress.PASSED


async def test_an_execution_of_other_stages_is_no_evidence(stand: FirstGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))
    stand.shop.groups = stand.shop.groups[:1]
    await stand.failed()

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.finding is Finding.UNCLEAR


async def test_beside_an_execution_with_other_inputs_the_lost_one_is_probable(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    shown = await stand.describe(run)
    stand.simulator.faults.fail("resumeExecution", "lost")
    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, shown.points[0])
    await stand.world.over(stand.world.chain(run)[0])
    await stand.world.over(stand.world.start(stand.shop, variables={"version": "9"}))

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert (found.ref, found.is_probable) == (stand.ref(stand.world.chain(run)[0]), True)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limited", RateLimited),
        ("invalid_token", Forbidden),
        ("invalid_api_key", Forbidden),
        ("invalid_query", Unsupported),
    ],
)
async def test_answers_from_before_the_engine_mean_that_nothing_happened(
    stand: FirstGenStand, kind: str, error: type[EngineError]
) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    stand.simulator.faults.fail("resumeExecution", kind)

    with pytest.raises(error) as caught:
        await stand.resume(run, point)

    assert len(stand.world.runs) == 1
    assert "fg-key" not in str(caught.value)


@pytest.mark.parametrize("kind", ["invalid_token", "invalid_api_key"])
async def test_both_envelopes_of_401_are_forbidden_on_reads(stand: FirstGenStand, kind: str) -> None:
    stand.simulator.faults.fail("execution", kind)

    with pytest.raises(Forbidden) as caught:
        await stand.describe("A" * 22)

    assert "Token is not valid" in str(caught.value) or "Invalid Api Key" in str(caught.value)


async def test_a_read_over_the_budget_is_rate_limited_without_a_wait(socket: Socket) -> None:
    async with firstgen_stand(socket, budget=0) as stand:
        with pytest.raises(RateLimited) as caught:
            await stand.describe("A" * 22)

    assert caught.value.wait is None


async def test_the_api_switched_off_is_forbidden(stand: FirstGenStand) -> None:
    stand.simulator.has_api = False

    with pytest.raises(Forbidden):
        await stand.describe("A" * 22)


async def test_a_gateway_page_on_a_read_is_retried_and_then_not_sent(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail("execution", "html-502", times=1)
    healed = await stand.describe(run)
    stand.simulator.faults.fail("execution", "html-502", times=9)

    with pytest.raises(NotSent):
        await stand.describe(run)

    assert healed.points


async def test_too_late_is_not_sent(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotSent):
        await stand.resume(run, seconds=-1)

    assert stand.sent == 0


def succeeded(_: FirstGenStand, run: Run) -> None:
    run.progress = Progress.PASSED


def superseded(_: FirstGenStand, run: Run) -> None:
    run.root, run.is_latest = run.identifier, False


def edited_pipeline(stand: FirstGenStand, _: Run) -> None:
    stand.shop.groups = [[Member("el-other", "Build")], *stand.shop.groups[1:]]


def deleted_pipeline(stand: FirstGenStand, _: Run) -> None:
    stand.shop.is_deleted = True


def emptied_pipeline(stand: FirstGenStand, _: Run) -> None:
    stand.shop.groups = []


def frozen(stand: FirstGenStand, _: Run) -> None:
    stand.simulator.estate.freeze = "Black Friday"


def denied(stand: FirstGenStand, _: Run) -> None:
    stand.simulator.deny("resumeExecution", 2)


def gone(stand: FirstGenStand, run: Run) -> None:
    del stand.world.runs[run.identifier]


REFUSALS = [
    (succeeded, NotResumable, "Pipeline resume is not available"),
    (superseded, NotResumable, "latest iteration"),
    (edited_pipeline, NotResumable, "has been modified"),
    (deleted_pipeline, NotResumable, "Pipeline does not exist"),
    (emptied_pipeline, NotResumable, "empty pipeline"),
    (frozen, NotResumable, "Black Friday"),
    (denied, Forbidden, "not authorized"),
    (gone, NotFound, "doesn't exist"),
]


@pytest.mark.parametrize(("change", "error", "words"), REFUSALS)
async def test_the_servers_refusals_are_told_in_its_words(
    stand: FirstGenStand, change: Any, error: type[EngineError], words: str
) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    change(stand, run)

    with pytest.raises(error) as caught:
        await stand.resume(run, point)

    assert words in str(caught.value)
    assert "Invalid request" not in str(caught.value)


async def test_a_stage_that_hits_nothing_is_not_resumable(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotResumable):
        await stand.resume(run, ResumePoint(PointKey(APPLICATION, "nothing").text(), "nothing", ""))


async def test_a_key_that_is_none_of_ours_is_not_resumable(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotResumable):
        await stand.resume(run, ResumePoint("nonsense", "nonsense", ""))

    assert stand.sent == 0


async def test_a_generic_complaint_may_hide_an_effect(stand: FirstGenStand) -> None:
    run = await stand.failed(("el-build", Progress.FAILED))

    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, ResumePoint(PointKey(APPLICATION, "Verify").text(), "Verify", ""))


@pytest.mark.parametrize(
    ("name", "body"), list(samples("harness_firstgen")), ids=lambda value: value if isinstance(value, str) else ""
)
async def test_every_sample_yields_a_reference_that_describe_accepts(stand: FirstGenStand, name: str, body: bytes) -> None:
    pipeline = firstgen_cleanup(stand.simulator) if name.startswith("workflow") else stand.shop
    run = await stand.failed((pipeline.members[0].identifier, Progress.FAILED), pipeline=pipeline)
    (notice,) = await stand.engine.read_notice(body, {})
    stand.rename(run, notice.ref.id)

    shown = await stand.engine.describe(notice.ref)

    assert shown.name == notice.name == pipeline.name
    assert notice.at == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)


PIPELINE_END = dict(samples("harness_firstgen"))["pipeline_end"]


@pytest.mark.parametrize("status", ["SUCCESS", "RUNNING", "PAUSED", "NEW", None])
async def test_ends_that_are_no_failures_are_of_no_interest(stand: FirstGenStand, status: str | None) -> None:
    assert await stand.engine.read_notice(edited(PIPELINE_END, status=status), {}) == ()


async def test_a_test_event_is_taken(stand: FirstGenStand) -> None:
    assert await stand.engine.read_notice(b'{"eventType": "test", "data": {"message": "hello"}}', {}) == ()


async def test_a_workflow_inside_a_pipeline_leaves_the_word_to_the_pipeline(stand: FirstGenStand) -> None:
    body = PIPELINE_END.replace(b'"pipeline_end"', b'"workflow_end"')

    assert await stand.engine.read_notice(edited(body, workflowExecution={"id": "B" * 22}), {}) == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"eventType": "x"}', b'"text"', b"\xff", b"[" * 100_000])
async def test_what_is_no_event_is_refused_politely(stand: FirstGenStand, body: bytes) -> None:
    with pytest.raises(ContractViolation):
        await stand.engine.read_notice(body, {})


async def test_an_event_without_an_execution_is_refused(stand: FirstGenStand) -> None:
    with pytest.raises(ContractViolation):
        await stand.engine.read_notice(edited(PIPELINE_END, executionId=None, pipelineExecution=None), {})


async def test_own_links_are_read_and_lead_back(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    link = (await stand.describe(run)).link

    assert stand.engine.read_argument(link) == run.identifier
    assert stand.engine.read_argument(f"<{link}|Deploy shop>") == run.identifier
    assert stand.engine.read_argument(run.identifier) == run.identifier


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/#/account/{account}/app/a/pipeline-execution/{id}/workflow-execution/undefined/details",
        "{base}/#/account/other/app/a/pipeline-execution/{id}/workflow-execution/undefined/details",
        "{base}/ng/#/account/{account}/cd/orgs/o/projects/p/pipelines/x/executions/{id}/pipeline",
        "{base}/#/account/{account}/app/a/pipeline-execution/short/workflow-execution/undefined/details",
        "not an id",
        "http://[",
    ],
)
async def test_other_texts_are_no_execution_of_ours(stand: FirstGenStand, text: str) -> None:
    given = text.format(base=stand.simulator.public_url, account=stand.simulator.estate.account, id="A" * 22)

    assert stand.engine.read_argument(given) is None


async def test_a_workflow_link_is_read(stand: FirstGenStand) -> None:
    base, account = stand.simulator.public_url, stand.simulator.estate.account

    assert stand.engine.read_argument(f"{base}/#/account/{account}/app/a/env/e/executions/{'A' * 22}/details") == "A" * 22


async def test_failures_since_a_moment_are_found_oldest_first(stand: FirstGenStand) -> None:
    runs = [await stand.failed(FAILED_US), await stand.failed(), await stand.failed(("el-build", Progress.ABORTED))]

    found = await stand.engine.find_failures(datetime.now(UTC) - timedelta(minutes=1))
    later = await stand.engine.find_failures(datetime.now(UTC) + timedelta(hours=1))

    assert [notice.ref.id for notice in found] == [runs[0].identifier, runs[2].identifier]
    assert found[0].message == "the step did not pass"
    assert later == []


async def test_of_all_standing_failures_the_newest_of_a_pipeline_counts(stand: FirstGenStand) -> None:
    await stand.failed(FAILED_US)
    newest = await stand.failed(FAILED_US)

    found = await stand.engine.find_failures(None)

    assert [notice.ref.id for notice in found] == [newest.identifier]


async def test_an_account_that_demands_an_application_filter_gets_one(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.application("app-other", "Other")
    stand.simulator.estate.must_filter_by_application = True

    found = await stand.engine.find_failures(None)

    assert [notice.ref.id for notice in found] == [run.identifier]


async def test_failures_are_found_in_every_one_of_many_applications(stand: FirstGenStand) -> None:
    for index in range(120):
        stand.simulator.application(f"app{index:04d}", f"App {index}")
    pipeline = stand.world.add(Pipeline("late", "Late one", [[Member("e", "E")]], "app0119"))
    stand.simulator.estate.must_filter_by_application = True
    run = await stand.failed(("e", Progress.FAILED), pipeline=pipeline)

    found = await stand.engine.find_failures(datetime.now(UTC) - timedelta(minutes=1))

    assert [one.ref.id for one in found] == [run.identifier]


async def test_a_newer_run_of_the_pipeline_is_told_and_moves_the_baseline(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    before = await stand.describe(run)
    newer = await stand.failed()

    after = await stand.describe(run)

    assert after.notes == (f"The pipeline ran again since: execution {newer.identifier} is success.",)
    assert (before.notes, before.baseline != after.baseline) == ((), True)


async def test_runs_from_before_the_call_are_no_evidence_of_it(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    await stand.failed()
    shown = await stand.describe(run)
    stand.simulator.faults.fail("resumeExecution", "lost")
    with pytest.raises(OutcomeUnknown):
        await stand.resume(run, shown.points[0])

    found = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-1")

    assert found.ref == stand.ref(stand.world.chain(run)[0])


async def test_check_says_who_we_are(stand: FirstGenStand) -> None:
    assert "1 applications can be seen" in await stand.engine.check()


async def test_a_gateway_in_the_base_address_changes_nothing(stand: FirstGenStand) -> None:
    settings = stand.engine.Settings(base_url=f"{stand.simulator.public_url}/gateway", account=stand.simulator.estate.account)

    other = type(stand.engine)("other", settings, stand.engine._api._client._throttle)

    with pytest.raises(Forbidden):
        await other.check()
    await other.aclose()
    assert stand.simulator.faults.calls[-1].path == "/gateway/api/graphql"


async def test_names_that_harness_leaves_null_do_not_hide_an_execution(stand: FirstGenStand) -> None:
    stand.simulator.estate.applications[APPLICATION] = Application(APPLICATION, None)  # type: ignore[arg-type]
    run = await stand.failed(("el-build", Progress.FAILED))
    stand.shop.name = None  # type: ignore[assignment]
    run.stages[0].member = Member("el-build", None, None)  # type: ignore[arg-type]

    shown = await stand.describe(run)

    assert (shown.name, shown.status, shown.stages[0].name) == ("", ExecutionStatus.FAILED, "")
    assert [one.ref.id for one in await stand.engine.find_failures(None)] == [run.identifier]
    assert "Account" in await stand.engine.check()
