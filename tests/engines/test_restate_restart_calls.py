"""The two calls that begin a Restate invocation anew: lost, cut, late, refused, and what proves them."""

import asyncio

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
from bot.domain.execution import Action, ExecutionRef, ExecutionStatus, Finding, ResumePoint
from bot.engines._http import EngineClient, boot_time
from bot.engines.restate_restart_calls import RestateRestarts
from bot.engines.restate_wire import RestateReader
from bot.simulators.restate_door import FaultKind
from tests.engines.case_restate import RestateStand
from tests.engines.cases import CONNECTION, SECRET, Unlimited
from tests.engines.restate_acts import KILL, RESTART, act, at, begun_from, came_in, evidence, failed, prepare, prepared, send
from tests.restate_lab.worlds import SimulatedWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
def stand(restate: RestateStand) -> RestateStand:
    return restate


async def test_a_lost_answer_to_the_end_is_told_by_a_look(stand: RestateStand) -> None:
    seen = await failed(stand)
    stand.world.fail(KILL, "lost")

    await prepare(stand, seen.ref, at(seen, "build"))

    assert (await stand.engine.describe(seen.ref)).status is ExecutionStatus.CANCELLED


async def test_an_end_that_never_arrived_may_be_asked_for_again(stand: RestateStand) -> None:
    seen = await failed(stand)
    stand.world.fail(KILL, "cut")

    with pytest.raises(OutcomeUnknown):
        await prepare(stand, seen.ref, at(seen, "build"))
    await prepare(stand, seen.ref, at(seen, "build"))

    assert (await stand.engine.describe(seen.ref)).status is ExecutionStatus.CANCELLED


async def test_a_lost_answer_is_proved_by_what_was_begun(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    stand.world.fail(RESTART, "lost")
    assert await evidence(stand, ref, point) is Finding.UNCLEAR

    with pytest.raises(OutcomeUnknown):
        await send(stand, ref, point)
    found = await stand.engine.restart_evidence(ref, point, "req-1-1")
    with pytest.raises(NotResumable, match="begun anew already"):
        await send(stand, ref, point)

    (new,) = await begun_from(stand, ref)
    assert (found.finding, found.ref, found.is_probable) == (Finding.HAPPENED, ExecutionRef(CONNECTION, new), False)
    assert found.sentence.endswith(".")
    assert stand.world.count(RESTART) == 1


async def test_a_call_that_was_cut_leaves_it_unclear(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    stand.world.fail(RESTART, "cut")

    with pytest.raises(OutcomeUnknown):
        await send(stand, ref, point)
    found = await stand.engine.restart_evidence(ref, point, "req-1-1")

    assert (found.finding, found.ref) == (Finding.UNCLEAR, None)
    assert found.sentence.endswith(".")
    assert await begun_from(stand, ref) == []


async def test_several_that_were_begun_are_all_named(stand: RestateStand) -> None:
    ref, point = await prepared(stand)
    for _ in range(2):
        await act(stand, ref, "restart-as-new")

    found = await stand.engine.restart_evidence(ref, point, "req-1-1")

    assert found.finding is Finding.HAPPENED
    assert all(new in found.sentence for new in await begun_from(stand, ref))
    assert (await stand.engine.describe(ref)).newest == (found.ref.id if found.ref else "")


async def test_a_call_after_its_time_is_not_sent(stand: RestateStand) -> None:
    seen = await failed(stand)
    ref, point = await prepared(stand)

    with pytest.raises(NotSent):
        await prepare(stand, seen.ref, at(seen, "build"), seconds=-0.001)
    with pytest.raises(NotSent):
        await send(stand, ref, point, seconds=-0.001)

    assert (stand.world.count(KILL), stand.world.count(RESTART)) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (400, NotResumable),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (405, Unsupported),
        (409, NotResumable),
        (410, NotResumable),
        (418, ContractViolation),
        (422, NotResumable),
        (425, NotResumable),
        (429, RateLimited),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
        ("html", OutcomeUnknown),
        ("page", ContractViolation),
        ("strange", ContractViolation),
    ],
)
async def test_each_refusal_of_the_call_has_its_meaning(
    world: SimulatedWorld, alone: RestateStand, kind: FaultKind, error: type[EngineError]
) -> None:
    ref, point = await prepared(alone)
    world.fail(RESTART, kind, times=9, seconds=7)

    with pytest.raises(error) as caught:
        await send(alone, ref, point)

    assert type(caught.value) is error
    assert str(caught.value)
    assert world.count(RESTART) == 1
    assert await begun_from(alone, ref) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (400, NotResumable),
        (401, Forbidden),
        (404, NotFound),
        (429, RateLimited),
        (500, OutcomeUnknown),
        (503, NotSent),
        ("page", ContractViolation),
    ],
)
async def test_each_refusal_of_the_end_has_its_meaning(
    world: SimulatedWorld, alone: RestateStand, kind: FaultKind, error: type[EngineError]
) -> None:
    seen = await failed(alone)
    world.fail(KILL, kind)

    with pytest.raises(error):
        await prepare(alone, seen.ref, at(seen, "build"))

    assert (await alone.engine.describe(seen.ref)).status is ExecutionStatus.FAILED


