"""The simulated Restate server against its contract; the same tests hold the real server to it where there is one."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from bot.simulators.restate_model import ServiceSpec
from tests.restate_lab.lab import RestateLab
from tests.restate_lab.worlds import (
    RestateWorld,
    SimulatedWorld,
    Stage,
    door_to,
    open_stage,
    server_or_skip,
    simulated_world,
)

pytestmark = pytest.mark.anyio

UNKNOWN = "inv_14fobJAsBXAZ54IAFviPsr23QlyHCuaaaa"
EXACT = {"accept": "application/json"}


@pytest.fixture(scope="module", params=["simulated", "real"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[RestateLab | None]:
    if request.param == "simulated":
        yield None
        return
    async with RestateLab(server_or_skip()) as running:
        yield running


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture(scope="module")
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
        yield client


@pytest.fixture
async def world(lab: RestateLab | None, stage: Stage) -> AsyncIterator[RestateWorld]:
    if lab is None:
        async with simulated_world(stage) as simulated:
            yield simulated
    else:
        async with door_to(lab, stage) as real:
            yield real


async def act(http: httpx.AsyncClient, invocation_id: str, verb: str, **params: Any) -> httpx.Response:
    return await http.patch(f"/invocations/{invocation_id}/{verb}", params=params)


async def ask(http: httpx.AsyncClient, sql: str) -> httpx.Response:
    return await http.post("/query", json={"query": sql}, headers=EXACT)


async def kinds(world: RestateWorld, invocation_id: str) -> list[str]:
    rows = await world.query(f"SELECT entry_type FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index")
    return [str(one["entry_type"]) for one in rows]


async def row(world: RestateWorld, invocation_id: str) -> dict[str, Any]:
    return (await world.query(f"SELECT * FROM sys_invocation WHERE id = '{invocation_id}'"))[0]


async def paused(world: RestateWorld, step: str = "deploy", **how: Any) -> dict[str, str]:
    run = await world.start(**{**how, step: "fail"})
    await world.wait_status(run["id"], "paused")
    return run


async def completed(world: RestateWorld, **how: Any) -> dict[str, str]:
    run = await world.start(**how)
    await world.wait_status(run["id"], "completed")
    return run


async def test_a_failing_step_is_tried_twice_and_then_paused(world: RestateWorld) -> None:
    run = await paused(world)

    seen = await row(world, run["id"])
    assert await world.attempts(run["key"]) == ["checkout", "build", "test", "deploy", "deploy"]
    assert (seen["target"], seen["target_service_name"], seen["target_handler_name"]) == ("Pipeline/run", "Pipeline", "run")
    assert (seen["target_service_ty"], seen["invoked_by"]) == ("service", "ingress")
    assert "last_failure" not in seen
    assert "retry_count" not in seen
    assert (seen["journal_size"], seen["journal_commands_size"], seen["pinned_service_protocol_version"]) == (8, 5, 6)


async def test_the_newest_paused_event_names_the_failed_step(world: RestateWorld) -> None:
    run = await paused(world)

    events = await world.query(
        f"SELECT appended_at, event_type, event_json FROM sys_journal_events WHERE id = '{run['id']}' ORDER BY appended_at"
    )
    failure = json.loads(events[-1]["event_json"])["last_failure"]
    assert [event["event_type"] for event in events] == ["TransientError", "Paused"]
    assert failure["error_message"] == "RuntimeError('step deploy failed on purpose')"
    assert (failure["error_code"], failure["restate_doc_error_code"]) == (500, "RT0007")
    assert failure["related_command_index"] == 4
    assert (failure["related_command_name"], failure["related_command_type"]) == ("deploy", "Run")


async def test_a_failure_between_steps_names_none(world: RestateWorld) -> None:
    run = await world.start(build="vanish")
    await world.wait_status(run["id"], "paused")

    events = await world.query(f"SELECT event_json FROM sys_journal_events WHERE id = '{run['id']}' AND event_type = 'Paused'")
    assert "related_command_name" not in json.loads(events[0]["event_json"])["last_failure"]


async def test_the_journal_tells_steps_and_their_results(world: RestateWorld) -> None:
    run = await completed(world, build="terminal")

    rows = await world.query(
        f"SELECT index, entry_type, name, entry_lite_json FROM sys_journal WHERE id = '{run['id']}' ORDER BY index"
    )
    assert [(one["index"], one["entry_type"], one.get("name")) for one in rows] == [
        (0, "Command: Input", ""),
        (1, "Command: Run", "checkout"),
        (2, "Notification: Run", None),
        (3, "Command: Run", "build"),
        (4, "Notification: Run", None),
        (5, "Command: Output", ""),
    ]
    assert json.loads(rows[3]["entry_lite_json"]) == {"Command": {"Run": {"completion_id": 2, "name": "build"}}}
    assert json.loads(rows[4]["entry_lite_json"]) == {
        "Notification": {"ty": {"Completion": "Run"}, "id": {"CompletionId": 2}, "result": "Failure"}
    }
    seen = await row(world, run["id"])
    assert (seen["completion_result"], seen["completion_failure"]) == ("failure", "[422] step build gave up")


@pytest.mark.parametrize("query", [{}, {"deployment": "keep"}, {"deployment": "Latest"}, {"stage": "build"}])
async def test_resume_of_a_paused_one_goes_on_at_the_failed_step(
    world: RestateWorld, http: httpx.AsyncClient, query: dict[str, str]
) -> None:
    run = await paused(world)
    await world.plan(run["key"])

    answer = await act(http, run["id"], "resume", **query)

    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers
    await world.wait_status(run["id"], "completed")
    assert await world.attempts(run["key"]) == ["checkout", "build", "test", "deploy", "deploy", "deploy", "verify"]


async def test_the_whole_entry_of_a_failed_step_has_its_words(world: RestateWorld) -> None:
    run = await world.start(service="Careful", probe="terminal", deploy="fail")
    await world.wait_status(run["id"], "paused")

    (entry,) = await world.query(f"SELECT entry_json FROM sys_journal WHERE id = '{run['id']}' AND index IN (2)")

    failure = {"Failure": {"code": 422, "message": "step probe gave up"}}
    assert json.loads(entry["entry_json"]) == {"Notification": {"Completion": {"Run": {"completion_id": 1, "result": failure}}}}


async def test_resume_without_a_repair_pauses_again_with_a_newer_event(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)
    before = (await row(world, run["id"]))["modified_at"]

    await act(http, run["id"], "resume")
    await world.wait_status(run["id"], "paused")

    after = (await row(world, run["id"]))["modified_at"]
    assert datetime.fromisoformat(after) > datetime.fromisoformat(before)  # whole seconds are written without a fraction


@pytest.mark.parametrize(
    ("deployment", "status"), [("KEEP", 400), ("", 400), ("dp_nope", 400), ('{"Id":"dp_1"}', 400), ("dp_1" + "a" * 22, 400)]
)
async def test_an_unusable_deployment_is_refused(
    world: RestateWorld, http: httpx.AsyncClient, deployment: str, status: int
) -> None:
    run = await paused(world)

    answer = await act(http, run["id"], "resume", deployment=deployment)

    assert answer.status_code == status
    assert set(answer.json()) == {"message", "restate_code"}


@pytest.mark.parametrize("verb", ["resume", "pause", "cancel", "kill", "purge", "purge-journal", "restart-as-new"])
async def test_unknown_and_malformed_ids_are_told_apart(world: RestateWorld, http: httpx.AsyncClient, verb: str) -> None:
    unknown = await act(http, UNKNOWN, verb)
    malformed = [await act(http, wrong, verb) for wrong in ("nope", "inv_x", "dp_1" + "a" * 22, UNKNOWN + "aaa")]

    assert unknown.status_code == 404
    assert "does not exist" in unknown.json()["message"]
    assert {answer.status_code for answer in malformed} == {400}
    assert (await http.post(f"/invocations/{UNKNOWN}/{verb}")).status_code == 405


async def test_verbs_on_a_paused_one(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)

    statuses = {verb: (await act(http, run["id"], verb)).status_code for verb in ("pause", "purge", "restart-as-new", "kill")}

    assert statuses == {"pause": 200, "purge": 409, "restart-as-new": 409, "kill": 200}
    await world.wait_status(run["id"], "completed")
    assert (await row(world, run["id"]))["completion_failure"] == "[409] killed"


async def test_verbs_on_a_completed_one(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await completed(world)

    statuses = {verb: (await act(http, run["id"], verb)).status_code for verb in ("resume", "pause", "cancel", "kill", "purge")}

    assert statuses == {"resume": 409, "pause": 409, "cancel": 409, "kill": 409, "purge": 200}
    assert (await act(http, run["id"], "resume")).status_code == 404


@pytest.mark.parametrize("kind", ["scheduled", "pending"])
async def test_verbs_on_one_that_has_not_begun(world: RestateWorld, http: httpx.AsyncClient, kind: str) -> None:
    if kind == "pending":
        first = await paused(world, service="Shelf")
        run = await world.start(first["key"] + "-next", service="Shelf", object_key=first["key"])
    else:
        run = await world.start(delay="1h")
    await world.wait_status(run["id"], kind)

    statuses = {verb: (await act(http, run["id"], verb)).status_code for verb in ("resume", "pause", "purge", "restart-as-new")}
    killed = await act(http, run["id"], "kill")

    assert statuses == {"resume": 425, "pause": 409, "purge": 409, "restart-as-new": 425}
    assert killed.status_code == 200
    assert await world.query(f"SELECT id FROM sys_invocation WHERE id = '{run['id']}'") == []


async def test_verbs_on_a_running_one(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await world.start(checkout="slow")
    await world.wait_status(run["id"], "running")

    moved = await act(http, run["id"], "resume", deployment="latest")
    statuses = {verb: (await act(http, run["id"], verb)).status_code for verb in ("resume", "restart-as-new", "purge", "pause")}

    assert moved.status_code == 409
    assert statuses == {"resume": 200, "restart-as-new": 409, "purge": 409, "pause": 202}
    await world.wait_status(run["id"], "paused")
    (event,) = await world.query(f"SELECT event_json FROM sys_journal_events WHERE id = '{run['id']}'")
    assert json.loads(event["event_json"]) == {"ty": "Paused"}


async def test_a_parent_is_suspended_while_its_child_is_paused(world: RestateWorld, http: httpx.AsyncClient) -> None:
    parent = await world.start(service="Chain", deploy="fail")
    await world.wait_status(parent["id"], "suspended")
    (child,) = await world.query(
        f"SELECT id, invoked_by, invoked_by_target FROM sys_invocation WHERE invoked_by_id = '{parent['id']}'"
    )
    await world.wait_status(child["id"], "paused")

    answers = [(await act(http, parent["id"], verb)).status_code for verb in ("purge", "restart-as-new", "pause", "resume")]
    await world.wait_status(parent["id"], "suspended")
    await world.plan(parent["key"])
    await act(http, child["id"], "resume")
    await world.wait_status(parent["id"], "completed")

    assert (child["invoked_by"], child["invoked_by_target"]) == ("service", "Chain/run")
    assert answers == [409, 409, 200, 200]
    rows = await world.query(f"SELECT entry_type, entry_lite_json FROM sys_journal WHERE id = '{parent['id']}' ORDER BY index")
    assert [one["entry_type"] for one in rows] == [
        "Command: Input", "Command: Run", "Notification: Run", "Command: Call", "Notification: CallInvocationId",
        "Notification: Call", "Command: Output",
    ]  # fmt: skip
    assert json.loads(rows[3]["entry_lite_json"])["Command"]["Call"]["invocation_id"] == child["id"]


async def test_cancel_ends_a_paused_one_as_cancelled(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)

    answer = await act(http, run["id"], "cancel")

    assert answer.status_code == 202
    await world.wait_status(run["id"], "completed")
    assert (await row(world, run["id"]))["completion_failure"] == "[409] cancelled"


async def test_a_sleeping_one_is_suspended_and_can_be_cancelled(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await world.start(service="Chain", prepare="nap")
    await world.wait_status(run["id"], "suspended")

    answer = await act(http, run["id"], "cancel")

    assert answer.status_code == 202
    await world.wait_status(run["id"], "completed")


@pytest.mark.parametrize(
    ("start", "ran_again"),
    [
        (None, ["checkout", "build", "test", "deploy", "verify"]),
        ("0", ["checkout", "build", "test", "deploy", "verify"]),
        ("1", ["build", "test", "deploy", "verify"]),
        ("2", ["build", "test", "deploy", "verify"]),
        ("6", ["deploy", "verify"]),
    ],
)
async def test_restart_as_new_keeps_the_journal_up_to_an_entry(
    world: RestateWorld, http: httpx.AsyncClient, start: str | None, ran_again: list[str]
) -> None:
    run = await paused(world)
    before = await world.attempts(run["key"])
    await act(http, run["id"], "kill")
    await world.wait_status(run["id"], "completed")
    await world.plan(run["key"])

    answer = await act(http, run["id"], "restart-as-new", deployment="keep", **({"from": start} if start else {}))
    fresh = answer.json()["new_invocation_id"]
    await world.wait_status(fresh, "completed")

    assert answer.status_code == 200
    assert (await world.attempts(run["key"]))[len(before) :] == ran_again
    seen = await row(world, fresh)
    assert (seen["invoked_by"], seen["restarted_from"], seen["completion_result"]) == ("restart_as_new", run["id"], "success")


async def test_restart_as_new_at_a_failed_step_copies_the_failure(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await completed(world, deploy="terminal")
    await world.plan(run["key"])
    before = await world.attempts(run["key"])

    fresh = (await act(http, run["id"], "restart-as-new", **{"from": 7})).json()["new_invocation_id"]
    await world.wait_status(fresh, "completed")

    assert (await row(world, fresh))["completion_failure"] == "[422] step deploy gave up"
    assert await world.attempts(run["key"]) == before


async def test_restart_as_new_refuses_what_it_cannot_copy(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)
    await act(http, run["id"], "kill")
    await world.wait_status(run["id"], "completed")
    workflow = await completed(world, workflow=True)

    statuses = [(await act(http, run["id"], "restart-as-new", **{"from": start})).status_code for start in (7, 99, -1, "abc")]
    purged = await act(http, run["id"], "purge-journal")

    assert statuses == [400, 400, 400, 400]
    assert purged.status_code == 200
    assert (await act(http, run["id"], "restart-as-new")).status_code == 410
    assert (await act(http, workflow["id"], "restart-as-new")).status_code == 422


async def test_a_journal_that_is_kept_for_no_time_is_gone_at_the_end(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world, service="Forgetful")
    before = await row(world, run["id"])

    await act(http, run["id"], "kill")
    await world.wait_status(run["id"], "completed")

    assert (before["completion_retention"], before["journal_retention"]) == ("PT86400S", "P0D")
    assert await kinds(world, run["id"]) == []
    assert (await act(http, run["id"], "restart-as-new")).status_code == 410


async def test_kill_ends_what_was_sent_and_what_is_kept_sends_it_no_more(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world, "close", service="Herald", checkout="nap")
    (sent,) = await world.query(f"SELECT id, status FROM sys_invocation WHERE invoked_by_id = '{run['id']}'")
    journal = await kinds(world, run["id"])

    await act(http, run["id"], "kill")
    await world.wait_status(sent["id"], "completed")
    fresh = (await act(http, run["id"], "restart-as-new", deployment="keep", **{"from": 2})).json()["new_invocation_id"]
    await world.wait_status(fresh, "paused")

    assert journal[:4] == ["Command: Input", "Command: OneWayCall", "Notification: CallInvocationId", "Command: Run"]
    assert (await row(world, sent["id"]))["completion_failure"] == "[409] killed"
    assert await world.query(f"SELECT id FROM sys_invocation WHERE invoked_by_id = '{fresh}'") == []


async def test_steps_begun_together_stand_together_in_the_journal(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world, "east", service="Fan")
    journal = await kinds(world, run["id"])

    await act(http, run["id"], "kill")
    await world.wait_status(run["id"], "completed")
    statuses = [(await act(http, run["id"], "restart-as-new", **{"from": start})).status_code for start in (0, 1, 2, 3)]

    assert journal == ["Command: Input", *["Command: Run"] * 3, "Notification: Run"]
    assert statuses == [200, 200, 400, 400]


async def test_what_is_pinned_nowhere_begins_anew_from_the_beginning_only(stage: Stage, http: httpx.AsyncClient) -> None:
    async with simulated_world(stage) as world:
        (first,) = world.simulator.deployments
        world.simulator.reach(first.id, is_reachable=False)
        run = await world.start()
        await world.wait_status(run["id"], "paused")
        await act(http, run["id"], "kill")

        statuses = [
            (await act(http, run["id"], "restart-as-new", deployment="keep", **{"from": start})).status_code for start in (0, 1)
        ]

    assert statuses == [200, 422]


async def test_resume_on_another_deployment_moves_the_invocation(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)
    old = (await row(world, run["id"]))["pinned_deployment_id"]
    new = await world.deploy()

    await act(http, run["id"], "resume", deployment="latest")
    await world.wait_status(run["id"], "paused")
    moved = (await row(world, run["id"]))["pinned_deployment_id"]
    await act(http, run["id"], "resume", deployment=old)
    await world.wait_status(run["id"], "paused")

    assert moved == new
    assert (await row(world, run["id"]))["pinned_deployment_id"] == old


async def test_other_code_on_the_latest_deployment_is_a_journal_mismatch(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)
    await world.plan(run["key"])
    old = (await row(world, run["id"]))["pinned_deployment_id"]
    await world.deploy("fetch,build,test,deploy,verify")

    await act(http, run["id"], "resume", deployment="latest")
    await world.wait_status(run["id"], "paused")
    events = await world.query(
        f"SELECT event_json FROM sys_journal_events WHERE id = '{run['id']}' AND event_type = 'Paused'"
        " ORDER BY appended_at DESC LIMIT 1"
    )
    await act(http, run["id"], "resume", deployment=old)
    await world.wait_status(run["id"], "completed")

    failure = json.loads(events[0]["event_json"])["last_failure"]
    assert (failure["error_code"], failure["restate_doc_error_code"]) == (570, "RT0016")


async def test_deployments_and_services_are_listed(world: RestateWorld, http: httpx.AsyncClient) -> None:
    new = await world.deploy()

    listed = (await http.get("/deployments")).json()["deployments"]
    one = (await http.get(f"/deployments/{new}")).json()
    services = {one["name"]: one for one in await world.query("SELECT * FROM sys_service")}
    rows = await world.query(f"SELECT id, services, created_at FROM sys_deployment WHERE id = '{new}'")

    assert new in {one["id"] for one in listed}
    assert {"run"} == {handler["name"] for service in one["services"] for handler in service["handlers"]}
    assert services["Pipeline"]["deployment_id"] == new
    assert services["Shelf"]["ty"] == "virtual_object"
    assert set(rows[0]["services"]) == {service["name"] for service in one["services"]} >= {"Pipeline", "Release", "Chain"}


@pytest.mark.parametrize("accept", [None, "*/*", "application/json, text/plain", "Application/JSON"])
async def test_any_other_accept_header_gets_a_binary_answer(
    world: RestateWorld, http: httpx.AsyncClient, accept: str | None
) -> None:
    request = http.build_request("POST", "/query", json={"query": "SELECT id FROM sys_deployment"})
    del request.headers["accept"]
    if accept:
        request.headers["accept"] = accept

    answer = await http.send(request)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"


@pytest.mark.parametrize(
    ("sql", "status", "words"),
    [
        ("SELEC id FROM sys_invocation", 400, "SQL error"),
        ("SELECT id FROM sys_invocation WHERE", 400, "SQL error"),
        ("DELETE FROM sys_invocation", 400, "DML not supported"),
        ("CREATE TABLE x (a int)", 400, "DDL not supported"),
        ("SELECT nope FROM sys_invocation", 500, "No field named nope"),
        ("SELECT id FROM sys_invocation WHERE nope = 'x'", 500, "No field named nope"),
        ("SELECT id FROM nope", 500, "not found"),
        ("SELECT id FROM sys_invocation; SELECT id FROM sys_invocation", 500, "single SQL statement"),
        ("SELECT id FROM sys_invocation WHERE id = 'inv_x'", 500, "non valid invocation id"),
        ("SELECT id FROM sys_invocation WHERE id IN ('inv_x')", 500, "non valid invocation id"),
    ],
)
async def test_a_query_the_server_cannot_run_is_refused(
    world: RestateWorld, http: httpx.AsyncClient, sql: str, status: int, words: str
) -> None:
    answer = await ask(http, sql)

    assert answer.status_code == status
    assert words in answer.json()["message"]


async def test_a_query_in_another_form_is_refused(world: RestateWorld, http: httpx.AsyncClient) -> None:
    untyped = await http.post("/query", content=b'{"query":"SELECT 1"}', headers={**EXACT, "content-type": "text/plain"})
    other = await http.post("/query", json={"sql": "SELECT 1"}, headers=EXACT)
    broken = await http.post("/query", content=b'{"query"', headers={**EXACT, "content-type": "application/json"})

    assert [untyped.status_code, other.status_code, broken.status_code] == [415, 422, 400]


async def test_the_poll_finds_paused_and_failed_ones_of_late(world: RestateWorld, http: httpx.AsyncClient) -> None:
    before = await paused(world)
    mark = (await row(world, before["id"]))["modified_at"]
    failed = await completed(world, test="terminal")
    good = await completed(world)
    stopped = await paused(world)

    rows = (
        await ask(
            http,
            "SELECT id, target, target_service_ty, status, completion_failure, invoked_by_id, modified_at"
            f" FROM sys_invocation_status WHERE modified_at >= '{mark}'"
            " AND (status = 'paused' OR (status = 'completed' AND completion_result = 'failure'))"
            " ORDER BY modified_at LIMIT 200",
        )
    ).json()["rows"]

    found = [one["id"] for one in rows if one["id"] != before["id"]]
    assert found == [failed["id"], stopped["id"]]
    assert good["id"] not in found
    assert "completion_failure" not in rows[-1]


async def test_rows_can_be_counted_listed_and_ordered(world: RestateWorld) -> None:
    runs = [await completed(world) for _ in range(3)]
    listed = ", ".join(f"'{run['id']}'" for run in runs)

    count = await world.query(f"SELECT count(*) AS n FROM sys_invocation_status WHERE id IN ({listed})")
    newest = await world.query(f"SELECT id FROM sys_invocation WHERE id IN ({listed}) ORDER BY created_at DESC LIMIT 1")
    others = await world.query(f"SELECT id FROM sys_invocation WHERE id IN ({listed}) AND completion_failure IS NOT NULL")

    assert count == [{"n": 3}]
    assert newest == [{"id": runs[-1]["id"]}]
    assert others == []


async def test_version_health_and_page_answer(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await completed(world)

    version = (await http.get("/version")).json()
    health = await http.get("/health")
    page = await http.get(f"/ui/invocations/{run['id']}")

    assert (version["min_admin_api_version"], version["max_admin_api_version"]) == (2, 4)
    assert (health.status_code, health.content) == (200, b"")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_what_the_server_does_not_know_is_refused(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await completed(world)

    statuses = [
        (await http.get(f"/invocations/{run['id']}")).status_code,
        (await http.get("/nope")).status_code,
        (await http.patch(f"/invocations/{run['id']}/nope")).status_code,
        (await http.get("/query")).status_code,
    ]

    assert statuses == [405, 404, 404, 405]
    assert (await http.get("/nope")).content == b""


async def test_every_call_is_on_record(world: RestateWorld, http: httpx.AsyncClient) -> None:
    await act(http, UNKNOWN, "resume", deployment="keep")

    (call,) = world.calls
    assert (call.method, call.path, call.query, call.status) == (
        "PATCH",
        f"/invocations/{UNKNOWN}/resume",
        "deployment=keep",
        404,
    )
    assert world.count("PATCH */resume") == 1


async def test_scripted_faults_answer_in_the_servers_place(world: RestateWorld, http: httpx.AsyncClient) -> None:
    world.fail("PATCH */resume", 429, seconds=7)
    world.fail("PATCH */resume", "html")
    world.fail("PATCH */resume", "slow", seconds=0.01)

    limited, broken, slow = [await act(http, UNKNOWN, "resume") for _ in range(3)]

    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert (broken.status_code, broken.text[:6]) == (502, "<html>")
    assert slow.status_code == 404


async def test_a_cut_call_does_nothing_and_a_lost_one_has_acted(world: RestateWorld, http: httpx.AsyncClient) -> None:
    run = await paused(world)
    await world.plan(run["key"])

    world.fail("PATCH */resume", "cut")
    with pytest.raises(httpx.RemoteProtocolError):
        await act(http, run["id"], "resume")
    status_after_cut = (await row(world, run["id"]))["status"]
    world.fail("PATCH */resume", "lost")
    with pytest.raises(httpx.RemoteProtocolError):
        await act(http, run["id"], "resume")

    assert status_after_cut == "paused"
    await world.wait_status(run["id"], "completed")


async def test_a_proxy_in_front_wants_its_token(stage: Stage, http: httpx.AsyncClient) -> None:
    async with simulated_world(stage, token="secret"):
        answers = [
            await http.get("/version", headers=headers)
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer secret"})
        ]

    assert [answer.status_code for answer in answers] == [401, 403, 200]


async def test_partitions_that_are_starting_answer_503(stage: Stage, http: httpx.AsyncClient) -> None:
    async with simulated_world(stage) as world:
        world.simulator.api.is_ready = False

        assert (await act(http, UNKNOWN, "resume")).status_code == 503
        assert (await ask(http, "SELECT id FROM sys_deployment")).status_code == 503


async def test_an_unreachable_service_pauses_with_nothing_pinned(stage: Stage, http: httpx.AsyncClient) -> None:
    async with simulated_world(stage) as world:
        (deployment,) = world.simulator.deployments
        world.simulator.reach(deployment.id, is_reachable=False)
        run = await completed_or_paused(world)

        moved = await act(http, run["id"], "resume", deployment=deployment.id)
        seen = await row(world, run["id"])
        world.simulator.reach(deployment.id, is_reachable=True)
        resumed = await act(http, run["id"], "resume", deployment="latest")
        await world.wait_status(run["id"], "completed")

    assert "pinned_deployment_id" not in seen
    assert (moved.status_code, resumed.status_code) == (409, 200)


async def completed_or_paused(world: SimulatedWorld) -> dict[str, str]:
    run = await world.start()
    await world.wait_status(run["id"], "completed", "paused")
    return run


async def test_an_older_protocol_on_the_latest_deployment_is_refused(stage: Stage, http: httpx.AsyncClient) -> None:
    async with simulated_world(stage) as world:
        run = await paused(world)
        world.simulator.deploy(max_protocol=5)

        answer = await act(http, run["id"], "resume", deployment="latest")

    assert answer.status_code == 400
    assert "supports range 5..=5" in answer.json()["message"]


async def test_a_waiting_retry_is_made_at_once_by_resume(stage: Stage, http: httpx.AsyncClient) -> None:
    async with simulated_world(stage) as world:
        world.simulator.world.retry_seconds = 3600
        run = await world.start(deploy="fail")
        await world.wait_status(run["id"], "backing-off")
        seen = await row(world, run["id"])
        moved = await act(http, run["id"], "resume", deployment="latest")
        await world.plan(run["key"])

        await act(http, run["id"], "resume")
        await world.wait_status(run["id"], "completed")

    assert (seen["retry_count"], seen["last_failure_related_command_name"]) == (1, "deploy")
    assert "next_retry_at" in seen
    assert moved.status_code == 409


async def test_an_invocation_moved_to_a_deployment_without_its_service_fails_there(
    stage: Stage, http: httpx.AsyncClient
) -> None:
    async with simulated_world(stage) as world:
        run = await paused(world)
        other = world.simulator.deploy([ServiceSpec("Other", ("only",))])

        answer = await act(http, run["id"], "resume", deployment=other)
        await world.wait_status(run["id"], "paused")
        events = await world.query(f"SELECT event_json FROM sys_journal_events WHERE id = '{run['id']}'")

    assert answer.status_code == 200
    assert json.loads(events[-1]["event_json"])["last_failure"]["restate_doc_error_code"] == "RT0012"


async def test_revisions_tell_which_deployment_is_the_latest(world: RestateWorld, http: httpx.AsyncClient) -> None:
    new = await world.deploy()

    listed = (await http.get("/deployments")).json()["deployments"]

    revisions = {one["id"]: service["revision"] for one in listed for service in one["services"] if service["name"] == "Shelf"}
    assert max(revisions, key=revisions.__getitem__) == new


async def test_a_failing_step_says_what_it_was_given_to_say(stage: Stage) -> None:
    async with simulated_world(stage) as world:
        world.simulator.world.reasons["deploy"] = "the rollout did not become healthy"
        run = await paused(world)

        found = world.simulator.invocation(run["id"])

    assert found is not None
    assert [event.fields["error_message"] for event in found.events if event.event_type == "TransientError"] == [
        "the rollout did not become healthy"
    ]
