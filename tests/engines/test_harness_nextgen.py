"""What the engine for Harness NextGen promises beyond what all engines do."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    NotSent,
    OutcomeUnknown,
    RateLimited,
)
from bot.domain.execution import ExecutionStatus, Finding, ResumePoint, StageStatus
from bot.domain.ports import Purpose, purpose
from bot.engines._http import boot_time
from bot.engines.harness_nextgen import HarnessNextgen
from bot.simulators.harness_nextgen import Token
from bot.simulators.harness_nextgen_retry import THIRTY_DAYS
from bot.simulators.harness_samples import ORG, PROJECT
from bot.simulators.harness_world import Member, Pipeline, Progress, Run, new_id
from tests.engines.harness_stand import KEY, NextGenStand, Socket, edited, nextgen_stand, rerun, samples

pytestmark = pytest.mark.anyio

DEPLOY = ["deploy_eu", "deploy_us", "deploy_ap"]
FAILED_US = ("deploy_us", Progress.FAILED)
SCOPE = f"{ORG}/{PROJECT}"
RETRY = "POST /pipeline/execute/retry/*"
DETAILS = "GET /pipelines/execution/v2/*"
BOMB = "pipeline: &a [x]\n" + "".join(f"k{n}: &k{n} [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n" for n in range(9))


@pytest.fixture(scope="module")
async def socket() -> AsyncIterator[Socket]:
    async with Socket().served() as socket:
        yield socket


@pytest.fixture
async def stand(socket: Socket) -> AsyncIterator[NextGenStand]:
    async with nextgen_stand(socket) as stand:
        yield stand
    purpose.set(Purpose.DESCRIBE)  # tests share a context


async def test_a_group_of_which_some_failed_offers_those_alone_and_the_whole(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    assert [point.label for point in shown.points] == [
        "Deploy US (prod) (only what failed)",
        "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)",
        "Build",
    ]
    assert "what succeeded is kept" in shown.points[0].sentence
    assert (shown.failed_stage, shown.error) == ("Deploy US (prod)", "the step did not pass")
    assert [stage.status for stage in shown.stages[1:4]] == [
        StageStatus.SUCCEEDED,
        StageStatus.FAILED,
        StageStatus.SUCCEEDED,
    ]
    assert shown.stages[4].members == ("Verify_0", "Verify_1", "Verify_2")
    assert [one.name for one in shown.refused_points] == ["Verify"]


async def test_only_what_failed_runs_again_and_what_follows(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    receipt = await stand.resume(run)

    new = await stand.world.over(stand.world.runs[receipt.ref.id])
    assert rerun(new) == ["deploy_us", "verify"]
    assert (await stand.engine.describe(receipt.ref)).status is ExecutionStatus.SUCCEEDED


async def test_the_whole_group_runs_again_when_it_is_asked_for(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    new = await stand.resume_from(run, "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)")

    assert rerun(new) == [*DEPLOY, "verify"]


async def test_a_stage_may_be_typed_by_its_identifier(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    new = await stand.resume_from(run, "deploy_eu")

    assert rerun(new) == [*DEPLOY, "verify"]


async def test_errored_members_run_again_with_their_whole_group(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(("deploy_us", Progress.ERRORED)))

    assert shown.points[0].label == "Deploy EU (prod), Deploy US (prod), Deploy AP (prod)"


async def test_a_looped_stage_is_retried_as_a_whole(stand: NextGenStand) -> None:
    run = await stand.failed(("verify_1", Progress.FAILED))
    shown = await stand.describe(run)

    new = await stand.resume_from(run, "Verify")

    assert (shown.failed_stage, shown.points[0].label) == ("Verify", "Verify")
    assert rerun(new) == ["verify"]


async def test_forty_stages_are_all_offered_up_to_the_failed_one(stand: NextGenStand) -> None:
    groups = [[Member(f"s{number}", f"Stage {number}")] for number in range(40)]
    pipeline = stand.world.add(Pipeline("long", "long", groups, SCOPE))
    run = await stand.failed(("s39", Progress.FAILED), pipeline=pipeline)

    shown = await stand.describe(run)

    assert len(shown.points) == 40
    assert rerun(await stand.resume_from(run, "Stage 0")) == [f"s{number}" for number in range(40)]


@pytest.mark.parametrize("name", ["Deploy (prod)", ".*", 'say "hello"', "} ... on Query {", "a,b"])
async def test_a_stage_is_meant_by_its_identifier_whatever_its_name(stand: NextGenStand, name: str) -> None:
    groups = [[Member("first", "First")], [Member("odd", name)]]
    pipeline = stand.world.add(Pipeline("odd", "odd", groups, SCOPE))
    run = await stand.failed(("odd", Progress.FAILED), pipeline=pipeline)

    new = await stand.resume_from(run, name)

    assert rerun(new) == ["odd"]


INPUTS = [
    None,
    'pipeline:\n  literal: "a\\\\nb"\n  tail: x  \n\n',
    "pipeline:\r\n  umlaut: ü\n" + "  line: 0123456789\n" * 10_500,
    BOMB,
]


@pytest.mark.parametrize("inputs", INPUTS, ids=["none", "escapes", "200 kB", "bomb"])
async def test_the_old_inputs_go_back_byte_for_byte(stand: NextGenStand, inputs: str | None) -> None:
    run = await stand.failed(FAILED_US, inputs=inputs)

    await stand.resume(run)

    (call,) = [one for one in stand.simulator.faults.calls if one.path.startswith("/pipeline/api/pipeline/execute/retry/")]
    assert call.body == (inputs or "").encode()
    assert call.headers["content-type"] == "application/yaml"
    assert call.headers["harness-account"] == stand.simulator.account


async def test_stages_are_repeated_parameters_and_the_notes_carry_our_key(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    receipt = await stand.resume(run)

    (call,) = [one for one in stand.simulator.faults.calls if one.path.startswith("/pipeline/api/pipeline/execute/retry/")]
    assert [value for name, value in call.query if name == "retryStages"] == DEPLOY
    assert ("runAllStages", "false") in call.query
    assert f"[{KEY}]" in stand.world.runs[receipt.ref.id].notes


async def test_inputs_are_described_by_a_fingerprint_only(stand: NextGenStand) -> None:
    inputs = "pipeline:\n  password: hunter2\n"
    shown = await stand.describe(await stand.failed(FAILED_US, inputs=inputs))

    assert "hunter2" not in repr(shown)
    assert len(shown.inputs) == 64


@pytest.mark.parametrize(
    "end",
    [Progress.FAILED, Progress.ABORTED, Progress.EXPIRED, Progress.REJECTED, Progress.ERRORED, Progress.FROZEN],
)
async def test_six_states_are_failures_with_points(stand: NextGenStand, end: Progress) -> None:
    shown = await stand.describe(await stand.failed(("build", end)))

    assert shown.status is ExecutionStatus.FAILED
    assert shown.points


async def test_a_freeze_is_told_before_anyone_presses(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(("build", Progress.FROZEN)))

    assert "freeze" in shown.notes[0]


async def test_the_thirty_day_limit_is_told_before_it_passes(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= THIRTY_DAYS - 24 * 3600 * 1000

    shown = await stand.describe(run)

    assert "older than 30 days" in shown.notes[0]
    assert shown.points


@pytest.mark.parametrize("halt", [Progress.PASSED, Progress.WAITING, Progress.PAUSED])
async def test_what_the_server_would_retry_wrongly_we_refuse(stand: NextGenStand, halt: Progress) -> None:
    stand.world.plan("build", halt)
    run = stand.world.start(stand.shop)
    await stand.world.until(lambda: run.progress is halt)

    shown = await stand.describe(run)
    with pytest.raises(NotResumable):
        await stand.resume(run, ResumePoint("all build", "Build", ""))

    assert (shown.points, stand.sent) == ((), 0)
    assert shown.no_points


async def test_identifiers_that_are_not_listed_never_leave(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    for key in ("all nonsense", "all deploy_eu,deploy_us", "all ", "all verify", ""):
        with pytest.raises(NotResumable):
            await stand.resume(run, ResumePoint(key, key, ""))

    assert stand.sent == 0


def rolled_back(_: NextGenStand, run: Run) -> None:
    run.is_rolled_back = True


def deleted(stand: NextGenStand, _: Run) -> None:
    stand.shop.is_deleted = True


def old(_: NextGenStand, run: Run) -> None:
    run.created_at -= THIRTY_DAYS + 1000


def renamed(stand: NextGenStand, _: Run) -> None:
    stand.shop.groups = [[Member("construct", "Build")], *stand.shop.groups[1:]]


def without_plan(_: NextGenStand, run: Run) -> None:
    run.has_plan = False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rolled_back, "undergone Pipeline Rollback"),
        (deleted, "does not exist or has been deleted"),
        (old, "more than 30 days old"),
        (renamed, "Adding, deleting or changing"),
        (without_plan, "No Plan Execution exists"),
    ],
)
async def test_the_servers_refusals_are_shown_before_anyone_presses(stand: NextGenStand, change: Any, words: str) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    change(stand, run)

    shown = await stand.describe(run)
    with pytest.raises(NotResumable) as caught:
        await stand.resume(run, point)

    assert (shown.points, stand.sent) == ((), 0)
    assert words in shown.no_points
    assert words in str(caught.value)


async def test_a_refusal_that_only_the_call_shows_is_told_in_its_words(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.freeze = "Black Friday"

    with pytest.raises(NotResumable) as caught:
        await stand.resume(run)

    assert "Black Friday" in str(caught.value)
    assert "correlation" in str(caught.value)


async def carried_out(stand: NextGenStand, run: Run) -> ResumePoint:
    """The preselected point, as read for carrying out."""
    purpose.set(Purpose.CARRY_OUT)
    return (await stand.describe(run)).points[0]


async def test_nothing_is_read_between_the_intent_and_the_call(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US, inputs="pipeline:\n  x: 1\n")
    point = await carried_out(stand, run)
    before = len(stand.simulator.faults.calls)

    await stand.resume(run, point)

    (call,) = stand.simulator.faults.calls[before:]
    assert (call.method, call.body) == ("POST", b"pipeline:\n  x: 1\n")


async def test_a_slow_server_does_not_eat_up_the_time_to_send(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail("GET *", "slow", times=100, seconds=0.2)
    point = await carried_out(stand, run)

    await stand.resume(run, point, seconds=0.15)

    assert stand.sent == 1


async def test_what_was_read_before_a_call_is_used_for_one(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    point = await carried_out(stand, run)
    await stand.resume(run, point)
    await stand.world.until(lambda: not run.is_latest)

    with pytest.raises(NotResumable):
        await stand.resume(run, point)

    assert stand.sent == 1


async def test_what_was_read_for_a_card_is_no_ground_for_a_call(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    purpose.set(Purpose.DESCRIBE)
    point = (await stand.describe(run)).points[0]
    await stand.resume(run, point)
    await stand.world.until(lambda: not run.is_latest)

    with pytest.raises(NotResumable):
        await stand.resume(run, point)


class Counted:
    """A budget that says what was taken from it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def admit(self) -> None:
        """One."""
        self.told.append("one")

    async def take_together(self, calls: int) -> Sequence[float]:
        """Several."""
        self.told.append(f"took {calls}")
        return [0.0] * calls

    async def give_back(self, calls: int) -> None:
        """Of those."""
        self.told.append(f"gave back {calls}")


