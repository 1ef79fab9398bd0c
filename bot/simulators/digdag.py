"""A Digdag server for tests and local play: the REST API that a client of attempts uses, moving by Digdag's own rules.

Faults ──> credentials ──> routes ──> World (rules) ──> AttemptRun (tasks) ──> Caller (notices)
"""

import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.simulators.digdag_faults import Call, Fault, Faults
from bot.simulators.digdag_notices import Caller, Notification, notice_of
from bot.simulators.digdag_pages import broken_page, empty
from bot.simulators.digdag_records import Attempt, Broken, Conflict, Project, Refused
from bot.simulators.digdag_requests import count_of, last_id_of, page_of, refuse_credentials, start_order
from bot.simulators.digdag_run import Means, Pace
from bot.simulators.digdag_wire import Flavour, Oddities, Wire, envelope, instant
from bot.simulators.digdag_world import Limits, StartOrder, World, now_utc

Handler = Callable[[Request], Awaitable[Response]]


class DigdagSimulator:
    """An ASGI application that is a Digdag server; `world` holds what it knows."""

    def __init__(
        self,
        *,
        flavour: Flavour = Flavour.OSS,
        credential: str | None = None,
        notification: Notification | None = None,
        pace: Pace | None = None,
        limits: Limits | None = None,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], datetime] = now_utc,
        secrets: Mapping[str, str] | None = None,
        keeps_logs: bool = False,
    ) -> None:
        self.flavour = flavour
        self.credential = credential
        self.oddities = Oddities()
        self.pace = pace or Pace()
        self.keeps_logs = keeps_logs
        self._http = http or httpx.AsyncClient(timeout=30, trust_env=False)
        self._caller = Caller(notification or Notification(), self._http, self.pace.wait)
        self.world = World(
            lambda world: Means(self.pace, clock, world.next_task_id, self._caller, secrets or {}), limits or Limits(), clock
        )
        self._wire = Wire(flavour, self.oddities)
        refusals = {404: _empty, 405: _empty, Refused: _refuse, Broken: _break, Conflict: self._conflict}
        routes = Starlette(routes=self._routes(), exception_handlers=refusals, lifespan=self._lifespan)
        self.faults = Faults(_Guard(self, routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection of ASGI."""
        await self.faults(scope, receive, send)

    # ---- for those who script it ----------------------------------------------------------

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order."""
        return self.faults.calls

    @property
    def notification(self) -> Notification:
        """The settings of the server's own notices; may be changed while it runs."""
        return self._caller.notification

    def push(self, project: str, workflows: Mapping[str, str]) -> Project:
        """Pushes a revision of a project: workflow names with the text of their `.dig` files."""
        return self.world.push(project, workflows)

    def start(self, workflow: str, session_time: str, params: Mapping[str, Any]) -> Attempt:
        """Starts an attempt of the newest revision of that name, as somebody beside the bot would."""
        found = next(one for one in reversed(self.world.workflows.values()) if one.name == workflow)
        return self.world.start(StartOrder(found.id, datetime.fromisoformat(session_time), dict(params), None))

    def script(self, fault: Fault) -> None:
        """Lets coming calls go wrong."""
        self.faults.scripted.append(fault)

    def heal(self) -> None:
        """Forgets all scripted faults."""
        self.faults.scripted.clear()

    async def ended(self, attempt_id: int) -> Attempt:
        """Returns the attempt when it is done."""
        attempt = self.world.attempt(attempt_id)
        await attempt.ended.wait()
        return attempt

    async def notify(self, attempt_id: int, message: str) -> None:
        """Sends a notice of another kind about an attempt, for example `SLA violation`."""
        attempt = self.world.attempt(attempt_id)
        await self._caller.notify(notice_of(attempt, attempt.tasks[0], message, self.world.clock()))

    async def close(self) -> None:
        """Stops all attempts."""
        await self.world.close()
        await self._http.aclose()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        await self.close()

    # ---- routes -----------------------------------------------------------------------------

    def _routes(self) -> list[Route]:
        get: list[tuple[str, Callable[[Request], Any]]] = [
            ("/api/version", lambda _: {"version": "0.10.5.1"}),
            ("/api/attempts/{id:int}", lambda r: self._wire.attempt(self._attempt(r))),
            ("/api/attempts/{id:int}/retries", lambda r: self._attempts(self._attempt(r).session.attempts)),
            ("/api/attempts/{id:int}/tasks", lambda r: {"tasks": [self._wire.task(t) for t in self._attempt(r).tasks]}),
            ("/api/sessions", self._list_sessions),
            ("/api/sessions/{id:int}", lambda r: self._wire.session(self.world.session(r.path_params["id"]))),
            ("/api/sessions/{id:int}/attempts", self._list_session_attempts),
            ("/api/projects", self._list_projects),
            ("/api/projects/{id:int}", lambda r: self._wire.project(self._project(r))),
            ("/api/projects/{id:int}/workflows", self._list_project_workflows),
            ("/api/projects/{id:int}/workflows/{name}", self._show_project_workflow),
            ("/api/projects/{id:int}/sessions", self._list_sessions),
            ("/api/workflows", self._list_workflows),
            ("/api/workflows/{id:int}", lambda r: self._wire.workflow(self.world.workflow(r.path_params["id"]))),
            ("/api/logs/{id:int}/files", self._list_logs),
        ]
        routes = [Route(path, _json(answer), methods=["GET"]) for path, answer in get]
        return [
            *routes,
            Route("/api/attempts", _json(self._list_attempts), methods=["GET"]),
            Route("/api/attempts", self._put_attempt, methods=["PUT"]),
            Route("/api/attempts/{id:int}/kill", _json(self._kill), methods=["POST"]),
            Route("/api/logs/{id:int}/files/{file}", self._log_file, methods=["GET"]),
        ]

    async def _put_attempt(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused(400, "RESTEASY003065: Cannot consume content type")
        order = start_order(await request.body(), self.flavour, self.world)
        return JSONResponse(self._wire.attempt(self.world.start(order)))

    async def _conflict(self, _: Request, error: Exception) -> Response:
        # The attempt that holds the name, without any message.
        assert isinstance(error, Conflict)  # noqa: S101 — the handler is registered for nothing else
        return JSONResponse(self._wire.attempt(error.attempt), 409)

    def _kill(self, request: Request) -> Any:
        before = self._wire.attempt(self._attempt(request))
        self.world.kill(request.path_params["id"])
        return before

    def _attempt(self, request: Request) -> Attempt:
        return self.world.attempt(request.path_params["id"])

    def _project(self, request: Request) -> Project:
        return self.world.project(request.path_params["id"])

    def _attempts(self, attempts: list[Attempt]) -> dict[str, Any]:
        return {"attempts": [self._wire.attempt(attempt) for attempt in attempts]}

    # ---- lists ------------------------------------------------------------------------------

    def _list_attempts(self, request: Request) -> Any:
        query = request.query_params
        attempts = list(self.world.attempts.values())
        if query.get("include_retried") != "true":
            attempts = [one for one in attempts if one is one.session.attempts[-1]]
        if "project" in query:
            attempts = [one for one in attempts if one.session.project is self._named_project(query["project"])]
            if "workflow" in query:
                attempts = [one for one in attempts if one.session.workflow_name == query["workflow"]]
        return self._attempts(self._page(attempts, request))

    def _list_session_attempts(self, request: Request) -> Any:
        return self._attempts(self._page(list(self.world.session(request.path_params["id"]).attempts), request))

    def _list_sessions(self, request: Request) -> Any:
        sessions = list(self.world.sessions.values())
        if "id" in request.path_params:
            sessions = [one for one in sessions if one.project is self._project(request)]
            if "workflow" in request.query_params:
                sessions = [one for one in sessions if one.workflow_name == request.query_params["workflow"]]
        return {"sessions": [self._wire.session(one) for one in self._page(sessions, request) if one.attempts]}

    def _list_projects(self, request: Request) -> Any:
        wanted = request.query_params.get("name")
        projects = [one for one in self.world.projects.values() if one.deleted_at is None and wanted in {None, one.name}]
        return {"projects": [self._wire.project(one) for one in projects]}

    def _list_project_workflows(self, request: Request) -> Any:
        project, name = self._project(request), request.query_params.get("name")
        found = [one for one in project.revisions[-1].workflows.values() if name in {None, one.name}]
        return {"workflows": [self._wire.workflow(one) for one in found]}

    def _show_project_workflow(self, request: Request) -> Any:
        name, revision = request.path_params["name"], request.query_params.get("revision")
        return self._wire.workflow(self.world.workflow_by_name(self._project(request), name, revision))

    def _list_workflows(self, request: Request) -> Any:
        query, last_id = request.query_params, last_id_of(request)
        found = [one for one in self.world.workflows.values() if one.project.deleted_at is None]
        found = [
            one for one in found if one.revision is one.project.revisions[-1] and query.get("name_pattern", "") in one.name
        ]
        if query.get("order") == "desc":
            found.reverse()
        if last_id is not None:
            found = [one for one in found if (one.id < last_id if query.get("order") == "desc" else one.id > last_id)]
        return {"workflows": [self._wire.workflow(one) for one in found[: count_of(request)]]}

    def _page(self, items: list[Any], request: Request) -> list[Any]:
        last_id = last_id_of(request)
        newest_first = sorted(items, key=lambda one: -one.id)
        return page_of([one for one in newest_first if last_id is None or one.id < last_id], request, self.world.limits.page)

    def _named_project(self, name: str) -> Project:
        for project in self.world.projects.values():
            if project.name == name and project.deleted_at is None:
                return project
        raise Refused(404, f"Resource does not exist: project name={name}")

    # ---- logs -------------------------------------------------------------------------------

    def _list_logs(self, request: Request) -> Any:
        attempt, prefix = self._attempt(request), request.query_params.get("task", "")
        names = sorted(name for name in attempt.logs if name.startswith(prefix)) if self.keeps_logs else []
        shown = [{"fileName": _file_name(name), "fileSize": len(attempt.logs[name]), "taskName": name} for name in names]
        at = instant(attempt.finished_at or attempt.created_at)
        return {"files": [{**one, "fileTime": at, "agentId": "1@sim", "direct": None} for one in shown]}

    async def _log_file(self, request: Request) -> Response:
        attempt, wanted = self._attempt(request), request.path_params["file"]
        for name, content in attempt.logs.items():
            if self.keeps_logs and _file_name(name) == wanted:
                # Gzipped once more for a client that accepts it, on top of the file's own.
                accepts = "gzip" in request.headers.get("accept-encoding", "")
                headers = {"content-encoding": "gzip"} if accepts else {}
                return Response(gzip.compress(content) if accepts else content, 200, headers, "application/gzip")
        raise Refused(404, f"Resource does not exist: log file name={wanted}")


class _Guard:
    """Credentials before routes, and the server's own exceptions as answers."""

    def __init__(self, simulator: DigdagSimulator, app: ASGIApp) -> None:
        self._simulator = simulator
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = await self._refusal(request)
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        try:
            if request.url.path != "/api/version":
                given = request.headers.get("authorization")
                refuse_credentials(given, self._simulator.credential, self._simulator.flavour)
        except Refused as refused:
            return await _refuse(request, refused)
        except Broken as broken:
            return await _break(request, broken)
        return None if _accepts_json(request.headers.get("accept", "*/*")) else empty(406)


def _json(answer: Callable[[Request], Any]) -> Handler:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(answer(request))

    return endpoint


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 — the handler is registered for nothing else
    return JSONResponse(envelope(error.status, error.message), error.status)


async def _break(request: Request, error: Exception) -> Response:
    return broken_page(request.url.path, str(error))


async def _empty(_: Request, error: Exception) -> Response:
    return empty(error.status_code if isinstance(error, HTTPException) else 500)


def _accepts_json(accept: str) -> bool:
    kinds = {kind.partition(";")[0].strip() for kind in accept.split(",")}
    return bool(kinds & {"*/*", "application/*", "application/json", "application/gzip"})


def _file_name(task_name: str) -> str:
    return f"{task_name}@{zlib.crc32(task_name.encode()):016x}.1@sim.log.gz"