async def test_an_end_that_is_not_seen_in_time_is_asked_for_again_later(world: SimulatedWorld, alone: RestateStand) -> None:
    seen = await failed(alone)
    world.fail(KILL, 200)
    client = EngineClient(CONNECTION, world.admin_url, Unlimited(), headers={"authorization": f"Bearer {SECRET}"})
    calls = RestateRestarts(CONNECTION, client, RestateReader(client), end_seconds=0.2)

    with pytest.raises(OutcomeUnknown, match="still to be seen"):
        await calls.prepare(seen.ref, at(seen, "build"), boot_time() + 5)
    await client.aclose()


@pytest.mark.parametrize("kind", [401, 429, "page", 503])
async def test_an_end_that_cannot_be_looked_at_is_unknown(world: SimulatedWorld, alone: RestateStand, kind: FaultKind) -> None:
    seen = await failed(alone)
    world.fail(KILL, "slow", seconds=0.3)

    ending = asyncio.create_task(prepare(alone, seen.ref, at(seen, "build")))
    await came_in(alone, KILL)
    world.fail("POST /query", kind, times=9)

    with pytest.raises(OutcomeUnknown):
        await ending
    world.heal()
    assert (await alone.engine.describe(seen.ref)).status is ExecutionStatus.CANCELLED


async def test_a_server_without_the_call_is_unsupported(world: SimulatedWorld, alone: RestateStand) -> None:
    ref, point = await prepared(alone)
    world.simulator.api.version = "1.5.9"

    with pytest.raises(Unsupported):
        await send(alone, ref, point)


async def test_a_key_of_another_form_reaches_no_server(world: SimulatedWorld, alone: RestateStand) -> None:
    ref = alone.unknown()

    for key in ("keep", "restart:x:build", "restart:-1:build", "restart:3", "restart:3&deployment=latest:b", ""):
        point = ResumePoint(key, "x", "x", action=Action.RESTART)
        with pytest.raises(Unsupported):
            await prepare(alone, ref, point)
        with pytest.raises(Unsupported):
            await send(alone, ref, point)
    with pytest.raises(Unsupported):
        await send(alone, ref, ResumePoint("restart:3:build", "x", "x"))
    assert world.calls == []


async def test_what_cannot_be_read_before_the_call_was_not_sent(world: SimulatedWorld, alone: RestateStand) -> None:
    ref, point = await prepared(alone)

    world.fail("POST /query", "page")
    with pytest.raises(NotSent):
        await send(alone, ref, point)
    world.fail("POST /query", "page")
    with pytest.raises(NotSent):
        await prepare(alone, ref, point)
    world.heal()
    world.simulator.api.is_ready = False
    with pytest.raises(NotSent):
        await send(alone, ref, point)

    assert world.count(RESTART) == 0
