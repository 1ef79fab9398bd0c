"""A wire-true double of Slack's side of Socket Mode: hands out addresses, sends envelopes, and looks closely at the answers.

people ─▶ SlackSimulator ─request─▶ `client()` ─envelope─▶ websocket ─▶ the bot ─answer─▶ checked ─response─▶ SlackSimulator

It stands here and not among the simulators because those are ASGI apps, which the server they run in cannot give websockets
without a package more; nothing but these tests would use it.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import httpx
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.test_utils import TestServer

APP_TOKEN = "xapp-1-A0PLAY-1-of-a-test"
MOST_CONNECTIONS = 10
APP_ID = "A0PLAY"
ANSWERED_KINDS = ("view_submission", "block_suggestion")  # interactions whose answer may say something


@dataclass(eq=False)
class Wire:
    """One websocket of the bot's."""

    ticket: str
    socket: web.WebSocketResponse
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int | None = None

    async def send(self, message: object) -> None:
        """Send one message, as it is if it is a text."""
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def disconnect(self, reason: str) -> None:
        """Announce that this connection is to be replaced."""
        await self.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "wss-double.slack.com"}})

    async def close(self) -> None:
        """End it, as Slack does after it has announced it."""
        await self.socket.close(code=WSCloseCode.GOING_AWAY)

    def cut(self) -> None:
        """End it without a word."""
        assert self.socket._req is not None
        assert self.socket._req.transport is not None
        self.socket._req.transport.abort()


class SlackSockets:
    """Slack's side: `wires` are the open ones, oldest first; `broken` holds every rule of the wire that was not kept."""

    def __init__(self) -> None:
        self.url = ""
        self.upstream = ""  # where all other calls of the bot's go
        self.wires: list[Wire] = []
        self.tickets: list[str] = []
        self.broken: list[str] = []
        self.refusals: list[str] = []  # what apps.connections.open says next
        self.address = ""  # handed out instead of our own, {ticket} in it is filled in
        self.greets = True
        self.envelopes: list[dict[str, Any]] = []
        self.down = False  # Slack has an outage
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._good: set[str] = set()
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    # ---- apps.connections.open -----------------------------------------------------------

    def app(self) -> web.Application:
        """What is served."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/api/apps.connections.open", self._open)
        app.router.add_get("/link/", self._link)
        app.router.add_get("/elsewhere/", self._elsewhere)
        app.router.add_route("*", "/{path:.*}", self._forward)
        return app

    async def _open(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.Response(status=503, text="upstream connect error")
        if self.refusals:
            return refused(self.refusals.pop(0))
        given = {**dict(request.query), **dict(await request.post())}
        if given:
            self.broken.append(f"apps.connections.open takes no arguments, and got {sorted(given)}")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token.startswith("xoxb-"):
            return refused("not_allowed_token_type")
        if token != APP_TOKEN:
            return refused("invalid_auth")
        ticket = f"ticket-{next(self._numbers)}-{uuid4().hex}"
        self.tickets.append(ticket)
        self._good.add(ticket)
        self._tell()
        own = f"{self.url.replace('http', 'ws', 1)}/link/?ticket={{ticket}}&app_id={APP_ID}"
        return web.json_response({"ok": True, "url": (self.address or own).format(ticket=ticket)})

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"/link/?{request.query_string}")

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """Everything else is the simulator's."""
        headers = {name: value for name, value in request.headers.items() if name in {"Authorization", "Content-Type"}}
        async with httpx.AsyncClient(base_url=self.upstream, trust_env=False) as client:
            content = await request.read()
            got = await client.request(request.method, request.raw_path, content=content, headers=headers)
        kept = {name: got.headers[name] for name in ("content-type", "retry-after", "x-oauth-scopes") if name in got.headers}
        return web.Response(status=got.status_code, body=got.content, headers=kept)

    # ---- the websocket -------------------------------------------------------------------

    async def _link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._good:
            return web.Response(status=408)
        self._good.discard(ticket)  # good once
        socket = web.WebSocketResponse(max_msg_size=2**24)
        await socket.prepare(request)
        wire = Wire(ticket, socket)
        if len(self.wires) >= MOST_CONNECTIONS:
            await wire.disconnect("too_many_websockets")
            await wire.close()
            return socket
        if self.greets:
            await wire.send(self._hello())
            self._put(wire)
        try:
            async for message in socket:
                self._look(message.type, message.data)
        finally:
            wire.close_code = socket.close_code
            wire.ended.set()
            self.wires = [each for each in self.wires if each is not wire]
            self._tell()
        return socket

    def _hello(self) -> dict[str, Any]:
        debug = {"host": "applink-double", "started": "2026-03-01 12:00:00.000", "build_number": 54}
        return {
            "type": "hello",
            "num_connections": len(self.wires) + 1,
            "connection_info": {"app_id": APP_ID},
            "debug_info": {**debug, "approximate_connection_time": 18060},
        }

    def _put(self, wire: Wire) -> None:
        self.wires.append(wire)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _look(self, kind: WSMsgType, data: Any) -> None:
        """An answer: to one envelope, with nothing in it that Slack does not know."""
        try:
            assert kind is WSMsgType.TEXT, f"a frame of the kind {kind}"
            answer = json.loads(data)
            assert isinstance(answer, dict), "an answer that is no object"
            assert answer.keys() <= {"envelope_id", "payload"}, f"an answer with {sorted(answer)}"
            id_ = answer.get("envelope_id")
            sent = next((each for each in self.envelopes if each["envelope_id"] == id_), None)
            assert sent is not None, f"an answer to nothing: {id_}"
            if "payload" in answer:
                assert isinstance(answer["payload"], dict), "a payload that is no object"
                assert sent["accepts_response_payload"], f"a payload in the answer to {sent['type']}"
            waiting = self._waiting.pop(sent["envelope_id"], None)
            assert waiting is not None, f"a second answer to {id_}"
            waiting.set_result(answer)
        except (AssertionError, ValueError) as fault:
            self.broken.append(str(fault))

    # ---- what the tests do ---------------------------------------------------------------

    def expire(self) -> None:
        """Let no address that was handed out be good any more."""
        self._good.clear()

    async def connected(self, number: int = 1, limit: float = 10.0) -> Wire:
        """The newest wire, once there are so many."""
        await self.seen(lambda: len(self.wires) >= number, f"{number} connections", limit)
        return self.wires[-1]

    async def seen(self, probe: Callable[[], object], what: str, limit: float = 10.0) -> None:
        """Wait for something about the connections."""
        try:
            async with asyncio.timeout(limit):
                while not probe():
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"within {limit:g} s there was no {what}") from None

    async def deliver(self, envelope: dict[str, Any], wire: Wire | None = None) -> asyncio.Future[dict[str, Any]]:
        """Send an envelope over a connection, the newest when none is named; what it is answered in the end."""
        over = wire or await self.connected()
        self._waiting[envelope["envelope_id"]] = answer = asyncio.get_running_loop().create_future()
        self.envelopes.append(envelope)
        await over.send(envelope)
        return answer

    def client(self) -> httpx.AsyncClient:
        """A client for the simulator: each signed request of Slack's goes out as an envelope, its answer comes back."""
        return httpx.AsyncClient(transport=_Envelopes(self), base_url="http://bot")


