"""The web process: one ASGI app for Slack, hooks, health and metrics.

POST /slack/events ─▶ gate ─▶ Bolt        POST /hooks/<connection>        GET /healthz /readyz /metrics
  (with a signing secret)
"""

import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, request_response

from bot.domain.errors import ConfigError
from bot.ingest.webhook import Hooks
from bot.patience import Patience
from bot.slack.gate import Gate

log = logging.getLogger(__name__)
HOOK_SECONDS = 10.0  # engines wait as long or longer, and send again what was refused
LOOK_SECONDS = 2.0  # for health and figures


@dataclass(frozen=True)
class WebParts:
    """What the routes call: `ready` raises with a sentence when the process cannot do its work.

    Without a signing secret Slack's requests cannot be told from others: there is no route for them.
    """

    bolt: AsyncApp
    signing_secrets: tuple[str, ...]
    hooks: Hooks
    ready: Callable[[], Coroutine[Any, Any, None]]
    metrics: Callable[[], Coroutine[Any, Any, str]]
    metrics_token: str | None = None


def build(parts: WebParts) -> Starlette:
    """The app."""
    answer_in_time = partial(_in_time, Patience())

    async def take(request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answered = await parts.hooks.take(request.path_params["connection"], headers, request.stream())
        return PlainTextResponse(f"{answered.words}\n", answered.status)

    async def look() -> Response:
        await parts.ready()
        return PlainTextResponse("ready\n")

    async def count() -> Response:
        return PlainTextResponse(await parts.metrics(), media_type="text/plain; version=0.0.4")

    async def hook(request: Request) -> Response:
        return await answer_in_time(HOOK_SECONDS, take(request), "not kept: send it again")

    async def ready(_: Request) -> Response:
        return await answer_in_time(LOOK_SECONDS, look(), "not ready")

    async def metrics(request: Request) -> Response:
        if not _may_see_metrics(request, parts.metrics_token):
            return PlainTextResponse("unauthorized\n", 401)
        return await answer_in_time(LOOK_SECONDS, count(), "no figures at the moment")

    gated = Gate(request_response(_slack(parts.bolt)), parts.signing_secrets) if parts.signing_secrets else None

    return Starlette(
        routes=[
            *([Route("/slack/events", gated)] if gated else []),
            Route("/hooks/{connection}", hook, methods=["POST"]),
            Route("/healthz", _alive, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


async def _in_time(patience: Patience, seconds: float, work: Coroutine[Any, Any, Response], otherwise: str) -> Response:
    """What the work answers; 503 with these words when it is late or fails."""
    try:
        return await patience.within(seconds, work)
    except Exception as fault:
        is_outage = isinstance(fault, TimeoutError | DBAPIError | ConfigError)
        log.warning(otherwise, extra={"fault": type(fault).__name__}, exc_info=None if is_outage else fault)
        return PlainTextResponse(f"{otherwise}\n", 503)


def _slack(bolt: AsyncApp) -> Callable[[Request], Awaitable[Response]]:
    handler = AsyncSlackRequestHandler(bolt)

    async def slack(request: Request) -> Response:
        try:
            return await handler.handle(request)
        except Exception as fault:  # noqa: BLE001 — a border: a refusal of what Slack signed makes it send that again
            log.warning("a signed request could not be parsed", extra={"fault": type(fault).__name__})
            return Response(status_code=200)

    return slack


async def _alive(_: Request) -> Response:
    return PlainTextResponse("alive\n")


def _may_see_metrics(request: Request, token: str | None) -> bool:
    if token:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
