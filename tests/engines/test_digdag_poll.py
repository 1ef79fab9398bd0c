"""The poll reads what there is, however much: no failure is skipped, whatever the pages may hold."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.errors import ContractViolation, RateLimited
from bot.domain.execution import ExecutionRef, FailureNotice
from bot.engines._http import DEFAULT_LIMITS, EngineClient, boot_time
from bot.engines.digdag import DigdagSettings
from bot.engines.digdag_api import DigdagApi
from bot.engines.digdag_poll import FailurePoll
from bot.simulators.digdag_faults import Fault, FaultKind
from tests.engines.digdag_stand import CONNECTION, SWITCHBOARD, Stand, Unlimited, digdag, point_of, switchboard  # noqa: F401

pytestmark = pytest.mark.anyio

SMALL_ANSWER = 40_000


def refs(notices: Sequence[FailureNotice]) -> list[ExecutionRef]:
    return [notice.ref for notice in notices]


def just_now() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=5)


def pages_read(stand: Stand) -> int:
    return sum(call.path == "/api/attempts" and call.method == "GET" for call in stand.simulator.calls)


def small_api(stand: Stand) -> DigdagApi:
    """An API whose answers may not be large."""
    settings = DigdagSettings.model_validate({"base_url": stand.base_url, "token": stand.simulator.credential})
    limits = replace(DEFAULT_LIMITS, body=SMALL_ANSWER)
    return DigdagApi(EngineClient(CONNECTION, stand.base_url, Unlimited(), headers=settings.headers, limits=limits))


# ---- many -------------------------------------------------------------------------------------------


async def test_of_more_failures_than_are_taken_at_once_the_oldest_come_first() -> None:
    async with digdag() as stand:
        before = just_now()
        failed = await stand.fail(12)

        taken = await stand.engine.find_failures(before, 5)

    assert refs(taken) == failed[:5]


async def test_what_was_not_taken_comes_when_the_mark_moves_on_without_reading_all_again() -> None:
    async with digdag(page=4) as stand:
        since = just_now()
        failed: list[ExecutionRef] = []
        found: list[ExecutionRef] = []
        for second in range(12):
            stand.clock.shift = timedelta(seconds=second)
            failed += await stand.fail(1)

        while len(taken := await stand.engine.find_failures(since, 5)) == 5:
            found += refs(taken)
            since = max(notice.at for notice in taken if notice.at) + timedelta(seconds=1)
        found += refs(taken)

    assert found == failed
    assert pages_read(stand) <= 8


async def test_failures_that_could_not_be_kept_are_handed_out_again() -> None:
    async with digdag() as stand:
        since = just_now()
        failed = await stand.fail(3)

        first = await stand.engine.find_failures(since)
        again = await stand.engine.find_failures(since)

    assert refs(first) == refs(again) == failed


async def test_more_sessions_since_the_mark_than_a_first_look_takes_hide_no_failure() -> None:
    async with digdag(page=3) as stand:
        before = just_now()
        failed = await stand.fail(3)
        for _ in range(20):
            await stand.run("release", {"target": "prod"})

        assert refs(await stand.engine.find_failures(before)) == failed


async def test_what_one_poll_cannot_read_is_read_by_the_next_and_the_mark_waits() -> None:
    async with digdag(attempts=1000, page=2) as stand:
        poll = FailurePoll(CONNECTION, stand.engine._api, most_pages=4)
        before = just_now()
        failed = await stand.fail(20)

        for _ in range(2):
            with pytest.raises(RateLimited):
                await poll.find(before, 200)
            failed += await stand.fail(1)
        found = await poll.find(before, 200)

    assert refs(found) == failed


async def test_a_failure_that_was_seen_running_is_new_however_late_it_is_looked_at() -> None:
    async with digdag(attempts=1000, page=2) as stand:
        start = just_now()
        stand.simulator.pace.hold()
        slow = [await stand.start("begins_badly") for _ in range(30)]
        assert await stand.engine.find_failures(start) == []
        stand.simulator.pace.release()
        for ref in slow:
            await stand.ended(ref)
        stand.clock.shift = timedelta(hours=1)
        await stand.fail(3)

        later = datetime.now(UTC) + timedelta(minutes=30)
        found = [await stand.engine.find_failures(later + timedelta(seconds=n)) for n in range(3)]

    assert set(slow) <= {notice.ref for notices in found for notice in notices}


# ---- large ------------------------------------------------------------------------------------------


async def test_attempts_with_much_in_them_are_read_in_smaller_pages() -> None:
    async with digdag() as stand:
        before = just_now()
        failed = await stand.fail(8, filling="x" * 9_000)
        api = small_api(stand)

        found = await FailurePoll(CONNECTION, api).find(before, 200)
        await api.client.aclose()

    assert refs(found) == failed


async def test_an_attempt_larger_than_any_answer_is_said_and_not_skipped() -> None:
    async with digdag() as stand:
        before = just_now()
        await stand.fail(1, filling="x" * SMALL_ANSWER)
        api = small_api(stand)

        with pytest.raises(ContractViolation, match="more than"):
            await FailurePoll(CONNECTION, api).find(before, 200)
        await api.client.aclose()


async def test_a_session_whose_attempts_hold_much_is_read_in_pages_and_keeps_the_params_of_the_one_meant() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release", {"filling": "x" * 9_000}))
        for number in range(1, 6):
            ref = (await stand.resume(execution, point_of(execution, "everything"), key=f"req-{number}-1")).ref
            await stand.ended(ref)
            execution = await stand.engine.describe(ref)
        api = small_api(stand)

        whole = await stand.engine._api.retries(execution.ref.id)
        in_pages = await api.retries(execution.ref.id)
        await api.client.aclose()

    assert [one.id for one in in_pages] == [one.id for one in whole]
    assert [len(one.params) for one in in_pages] == [0, 0, 0, 0, 0, 1]


# ---- a server with pages of its own ---------------------------------------------------------------------


async def test_a_server_that_allows_smaller_pages_only_has_a_poll_a_start_and_a_check() -> None:
    async with digdag(page=50) as stand:
        before = just_now()
        failed = await stand.fail(1)
        (target,) = await stand.engine.find_targets(None, "release")

        checked = await stand.engine.check()
        found = await stand.engine.find_failures(before)
        started = await stand.engine.start(target, {}, "req-1-1", boot_time() + 5)

    assert "Digdag at" in checked
    assert refs(found) == failed
    assert int(started.ref.id) > int(failed[0].id)
    sizes = [call.query.rpartition("page_size=")[2] for call in stand.simulator.calls if call.path == "/api/attempts"]
    assert [size for size in sizes if size] == ["100", "50", "50", "50"]


async def test_a_refusal_of_another_kind_is_no_reason_to_ask_again() -> None:
    async with digdag() as stand:
        stand.simulator.script(Fault(FaultKind.REFUSE, method="GET", status=400, body='{"message": "no"}', times=99))

        with pytest.raises(ContractViolation, match="HTTP 400"):
            await stand.engine.find_failures(just_now())

    assert pages_read(stand) == 1


# ---- times without offset ---------------------------------------------------------------------------------


async def test_times_without_an_offset_are_utc() -> None:
    async with digdag() as stand:
        before = just_now()
        (failed,) = await stand.fail(1)
        shown = (await stand.engine._api.probe(())).body.decode()
        bare = shown.replace('Z"', '"')
        stand.simulator.script(
            Fault(FaultKind.REFUSE, method="GET", status=200, body=bare, media_type="application/json", times=1)
        )

        (notice,) = await stand.engine.find_failures(before)

    assert bare != shown
    assert notice.ref == failed
    assert notice.at is not None
    assert notice.at.utcoffset() == timedelta(0)
