"""What is peculiar to Restate, on the simulator and on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from bot.domain.errors import ContractViolation, NotFound, NotResumable, NotSent, OutcomeUnknown, Unsupported
from bot.domain.execution import (
    Action,
    Execution,
    ExecutionRef,
    ExecutionStatus,
    Finding,
    Receipt,
    ResumePoint,
    StageStatus,
    find_point,
)
from bot.engines._http import boot_time
from bot.engines.restate import Restate, RestateSettings
from bot.simulators.restate_model import ServiceSpec
from tests.engines.case_restate import UNKNOWN, RestateStand, engine_for, real, simulated, standing
from tests.engines.cases import CONNECTION, NOBODY_LISTENS, SECRET, Opener, Unlimited
from tests.restate_lab.worlds import SimulatedWorld, Stage, open_stage, server_or_skip, simulated_world

pytestmark = pytest.mark.anyio

KEEP = ResumePoint("keep", "x", "x")
LATEST = ResumePoint("latest", "x", "x")
SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[Opener]]] = {"simulated": simulated, "real": real}


@pytest.fixture(scope="module", params=SERVERS)
async def opener(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    async with SERVERS[request.param]() as served:
        yield served


@pytest.fixture
async def stand(opener: Opener) -> AsyncIterator[RestateStand]:
    async with opener() as opened:
        assert isinstance(opened, RestateStand)
        yield opened


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture
async def world(stage: Stage) -> AsyncIterator[SimulatedWorld]:
    async with simulated_world(stage, token=SECRET) as simulated_one:
        yield simulated_one


@pytest.fixture
async def alone(world: SimulatedWorld) -> AsyncIterator[RestateStand]:
    """A stand on a simulator of its own, for what a real server cannot be brought to at will."""
    async with standing(world) as opened:
        yield opened


async def resume(stand: RestateStand, ref: ExecutionRef, point: ResumePoint) -> Receipt:
    return await stand.engine.resume(ref, point, "req-1-1", boot_time() + 5)


async def act(stand: RestateStand, ref: ExecutionRef, verb: str, **params: str) -> httpx.Response:
    """A verb that somebody else uses."""
    async with httpx.AsyncClient(base_url=stand.world.admin_url, headers={"authorization": f"Bearer {SECRET}"}) as http:
        return await http.patch(f"/invocations/{ref.id}/{verb}", params=params)


async def described(stand: RestateStand, wanted: str, **how: Any) -> Execution:
    return await stand.engine.describe(await stand.start(wanted, **how))


def resumes(seen: Execution) -> list[ResumePoint]:
    """The points that leave the execution its id; those that begin it anew have tests of their own."""
    return [point for point in seen.points if point.action is Action.RESUME]


def keys(seen: Execution) -> list[str]:
    return [point.key for point in resumes(seen)]


async def test_stages_are_the_named_steps_reached_so_far(stand: RestateStand) -> None:
    seen = await described(stand, "paused", test="fail")

    assert seen.name == "Pipeline/run"
    assert [(stage.name, stage.status) for stage in seen.stages] == [
        ("checkout", StageStatus.SUCCEEDED),
        ("build", StageStatus.SUCCEEDED),
        ("test", StageStatus.FAILED),
    ]
    assert (seen.failed_stage, seen.error) == ("test", "RuntimeError('step test failed on purpose')")
    assert seen.points[0].stages == ("test",)


async def test_a_failure_outside_any_step_names_none(stand: RestateStand) -> None:
    seen = await described(stand, "paused", build="vanish")

    assert seen.failed_stage == seen.points[0].label == "(outside any step)"
    assert seen.points[0].stages == ()
    assert "bug between two steps" in seen.error


async def test_the_pinned_deployment_comes_first_then_the_latest_then_others(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")
    pinned = (await stand.engine.describe(ref)).labels["Deployment"]
    middle = await stand.world.deploy()
    latest = await stand.world.deploy()

    seen = await stand.engine.describe(ref)

    assert keys(seen)[:2] == ["keep", "latest"]
    assert middle in keys(seen)[2:]
    assert not {pinned, latest} & set(keys(seen))
    assert latest in seen.points[1].sentence
    assert all("deploy" in point.label for point in resumes(seen))


async def test_resume_on_a_named_deployment_moves_there(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")
    middle = await stand.world.deploy()
    await stand.world.deploy()
    point = find_point((await stand.engine.describe(ref)).points, middle)
    assert point is not None

    await resume(stand, ref, point)
    await stand.world.wait_status(ref.id, "paused")

    assert (await stand.engine.describe(ref)).labels["Deployment"] == middle


async def test_other_code_on_the_latest_is_repaired_by_going_back(stand: RestateStand) -> None:
    ref = await stand.start("paused", deploy="fail")
    pinned = (await stand.engine.describe(ref)).labels["Deployment"]
    await stand.repair(ref)
    await stand.world.deploy("fetch,build,test,deploy,verify")

    await resume(stand, ref, LATEST)
    await stand.world.wait_status(ref.id, "paused")
    seen = await stand.engine.describe(ref)
    await stand.world.deploy()
    back = find_point((await stand.engine.describe(ref)).points, pinned)
    assert back is not None
    await resume(stand, ref, back)
    await stand.world.wait_status(ref.id, "completed")

    assert seen.status is ExecutionStatus.FAILED
    assert "mismatch" in seen.error
    assert (await stand.engine.describe(ref)).status is ExecutionStatus.SUCCEEDED


async def test_a_parent_names_the_paused_child_it_waits_for(stand: RestateStand) -> None:
    parent = await stand.start("suspended", service="Chain", deploy="fail")
    (row,) = await stand.world.query(f"SELECT id FROM sys_invocation WHERE invoked_by_id = '{parent.id}'")
    await stand.world.wait_status(row["id"], "paused")

    above = await stand.engine.describe(parent)
    below = await stand.engine.describe(ExecutionRef(CONNECTION, row["id"]))

    assert (above.status, above.points) == (ExecutionStatus.SUSPENDED, ())
    assert above.no_points == f"It waits for Pipeline/run ({row['id']}), which is paused: resume that one."
    assert any(f"Chain/run ({parent.id})" in note for note in below.notes)
    assert below.labels["Called by"] == f"Chain/run ({parent.id})"


async def test_a_sleeping_one_can_be_woken(stand: RestateStand) -> None:
    ref = await stand.start("suspended", service="Chain", prepare="nap")

    seen = await stand.engine.describe(ref)
    receipt = await resume(stand, ref, seen.points[0])
    await stand.world.wait_status(ref.id, "suspended")
    found = await stand.engine.evidence(ref, seen.baseline, "req-1-1")

    assert keys(seen)[0] == "keep"
    assert receipt.ref == ref
    assert found.finding is Finding.HAPPENED


async def test_what_has_not_begun_offers_nothing_and_is_refused(stand: RestateStand) -> None:
    scheduled = await stand.start("scheduled", delay="1h")
    paused = await stand.start("paused", service="Shelf", object_key=f"key-{scheduled.id}", build="fail")
    pending = await stand.start("pending", service="Shelf", object_key=f"key-{scheduled.id}")

    for ref in (scheduled, pending):
        seen = await stand.engine.describe(ref)
        assert (seen.status, seen.points) == (ExecutionStatus.WAITING, ())
        with pytest.raises(NotResumable, match="not begun"):
            await resume(stand, ref, KEEP)
    assert (await stand.engine.describe(paused)).name == f"Shelf/key-{scheduled.id}/run"


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


async def test_a_final_failure_is_described_and_cannot_be_resumed(stand: RestateStand) -> None:
    seen = await described(stand, "completed", test="terminal")

    assert (seen.status, seen.failed_stage, seen.error) == (ExecutionStatus.FAILED, "test", "[422] step test gave up")
    assert resumes(seen) == []
    assert seen.ended_at is not None
    with pytest.raises(NotResumable, match="already completed"):
        await resume(stand, seen.ref, KEEP)


@pytest.mark.parametrize("verb", ["cancel", "kill"])
async def test_what_people_ended_is_cancelled_and_no_failure(stand: RestateStand, verb: str) -> None:
    ref = await stand.start("paused", deploy="fail")
    started = (await stand.engine.describe(ref)).started_at
    assert started is not None
    await act(stand, ref, verb)
    await stand.world.wait_status(ref.id, "completed")

    found = await stand.engine.find_failures(started)

    assert (await stand.engine.describe(ref)).status is ExecutionStatus.CANCELLED
    assert ref not in {notice.ref for notice in found}


async def test_a_pause_by_hand_says_so(stand: RestateStand) -> None:
    ref = await stand.start("running", checkout="slow")
    await act(stand, ref, "pause")
    await stand.world.wait_status(ref.id, "paused")

    seen = await stand.engine.describe(ref)

    assert (seen.failed_stage, seen.points[0].label) == ("", "where it was paused")
    assert any("by hand" in note for note in seen.notes)


async def test_what_was_begun_anew_belongs_to_one_chain(stand: RestateStand) -> None:
    first = await stand.start("completed", deploy="terminal")
    ids = [first.id]
    for _ in range(2):
        answer = await act(stand, ExecutionRef(CONNECTION, ids[-1]), "restart-as-new")
        ids.append(answer.json()["new_invocation_id"])
        await stand.world.wait_status(ids[-1], "completed")

    seen = [await stand.engine.describe(ExecutionRef(CONNECTION, one)) for one in ids]

    assert {one.root for one in seen} == {first.id}
    assert [one.chain for one in seen] == [tuple(ids)] * 3
    assert [one.newest for one in seen] == [ids[2], ids[2], ""]
    assert list(seen[1].earlier) == [first.id]


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


async def test_a_waiting_retry_can_be_made_now(world: SimulatedWorld, alone: RestateStand) -> None:
    world.simulator.world.retry_seconds = 3600
    ref = await alone.start("backing-off", deploy="fail")

    seen = await alone.engine.describe(ref)
    await alone.repair(ref)
    found = await alone.engine.evidence(ref, seen.baseline, "req-1-1")
    await resume(alone, ref, seen.points[0])
    await world.wait_status(ref.id, "completed")

    assert (seen.status, seen.failed_stage) == (ExecutionStatus.RETRYING, "deploy")
    assert [(point.key, point.label, point.stages) for point in resumes(seen)] == [("keep", "deploy, now", ("deploy",))]
    assert (found.finding, found.is_probable) == (Finding.HAPPENED, True)
    with pytest.raises(NotResumable):
        await resume(alone, ref, LATEST)


async def test_only_deployments_that_serve_the_handler_in_its_protocol_are_offered(
    world: SimulatedWorld, alone: RestateStand
) -> None:
    ref = await alone.start("paused", deploy="fail")
    world.simulator.deploy([ServiceSpec("Other", ("only",))])
    world.simulator.deploy([ServiceSpec("Pipeline", ("checkout",), handler="walk")])
    world.simulator.deploy(max_protocol=5)

    assert keys(await alone.engine.describe(ref)) == ["keep"]


async def test_nothing_pinned_offers_no_choice_of_deployment(world: SimulatedWorld, alone: RestateStand) -> None:
    (first,) = world.simulator.deployments
    world.simulator.reach(first.id, is_reachable=False)
    ref = await alone.start("paused")

    seen = await alone.engine.describe(ref)

    assert keys(seen) == ["keep"]
    assert (seen.failed_stage, seen.error) == ("(outside any step)", "the service endpoint cannot be reached")
    assert "Its service could not be reached." in seen.notes


async def test_stages_of_one_name_are_told_apart(stage: Stage) -> None:
    async with simulated_world(stage, token=SECRET) as world, standing(world) as alone:
        world.simulator.deploy([ServiceSpec("Loop", ("load", "load", "", "save"))])
        ref = await alone.start("paused", service="Loop", save="fail")

        seen = await alone.engine.describe(ref)

    assert [one.name for one in seen.stages] == ["load (#1)", "load (#2)", "(unnamed)", "save"]
    assert seen.failed_stage == "save"


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


async def test_a_server_of_another_age_is_named_at_check(stage: Stage) -> None:
    stage.app = JSONResponse({"version": "9.0", "min_admin_api_version": 9, "max_admin_api_version": 11})
    engine = engine_for(stage.url)

    with pytest.raises(ContractViolation, match=r"9\.0"):
        await engine.check()
    await engine.aclose()


async def test_an_open_server_needs_no_token(stage: Stage) -> None:
    async with simulated_world(stage) as world:
        engine = Restate(CONNECTION, RestateSettings(admin_url=world.admin_url), Unlimited())
        assert "1.7.12" in await engine.check()
        await engine.aclose()


async def test_links_are_read_below_the_configured_pages_only() -> None:
    engine = engine_for(NOBODY_LISTENS, ui_url="https://cloud.example/accounts/a/environments/e/")
    base = "https://cloud.example/accounts/a/environments/e/invocations/"

    good = [
        f"{base}{UNKNOWN}",
        f"{base}{UNKNOWN}?tab=journal#x",
        f"{base}{UNKNOWN}/",
        f"https://CLOUD.example{base[21:]}{UNKNOWN}",
    ]
    bad = [
        f"{base}{UNKNOWN}x'",
        f"http://cloud.example{base[21:]}{UNKNOWN}",
        f"https://cloud.example.evil.test{base[21:]}{UNKNOWN}",
        f"https://evil.test/?u={base}{UNKNOWN}",
        f"https://cloud.example/invocations/{UNKNOWN}",
        f"{base}dp_14opdQdqPZAdL6J7cUH4Wt3",
        f"{NOBODY_LISTENS}/ui/invocations/{UNKNOWN}",
    ]

    assert [engine.read_argument(text) for text in good] == [UNKNOWN] * len(good)
    assert [engine.read_argument(text) for text in bad] == [None] * len(bad)
    await engine.aclose()


@pytest.mark.parametrize(
    "address", ["", "ftp://host", "host:9070", "http://", "http://user:pw@host", "http://host?x=1", "http://host#x"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        RestateSettings(admin_url=address)


def test_settings_print_no_secret_and_take_no_unknown_key() -> None:
    settings = RestateSettings.model_validate({"admin_url": "http://host/", "token": SECRET})

    assert SECRET not in repr(settings)
    assert settings.admin_url == "http://host"
    with pytest.raises(ValidationError):
        RestateSettings.model_validate({"admin_url": "http://host", "tokn": "x"})


async def test_many_descriptions_at_once_end(alone: RestateStand) -> None:
    refs = [await alone.fail_one() for _ in range(5)]

    seen = await asyncio.gather(*(alone.engine.describe(ref) for ref in refs))

    assert [one.ref for one in seen] == refs


def test_a_missing_server_is_a_visible_skip_and_a_failure_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_REAL_ENGINES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Restate server"):
        server_or_skip(find=lambda: None)
    monkeypatch.setenv("REQUIRE_REAL_ENGINES", "1")
    with pytest.raises(pytest.fail.Exception, match="no Restate server"):
        server_or_skip(find=lambda: None)