async def counted(stand: NextGenStand) -> tuple[HarnessNextgen, Counted]:
    """Another engine for the same project, on a budget that counts."""
    budget = Counted()
    settings = HarnessNextgen.Settings.model_validate(
        {"base_url": stand.simulator.public_url, "org": ORG, "project": PROJECT, "token": stand.simulator.token}
    )
    return HarnessNextgen("counted", settings, budget), budget


async def test_a_resume_takes_all_its_calls_before_the_first_of_them(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    engine, budget = await counted(stand)
    purpose.set(Purpose.CARRY_OUT)

    shown = await engine.describe(stand.ref(run))
    await engine.resume(stand.ref(run), shown.points[0], KEY, boot_time() + 5)

    assert budget.told == [f"took {HarnessNextgen.calls_of_a_resume}"]
    await engine.aclose()


async def test_calls_that_a_look_did_not_need_are_given_back(stand: NextGenStand) -> None:
    run = await stand.world.over(stand.world.start(stand.shop))
    engine, budget = await counted(stand)
    purpose.set(Purpose.WATCH)

    await engine.describe(stand.ref(run))

    assert budget.told == ["took 4", "gave back 2"]
    await engine.aclose()


async def test_a_start_takes_its_call_before_it_reads(stand: NextGenStand) -> None:
    engine, budget = await counted(stand)
    purpose.set(Purpose.CARRY_OUT)

    (target,) = await engine.find_targets(None, "shop")
    await engine.start(target, {target.inputs[0].key: "1"}, KEY, boot_time() + 5)

    assert budget.told == ["took 3"]
    await engine.aclose()


async def test_a_chain_has_one_root_and_names_its_newest(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US, ("verify_0", Progress.FAILED))
    before = await stand.describe(run)
    new = stand.world.runs[(await stand.resume(run)).ref.id]
    await stand.world.over(new)

    shown, latest = await stand.describe(run), await stand.describe(new)

    assert before.root == shown.root == latest.root == run.identifier
    assert set(shown.chain) == set(latest.chain) == {run.identifier, new.identifier}
    assert (before.newest, shown.newest, latest.newest) == ("", new.identifier, "")
    assert before.baseline != shown.baseline
    assert new.identifier in shown.no_points
    assert latest.points[0].label == "Verify"


async def test_a_second_resume_of_the_same_execution_is_refused_without_a_call(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    await stand.resume(run, point)
    stand.world.window = 5.0  # the server itself would take it

    with pytest.raises(NotResumable):
        await stand.resume(run, point)

    assert stand.sent == 1


@pytest.mark.parametrize("kind", ["lost", "cut", "server_fault", "html-502", "html-503", "html-504", "null", "empty_object"])
async def test_an_answer_that_says_nothing_leaves_the_outcome_unknown(stand: NextGenStand, kind: str) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail(RETRY, kind)

    with pytest.raises(OutcomeUnknown):
        await stand.resume(run)

    assert stand.sent == 1


async def test_a_lost_answer_is_found_by_the_notes_of_the_chains_newest(stand: NextGenStand) -> None:
    shown = await stand.describe(run := await stand.failed(FAILED_US))
    stand.simulator.faults.fail(RETRY, "lost")
    with pytest.raises(OutcomeUnknown):
        await stand.resume(run)

    found = await stand.engine.evidence(shown.ref, shown.baseline, KEY)
    foreign = await stand.engine.evidence(shown.ref, shown.baseline, "req-17-11")

    new = stand.world.chain(run)[0]
    assert (found.finding, found.is_probable, found.ref) == (Finding.HAPPENED, False, stand.ref(new))
    assert foreign.finding is Finding.UNCLEAR
    assert "somebody else" in foreign.sentence


async def test_notes_that_cannot_be_read_make_it_probable(stand: NextGenStand) -> None:
    shown = await stand.describe(run := await stand.failed(FAILED_US))
    await stand.resume(run)
    stand.simulator.faults.fail("GET /pipelines/execution/*/notes", "html-404")

    found = await stand.engine.evidence(shown.ref, shown.baseline, KEY)

    assert (found.finding, found.is_probable) == (Finding.HAPPENED, True)


async def test_a_chain_without_a_newer_member_is_unclear(stand: NextGenStand) -> None:
    shown = await stand.describe(await stand.failed(FAILED_US))

    found = await stand.engine.evidence(shown.ref, shown.baseline, KEY)

    assert found.finding is Finding.UNCLEAR


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limited", RateLimited),
        ("rate_limited_html", RateLimited),
        ("invalid_token", Forbidden),
        ("expired_token", Forbidden),
        ("html-401", Forbidden),
        ("html-403", Forbidden),
    ],
)
async def test_refused_calls_have_not_happened(stand: NextGenStand, kind: str, error: type[EngineError]) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail(RETRY, kind)

    with pytest.raises(error) as caught:
        await stand.resume(run)

    assert len(stand.world.runs) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fault", ["html-200", "empty_object"])
