"""Replays recorded exchanges of a real Digdag server against the simulated one, step by step.

Attempts stand still between the steps; a read that differs lets them move until it fits or the limit is over.
"""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.simulators.digdag import DigdagSimulator
from bot.simulators.digdag_notices import Notification
from bot.simulators.digdag_run import Pace
from bot.simulators.digdag_world import Limits

TESTS = Path(__file__).resolve().parent.parent
TAPES = TESTS / "digdag_tapes"
WORKFLOWS = TESTS / "digdag_lab" / "workflows"

PUSHED = ("slow", "resume_demo", "handled", "retried", "release")
"""The order in which the recorded server numbered them."""

HOOK = "http://hooks.test/hooks/digdag"
LIMIT_SECONDS = 5.0

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_INSTANTS = {"createdAt", "finishedAt", "updatedAt", "retryAt", "startedAt", "timestamp", "fileTime"}
_MAPPED = {"sessionUuid": "uuid", "session_uuid": "uuid", "revision": "revision"}
_TASK_IDS = {"id", "parentId", "upstreams"}
_PARSER = re.compile(r"at \[Source: |through reference chain|Unexpected character|Invalid ISO|Unable to obtain")


def workflow_texts() -> dict[str, str]:
    """The workflows of the tapes, in the order in which the recorded server numbered them."""
    return {name: (WORKFLOWS / f"{name}.dig").read_text(encoding="utf-8") for name in PUSHED}


def steps(tape: str) -> list[dict[str, Any]]:
    """The steps of one tape."""
    return [json.loads(line) for line in (TAPES / f"{tape}.jsonl").read_text(encoding="utf-8").splitlines()]


