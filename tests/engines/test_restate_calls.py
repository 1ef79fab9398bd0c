"""Calls to Restate: what a refusal means, what proves a lost answer, and what never reaches the server."""

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from bot.domain.errors import ContractViolation, NotFound, NotResumable, NotSent, OutcomeUnknown, Unsupported
from bot.domain.execution import ExecutionRef, ExecutionStatus, Finding, ResumePoint
from bot.engines._http import boot_time
from tests.engines.case_restate import UNKNOWN, RestateStand, engine_for
from tests.engines.cases import CONNECTION, SECRET
from tests.engines.restate_acts import KEEP, LATEST, described, resume
from tests.restate_lab.worlds import SimulatedWorld, Stage

pytestmark = pytest.mark.anyio


@pytest.fixture
def stand(restate: RestateStand) -> RestateStand:
    return restate


async def test_a_conflict_is_told_by_the_state_and_not_by_its_text(stand: RestateStand) -> None:
    completed = await stand.start("completed")
    running = await stand.start("running", checkout="slow")

    assert (await stand.engine.describe(running)).no_points == "It is running."
    with pytest.raises(NotResumable, match="already completed"):
        await resume(stand, completed, KEEP)
    with pytest.raises(NotResumable, match="deployment cannot be changed"):
        await resume(stand, running, LATEST)
    await stand.world.wait_status(running.id, "completed")


async def test_an_unknown_one_is_not_found_when_resumed(stand: RestateStand) -> None:
    with pytest.raises(NotFound):
        await resume(stand, stand.unknown(), KEEP)


async def test_an_id_the_server_cannot_decode_is_not_found_and_no_fault_of_the_engine(stand: RestateStand) -> None:
    ref = await stand.fail_one()

    with pytest.raises(NotFound):
        await stand.engine.describe(ExecutionRef(CONNECTION, ref.id[:-1]))
    with pytest.raises(ContractViolation):
        await stand.engine.read_notice(b'{"invocation_id": "%b"}' % ref.id[:-1].encode(), {})


async def test_a_deployment_that_is_gone_is_refused_with_the_servers_words(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")

    with pytest.raises(NotResumable, match="deployment"):
        await resume(stand, ref, ResumePoint("dp_14opdQdqPZAdL6J7cUH4Waa", "x", "x"))


async def test_evidence_without_a_readable_baseline_or_execution_is_unclear(stand: RestateStand) -> None:
    seen = await described(stand, "paused", deploy="fail")

    damaged = await stand.engine.evidence(seen.ref, "{}", "req-1-1")
    gone = await stand.engine.evidence(stand.unknown(), seen.baseline, "req-1-1")

    assert {damaged.finding, gone.finding} == {Finding.UNCLEAR}


async def test_an_unchanged_pause_proves_that_nothing_happened(stand: RestateStand) -> None:
    seen = await described(stand, "paused", deploy="fail")

    found = await stand.engine.evidence(seen.ref, seen.baseline, "req-1-1")

    assert found.finding is Finding.HARMLESS


async def test_a_newer_pause_proves_that_it_happened(stand: RestateStand) -> None:
    seen = await described(stand, "paused", deploy="fail")
    await resume(stand, seen.ref, KEEP)
    await stand.world.wait_status(seen.ref.id, "paused")

    found = await stand.engine.evidence(seen.ref, seen.baseline, "req-1-1")

    assert (found.finding, found.ref) == (Finding.HAPPENED, seen.ref)


async def test_a_server_that_is_starting_was_sent_nothing(world: SimulatedWorld, alone: RestateStand) -> None:
    ref = await alone.fail_one()
    world.simulator.api.is_ready = False

    with pytest.raises(NotSent):
        await resume(alone, ref, KEEP)
    with pytest.raises(NotSent):
        await alone.engine.describe(ref)

    assert alone.resumes() == 1


async def test_a_conflict_is_a_refusal_even_when_the_state_cannot_be_read(world: SimulatedWorld, alone: RestateStand) -> None:
    ref = await alone.succeed_one()
    world.fail("POST /query", 429)

    with pytest.raises(NotResumable, match="is completed, cannot be resumed"):
        await resume(alone, ref, KEEP)


async def test_a_gateway_that_fails_after_sending_leaves_the_outcome_unknown(
    world: SimulatedWorld, alone: RestateStand
) -> None:
    ref = await alone.fail_one()
    world.fail("PATCH */resume", "html")

    with pytest.raises(OutcomeUnknown):
        await resume(alone, ref, KEEP)


async def test_no_id_of_another_form_reaches_the_server(world: SimulatedWorld, alone: RestateStand) -> None:
    for wild in ("inv_1' OR '1'='1", "inv_x", "dp_14opdQdqPZAdL6J7cUH4Wt3", "", "../deployments"):
        with pytest.raises(NotFound):
            await alone.engine.describe(ExecutionRef(CONNECTION, wild))
        with pytest.raises(NotFound):
            await resume(alone, ExecutionRef(CONNECTION, wild), KEEP)
    with pytest.raises(Unsupported):
        await resume(alone, ExecutionRef(CONNECTION, UNKNOWN), ResumePoint("keep&force=true", "x", "x"))

    assert world.calls == []


async def test_the_servers_words_never_repeat_our_secret(stage: Stage) -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        said = dict(scope["headers"])[b"authorization"].decode()
        await JSONResponse({"message": f"bad {said}", "restate_code": None}, 400)(scope, receive, send)

    stage.app = echo
    engine = engine_for(stage.url)

    with pytest.raises(NotResumable) as caught:
        await engine.resume(ExecutionRef(CONNECTION, UNKNOWN), KEEP, "req-1-1", boot_time() + 5)
    await engine.aclose()

    assert SECRET not in str(caught.value)


async def test_rows_without_what_must_be_there_are_a_contract_violation(stage: Stage) -> None:
    engine = engine_for(stage.url)
    strange: list[object] = [
        {"rows": [{"id": UNKNOWN}]},
        {"rows": [{"id": UNKNOWN, "target": 3}]},
        {"rows": "none"},
        [],
        {"rows": [{"id": UNKNOWN, "target": "a", "target_service_name": "a", "status": "paused", "modified_at": "yesterday"}]},
    ]

    for body in strange:
        stage.app = JSONResponse(body)
        with pytest.raises(ContractViolation):
            await engine.describe(ExecutionRef(CONNECTION, UNKNOWN))
    await engine.aclose()


async def test_a_status_of_a_newer_server_is_unknown_and_harmless(stage: Stage) -> None:
    row = {
        "id": UNKNOWN,
        "target": "A/run",
        "target_service_name": "A",
        "status": "dreaming",
        "modified_at": "2026-01-31T10:00:00.000Z",
    }

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = await receive()
        rows = [row] if b"FROM sys_invocation " in request["body"] else []
        await JSONResponse({"rows": rows})(scope, receive, send)

    stage.app = answer
    engine = engine_for(stage.url)
    seen = await engine.describe(ExecutionRef(CONNECTION, UNKNOWN))
    await engine.aclose()

    assert (seen.status, seen.points) == (ExecutionStatus.UNKNOWN, ())
    assert seen.no_points