async def test_a_strange_answer_before_the_call_is_not_sent(stand: NextGenStand, fault: str) -> None:
    run = await stand.failed(FAILED_US)
    point = (await stand.describe(run)).points[0]
    stand.simulator.faults.fail(DETAILS, fault)

    with pytest.raises(NotSent):
        await stand.resume(run, point)

    assert stand.sent == 0


async def test_too_late_is_not_sent(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    with pytest.raises(NotSent):
        await stand.resume(run, seconds=-1)

    assert stand.sent == 0


async def test_who_may_see_and_not_execute_is_shown_why(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.tokens[stand.simulator.token] = Token(may_execute=False)

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (ExecutionStatus.FAILED, ())
    assert "core_pipeline_execute" in shown.no_points


async def test_a_new_execution_may_be_missing_for_a_moment(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.faults.fail(DETAILS, "missing")

    assert (await stand.describe(run)).points


async def test_an_unknown_execution_is_not_found(stand: NextGenStand) -> None:
    for identifier in ("A" * 22, "../../../etc"):
        with pytest.raises(NotFound):
            await stand.describe(identifier)


async def test_a_404_of_somebody_else_is_no_unknown_execution(stand: NextGenStand) -> None:
    stand.simulator.faults.fail(DETAILS, "html-404", times=9)

    with pytest.raises(ContractViolation):
        await stand.describe("A" * 22)


async def test_an_unknown_route_is_no_unknown_execution(stand: NextGenStand) -> None:
    with pytest.raises(ContractViolation):
        await stand.engine._api.ask("GET", "/nonsense")


async def test_words_that_nobody_knows_are_unknown_and_offer_nothing(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.words[run.identifier] = "SomethingNew2027"

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (ExecutionStatus.UNKNOWN, ())


async def test_a_stage_that_failed_while_others_run_is_shown_without_points(stand: NextGenStand) -> None:
    stand.world.plan("deploy_us", Progress.FAILED)
    stand.world.plan("deploy_ap", Progress.WAITING)
    run = stand.world.start(stand.shop)
    await stand.world.until(lambda: run.stages[2].progress is Progress.FAILED and run.progress is Progress.WAITING)

    shown = await stand.describe(run)

    assert (shown.pending_points, shown.failed_stage, shown.points) == (True, "Deploy US (prod)", ())


async def test_the_environment_is_known_only_when_every_deployment_began(stand: NextGenStand) -> None:
    begun = await stand.describe(await stand.failed(("verify_0", Progress.FAILED)))
    before = await stand.describe(await stand.failed(("build", Progress.FAILED)))

    assert (begun.environment, before.environment) == ("production", None)


STAGING = Member("staging", "Staging", environment="staging")


@pytest.mark.parametrize(
    ("groups", "environment"),
    [
        ([[STAGING], [Member("end", "End", kind="Approval")]], "staging"),
        ([[STAGING], [Member("end", "End", kind="CI")]], "staging"),
        ([[STAGING], [Member("end", "End", kind="Custom")]], None),
        ([[STAGING], [Member("end", "End", kind="Approval")], [Member("child", "Child", kind="Pipeline")]], None),
        ([[STAGING], [Member("end", "End", kind="Approval")], [Member("later", "Later", environment="staging")]], None),
        ([[STAGING], [Member("end", "Failed before it knew where")]], None),
        ([[STAGING], [Member("end", "Production", environment="production")]], None),
        ([[STAGING], [Member("end", "Looped", copies=2, environment="staging")]], "staging"),
        ([[STAGING], [Member("end", "Of a kind made later", kind="Robots2030")]], None),
    ],
    ids=range(9),
)
async def test_a_stage_that_may_deploy_elsewhere_makes_the_environment_unknown(
    stand: NextGenStand, groups: list[list[Member]], environment: str | None
) -> None:
    pipeline = stand.world.add(Pipeline("many", "Many", groups, SCOPE, environments=("staging",)))
    stand.world.plan("end_0", Progress.FAILED)

    shown = await stand.describe(await stand.failed(("end", Progress.FAILED), pipeline=pipeline))

    assert (shown.status, shown.environment) == (ExecutionStatus.FAILED, environment)


async def test_a_skipped_deployment_makes_the_environment_unknown(stand: NextGenStand) -> None:
    groups = [[STAGING], [Member("skipped", "Skipped", environment="staging")], [Member("end", "End", kind="CI")]]
    pipeline = stand.world.add(Pipeline("skips", "Skips", groups, SCOPE, environments=("staging",)))

    shown = await stand.describe(await stand.failed(("skipped", Progress.SKIPPED), ("end", Progress.FAILED), pipeline=pipeline))

    assert shown.environment is None
    reasons = {one.name: one.reason for one in shown.refused_points}
    assert reasons["Skipped"] == "It was skipped, and Harness begins at no stage that did not run."


@pytest.mark.parametrize(
    ("word", "status", "words"),
    [
        ("Suspended", ExecutionStatus.CANCELLED, "It was suspended in Harness"),
        ("Skipped", ExecutionStatus.SUCCEEDED, "All of it was skipped"),
        ("IgnoreFailed", ExecutionStatus.SUCCEEDED, "was ignored"),
        ("Success", ExecutionStatus.SUCCEEDED, "It succeeded."),
        ("SomethingNew", ExecutionStatus.UNKNOWN, "“SomethingNew”, which I do not know"),
        ("", ExecutionStatus.UNKNOWN, "“no status”, which I do not know"),
        ("Waiting", ExecutionStatus.SUSPENDED, "It waits in Harness"),
        ("NOT_STARTED", ExecutionStatus.WAITING, "It has not begun yet (NotStarted)"),
        ("INTERVENTION_WAITING", ExecutionStatus.SUSPENDED, "manual intervention"),
        ("APPROVAL_WAITING", ExecutionStatus.SUSPENDED, "It waits for an approval"),
        ("AsyncWaiting", ExecutionStatus.RUNNING, "It is still going on (AsyncWaiting)"),
    ],
)
async def test_what_is_said_of_a_state_is_true(stand: NextGenStand, word: str, status: ExecutionStatus, words: str) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.words[run.identifier] = word

    shown = await stand.describe(run)

    assert (shown.status, shown.points) == (status, ())
    assert words in shown.no_points


async def test_a_rejected_approval_is_resumed_whatever_the_server_calls_it(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    stand.simulator.words[run.identifier] = "APPROVAL_REJECTED"

    assert (await stand.describe(run)).points


async def test_rollback_stages_are_none(stand: NextGenStand) -> None:
    groups = [[Member("first", "First")], [Member("prb-x", "Rollback")]]
    pipeline = stand.world.add(Pipeline("back", "back", groups, SCOPE))

    shown = await stand.describe(await stand.failed(("first", Progress.FAILED), pipeline=pipeline))

    assert [stage.name for stage in shown.stages] == ["First"]


@pytest.mark.parametrize(
    ("name", "body"), list(samples("harness_nextgen")), ids=lambda value: value if isinstance(value, str) else ""
)
async def test_every_sample_yields_a_reference_that_describe_accepts(stand: NextGenStand, name: str, body: bytes) -> None:
    run = await stand.failed(FAILED_US)
    body = body.replace(b"https://app.harness.example", stand.simulator.public_url.encode())

    (notice,) = await stand.engine.read_notice(body, {})
    stand.rename(run, notice.ref.id)

    assert (await stand.engine.describe(notice.ref)).name == "Deploy shop"


SAMPLES = dict(samples("harness_nextgen"))
PIPELINE_FAILED = SAMPLES["pipeline_failed"]


async def test_one_failure_has_one_key_however_it_is_told(stand: NextGenStand) -> None:
    (failed,) = await stand.engine.read_notice(PIPELINE_FAILED, {})
    (ended,) = await stand.engine.read_notice(edited(PIPELINE_FAILED, eventType="PipelineEnd"), {})
    (stage,) = await stand.engine.read_notice(SAMPLES["stage_failed_looped"], {})
    run = await stand.failed(FAILED_US)
    stand.rename(run, failed.ref.id)
    (polled,) = await stand.engine.find_failures(None)

    assert failed.key == ended.key == polled.key
    assert stage.key != failed.key
    assert stage.stage == "Verify_1"
    assert failed.at == datetime(2024, 8, 20, 8, 25, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"eventType": "PipelineSuccess", "nodeStatus": "completed"},
        {"eventType": "PipelineEnd", "nodeStatus": "completed"},
        {"eventType": "PipelineStart", "nodeStatus": "started"},
        {"eventType": "StageSuccess", "nodeStatus": "completed"},
        {"eventType": "TriggerFailed", "planExecutionId": None, "executionUrl": None},
        {"eventType": "WaitingForUserAction2027"},
        {"eventType": None},
    ],
)
async def test_other_events_are_of_no_interest(stand: NextGenStand, changes: dict[str, Any]) -> None:
    assert await stand.engine.read_notice(edited(PIPELINE_FAILED, **changes), {}) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"a": 1}',
        b'{"eventData": 1}',
        b"\xff",
        b"[" * 100_000,
        edited(PIPELINE_FAILED, projectIdentifier="other"),
        edited(PIPELINE_FAILED, planExecutionId=None, executionUrl=None),
        edited(PIPELINE_FAILED, planExecutionId=None, executionUrl=f"https://evil.example/ng/executions/{'A' * 22}"),
    ],
    ids=range(10),
)
async def test_what_is_no_notification_of_ours_is_refused_politely(stand: NextGenStand, body: bytes) -> None:
    with pytest.raises(ContractViolation):
        await stand.engine.read_notice(body, {})


