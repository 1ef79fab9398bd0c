"""Calls to Harness NextGen: what is sent, read before and counted, made once and proved afterwards."""

from collections.abc import Sequence

import pytest

from bot.domain.errors import EngineError, Forbidden, NotResumable, NotSent, OutcomeUnknown, RateLimited
from bot.domain.execution import Finding, ResumePoint
from bot.domain.ports import Purpose, purpose
from bot.engines._http import boot_time
from bot.engines.harness_nextgen import HarnessNextgen
from bot.simulators.harness_samples import ORG, PROJECT
from bot.simulators.harness_world import Progress, Run
from tests.engines.harness_stand import KEY, NextGenStand

pytestmark = pytest.mark.anyio

DEPLOY = ["deploy_eu", "deploy_us", "deploy_ap"]
FAILED_US = ("deploy_us", Progress.FAILED)
RETRY = "POST /pipeline/execute/retry/*"
DETAILS = "GET /pipelines/execution/v2/*"
BOMB = "pipeline: &a [x]\n" + "".join(f"k{n}: &k{n} [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n" for n in range(9))


@pytest.fixture
def stand(nextgen: NextGenStand) -> NextGenStand:
    return nextgen


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
