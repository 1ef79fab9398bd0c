"""Scripted faults in front of a simulated Harness, and the record of what was called.

request ──> record ──> fault? ──no──> application
                         ├ an answer of its own: 401, 429, 500, HTML of a gateway
                         ├ cut    connection dropped before anything happened
                         ├ lost   it happened, then the connection is dropped
                         └ slow   it happens late
"""

import asyncio
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.simulators.serving import cut

GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


@dataclass(frozen=True)
class Call:
    """One request as it came in; `label` is what faults are scripted by."""

    label: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class _Fault:
    label: str
    kind: str
    times: int
    seconds: float


def gateway_page(status: int) -> Response:
    """What a proxy in front of the service says instead of it."""
    return HTMLResponse(GATEWAY_PAGE.format(f"{status} Gateway trouble"), status)


@dataclass
class Faults:
    """An ASGI application that records every call and misbehaves as told. `answers`: kinds with an answer of their own."""

    app: ASGIApp
    label: Callable[[str, str, bytes], str]
    answers: Mapping[str, Callable[[], Response]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _faults: list[_Fault] = field(default_factory=list)

    def fail(self, label: str, kind: str, *, times: int = 1, seconds: float = 1.0) -> None:
        """Let the next `times` calls whose label matches go wrong: cut, lost, slow, html-502…, or a kind of `answers`."""
        if kind not in {"cut", "lost", "slow", *self.answers} and not kind.startswith("html-"):
            raise ValueError(f"no such fault: {kind}")
        self._faults.append(_Fault(label, kind, times, seconds))

    def heal(self) -> None:
        """Forget all scripted faults."""
        self._faults.clear()

    def count(self, label: str) -> int:
        """How many calls with a matching label came in."""
        return sum(fnmatch.fnmatchcase(call.label, label) for call in self.calls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, faults first."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _read(receive)
        call = self._record(scope, body)
        fault = self._due(call.label)
        if fault is None:
            await self.app(scope, _replay(body, receive), send)
        elif fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            await self.app(scope, _replay(body, receive), send)
        elif fault.kind in {"cut", "lost"}:
            if fault.kind == "lost":
                await self.app(scope, _replay(body, receive), _swallow)
            await cut(scope)
        elif fault.kind.startswith("html-"):
            await gateway_page(int(fault.kind.removeprefix("html-")))(scope, receive, send)
        else:
            await self.answers[fault.kind]()(scope, receive, send)

    def _record(self, scope: Scope, body: bytes) -> Call:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        label = self.label(scope["method"], scope["path"], body)
        call = Call(label, scope["method"], scope["path"], query, headers, body)
        self.calls.append(call)
        return call

    def _due(self, label: str) -> _Fault | None:
        fault = next((one for one in self._faults if fnmatch.fnmatchcase(label, one.label)), None)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _swallow(message: Message) -> None:
    """An answer that nobody hears."""