async def test_unknown_members_and_huge_messages_are_taken(stand: NextGenStand) -> None:
    body = edited(PIPELINE_FAILED, future={"a": [1]}, errorMessage="x" * 300_000, endTs=10**17)

    (notice,) = await stand.engine.read_notice(body, {})

    assert (len(notice.message), notice.at) == (300_000, None)


@pytest.mark.parametrize("given", [1724142318.5, "1724142318", "1724142318.5", "soon", [], True, None])
async def test_the_time_of_an_end_never_hides_the_failure(stand: NextGenStand, given: Any) -> None:
    (notice,) = await stand.engine.read_notice(edited(PIPELINE_FAILED, endTs=given), {})

    assert notice.at is None or notice.at.year in {1970, 2024}


@pytest.mark.parametrize(
    ("changes", "is_certain"),
    [
        ({"eventType": "PipelineEnd", "nodeStatus": None}, False),
        ({"eventType": "PipelineEnd", "nodeStatus": "of2030"}, False),
        ({"eventType": "PipelineEnd", "nodeStatus": "errored"}, True),
        ({"eventType": "PipelineEnd", "nodeStatus": "aborted"}, True),
        ({"eventType": "PipelineFailed", "nodeStatus": None}, True),
        ({"eventType": "PipelineFailed", "nodeStatus": "of2030"}, True),
    ],
)
async def test_an_end_that_does_not_say_how_is_not_told_as_a_failure(
    stand: NextGenStand, changes: dict[str, Any], is_certain: bool
) -> None:
    (notice,) = await stand.engine.read_notice(edited(PIPELINE_FAILED, **changes), {})
    (failed,) = await stand.engine.read_notice(PIPELINE_FAILED, {})

    assert (notice.is_certain, notice.key == failed.key) == (is_certain, is_certain)


