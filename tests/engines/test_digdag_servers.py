"""From notice to result on a simulated and, where there is one, on a real Digdag server."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import anyio.to_thread
import pytest

from bot.domain.errors import Forbidden, NotResumable
from bot.domain.execution import ExecutionRef, ExecutionStatus, Finding
from bot.engines._http import boot_time
from bot.engines.digdag import Digdag, DigdagSettings
from tests.digdag_lab.lab import DigdagLab, why_no_server
from tests.engines.digdag_stand import CONNECTION, KEY, Stand, Unlimited, digdag, point_of, switchboard  # noqa: F401 — a fixture
from tests.simulators.digdag_replay import workflow_texts

pytestmark = pytest.mark.anyio

REPAIRED = {"release": workflow_texts()["release"].replace("deployed to ${target}", "deployed")}


class Server(Protocol):
    """What the tests do to a server."""

    base_url: str
    token: str

    async def push(self, workflows: Mapping[str, str]) -> None: ...
    async def start(self, workflow: str, params: Mapping[str, Any]) -> str: ...
    async def ended(self, attempt_id: str) -> bool: ...
    async def ran(self, attempt_id: str) -> set[str]: ...
    async def count(self, attempt_id: str) -> int: ...
    async def notices(self, attempt_id: str) -> list[bytes]: ...


class Simulated:
    """The simulated server."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self.base_url = stand.base_url
        self.token = str(stand.simulator.credential)

    async def push(self, workflows: Mapping[str, str]) -> None:
        self._stand.simulator.push("lab", workflows)

    async def start(self, workflow: str, params: Mapping[str, Any]) -> str:
        return (await self._stand.start(workflow, params)).id

    async def ended(self, attempt_id: str) -> bool:
        return (await self._stand.simulator.ended(int(attempt_id))).success

    async def ran(self, attempt_id: str) -> set[str]:
        return self._stand.simulator.world.attempt(int(attempt_id)).ran

    async def count(self, attempt_id: str) -> int:
        return len(self._stand.simulator.world.attempt(int(attempt_id)).session.attempts)

    async def notices(self, attempt_id: str) -> list[bytes]:
        bodies = [one["json"] for one in self._stand.mailbox.taken]
        return [json.dumps(body).encode() for body in bodies if str(body["attempt_id"]) == attempt_id]


class Real:
    """The real server, from a thread beside the loop."""

    def __init__(self, lab: DigdagLab) -> None:
        self._lab = lab
        self.base_url = lab.base_url
        self.token = lab.token

    async def push(self, workflows: Mapping[str, str]) -> None:
        await anyio.to_thread.run_sync(self._lab.push, workflows)

    async def start(self, workflow: str, params: Mapping[str, Any]) -> str:
        return await anyio.to_thread.run_sync(self._lab.start, workflow, params)

    async def ended(self, attempt_id: str) -> bool:
        return await anyio.to_thread.run_sync(self._lab.ended, attempt_id)

    async def ran(self, attempt_id: str) -> set[str]:
        return await anyio.to_thread.run_sync(self._lab.ran, attempt_id)

    async def count(self, attempt_id: str) -> int:
        return await anyio.to_thread.run_sync(self._lab.count, attempt_id)

    async def notices(self, attempt_id: str) -> list[bytes]:
        return self._lab.hooks.of(attempt_id)


@pytest.fixture(scope="module", params=["simulated", "real"])
async def server(request: pytest.FixtureRequest, switchboard: None) -> AsyncIterator[Server]:  # noqa: F811 — the imported one
    """One server for all tests of the kind; each test makes sessions of its own."""
    if request.param == "simulated":
        async with digdag() as stand:
            yield Simulated(stand)
        return
    if (reason := why_no_server()) is not None:
        pytest.skip(reason)
    with DigdagLab() as lab:
        yield Real(lab)


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[Digdag]:
    """An engine that runs the newest revision, so that a push can repair what failed."""
    found = an_engine(server, revision="latest")
    await server.push(workflow_texts())
    yield found
    await found.aclose()


def an_engine(server: Server, **settings: Any) -> Digdag:
    given = {"base_url": server.base_url, "token": server.token, **settings}
    return Digdag(CONNECTION, DigdagSettings.model_validate(given), Unlimited())


async def failed(server: Server, workflow: str, params: Mapping[str, Any] | None = None) -> ExecutionRef:
    attempt_id = await server.start(workflow, params or {})
    assert await server.ended(attempt_id) is False
    return ExecutionRef(CONNECTION, attempt_id)


async def test_a_failure_is_told_described_resumed_and_succeeds(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "release")
    (body,) = await server.notices(ref.id)
    (notice,) = await engine.read_notice(body, {})
    await server.push(REPAIRED)

    execution = await engine.describe(notice.ref)
    receipt = await engine.resume(ref, execution.points[0], "req-1-1", boot_time() + 5)
    succeeded = await server.ended(receipt.ref.id)
    after = await engine.describe(receipt.ref)

    assert (execution.status, execution.failed_stage) == (ExecutionStatus.FAILED, "+release+deploy")
    assert (succeeded, after.status) == (True, ExecutionStatus.SUCCEEDED)
    assert await server.ran(receipt.ref.id) == {"+release+deploy", "+release+verify"}