class Mailbox:
    """Takes what the simulated server sends, in process."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        self.doors: dict[str, int] = {}
        """What else may be called here: path and status."""
        self.answers: list[int] = []
        """Statuses to answer next; 200 when there are none left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] in self.doors:
            await Response(status_code=self.doors[scope["path"]])(scope, receive, send)
            return
        self.taken.append({"headers": dict(request.headers), "json": await request.json()})
        self.arrived.set()
        status = self.answers.pop(0) if self.answers else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Replay:
    """One simulated server with the tapes' project, and the map between recorded and present ids."""

    def __init__(self, attempt_limit: int = 100) -> None:
        self.mailbox = Mailbox()
        self.simulator = DigdagSimulator(
            credential="bot:local-only",
            notification=Notification(HOOK, {"Authorization": "Bearer local-only"}),
            pace=Pace(task_seconds=0.002, wait_factor=0.02),
            limits=Limits(attempts=attempt_limit),
            http=httpx.AsyncClient(transport=httpx.ASGITransport(self.mailbox)),
            keeps_logs=True,
        )
        self.simulator.push("lab", workflow_texts())
        self.simulator.pace.hold()
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self.simulator), base_url="http://digdag.test")
        self._known: dict[tuple[str, Any], Any] = {}

    async def close(self) -> None:
        await self._http.aclose()
        await self.simulator.close()

    async def play(self, tape: str) -> list[str]:
        """The differences of a tape, none when the simulator did what the server did."""
        found: list[str] = []
        for number, step in enumerate(steps(tape), start=1):
            differences = await self._step(step)
            found += [f"{tape} step {number} ({step['step']}): {difference}" for difference in differences]
        await self._settle(step)
        return found

    async def _settle(self, last_step: dict[str, Any]) -> None:
        """Between two tapes the recorder read all notices; what a tape's last step starts belongs to the next one."""
        if last_step.get("request", {}).get("method") != "PUT":
            self.simulator.pace.release()
            for attempt_id in list(self.simulator.world.attempts):
                await self.simulator.ended(attempt_id)
            self.simulator.pace.hold()
        self.mailbox.taken.clear()

    async def _step(self, step: dict[str, Any]) -> list[str]:
        request = step.get("request")
        may_repeat = request is None or request["method"] == "GET" or step["step"] == "below the limit again"
        until = time.monotonic() + LIMIT_SECONDS
        while True:
            known = dict(self._known)
            differences = self._notices(step["notices"]) if request is None else await self._exchange(request, step["response"])
            if not differences or not may_repeat or time.monotonic() > until:
                self.simulator.pace.hold()
                return differences
            self._known = known
            self.simulator.pace.release()
            await asyncio.sleep(0.001)

    async def _exchange(self, request: dict[str, Any], expected: dict[str, Any]) -> list[str]:
        headers = {"Authorization": "Basic Ym90OmxvY2FsLW9ubHk=", **request.get("headers", {})}
        # The three recorded calls about credentials name the header they sent, or sent none.
        if expected.get("json", {}).get("message") == "Missing Authorization header":
            del headers["Authorization"]
        content: bytes | None = None
        if "json" in request:
            content = json.dumps(request["json"]).replace('"HOOK"', json.dumps(HOOK)).encode()
            headers.setdefault("Content-Type", "application/json")
        elif "raw" in request:
            content = request["raw"].encode()
        answer = await self._http.request(
            request["method"], request["path"], params=request.get("query"), headers=headers, content=content
        )
        return self._answer(expected, answer)

    def _answer(self, expected: dict[str, Any], answer: httpx.Response) -> list[str]:
        shown = (answer.status_code, answer.headers.get("content-type"))
        if shown != (expected["status"], expected["content_type"]):
            return [f"expected {expected['status']} {expected['content_type']}, got {shown}: {answer.text[:200]}"]
        if "html" in expected:
            return [] if answer.text.startswith("<html>") else ["expected a page of HTML"]
        if "json" not in expected:
            return [] if len(answer.content) == expected["length"] else ["expected an empty body"]
        message = str(expected["json"].get("message", "")) if isinstance(expected["json"], dict) else ""
        if _PARSER.search(message):
            body = answer.json()
            is_envelope = set(body) == {"message", "status"} and body["status"] == expected["status"]
            return [] if is_envelope else [f"expected an envelope, got {body}"]
        return self._compare(expected["json"], json.loads(answer.text.replace(HOOK, "HOOK")), "", None)

    def _notices(self, expected: list[dict[str, Any]]) -> list[str]:
        taken = sorted(self.mailbox.taken, key=_notice_order)
        if len(taken) < len(expected):
            return [f"expected {len(expected)} notices, got {len(taken)}"]
        found: list[str] = []
        for wanted, got in zip(sorted(expected, key=_notice_order), taken, strict=False):
            headers = {name: value for name, value in wanted["headers"].items() if got["headers"].get(name.lower()) != value}
            found += [f"headers differ: {headers}"] if headers else []
            found += self._compare(wanted["json"], got["json"], "notice", None)
        if ("authorization" in got["headers"]) != ("Authorization" in wanted["headers"]) if expected else False:
            found.append("the Authorization header goes with the server's notices only")
        found += [f"a notice too many: {one['json']}" for one in taken[len(expected) :]]
        if not found:
            self.mailbox.taken.clear()
        return found

    # ---- bodies ---------------------------------------------------------------------------

    def _compare(self, expected: Any, got: Any, path: str, key: str | None) -> list[str]:
        if isinstance(expected, dict) and isinstance(got, dict):
            return self._compare_objects(expected, got, path)
        if isinstance(expected, list) and isinstance(got, list):
            if len(expected) != len(got):
                return [f"{path}: expected {len(expected)} members, got {len(got)}"]
            return [
                one
                for n, (a, b) in enumerate(zip(expected, got, strict=True))
                for one in self._compare(a, b, f"{path}[{n}]", key)
            ]
        return [] if self._is_same(expected, got, key) else [f"{path}: expected {expected!r}, got {got!r}"]

    def _compare_objects(self, expected: dict[str, Any], got: dict[str, Any], path: str) -> list[str]:
        if set(expected) != set(got):
            return [f"{path}: keys differ by {sorted(set(expected) ^ set(got))}"]
        is_task = "fullName" in expected
        found: list[str] = []
        for key, value in expected.items():
            kind = f"task {key}" if is_task and key in _TASK_IDS else key
            found += self._compare(value, got[key], f"{path}.{key}", kind)
        return found

    def _is_same(self, expected: Any, got: Any, key: str | None) -> bool:
        if key in _INSTANTS and expected is not None:
            return isinstance(got, str) and _INSTANT.fullmatch(got) is not None
        if key in _MAPPED or (key or "").startswith("task "):
            kind = _MAPPED.get(key or "", "task")
            return expected is got is None or self._known.setdefault((kind, expected), got) == got
        if key in {"fileName", "agentId"}:
            return key == "agentId" or got.partition("@")[0] == expected.partition("@")[0]
        if key in {"wait_start_time_millis", "fileSize"}:
            return isinstance(got, int)
        if key == "message":
            return _without_task_id(expected) == _without_task_id(got)
        return bool(expected == got)


def _notice_order(notice: dict[str, Any]) -> tuple[int, int]:
    return int(notice["json"]["attempt_id"]), -len(notice["json"])


def _without_task_id(message: Any) -> str:
    return re.sub(r"task_id=\d+", "task_id=…", str(message))