@pytest.mark.parametrize(
    ("told", "is_certain"),
    [
        ({"status": "Success"}, False),
        ({}, False),
        ({"status": "Failed"}, True),
        ({"pipeline": {"nodeStatus": "ABORTED"}}, True),
        ({"event_type": "x", "eventType": "PipelineFailed"}, True),
        ({"text": "failed"}, False),
    ],
)
async def test_a_template_of_somebodys_own_is_a_failure_where_it_says_so(
    stand: NextGenStand, told: dict[str, Any], is_certain: bool
) -> None:
    (notice,) = await stand.engine.read_notice(json.dumps({"planExecutionId": "A" * 22, **told}).encode(), {})

    assert notice.is_certain is is_certain


LINKS = [
    "{base}/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline?stage=x&step=y",
    "{base}/ng/#/account/{acc}/home/orgs/default/projects/shop/pipelines/shop/deployments/{id}/pipeline",
    "{base}/ng/account/{acc}/all/orgs/default/projects/shop/pipelines/shop/deployments/{id}/pipeline",
    "{base}/ng/account/{acc}/module/ci/orgs/default/projects/shop/pipelines/shop/builds/{id}/pipeline",
    "<{base}/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline|open>",
    "  {id} ",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/projects/executions/{id}/pipeline",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/executions/executions/{id}/pipeline",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/builds/deployments/{id}/pipeline",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/pipelines/executions/{id}/executions/x",
]


