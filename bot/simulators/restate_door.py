"""What stands before the simulated Restate server: a proxy that wants a token, scripted faults, and the record of calls.

request ─> record ─> fault? ─> token? ─> application
                       ├ status   429, 503, … answered in the server's place
                       ├ html     an answer of a proxy that failed
                       ├ strange  JSON of another form
                       ├ slow     acted and answered, later
                       ├ cut      dropped before anything happened
                       └ lost     acted, and the answer is dropped
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.simulators.restate_model import now_ms, wire_time
from bot.simulators.serving import cut

FaultKind = int | Literal["html", "page", "strange", "slow", "cut", "lost"]


@dataclass(slots=True)
class Call:
    """One request and the status it was answered with; None while it runs and when nobody was answered."""

    at: str
    method: str
    path: str
    query: str
    body: str
    status: int | None = None


@dataclass(slots=True)
class _Fault:
    pattern: str
    kind: FaultKind
    times: int
    seconds: float


class Door:
    """An ASGI app around another one; patterns are globs over `METHOD /path`."""

    def __init__(self, app: ASGIApp, token: str | None, on_change: Callable[[], None]) -> None:
        self.calls: list[Call] = []
        self._app = app
        self._token = token
        self._changed = on_change
        self._faults: list[_Fault] = []

    def fail(self, pattern: str, kind: FaultKind, *, times: int = 1, seconds: float = 1.0) -> None:
        """Script a fault for the next calls that match; `seconds` is the wait of 429 and 503, and the delay of slow."""
        self._faults.append(_Fault(pattern, kind, times, seconds))

    def heal(self) -> None:
        """Drop all scripted faults."""
        self._faults.clear()

    def count(self, pattern: str) -> int:
        """How many calls of a kind came in."""
        return sum(fnmatchcase(f"{call.method} {call.path}", pattern) for call in self.calls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or fail as scripted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        call = Call(wire_time(now_ms()), request.method, scope["path"], request.url.query, body.decode(errors="replace"))
        self.calls.append(call)
        await self._answer(scope, _again(body), _noting(call, send), call)
        self._changed()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        fault = self._next_fault(f"{call.method} {call.path}")
        match fault.kind if fault else None:
            case "cut":
                await cut(scope)
            case "lost":
                await self._app(scope, receive, _drop)
                call.status = None
                await cut(scope)
            case "html":
                await HTMLResponse("<html><body>Bad gateway</body></html>", 502)(scope, receive, send)
            case "page":
                await HTMLResponse("<html><body>Please sign in</body></html>")(scope, receive, send)
            case "strange":
                await JSONResponse({"rows": {"answer": 42}})(scope, receive, send)
            case int() as status:
                await _status(status, fault.seconds if fault else 0)(scope, receive, send)
            case _:
                await asyncio.sleep(fault.seconds if fault else 0)
                await (self._refusal(scope) or self._app)(scope, receive, send)

    def _next_fault(self, line: str) -> _Fault | None:
        fault = next((one for one in self._faults if fnmatchcase(line, one.pattern)), None)
        if fault:
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
        return fault

    def _refusal(self, scope: Scope) -> Response | None:
        """The open server ignores the header; a proxy in front wants it."""
        if self._token is None:
            return None
        given = Request(scope).headers.get("authorization")
        if given is None:
            return PlainTextResponse("authorization required", 401, {"www-authenticate": "Bearer"})
        return None if given == f"Bearer {self._token}" else PlainTextResponse("forbidden", 403)


def _status(status: int, seconds: float) -> Response:
    headers = {"retry-after": str(round(seconds))} if status in {429, 503} else {}
    message = {"message": f"scripted answer {status}", "restate_code": None}
    return JSONResponse(message, status, headers)


def _again(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _noting(call: Call, send: Send) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            call.status = message["status"]
        await send(message)

    return noting


async def _drop(_message: Message) -> None:
    """An answer that nobody hears."""
