"""Notifications of Harness NextGen: which tell of a failure, of which execution, and when it was."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.domain.errors import ContractViolation
from bot.simulators.harness_world import Progress
from tests.engines.harness_stand import NextGenStand, edited, samples

pytestmark = pytest.mark.anyio

FAILED_US = ("deploy_us", Progress.FAILED)


@pytest.fixture
def stand(nextgen: NextGenStand) -> NextGenStand:
    return nextgen


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
