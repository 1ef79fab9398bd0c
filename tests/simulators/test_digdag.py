"""What the simulated Digdag server does beyond its tapes: the other refusals, the silent 200s, faults, the other flavour."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from bot.simulators.digdag import DigdagSimulator
from bot.simulators.digdag_faults import Fault, FaultKind
from bot.simulators.digdag_files import DigSyntaxError, read_dig
from bot.simulators.digdag_notices import Notification
from bot.simulators.digdag_run import Pace
from bot.simulators.digdag_wire import Flavour
from bot.simulators.digdag_world import Limits
from bot.simulators.serving import serve
from tests.simulators.digdag_replay import HOOK, Mailbox, Replay, steps, workflow_texts

pytestmark = pytest.mark.anyio

TIME = "2026-01-01T00:00:00+00:00"
NESTED = "+a:\n  echo>: one\n+b:\n  +nested:\n    +a:\n      echo>: two\n  +after:\n    fail>: told to\n"


class Client:
    """A client with the few calls the tests need, in process."""

    def __init__(self, simulator: DigdagSimulator, mailbox: Mailbox, key: str | None) -> None:
        self.simulator = simulator
        self.mailbox = mailbox
        headers = {"Authorization": f"TD1 {key}"} if key else {}
        transport = httpx.ASGITransport(simulator)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://digdag.test", headers=headers)

    def workflow_id(self, name: str) -> str:
        return str(next(one.id for one in reversed(self.simulator.world.workflows.values()) if one.name == name))

    async def put(self, workflow: str, *, time: str = TIME, **more: Any) -> httpx.Response:
        body = {"workflowId": self.workflow_id(workflow), "sessionTime": time, "params": {}, **more}
        return await self.http.put("/api/attempts", json=body)

    async def run(self, workflow: str, **more: Any) -> str:
        """Starts an attempt, waits for its end and gives its id."""
        answer = await self.put(workflow, **more)
        assert answer.status_code == 200, answer.text
        await self.simulator.ended(int(answer.json()["id"]))
        return str(answer.json()["id"])

    async def states(self, attempt_id: str) -> dict[str, str]:
        tasks = (await self.http.get(f"/api/attempts/{attempt_id}/tasks")).json()["tasks"]
        return {task["fullName"]: task["state"] for task in tasks}


@asynccontextmanager
async def server(flavour: Flavour = Flavour.OSS, key: str | None = None, **settings: Any) -> AsyncIterator[Client]:
    """A simulated server with the workflows of the tapes and one with nested tasks of the same name."""
    mailbox = Mailbox()
    hooks = httpx.AsyncClient(transport=httpx.ASGITransport(mailbox))
    settings = {"notification": Notification(HOOK), "pace": Pace(0.001, 0.01), **settings}
    simulator = DigdagSimulator(flavour=flavour, credential=key, http=hooks, **settings)
    simulator.push("lab", workflow_texts() | {"nested": NESTED})
    client = Client(simulator, mailbox, key)
    try:
        yield client
    finally:
        await client.http.aclose()
        await simulator.close()


# ---- the replay itself ----------------------------------------------------------------------


async def test_a_replay_notices_a_changed_answer() -> None:
    replay = Replay()
    first, second = steps("resume_failed")[:2]
    second["response"]["json"]["config"]["+prepare"] = {"echo>": "something else"}

    try:
        assert await replay._step(first) == []
        assert await replay._exchange(second["request"], second["response"]) != []
    finally:
        await replay.close()


# ---- refusals ---------------------------------------------------------------------------------


async def test_an_ambiguous_name_is_refused_with_its_candidates() -> None:
    async with server() as client:
        failed = await client.run("nested")

        answer = await client.put("nested", retryAttemptName="r", resume={"mode": "from", "attemptId": failed, "from": "+a"})

    assert answer.status_code == 400
    assert "Task pattern '+a' is ambiguous. Matching candidates are [" in answer.json()["message"]
    assert {"+nested+a", "+nested+b+nested+a"} <= set(answer.json()["message"].partition("[")[2].rstrip("]").split(", "))


async def test_a_deleted_project_is_gone_for_reads_and_starts() -> None:
    async with server() as client:
        client.simulator.world.projects[1].deleted_at = client.simulator.world.clock()

        shown = await client.http.get("/api/projects/1")
        by_name = await client.http.get("/api/projects", params={"name": "lab"})
        started = await client.put("release")

    assert shown.status_code == 404
    assert shown.json()["message"].startswith("Project id=1 is already deleted at 20")
    assert by_name.json() == {"projects": []}
    assert (started.status_code, started.json()["message"]) == (404, "Project id={} name={} is already deleted")


async def test_a_workflow_with_too_many_tasks_is_refused() -> None:
    async with server(limits=Limits(tasks=6)) as client:
        answer = await client.put("release")

    assert (answer.status_code, answer.json()["message"]) == (400, "Too many tasks. Limit: 6, Current: 0, Adding: 7")


async def test_the_limit_comes_before_the_conflict_so_a_repeated_call_sees_the_limit() -> None:
    async with server(limits=Limits(attempts=1)) as client:
        client.simulator.pace.hold()
        await client.put("slow", retryAttemptName="mine")

        again = await client.put("slow", retryAttemptName="mine")

    assert (again.status_code, again.json()["message"]) == (400, "Too many attempts running. Limit: 1, Current: 1")


async def test_a_missing_log_file_is_an_envelope_and_a_found_one_is_gzipped_twice() -> None:
    async with server(keeps_logs=True) as client:
        attempt = await client.run("release")
        files = (await client.http.get(f"/api/logs/{attempt}/files")).json()["files"]

        missing = await client.http.get(f"/api/logs/{attempt}/files/nope.log.gz")
        found = await client.http.get(f"/api/logs/{attempt}/files/{files[0]['fileName']}")

    assert (missing.status_code, set(missing.json())) == (404, {"message", "status"})
    assert gzip.decompress(found.content).decode().startswith("+release")


# ---- silent 200s --------------------------------------------------------------------------------


async def test_resuming_another_workflows_attempt_runs_everything() -> None:
    async with server() as client:
        other = await client.run("nested")

        attempt = await client.run("release", retryAttemptName="r", resume={"mode": "failed", "attemptId": other})

        assert "+release+build" in client.simulator.world.attempt(int(attempt)).ran


async def test_another_session_time_makes_a_new_session_that_skips_tasks_of_the_old_one() -> None:
    async with server() as client:
        failed = await client.run("release")

        resume = {"mode": "failed", "attemptId": failed}
        attempt = await client.run("release", time="2026-02-01T00:00:00Z", retryAttemptName="r", resume=resume)

        world = client.simulator.world
        assert world.attempt(int(attempt)).session is not world.attempt(int(failed)).session
        assert "+release+build" not in world.attempt(int(attempt)).ran


async def test_a_sibling_that_runs_keeps_nobody_from_starting_another() -> None:
    async with server() as client:
        failed = await client.run("release")
        client.simulator.pace.hold()
        resume = {"mode": "failed", "attemptId": failed}

        answers = [await client.put("release", retryAttemptName=name, resume=resume) for name in ("one", "two")]

    assert [answer.status_code for answer in answers] == [200, 200]


async def test_six_equal_calls_at_once_start_one_attempt() -> None:
    async with server() as client:
        failed = await client.run("release")
        resume = {"mode": "failed", "attemptId": failed}

        answers = await asyncio.gather(*(client.put("release", retryAttemptName="n", resume=resume) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_an_old_revision_still_runs_after_its_workflow_was_removed() -> None:
    async with server() as client:
        old = client.workflow_id("release")
        client.simulator.push("lab", {"slow": workflow_texts()["slow"]})

        answer = await client.put("release", workflowId=old)

    assert answer.status_code == 200


# ---- moving -------------------------------------------------------------------------------------


async def test_the_notice_comes_before_the_end_and_again_until_it_is_taken() -> None:
    async with server() as client:
        client.mailbox.answers = [500, 302]
        answer = await client.put("release")
        attempt = client.simulator.world.attempt(int(answer.json()["id"]))

        await client.mailbox.arrived.wait()
        was_done = attempt.is_done
        await client.simulator.ended(attempt.id)

    assert was_done is False
    assert len(client.mailbox.taken) == 3
    assert len({str(one["json"]) for one in client.mailbox.taken}) == 1


async def test_a_notice_that_nobody_takes_leaves_the_alert_in_error_and_the_attempt_ends() -> None:
    async with server(notification=Notification(HOOK, retries=3)) as client:
        client.mailbox.answers = [500] * 4

        attempt = await client.run("release")

        assert (await client.states(attempt))["+release^failure-alert"] == "error"
    assert len(client.mailbox.taken) == 4


async def test_a_notice_can_come_twice() -> None:
    async with server(notification=Notification(HOOK, copies=2)) as client:
        await client.run("release")

    assert len(client.mailbox.taken) == 2


async def test_a_notice_of_another_kind_says_so() -> None:
    async with server() as client:
        attempt = await client.run("slow", params={"pause": "1ms"})

        await client.simulator.notify(int(attempt), "SLA violation")

    assert [one["json"]["message"] for one in client.mailbox.taken] == ["SLA violation"]


async def test_a_task_with_its_own_retry_doubles_no_name() -> None:
    async with server() as client:
        client.simulator.push("lab", {"again": "+try:\n  _retry: 2\n  fail>: always\n"})

        attempt = await client.run("again")

        tasks = client.simulator.world.attempt(int(attempt)).tasks
    assert [task.full_name for task in tasks] == ["+again", "+again+try", "+again^failure-alert"]
    assert tasks[1].state_params == {"retry_count": 2}


# ---- the other flavour, other versions ------------------------------------------------------------


async def test_treasure_data_queues_where_it_is_allowed_and_starts_when_there_is_room() -> None:
    async with server(Flavour.TD, "1/key", limits=Limits(attempts=1)) as client:
        client.simulator.pace.hold()
        first = await client.put("slow", params={"pause": "1ms"})

        refused = await client.put("slow", time="2026-03-01T00:00:00Z")
        queued = await client.put("slow", time="2026-04-01T00:00:00Z", params={"pause": "1ms"}, allowQueueing=True)
        client.simulator.pace.release()
        ended = await client.simulator.ended(int(queued.json()["id"]))

    assert (first.status_code, refused.status_code, queued.json()["status"]) == (200, 400, "queued")
    assert ended.success is True


async def test_treasure_data_takes_names_instead_of_an_id() -> None:
    async with server(Flavour.TD, "1/key") as client:
        body = {"projectName": "lab", "workflowName": "release", "sessionTime": TIME, "params": {}}

        answer = await client.http.put("/api/attempts", json=body)

    assert (answer.status_code, answer.json()["poolId"]) == (200, "1")


async def test_treasure_data_refuses_a_bad_key() -> None:
    async with server(Flavour.TD, "1/key") as client:
        answer = await client.http.get("/api/attempts", headers={"Authorization": "TD1 1/other"})

    assert (answer.status_code, answer.json()["status"]) == (401, 401)


async def test_other_versions_leave_out_the_status_and_name_the_group_flag_otherwise() -> None:
    async with server() as client:
        oddities = client.simulator.oddities
        oddities.without_status, oddities.without_workflow_id, oddities.group_flag = True, True, "group"
        attempt = await client.run("release")

        shown = (await client.http.get(f"/api/attempts/{attempt}")).json()
        tasks = (await client.http.get(f"/api/attempts/{attempt}/tasks")).json()["tasks"]

    assert ("status" in shown, shown["workflow"]["id"]) == (False, None)
    assert ("isGroup" in tasks[0], tasks[0]["group"]) == (False, True)


# ---- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "acts"),
    [
        (FaultKind.REFUSE, 502, False),
        (FaultKind.ACTED, 502, True),
        (FaultKind.CUT, None, False),
        (FaultKind.LOST, None, True),
        (FaultKind.SLOW, 200, True),
    ],
)
async def test_a_faulty_call_acts_or_not_as_told(kind: FaultKind, status: int | None, acts: bool) -> None:
    async with server() as client, serve(client.simulator) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        client.simulator.script(Fault(kind, path="/api/attempts", seconds=0.01))
        body = {"workflowId": client.workflow_id("slow"), "sessionTime": TIME, "params": {"pause": "1ms"}}

        try:
            answered: int | None = (await http.put("/api/attempts", json=body)).status_code
        except httpx.TransportError:
            answered = None

        assert answered == status
        assert bool(client.simulator.world.attempts) is acts
        assert (await http.put("/api/attempts", json=body)).status_code == (409 if acts else 200)


async def test_a_limited_call_says_how_long_to_wait() -> None:
    async with server() as client:
        client.simulator.script(Fault(FaultKind.REFUSE, status=429, retry_after="7"))

        answer = await client.put("slow")

    assert (answer.status_code, answer.headers["retry-after"], len(client.simulator.calls)) == (429, "7", 1)


async def test_an_attempt_can_vanish() -> None:
    async with server() as client:
        attempt = await client.run("release")

        client.simulator.world.forget(int(attempt))

        assert (await client.http.get(f"/api/attempts/{attempt}")).status_code == 404


# ---- the reader of .dig files -----------------------------------------------------------------------


def test_the_reader_keeps_lists_quotes_and_nesting() -> None:
    text = 'a: \'it\'\'s\'\nb: "x: y"  \nlist:\n  - X: "1"\n    Y: 2\n  - plain\nempty:\nflow: {"k": [1]}\nnot: a # comment\n'

    read = read_dig(text)

    assert read == {
        "a": "it's", "b": "x: y", "list": [{"X": "1", "Y": 2}, "plain"], "empty": None, "flow": {"k": [1]}, "not": "a",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["just words\n", "a: 1\na: 2\n", "  a: 1\nb: 2\n"])
def test_the_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(DigSyntaxError, match="line"):
        read_dig(text)
