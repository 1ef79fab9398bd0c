"""The HTTP side of the simulated Slack that the bot calls: `/api/<method>`, `/response/<ticket>`, `/archives/…`."""

import asyncio
import json
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.simulators.serving import cut
from bot.simulators.slack_chat import Chat
from bot.simulators.slack_limits import Trouble, Troubles
from bot.simulators.slack_methods import Reply, WebApi
from bot.simulators.slack_state import ApiError, Call, SlackState

FORM: Final = "application/x-www-form-urlencoded"
RESPONSE_STATUS: Final = {"invalid_payload": 400, "invalid_blocks": 400, "no_text": 400, "msg_blocks_too_long": 400}


class HttpSide:
    """Reads requests, lets the scripted faults strike, and hands them on."""

    def __init__(self, state: SlackState, api: WebApi, chat: Chat, troubles: Troubles, page_url: str) -> None:
        self._state = state
        self._api = api
        self._chat = chat
        self._troubles = troubles
        self._page_url = page_url

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/api/{method}", self._call, methods=["GET", "POST"]),
            Route("/response/{ticket}", self._respond, methods=["POST"]),
            Route("/archives/{channel}/{message}", self._follow, methods=["GET"]),
        ]

    # ---- Web API ----

    async def _call(self, request: Request) -> Response:
        method = request.path_params["method"]
        body = await request.body()
        trouble = self._troubles.strike(method)
        try:
            args = arguments(request, body)
        except ApiError as refused:
            self._state.break_rule(f"{method}: {refused.error}")
            return JSONResponse({"ok": False, "error": refused.error})
        # JSON bodies carry no token with Slack: there only the header counts.
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or args.pop("token", "")
        if struck := await self._struck(request, method, args, trouble):
            return struck
        reply = self._api.call(method, args, token)
        if trouble and trouble.kind == "lost":
            return await self._dropped(request)
        return JSONResponse(reply.answer, reply.status, reply.headers)

    async def _struck(self, request: Request, method: str, args: dict[str, Any], trouble: Trouble | None) -> Response | None:
        """The answer of a fault that keeps the call from acting."""
        if trouble is None or trouble.kind == "lost":
            return None
        if trouble.kind == "slow":
            await asyncio.sleep(trouble.seconds)
            return None
        reply = _failed(trouble)
        self._state.calls.append(Call(method, args, reply.answer, self._state.clock(), reply.status))
        if trouble.kind == "cut":
            return await self._dropped(request)
        return JSONResponse(reply.answer, reply.status, reply.headers)

    async def _dropped(self, request: Request) -> Response:
        await cut(request.scope)
        return Response(status_code=500)

    # ---- response_url ----

    async def _respond(self, request: Request) -> Response:
        raw = await request.body()
        trouble = self._troubles.strike("response_url")
        try:
            body = _object(raw)
        except ApiError as refused:
            self._state.break_rule(f"response_url: {refused.error}")
            return JSONResponse({"ok": False, "error": refused.error}, 400)
        if struck := await self._struck(request, "response_url", body, trouble):
            return struck
        reply = self._answered(request.path_params["ticket"], body)
        self._state.calls.append(Call("response_url", body, reply.answer, self._state.clock(), reply.status))
        if trouble and trouble.kind == "lost":
            return await self._dropped(request)
        return PlainTextResponse("ok") if reply.answer["ok"] else JSONResponse(reply.answer, reply.status)

    def _answered(self, ticket: str, body: dict[str, Any]) -> Reply:
        try:
            self._chat.respond(self._state.spend_response_url(ticket), body)
        except ApiError as refused:
            return Reply({"ok": False, "error": refused.error}, RESPONSE_STATUS.get(refused.error, 404))
        return Reply({"ok": True})

    # ---- permalinks ----

    async def _follow(self, request: Request) -> Response:
        """Leads a permalink to the page on which people read."""
        if not self._page_url:
            return PlainTextResponse("nobody reads here", 404)
        channel, digits = request.path_params["channel"], request.path_params["message"].removeprefix("p")
        return RedirectResponse(f"{self._page_url}#{channel}/{digits[:-6]}.{digits[-6:]}", 302)


def arguments(request: Request, body: bytes) -> dict[str, Any]:
    """The arguments of a call, from the query, a form or JSON."""
    args: dict[str, Any] = dict(request.query_params)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" and body:
        args |= {key: value for key, value in _object(body).items() if key != "token" and value is not None}
    elif kind == FORM:
        try:
            args |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            raise ApiError("invalid_form_data") from None
    elif body:
        raise ApiError("invalid_post_type")
    return args


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        raise ApiError("invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError("json_not_object")
    return body


def _failed(trouble: Trouble) -> Reply:
    match trouble.kind:
        case 429:
            return Reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(int(trouble.seconds))})
        case int(status):
            return Reply({"ok": False, "error": "service_unavailable" if status == 503 else "internal_error"}, status)
        case "cut":
            return Reply({}, 0)
        case error:
            return Reply({"ok": False, "error": error})
