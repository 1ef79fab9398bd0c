"""Every promise of an engine, for every row of `cases.py`."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

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
from bot.domain.execution import Execution, ExecutionRef, ExecutionStatus, Finding, Receipt, ResumePoint
from bot.domain.ports import FindsFailures, PreparesResume
from bot.domain.request import RequestState
from bot.engines._http import boot_time
from tests.engines.cases import SECRET, CallKind, Case, Opener, Stand, Trouble, all_cases
from tests.engines.two_workers import two_workers

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
CASES = all_cases()


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
async def opener(case: Case) -> AsyncIterator[Opener]:
    async with case.serve() as served:
        yield served


@pytest.fixture
async def stand(opener: Opener) -> AsyncIterator[Stand]:
    async with opener() as opened:
        yield opened


async def resume(stand: Stand, execution: Execution, point: ResumePoint, seconds: float = 5) -> Receipt:
    return await stand.engine.resume(execution.ref, point, "req-1-1", boot_time() + seconds)


async def prepare(stand: Stand, execution: Execution, point: ResumePoint, seconds: float = 5) -> None:
    """The first call of a point that takes two."""
    if isinstance(stand.engine, PreparesResume) and stand.engine.needs_preparation(point):
        await stand.engine.prepare(execution.ref, point, boot_time() + seconds)


async def ended(stand: Stand, ref: ExecutionRef) -> Execution:
    async with asyncio.timeout(20):
        while True:
            seen = await stand.engine.describe(ref)
            if seen.status.is_terminal:
                return seen
            await asyncio.sleep(0.02)


async def failed(stand: Stand) -> Execution:
    return await stand.engine.describe(await stand.fail_one())


async def test_a_failed_execution_is_described_with_its_points(stand: Stand) -> None:
    ref = await stand.fail_one()

    seen = await stand.engine.describe(ref)

    assert (seen.ref, seen.status) == (ref, ExecutionStatus.FAILED)
    assert seen.name
    assert seen.link.startswith("http")
    assert seen.failed_stage in {stage.name for stage in seen.stages}
    assert seen.failed_stage in seen.points[0].label
    assert all(point.label and point.sentence for point in seen.points)
    assert len({point.key for point in seen.points}) == len({point.label for point in seen.points}) == len(seen.points)
    assert seen.root in seen.chain
    assert ref.id in seen.chain


async def test_what_cannot_be_resumed_offers_no_point_and_says_why(stand: Stand) -> None:
    seen = await stand.engine.describe(await stand.succeed_one())

    assert (seen.status, seen.points) == (ExecutionStatus.SUCCEEDED, ())
    assert seen.no_points.endswith(".")


async def test_an_unknown_execution_is_not_found(stand: Stand) -> None:
    with pytest.raises(NotFound):
        await stand.engine.describe(stand.unknown())


@pytest.mark.parametrize("wild", ["", "..", "x' OR '1'='1", "a/b?c=d#e", "%2e%2e", "\x00", "x" * 5000])
async def test_an_id_of_a_wild_form_is_not_found(stand: Stand, wild: str) -> None:
    with pytest.raises(NotFound):
        await stand.engine.describe(ExecutionRef(stand.unknown().connection, wild))


async def test_each_offered_point_can_be_resumed(stand: Stand, case: Case) -> None:
    count = len((await failed(stand)).points)

    for number in range(count):
        before = await failed(stand)
        point = before.points[number]
        await stand.repair(before.ref)
        await prepare(stand, before, point)
        receipt = await resume(stand, before, point)
        after = await ended(stand, receipt.ref)

        assert after.status is ExecutionStatus.SUCCEEDED, point.label
        if case.shows_chain:
            assert after.root == before.root
            assert before.ref.id in after.chain


async def test_a_prepared_point_stays_on_offer_however_often_it_is_prepared(stand: Stand) -> None:
    before = await failed(stand)
    if not isinstance(stand.engine, PreparesResume):
        pytest.skip("no point of this engine takes two calls")
    (point, *_) = [point for point in before.points if stand.engine.needs_preparation(point)]

    await prepare(stand, before, point)
    await prepare(stand, before, point)
    after = await stand.engine.describe(before.ref)

    assert not stand.engine.needs_preparation(before.points[0])
    assert point.key in {each.key for each in after.points}
    assert (after.root, after.newest) == (before.root, "")


async def test_a_preparation_after_its_time_is_not_sent(stand: Stand) -> None:
    before = await failed(stand)
    if not isinstance(stand.engine, PreparesResume):
        pytest.skip("no point of this engine takes two calls")
    (point, *_) = [point for point in before.points if stand.engine.needs_preparation(point)]

    with pytest.raises(NotSent):
        await prepare(stand, before, point, seconds=-0.001)

    assert (await stand.engine.describe(before.ref)).status is ExecutionStatus.FAILED


async def test_a_resume_without_a_repair_ends_in_failure_again(stand: Stand) -> None:
    before = await failed(stand)

    receipt = await resume(stand, before, before.points[0])
    after = await ended(stand, receipt.ref)

    assert after.status is ExecutionStatus.FAILED
    assert after.points


async def test_the_baseline_changes_when_the_engine_has_moved_and_only_then(stand: Stand) -> None:
    before = await failed(stand)
    again = await stand.engine.describe(before.ref)

    receipt = await resume(stand, before, before.points[0])
    await ended(stand, receipt.ref)

    assert again.baseline == before.baseline
    assert (await stand.engine.describe(before.ref)).baseline != before.baseline


async def test_resume_of_what_cannot_be_resumed_is_refused(stand: Stand) -> None:
    point = (await failed(stand)).points[0]
    good = await stand.engine.describe(await stand.succeed_one())

    with pytest.raises(NotResumable):
        await resume(stand, good, point)


async def test_a_point_that_no_engine_gave_is_refused(stand: Stand) -> None:
    before = await failed(stand)

    with pytest.raises((Unsupported, NotResumable)):
        await resume(stand, before, ResumePoint("no such point", "x", "x"))

    assert stand.resumes() == 0


@pytest.mark.parametrize("trouble", [Trouble.UNAUTHORISED, Trouble.FORBIDDEN])
async def test_a_refused_credential_is_forbidden(stand: Stand, trouble: Trouble) -> None:
    before = await failed(stand)

    stand.trouble(CallKind.READ, trouble)
    with pytest.raises(Forbidden):
        await stand.engine.describe(before.ref)
    stand.trouble(CallKind.RESUME, trouble)
    with pytest.raises(Forbidden):
        await resume(stand, before, before.points[0])


async def test_a_request_to_wait_is_rate_limited_with_its_wait(stand: Stand, case: Case) -> None:
    before = await failed(stand)

    stand.trouble(CallKind.READ, Trouble.LIMITED)
    with pytest.raises(RateLimited) as on_read:
        await stand.engine.describe(before.ref)
    stand.trouble(CallKind.RESUME, Trouble.LIMITED)
    with pytest.raises(RateLimited) as on_resume:
        await resume(stand, before, before.points[0])

    assert on_read.value.wait == on_resume.value.wait == case.limit_wait


async def test_a_read_is_repeated_after_a_fault(stand: Stand) -> None:
    ref = await stand.fail_one()
    stand.trouble(CallKind.READ, Trouble.FAULT)

    assert (await stand.engine.describe(ref)).ref == ref


async def test_a_resume_is_never_repeated_after_a_fault(stand: Stand, case: Case) -> None:
    before = await failed(stand)
    stand.trouble(CallKind.RESUME, Trouble.FAULT)

    with pytest.raises(case.fault_on_resume):
        await resume(stand, before, before.points[0])

    assert stand.resumes() == 1


async def test_an_engine_that_cannot_be_reached_was_sent_nothing(stand: Stand) -> None:
    before = await failed(stand)
    away = stand.elsewhere()

    with pytest.raises(NotSent):
        await away.describe(before.ref)
    with pytest.raises(NotSent):
        await away.resume(before.ref, before.points[0], "req-1-1", boot_time() + 5)


async def test_a_resume_after_its_time_is_not_sent(stand: Stand) -> None:
    before = await failed(stand)

    with pytest.raises(NotSent):
        await resume(stand, before, before.points[0], seconds=-0.001)

    assert stand.resumes() == 0


async def test_two_workers_that_carry_out_one_approved_request_at_once_make_one_call(stand: Stand, database: str) -> None:
    ref = await stand.fail_one()
    await stand.repair(ref)

    async with two_workers(database, stand.engine, ref.connection) as workers:
        request = await workers.approved(ref)
        after = await workers.carry_out(request)

    assert (request.state, after.state, after.calls) == (RequestState.APPROVED, RequestState.RUNNING, 1)
    assert stand.resumes() == 1
    assert (await ended(stand, after.watched)).status is ExecutionStatus.SUCCEEDED


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.LOST])
async def test_a_resume_without_an_answer_has_an_unknown_outcome(stand: Stand, trouble: Trouble) -> None:
    before = await failed(stand)
    stand.trouble(CallKind.RESUME, trouble)

    with pytest.raises(OutcomeUnknown):
        await resume(stand, before, before.points[0])

    assert stand.resumes() == 1


async def test_evidence_says_that_a_lost_call_happened(stand: Stand, case: Case) -> None:
    before = await failed(stand)
    await stand.repair(before.ref)
    stand.trouble(CallKind.RESUME, Trouble.LOST)
    with pytest.raises(OutcomeUnknown):
        await resume(stand, before, before.points[0])

    found = await stand.engine.evidence(before.ref, before.baseline, "req-1-1")

    if case.proves_lost_calls:
        assert found.finding is Finding.HAPPENED
    if found.finding is Finding.HAPPENED:
        assert found.ref is not None
        assert (await ended(stand, found.ref)).status is ExecutionStatus.SUCCEEDED
    assert found.sentence.endswith(".")


async def test_evidence_never_says_that_a_cut_call_happened(stand: Stand) -> None:
    before = await failed(stand)
    stand.trouble(CallKind.RESUME, Trouble.CUT)
    with pytest.raises(OutcomeUnknown):
        await resume(stand, before, before.points[0])

    found = await stand.engine.evidence(before.ref, before.baseline, "req-1-1")

    assert found.finding is not Finding.HAPPENED
    assert found.sentence.endswith(".")


@pytest.mark.parametrize("trouble", [Trouble.STRANGE, Trouble.PAGE])
async def test_a_strange_body_is_a_contract_violation(stand: Stand, trouble: Trouble) -> None:
    before = await failed(stand)

    stand.trouble(CallKind.READ, trouble)
    with pytest.raises(ContractViolation):
        await stand.engine.describe(before.ref)
    stand.trouble(CallKind.RESUME, Trouble.PAGE)
    with pytest.raises(ContractViolation):
        await resume(stand, before, before.points[0])


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_no_error_holds_a_secret(stand: Stand, trouble: Trouble) -> None:
    before = await failed(stand)
    texts = []

    for call in CallKind:
        stand.trouble(call, trouble, times=5)
        try:
            if call is CallKind.READ:
                await stand.engine.describe(before.ref)
            else:
                await resume(stand, before, before.points[0])
        except EngineError as error:
            texts.append(f"{error} {error!r} {''.join(traceback.format_exception(error))}")

    assert SECRET not in " ".join(texts)


async def test_every_notice_leads_to_an_execution_that_can_be_described(stand: Stand) -> None:
    ref = await stand.fail_one()

    for sample in stand.notices(ref):
        notices = await stand.engine.read_notice(sample.body, sample.headers)
        again = await stand.engine.read_notice(sample.body, sample.headers)

        assert [notice.ref for notice in notices] == [ref], sample.name
        assert [notice.key for notice in again] == [notice.key for notice in notices], sample.name
        assert (await stand.engine.describe(notices[0].ref)).ref == ref


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"null", b"3", b'"text"', b"", b"not JSON", b"\xff\xfe", b'{"zen": "Keep it simple."}', b"[" * 100_000],
    ids=["object", "list", "null", "number", "text", "empty", "words", "bytes", "unrelated", "deep"],
)
async def test_a_body_of_something_else_is_refused_politely(stand: Stand, body: bytes) -> None:
    try:
        notices = await stand.engine.read_notice(body, {"content-type": "application/json"})
    except ContractViolation:
        notices = []

    assert list(notices) == []


async def test_ids_and_links_of_this_server_lead_to_the_execution(stand: Stand) -> None:
    seen = await failed(stand)
    elsewhere = seen.link.replace("http://", "http://elsewhere.", 1)

    assert stand.engine.read_argument(f" {seen.ref.id} ") == seen.ref.id
    assert stand.engine.read_argument(seen.link) == seen.ref.id
    assert stand.engine.read_argument(elsewhere) is None
    assert [stand.engine.read_argument(text) for text in ("", "deploy", "http://[", "https://example.com/")] == [None] * 4


async def test_asking_for_failures_finds_each_once(stand: Stand) -> None:
    if not isinstance(stand.engine, FindsFailures):
        pytest.skip("this engine cannot be asked for failures")
    ref = await stand.fail_one()
    good = await stand.succeed_one()
    started = (await stand.engine.describe(ref)).started_at
    assert started is not None

    found = await stand.engine.find_failures(started - timedelta(seconds=1))
    again = await stand.engine.find_failures(started - timedelta(seconds=1))
    standing = await stand.engine.find_failures(None)

    mine = [notice for notice in found if notice.ref == ref]
    assert len(mine) == 1
    assert [notice.key for notice in again if notice.ref == ref] == [mine[0].key]
    assert ref in {notice.ref for notice in standing}
    assert good not in {notice.ref for notice in (*found, *standing)}


async def test_check_says_in_a_sentence_who_we_are(stand: Stand) -> None:
    assert (await stand.engine.check()).endswith(".")
    stand.trouble(CallKind.READ, Trouble.UNAUTHORISED)
    with pytest.raises(Forbidden):
        await stand.engine.check()