@pytest.mark.parametrize("text", LINKS)
async def test_links_of_all_forms_are_read(stand: NextGenStand, text: str) -> None:
    identifier = "-aB_0123456789-aB_0123"

    assert stand.engine.read_argument(
        text.format(base=stand.simulator.public_url, acc=stand.simulator.account, id=identifier)
    ) == (identifier)


@pytest.mark.parametrize(
    "text",
    [
        "{base}/ng/account/{acc}/cd/orgs/projects/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "{base}/elsewhere/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "https://evil.example/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "{base}/ng/#/account/other/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "{base}/ng/#/account/{acc}/cd/orgs/default/projects/other/pipelines/shop/executions/{id}/pipeline",
        "{base}/#/account/{acc}/app/a/pipeline-execution/{id}/workflow-execution/undefined/details",
        "{base}/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop",
    ],
)
async def test_links_to_elsewhere_are_not_ours(stand: NextGenStand, text: str) -> None:
    given = text.format(base=stand.simulator.public_url, acc=stand.simulator.account, id="A" * 22)

    assert stand.engine.read_argument(given) is None


async def test_own_links_lead_back(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    assert stand.engine.read_argument((await stand.describe(run)).link) == run.identifier


@pytest.mark.parametrize(
    ("base", "ui", "shown"),
    [
        ("https://app.harness.io", "https://company.example/harness", "https://company.example/harness/ng/"),
        ("https://app.harness.io", "https://company.example/harness/", "https://company.example/harness/ng/"),
        ("https://app.harness.io/gateway", "", "https://app.harness.io/ng/"),
        ("https://app.harness.io:443", "", "https://app.harness.io/ng/"),
        ("https://app.harness.io", "", "https://app.harness.io:443/ng/"),
        ("https://app.harness.io", "https://COMPANY.example", "https://company.EXAMPLE/ng/"),
        ("http://10.0.0.1:80", "", "http://10.0.0.1/ng/"),
    ],
)
async def test_links_are_ours_whatever_their_path_and_port(stand: NextGenStand, base: str, ui: str, shown: str) -> None:
    given = {"base_url": base, "ui_url": ui, "account": "acc", "org": ORG, "project": PROJECT}
    engine = HarnessNextgen("links", HarnessNextgen.Settings.model_validate(given), stand.engine._api.budget)
    place = f"account/acc/cd/orgs/{ORG}/projects/{PROJECT}/pipelines/p/executions/{'A' * 22}/pipeline"

    assert engine.read_argument(f"{shown}{place}") == "A" * 22
    assert engine.read_argument(f"{shown}#/{place}") == "A" * 22
    assert engine.read_argument(engine._links.to(*engine._page, "pipelines", "p", "executions", "A" * 22)) == "A" * 22
    assert engine.read_argument(f"https://evil@app.harness.io/ng/{place}") is None
    assert engine.read_argument(f"https://app.harness.io:99999999/ng/{place}") is None
    await engine.aclose()


async def test_people_may_look_at_another_host_than_we_call(stand: NextGenStand) -> None:
    settings = stand.engine.Settings.model_validate(
        {"base_url": "https://app.harness.io/gateway", "account": "acc", "org": ORG, "project": PROJECT}
        | {"ui_url": "https://company.harness.io"}
    )
    engine = type(stand.engine)("vanity", settings, stand.engine._api._client._throttle)

    for host in ("https://company.harness.io", "https://app.harness.io"):
        link = f"{host}/ng/account/acc/all/orgs/{ORG}/projects/{PROJECT}/pipelines/p/executions/{'A' * 22}/pipeline"
        assert engine.read_argument(link) == "A" * 22
    await engine.aclose()


async def test_failures_that_were_retried_are_not_found_any_more(stand: NextGenStand) -> None:
    first = await stand.failed(FAILED_US)
    second = await stand.failed(("build", Progress.ABORTED))
    since = datetime.now(UTC) - timedelta(minutes=1)
    before = await stand.engine.find_failures(since)
    await stand.resume(first)
    await stand.world.until(lambda: not first.is_latest)

    after = await stand.engine.find_failures(since)

    assert [notice.ref.id for notice in before] == [first.identifier, second.identifier]
    assert [notice.ref.id for notice in after] == [second.identifier]
    assert await stand.engine.find_failures(datetime.now(UTC) + timedelta(hours=1)) == []


DAY = 24 * 3600 * 1000


async def standing(stand: NextGenStand, count: int, *, days: float = 1) -> list[Run]:
    """Failures that ended so many days ago and nobody retried."""
    first = await stand.failed(FAILED_US)
    runs = [replace(first, identifier=new_id()) for _ in range(count - 1)]
    for run in runs:
        stand.world.runs[run.identifier] = run
    for number, run in enumerate((first, *runs)):
        run.created_at = run.started_at = run.ended_at = (first.ended_at or 0) - int(days * DAY) + number
    return [first, *runs]


async def test_a_run_of_days_is_found_when_it_ends(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= 2 * DAY
    run.started_at = run.created_at

    found = await stand.engine.find_failures(datetime.now(UTC) - timedelta(minutes=2))

    assert [notice.ref.id for notice in found] == [run.identifier]


async def test_a_long_run_is_found_below_many_failures_that_stand(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= 20 * DAY
    run.started_at = run.created_at
    await standing(stand, 180)
    calls, found = [], set[str]()
    since = datetime.now(UTC) - timedelta(minutes=2)

    for _ in range(6):
        before = len(stand.simulator.faults.calls)
        found |= {notice.ref.id for notice in await stand.engine.find_failures(since)}
        calls.append(len(stand.simulator.faults.calls) - before)

    assert found == {run.identifier}
    assert max(calls) == 2  # the first page and one further down


async def test_all_failures_of_an_outage_are_told_the_oldest_first(stand: NextGenStand) -> None:
    runs = await standing(stand, 130, days=0)
    since = datetime.now(UTC) - timedelta(minutes=2)

    some = await stand.engine.find_failures(since, 120)
    rest = await stand.engine.find_failures(some[-1].at)

    assert [notice.ref.id for notice in some] == [run.identifier for run in runs[:120]]
    assert {notice.ref.id for notice in [*some, *rest]} == {run.identifier for run in runs}


async def test_what_a_budget_keeps_from_being_read_is_found_later(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)
    run.created_at -= 20 * DAY
    run.started_at = run.created_at
    await standing(stand, 60)
    since = datetime.now(UTC) - timedelta(minutes=2)
    stand.simulator.faults.fail("POST /pipelines/execution/summary", "slow", seconds=0)
    stand.simulator.faults.fail("POST /pipelines/execution/summary", "rate_limited")

    held_back = await stand.engine.find_failures(since)
    found = await stand.engine.find_failures(datetime.now(UTC) + timedelta(hours=1))

    assert [notice.ref.id for notice in held_back] == []
    assert [notice.ref.id for notice in found] == [run.identifier]


async def test_check_says_who_we_are(stand: NextGenStand) -> None:
    assert "1 pipelines can be seen" in await stand.engine.check()


def test_the_account_is_read_out_of_the_token_or_wanted() -> None:
    given = {"base_url": "https://app.harness.io", "org": "o", "project": "p"}

    named = HarnessNextgen.Settings.model_validate(given | {"token": "sat.acc1.id.secret"})
    with pytest.raises(ValidationError):
        HarnessNextgen.Settings.model_validate(given | {"token": "opaque"})

    assert named.account_id == "acc1"
