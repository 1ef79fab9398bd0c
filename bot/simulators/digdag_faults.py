"""Scripted faults in front of the simulated Digdag server, and the record of what was called.

request ──> record ──> fault? ──no──> server
                         ├ refuse  an answer of its own, nothing happened: 429, 502, HTML…
                         ├ acted   it happened, the answer is a gateway's
                         ├ cut     connection dropped before anything happened
                         ├ lost    it happened, then the connection is dropped
                         └ slow    it happens late
"""

import asyncio
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.simulators.serving import cut


class FaultKind(StrEnum):
    """How a call goes wrong."""

    REFUSE = "refuse"
    ACTED = "acted"
    CUT = "cut"
    LOST = "lost"
    SLOW = "slow"


@dataclass
class Fault:
    """The next `times` calls of this method whose path starts so go wrong in this way."""

    kind: FaultKind
    method: str = "PUT"
    path: str = "/api/"
    times: int = 1
    status: int = 502
    body: str = "<html><head><title>Bad gateway</title></head><body>gateway trouble</body></html>"
    media_type: str = "text/html"
    retry_after: str | None = None
    seconds: float = 0.0

    def answer(self) -> Response:
        """What stands between server and client says instead of the server."""
        headers = {"content-type": self.media_type} | ({"retry-after": self.retry_after} if self.retry_after else {})
        return Response(self.body, self.status, headers)


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


@dataclass
class Faults:
    """The outermost layer of the simulated server."""

    app: ASGIApp
    calls: list[Call] = field(default_factory=list)
    scripted: list[Fault] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, faults first."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _read(receive)
        fault = self._due(scope["method"], scope["path"])
        self.calls.append(_call(scope, body))
        kind = fault.kind if fault is not None else None
        if fault is not None and fault.seconds:
            await asyncio.sleep(fault.seconds)
        if kind in {FaultKind.ACTED, FaultKind.LOST}:
            await self.app(scope, _replay(body, receive), _swallow)
        if kind in {FaultKind.CUT, FaultKind.LOST}:
            await cut(scope)
        elif fault is not None and kind in {FaultKind.REFUSE, FaultKind.ACTED}:
            await fault.answer()(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)

    def _due(self, method: str, path: str) -> Fault | None:
        for fault in self.scripted:
            if fault.method == method and path.startswith(fault.path):
                fault.times -= 1
                if fault.times <= 0:
                    self.scripted.remove(fault)
                return fault
        return None


def _call(scope: Scope, body: bytes) -> Call:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Call(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body)


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _swallow(message: Message) -> None:
    """An answer that nobody hears."""
