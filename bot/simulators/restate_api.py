"""The routes of the simulated Restate admin API: verbs, queries, deployments and a small page."""

import json
from collections.abc import Awaitable, Callable
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.simulators.restate_model import Deployment, wire_time
from bot.simulators.restate_sql import SqlError, run_query
from bot.simulators.restate_verbs import VERBS, Refused
from bot.simulators.restate_world import World

VERSION = "1.7.12"
_WITHOUT_RESTART = ("1.4.", "1.5.")


class RestateApi:
    """The admin API over a world; an ASGI app."""

    def __init__(self, world: World) -> None:
        self.is_ready = True  # not ready: partitions are starting, verbs and queries answer 503
        self.version = VERSION
        self._world = world
        self._app = self._routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)

    def _routes(self) -> Starlette:
        verbs = [Route(f"/invocations/{{id}}/{verb}", self._verb, methods=["PATCH"], name=verb) for verb in VERBS]
        return Starlette(
            routes=[
                *verbs,
                Route("/invocations/{id}", _empty(405), methods=["DELETE"]),
                Route("/query", self._query, methods=["POST"]),
                Route("/deployments", self._deployments, methods=["GET"]),
                Route("/deployments/{id}", self._deployment, methods=["GET"]),
                Route("/version", self._version, methods=["GET"]),
                Route("/health", _empty(200), methods=["GET"]),
                Route("/ui/invocations/{id}", self._page, methods=["GET"]),
            ],
            exception_handlers={404: _as_empty, 405: _as_empty},
        )

    async def _verb(self, request: Request) -> Response:
        if not self.is_ready:
            return _refuse(Refused(503, "Error when routing the request internally: partition is not ready"))
        verb = request.url.path.rsplit("/", 1)[1]
        if verb == "restart-as-new" and self.version.startswith(_WITHOUT_RESTART):
            return Response(status_code=404)
        act = VERBS[verb]
        try:
            status, body = act(self._world, request.path_params["id"], request.query_params)
        except Refused as refused:
            return _refuse(refused)
        return JSONResponse(body, status) if body else Response(status_code=status)

    async def _query(self, request: Request) -> Response:
        try:
            rows = run_query(self._world, await _read_sql(request)) if self.is_ready else None
        except Refused as refused:
            return _refuse(refused)
        except SqlError as error:
            return JSONResponse({"message": str(error)}, error.status)
        if rows is None:
            return JSONResponse({"message": "partition is not ready"}, 503)
        if request.headers.get("accept") != "application/json":
            return Response(b"\xff\xff\xff\xff\x10\x00\x00\x00ARROW", media_type="application/vnd.apache.arrow.stream")
        return JSONResponse({"rows": rows})

    async def _deployments(self, _request: Request) -> Response:
        return JSONResponse({"deployments": [_summary(self._world, one) for one in self._world.deployments.values()]})

    async def _deployment(self, request: Request) -> Response:
        found = self._world.deployments.get(request.path_params["id"])
        if found is None:
            message = f"The requested deployment '{request.path_params['id']}' does not exist"
            return JSONResponse({"message": message, "restate_code": "META0005"}, 404)
        services = [
            {"name": spec.name, "handlers": [{"name": spec.handler, "public": True}], "deployment_id": found.id}
            for spec in found.services.values()
        ]
        return JSONResponse({**_summary(self._world, found), "services": services})

    async def _version(self, request: Request) -> Response:
        return JSONResponse(
            {
                "version": self.version,
                "min_admin_api_version": 2,
                "max_admin_api_version": 4,
                "ingress_endpoint": str(request.base_url),
                "features": {},
            }
        )

    async def _page(self, request: Request) -> Response:
        found = self._world.invocations.get(request.path_params["id"])
        title = escape(request.path_params["id"])
        facts = f"<p>{escape(found.target)}: {found.status}</p>" if found else "<p>not found</p>"
        steps = "".join(f"<li>{escape(entry.name or '')}</li>" for entry in found.runs()) if found else ""
        return HTMLResponse(f"<!DOCTYPE html><title>{title}</title><h1>{title}</h1>{facts}<ol>{steps}</ol>")


async def _read_sql(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "Expected request with `Content-Type: application/json`", is_text=True)
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise Refused(400, "Failed to parse the request body as JSON", is_text=True) from None
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        sentence = "Failed to deserialize the JSON body into the target type: missing field `query`"
        raise Refused(422, sentence, is_text=True)
    return str(body["query"])


def _refuse(refused: Refused) -> Response:
    if refused.is_text:
        return PlainTextResponse(str(refused), refused.status)
    return JSONResponse({"message": str(refused), "restate_code": None}, refused.status)


def _summary(world: World, one: Deployment) -> dict[str, object]:
    return {
        "id": one.id,
        "uri": one.endpoint,
        "protocol_type": "BidiStream",
        "http_version": "HTTP/2.0",
        "created_at": wire_time(one.created_at),
        "min_protocol_version": one.min_protocol,
        "max_protocol_version": one.max_protocol,
        "services": [{"name": name, "revision": world.revision(one, name)} for name in one.services],
    }


def _empty(status: int) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(status_code=status)

    return answer


async def _as_empty(_request: Request, error: Exception) -> Response:
    """The server says nothing where Starlette would say a word."""
    status: int = getattr(error, "status_code", 500)
    return Response(status_code=status, headers=getattr(error, "headers", None))
