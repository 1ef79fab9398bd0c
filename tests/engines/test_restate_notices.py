"""Failures of Restate, found by asking or hinted at by a hook; on the simulator and on a real server."""

import pytest

from bot.domain.errors import ContractViolation
from tests.engines.case_restate import UNKNOWN, RestateStand
from tests.engines.restate_acts import KEEP, resume

pytestmark = pytest.mark.anyio


@pytest.fixture
def stand(restate: RestateStand) -> RestateStand:
    return restate


async def test_the_poll_tells_stage_and_message(stand: RestateStand) -> None:
    paused = await stand.start("paused", deploy="fail")
    ended = await stand.start("completed", test="terminal")
    started = (await stand.engine.describe(paused)).started_at
    assert started is not None

    found = {notice.ref: notice for notice in await stand.engine.find_failures(started)}
    standing_now = {notice.ref for notice in await stand.engine.find_failures(None)}

    assert (found[paused].stage, found[paused].message) == ("deploy", "RuntimeError('step deploy failed on purpose')")
    assert (found[ended].message, found[ended].name) == ("[422] step test gave up", "Pipeline/run")
    assert paused in standing_now
    assert ended not in standing_now


async def test_the_poll_gives_the_oldest_first_and_no_more_than_asked(stand: RestateStand) -> None:
    refs = [await stand.start("paused", deploy="fail") for _ in range(3)]
    started = (await stand.engine.describe(refs[0])).started_at
    assert started is not None

    found = [notice for notice in await stand.engine.find_failures(started) if notice.ref in refs]
    page = await stand.engine.find_failures(started, limit=2)
    rest = await stand.engine.find_failures(page[-1].at)

    assert [notice.ref for notice in found] == refs
    assert [notice.ref for notice in page] == refs[:2]
    assert [notice.ref for notice in rest] == refs[1:]


async def test_a_second_pause_is_another_failure(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")

    async def key() -> str:
        return next(notice.key for notice in await stand.engine.find_failures(None) if notice.ref == ref)

    first, hint = await key(), await stand.engine.read_notice(b'{"invocation_id": "%s"}' % ref.id.encode(), {})
    await resume(stand, ref, KEEP)
    await stand.world.wait_status(ref.id, "paused")

    assert hint[0].key == first
    assert await key() != first


async def test_a_hint_about_a_success_tells_of_no_failure(stand: RestateStand) -> None:
    ref = await stand.succeed_one()

    assert await stand.engine.read_notice(b'{"invocation_id": "%s"}' % ref.id.encode(), {}) == []


async def test_a_hint_is_read_again_at_the_engine(stand: RestateStand) -> None:
    ref = await stand.fail_one()

    (notice,) = await stand.engine.read_notice(b'{"invocation_id": "%s", "message": "boom"}' % ref.id.encode(), {})

    assert (notice.name, notice.stage, notice.message) == ("Pipeline/run", "deploy", "boom")


async def test_a_hint_about_a_stranger_is_refused(stand: RestateStand) -> None:
    for body, why in (
        (b'{"invocation_id": "%s"}' % UNKNOWN.encode(), "which Restate does not know"),
        (b'{"invocation_id": "inv_x\' OR 1=1"}', "names no invocation"),
        (b'{"invocation_id": 7}', "no notice for Restate"),
    ):
        with pytest.raises(ContractViolation, match=why):
            await stand.engine.read_notice(body, {})


async def test_a_hint_is_kept_while_the_engine_is_away(stand: RestateStand) -> None:
    body = b'{"invocation_id": "%s", "message": "boom"}' % UNKNOWN.encode()

    (first,) = await stand.elsewhere().read_notice(body, {})
    (again,) = await stand.elsewhere().read_notice(body, {})

    assert (first.ref.id, first.message) == (UNKNOWN, "boom")
    assert first == again
