"""The web process: one ASGI app for Slack, hooks, health and metrics.

POST /slack/events ─▶ gate ─▶ Bolt        POST /hooks/<connection>        GET /healthz /readyz /metrics
"""

import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, request_response

from bot.ingest.webhook import Hooks
from bot.slack.gate import Gate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebParts:
    """What the routes call: `ready` raises with a sentence when the process cannot do its work."""

    bolt: AsyncApp
    signing_secrets: tuple[str, ...]
    hooks: Hooks
    ready: Callable[[], Awaitable[None]]
    metrics: Callable[[], Awaitable[str]]
    metrics_token: str | None = None


def build(parts: WebParts) -> Starlette:
    """The app."""
    slack = Gate(request_response(_slack(parts.bolt)), parts.signing_secrets)

    async def hook(request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answered = await parts.hooks.take(request.path_params["connection"], headers, request.stream())
        return PlainTextResponse(f"{answered.words}\n", answered.status)

    async def ready(_: Request) -> Response:
        try:
            await parts.ready()
        except Exception as fault:  # noqa: BLE001 — a border: whatever is wrong, the answer is "not ready"
            log.warning("not ready", extra={"fault": type(fault).__name__})
            return PlainTextResponse("not ready\n", 503)
        return PlainTextResponse("ready\n")

    async def metrics(request: Request) -> Response:
        if not _may_see_metrics(request, parts.metrics_token):
            return PlainTextResponse("unauthorized\n", 401)
        return PlainTextResponse(await parts.metrics(), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/slack/events", slack),
            Route("/hooks/{connection}", hook, methods=["POST"]),
            Route("/healthz", _alive, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


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
