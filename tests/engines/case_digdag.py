"""The rows of Digdag: the open-source server and Treasure Data simulated, and a real server where there is one."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from pydantic import SecretStr

from bot.domain.execution import ExecutionRef
from bot.engines.digdag import Digdag, DigdagSettings
from bot.simulators.digdag import DigdagSimulator
from bot.simulators.digdag_faults import Fault, FaultKind, Faults
from bot.simulators.digdag_run import Pace
from bot.simulators.digdag_wire import Flavour
from bot.simulators.serving import serve
from tests.digdag_lab.door import Forward
from tests.digdag_lab.lab import DigdagLab, why_no_server
from tests.engines.cases import CONNECTION, NOBODY_LISTENS, SECRET, CallKind, Case, Opener, Sample, Stand, Trouble, Unlimited
from tests.engines.digdag_stand import Switchboard
from tests.simulators.digdag_replay import Mailbox, workflow_texts

SAMPLES = Path(__file__).parent / "samples" / "digdag"
FAILURES = ("attempt_failed", "error_block", "workflow_timeout", "task_timeout")
PASSWORD = f"bot:{SECRET}"

# +load succeeds as soon as the address behind ${door} does; its params stay the same, as they do when an attempt is resumed.
GUARDED = "+prepare:\n  echo>: prepared\n+load:\n  http>: ${door}\n  method: POST\n+publish:\n  echo>: published\n"
DOORS = itertools.count(1)

FAULTS = {
    Trouble.UNAUTHORISED: Fault(FaultKind.REFUSE, status=401, body='{"message":"unauthorized","status":401}'),
    Trouble.FORBIDDEN: Fault(FaultKind.REFUSE, status=403, body='{"message":"no","status":403}'),
    Trouble.LIMITED: Fault(FaultKind.REFUSE, status=429, retry_after="7"),
    Trouble.FAULT: Fault(FaultKind.REFUSE, status=500),
    Trouble.STRANGE: Fault(FaultKind.REFUSE, status=200, body='{"strange": true}', media_type="application/json"),
    Trouble.PAGE: Fault(FaultKind.REFUSE, status=200),
    Trouble.CUT: Fault(FaultKind.CUT),
    Trouble.LOST: Fault(FaultKind.LOST),
}

Start = Callable[[str, dict[str, Any]], Awaitable[tuple[str, bool]]]


class DigdagStand:
    """An engine, the faults before its server, and the addresses that workflows call."""

    def __init__(self, base_url: str, token: str, faults: Faults, start: Start, doors: dict[str, int], target: str) -> None:
        """`start` runs a workflow to its end and gives its attempt and whether it succeeded; `doors` answer by path."""
        self.engine = an_engine(base_url, token)
        self._away = an_engine(NOBODY_LISTENS, token)
        self._faults = faults
        self._start = start
        self._doors = doors
        self._target = target
        self._paths: dict[str, str] = {}

    async def fail_one(self) -> ExecutionRef:
        """An attempt whose +load was turned away."""
        return await self._run(500)

    async def succeed_one(self) -> ExecutionRef:
        """An attempt that went through."""
        return await self._run(200)

    async def _run(self, status: int) -> ExecutionRef:
        path = f"/doors/{next(DOORS)}"
        self._doors[path] = status
        attempt_id, succeeded = await self._start("guarded", {"door": f"{self._target}{path}"})
        assert succeeded is (status == 200)
        self._paths[attempt_id] = path
        return ExecutionRef(CONNECTION, attempt_id)

    def unknown(self) -> ExecutionRef:
        """An id that no attempt has."""
        return ExecutionRef(CONNECTION, "999999999")

    async def repair(self, ref: ExecutionRef) -> None:
        """Opens the door."""
        self._doors[self._paths[ref.id]] = 200

    def trouble(self, call: CallKind, trouble: Trouble, times: int = 1) -> None:
        """Scripts it before the server."""
        fault = FAULTS[trouble]
        method = "GET" if call is CallKind.READ else "PUT"
        shown = {key: value for key, value in vars(fault).items() if key not in {"method", "times"}}
        self._faults.scripted.append(Fault(**shown, method=method, times=times))

    def resumes(self) -> int:
        """Start calls that came in."""
        return sum(call.method == "PUT" and call.headers["user-agent"] == "resumebot" for call in self._faults.calls)

    def elsewhere(self) -> Digdag:
        """The engine for an address without a server."""
        return self._away

    def notices(self, ref: ExecutionRef) -> Sequence[Sample]:
        """The server's and an `_error` block's, of this attempt."""
        bodies = {name: json.loads((SAMPLES / f"{name}.json").read_bytes()) for name in FAILURES}
        headers = {"content-type": "application/json"}
        return [
            Sample(name, json.dumps({**body, "attempt_id": int(ref.id)}).encode(), headers) for name, body in bodies.items()
        ]

    async def aclose(self) -> None:
        """Closes both engines."""
        await self.engine.aclose()
        await self._away.aclose()


def an_engine(base_url: str, token: str) -> Digdag:
    """An engine with the credential of the row."""
    return Digdag(CONNECTION, DigdagSettings(base_url=base_url, token=SecretStr(token)), Unlimited())


def simulated(flavour: Flavour, token: str) -> Callable[[], Any]:
    """The simulator, fresh for each test behind one port."""

    @asynccontextmanager
    async def served() -> AsyncIterator[Opener]:
        switchboard = Switchboard()

        @asynccontextmanager
        async def opener() -> AsyncIterator[Stand]:
            mailbox = Mailbox()
            simulator = DigdagSimulator(
                flavour=flavour,
                credential=token,
                pace=Pace(task_seconds=0.001),
                http=httpx.AsyncClient(transport=httpx.ASGITransport(mailbox)),
            )
            simulator.push("lab", {"guarded": GUARDED})
            stand = DigdagStand(
                switchboard.add(simulator), token, simulator.faults, _starter(simulator), mailbox.doors, "http://doors.test"
            )
            try:
                yield stand
            finally:
                await stand.aclose()
                await simulator.close()

        async with serve(switchboard) as switchboard.base_url:
            yield opener

    return served


def _starter(simulator: DigdagSimulator) -> Start:
    minutes = itertools.count()

    async def start(workflow: str, params: dict[str, Any]) -> tuple[str, bool]:
        attempt = simulator.start(workflow, f"2026-01-01T00:{next(minutes):02}:00Z", params)
        return str(attempt.id), (await simulator.ended(attempt.id)).success

    return start


@asynccontextmanager
async def real() -> AsyncIterator[Opener]:
    """One real server for all tests; faults and record stand before it."""
    if (reason := why_no_server()) is not None:
        pytest.skip(reason)
    switchboard = Switchboard()
    with DigdagLab(SECRET) as lab:

        async def start(workflow: str, params: dict[str, Any]) -> tuple[str, bool]:
            attempt_id = await anyio.to_thread.run_sync(lab.start, workflow, params)
            return attempt_id, await anyio.to_thread.run_sync(lab.ended, attempt_id)

        @asynccontextmanager
        async def opener() -> AsyncIterator[Stand]:
            forward = Forward(lab.base_url)
            faults = Faults(forward)
            stand = DigdagStand(switchboard.add(faults), lab.token, faults, start, lab.hooks.doors, lab.hooks.base_url)
            try:
                yield stand
            finally:
                await stand.aclose()
                await forward.aclose()

        lab.push(workflow_texts() | {"guarded": GUARDED})
        async with serve(switchboard) as switchboard.base_url:
            yield opener


CASES = (
    Case("digdag", "digdag", simulated(Flavour.OSS, PASSWORD)),
    Case("digdag-treasure-data", "digdag", simulated(Flavour.TD, f"1/{SECRET}")),
    Case("digdag-real", "digdag", real),
)