async def test_from_an_earlier_task_runs_exactly_what_was_promised(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "release")
    await server.push(REPAIRED)
    execution = await engine.describe(ref)

    receipt = await engine.resume(ref, point_of(execution, "lint"), "req-2-1", boot_time() + 5)
    await server.ended(receipt.ref.id)

    assert point_of(execution, "lint").sentence.startswith("Runs +test+unit, +test+lint, +deploy and +verify")
    assert await server.ran(receipt.ref.id) == {
        f"+release{name}" for name in ("+test+unit", "+test+lint", "+deploy", "+verify")
    }


async def test_the_same_approval_carried_out_twice_starts_one_attempt(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "release")
    execution = await engine.describe(ref)

    before = await engine.evidence(ref, execution.baseline, "req-3-1")
    first = await engine.resume(ref, execution.points[0], "req-3-1", boot_time() + 5)
    second = await engine.resume(ref, execution.points[0], "req-3-2", boot_time() + 5)
    after = await engine.evidence(ref, execution.baseline, "req-3-2")

    assert first == second
    assert (before.finding, after.finding, after.ref) == (Finding.HARMLESS, Finding.HAPPENED, first.ref)
    assert await server.count(ref.id) == 2
    await server.ended(first.ref.id)


async def test_the_second_failure_in_failed_mode_is_silent_and_seen_by_the_poll(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "release")
    execution = await engine.describe(ref)

    receipt = await engine.resume(ref, execution.points[0], "req-4-1", boot_time() + 5)
    succeeded = await server.ended(receipt.ref.id)
    polled = await engine.find_failures(None)

    assert succeeded is False
    assert await server.notices(receipt.ref.id) == []
    assert receipt.ref in {notice.ref for notice in polled}


async def test_a_generated_failure_is_resumed_by_the_part_that_made_it(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "resume_demo", {"break_right": True})
    execution = await engine.describe(ref)

    receipt = await engine.resume(ref, point_of(execution, "+load+right"), "req-5-1", boot_time() + 5)
    await server.ended(receipt.ref.id)

    assert (execution.failed_stage, execution.error) == ("+resume_demo+load+right^sub", "right side is told to fail")
    assert "+resume_demo+prepare" not in await server.ran(receipt.ref.id)
    assert {"+resume_demo+load+left", "+resume_demo+load+right"} <= await server.ran(receipt.ref.id)


async def test_a_fired_group_retry_leaves_everything(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "retried")
    execution = await engine.describe(ref)

    receipt = await engine.resume(ref, execution.points[0], "req-6-1", boot_time() + 5)
    await server.ended(receipt.ref.id)

    assert [point.label for point in execution.points] == ["Everything, from +retried+group"]


async def test_a_running_attempt_is_not_resumed_and_can_be_killed(server: Server, engine: Digdag) -> None:
    other = await engine.describe(await failed(server, "release"))
    ref = ExecutionRef(CONNECTION, await server.start("slow", {"pause": "8s"}))

    with pytest.raises(NotResumable):
        await engine.resume(ref, other.points[0], "req-7-1", boot_time() + 5)
    await engine.kill(ref, boot_time() + 5)
    await server.ended(ref.id)
    await engine.kill(ref, boot_time() + 5)
    execution = await engine.describe(ref)

    assert execution.status is ExecutionStatus.CANCELLED
    assert execution.points[0].label.startswith("Failed tasks")


async def test_a_started_workflow_runs_once_however_often_it_is_sent(server: Server, engine: Digdag) -> None:
    (target,) = await engine.find_targets("lab", "release")
    inputs = {"session_time": "2027-01-01T00:00:00+00:00", "params": '{"target": "prod"}'}

    receipts = [await engine.start(target, inputs, f"req-8-{n}", boot_time() + 5) for n in (1, 2)]

    assert receipts[0] == receipts[1]
    assert await server.ended(receipts[0].ref.id) is True
    assert await server.count(receipts[0].ref.id) == 1


async def test_a_session_link_leads_to_the_last_attempt(server: Server, engine: Digdag) -> None:
    ref = await failed(server, "release")
    session_id = (await engine.describe(ref)).labels["Attempt"].rpartition(" ")[2]

    assert await engine.resolve_argument(f"{server.base_url}/sessions/{session_id}") == ref.id


async def test_a_key_of_the_wrong_kind_is_said_without_the_servers_page(server: Server) -> None:
    wrong = an_engine(server, token=KEY)

    with pytest.raises(Forbidden) as raised:
        await wrong.check()
    await wrong.aclose()

    assert "<" not in str(raised.value)