class _Envelopes(httpx.AsyncBaseTransport):
    def __init__(self, sockets: SlackSockets) -> None:
        self._sockets = sockets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        answer = await (await self._sockets.deliver(enveloped(content, request.headers)))
        payload = answer.get("payload")
        return httpx.Response(200, json=payload) if payload is not None else httpx.Response(200)


def enveloped(content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """What goes over the wire instead of this request."""
    if headers["Content-Type"] == "application/json":
        return envelope("events_api", json.loads(content), **_retry(headers))
    fields = dict(parse_qsl(content.decode(), keep_blank_values=True))
    if "payload" in fields:
        return envelope("interactive", json.loads(fields["payload"]))
    return envelope("slash_commands", fields)


def envelope(kind: str, payload: Any, **more: Any) -> dict[str, Any]:
    """One delivery."""
    type_ = payload.get("type") if isinstance(payload, dict) else None
    accepts = kind == "slash_commands" or (kind == "interactive" and type_ in ANSWERED_KINDS)
    return {"envelope_id": str(uuid4()), "type": kind, "payload": payload, "accepts_response_payload": accepts, **more}


def _retry(headers: Mapping[str, str]) -> dict[str, Any]:
    number = int(headers.get("X-Slack-Retry-Num", "0"))
    return {"retry_attempt": number, "retry_reason": headers.get("X-Slack-Retry-Reason", "")}


def refused(error: str) -> web.Response:
    """An answer of apps.connections.open that says no."""
    return web.json_response({"ok": False, "error": error})


@asynccontextmanager
async def opened_sockets() -> AsyncIterator[SlackSockets]:
    """A double on a free port."""
    sockets = SlackSockets()
    server = TestServer(sockets.app(), host="127.0.0.1")
    await server.start_server(access_log=None)  # it would write down the tickets
    try:
        sockets.url = str(server.make_url("")).rstrip("/")
        yield sockets
    finally:
        await server.close()
