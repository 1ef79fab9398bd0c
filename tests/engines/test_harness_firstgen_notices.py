"""Failures of Harness FirstGen, told by its events or found by asking."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.errors import ContractViolation
from bot.simulators.harness_samples import firstgen_cleanup
from bot.simulators.harness_world import Member, Pipeline, Progress
from tests.engines.harness_stand import FirstGenStand, edited, samples

pytestmark = pytest.mark.anyio

FAILED_US = ("el-deploy-us", Progress.FAILED)


@pytest.fixture
def stand(firstgen: FirstGenStand) -> FirstGenStand:
    return firstgen


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
