"""The product's parts with fail points around them: the store, the engine's call, the posts to the chat.

press      ─tx─▶ after_decision ─▶ ack
prepare    ─tx─▶ after_end_intent ─▶ before_end_bytes ─▶ after_end_bytes ─▶ answer ─▶ before_end_receipt ─tx─▶
carry_out  ─tx─▶ after_intent ─▶ connect ─▶ before_bytes ─▶ after_bytes ─▶ answer ─▶ before_receipt ─tx─ in_receipt ─▶ commit
deliver    ─▶ before_<surface> ─▶ chat.post ─▶ after_<surface> ─tx─▶
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
from pydantic import BaseModel

from bot.config import Settings
from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.execution import ExecutionRef, Receipt, ResumePoint
from bot.domain.messages import Approval, Card, Note, Shown
from bot.engines.restate import Restate, RestateSettings
from bot.parts import Parts
from bot.service.commands import Commands
from bot.service.delivery import Delivery
from bot.service.forms import Forms
from bot.service.reports import Reports
from bot.slack.chat import SlackChat
from bot.store.unit_of_work import SqlStore, SqlUnit
from tests.journeys.points import Points

BEFORE_COMMIT = {AuditAction.RECEIPT_RUNNING: "in_receipt"}
INTENTS = {AuditAction.CALL_SENT: "after_intent", AuditAction.PREPARING: "after_end_intent"}
AFTER_COMMIT = {AuditAction.APPROVED: "after_decision", **INTENTS}


class PointedStore:
    """A store whose units pass the points that their audit entries name."""

    def __init__(self, store: SqlStore, points: Points) -> None:
        self.store, self.points = store, points

    @asynccontextmanager
    async def unit(self, *, hurried: bool = False) -> AsyncIterator[SqlUnit]:
        """The product's own unit."""
        entries: Sequence[AuditEntry] = ()
        try:
            async with self.store.unit(hurried=hurried) as unit:
                yield unit
                entries = tuple(unit._entries)
                self._pass(BEFORE_COMMIT, entries)
            self._pass(AFTER_COMMIT, entries)
        finally:
            for entry in entries:
                if entry.action not in INTENTS:  # its call is yet to come, and leaves
                    self.points.leave(entry.execution or "")

    def _pass(self, names: Mapping[AuditAction, str], entries: Sequence[AuditEntry]) -> None:
        for entry in entries:
            if entry.action in names:
                self.points.reach(names[entry.action], entry.execution or "")


class PointedTransport(httpx.AsyncBaseTransport):
    """A transport that passes a point when the connection stands, and one when all bytes have left."""

    def __init__(self, inner: httpx.AsyncBaseTransport, reach: Callable[[str], None]) -> None:
        self._inner, self._reach = inner, reach

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The inner transport's answer."""
        guard = request.extensions["trace"]

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event.endswith(".send_request_headers.started"):
                self._reach("before")
            await guard(event, info)
            if event.endswith(".send_request_body.complete"):
                self._reach("after")

        request.extensions = {**request.extensions, "trace": trace}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class PointedRestate(Restate):
    """Restate with points around the one call, and around the end before it."""

    def __init__(self, product: Restate, settings: BaseModel, points: Points) -> None:
        assert isinstance(settings, RestateSettings)
        client = product._client
        super().__init__(client._connection, settings, client._throttle)
        self._points, self._on_call, self._bytes = points, "", "bytes"
        fresh = self._client._fresh_client

        def fresh_and_pointed() -> httpx.AsyncClient:
            made = fresh()
            made._transport = PointedTransport(made._transport, self._reach_bytes)
            return made

        self._client._fresh_client = fresh_and_pointed  # type: ignore[method-assign]  # the seam where bytes leave

    def _reach_bytes(self, side: str) -> None:
        self._points.reach(f"{side}_{self._bytes}", self._on_call)

    async def prepare(self, ref: ExecutionRef, point: ResumePoint, send_before: float) -> bool:
        """The end before a restart."""
        self._on_call, self._bytes = ref.id, "end_bytes"
        try:
            had_to_end = await super().prepare(ref, point, send_before)
            self._points.reach("before_end_receipt", ref.id)
            return had_to_end
        finally:
            self._bytes = "bytes"
            self._points.leave(ref.id)

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """The one call; its client lets no two leave at once, so one name is enough."""
        self._on_call = ref.id
        try:
            receipt = await super().resume(ref, point, key, send_before)
            self._points.reach("before_receipt", ref.id)
            return receipt
        finally:
            self._points.leave(ref.id)


class PointedChat(SlackChat):
    """A chat with points around the first post of each surface."""

    def __init__(self, chat: SlackChat, points: Points) -> None:
        super().__init__(chat._client, chat._session)
        self._points = points

    async def post(self, channel: str, shown: Shown, thread_ts: str | None = None) -> str:
        """Post, unless the process ends before."""
        surface, execution = _named(shown)
        try:
            self._points.reach(f"before_{surface}", execution)
            ts = await super().post(channel, shown, thread_ts)
            self._points.reach(f"after_{surface}", execution)
            return ts
        finally:
            self._points.leave(execution)


def _named(shown: Shown) -> tuple[str, str]:
    match shown:
        case Card(incident=incident):
            return "card", incident.execution_id
        case Approval(request=request):
            return "approval", request.execution_id
        case Note(kind=kind, request=request):
            return kind.value, request.execution_id
        case _:
            return "other", "none"


def with_points(
    parts: Parts, settings: Settings, points: Points, make_store: type[PointedStore], make_engine: type[PointedRestate]
) -> Parts:
    """The same parts with each fail point in its place."""
    models = {connection.name: connection.settings for connection in settings.connections}
    engines = {
        name: make_engine(engine, models[name], points) if isinstance(engine, Restate) else engine
        for name, engine in parts.core.engines.items()
    }
    store, chat = make_store(parts.store, points), PointedChat(parts.chat, points)
    core = replace(parts.core, store=store, chat=chat, engines=engines)
    return replace(
        parts,
        core=core,
        delivery=Delivery(core, parts.outbox, parts.readings),
        commands=Commands(core, Reports(core, parts.readings)),
        forms=Forms(core, parts.readings),
    )
