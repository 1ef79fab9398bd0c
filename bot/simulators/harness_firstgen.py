"""A simulated Harness FirstGen: real GraphQL over the contract's SDL, with the server's envelopes, limits and refusals.

POST …/api/graphql ── key ── account ── feature ── rate ── engine (validation, depth, resolvers)
                       401     401        400       429      200 whatever it says
"""

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSyntaxError,
    SelectionNode,
    SelectionSetNode,
    execute_sync,
    parse,
    validate,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot.simulators.harness_faults import Faults
from bot.simulators.harness_firstgen_schema import build
from bot.simulators.harness_firstgen_shapes import Application, Environment, Estate, Service
from bot.simulators.harness_world import World

MAX_DEPTH = 10


class FirstGenSimulator:
    """One account of the simulated FirstGen. `app` is served; `faults` scripts and counts; `world` moves.

    `calls_per_minute`: 30 as the server has it for an account. `has_api`: whether the API feature is on.
    """

    def __init__(
        self,
        *,
        account: str = "acc0FirstGen0123456789",
        keys: tuple[str, ...] = ("fg-key",),
        world: World | None = None,
        calls_per_minute: int = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = world or World()
        self.estate = Estate(self.world, account)
        self.keys = dict.fromkeys(keys, account)
        self.strangers: set[str] = set()  # keys that are valid and lead to no account
        self.has_api = True
        self._calls_per_minute = calls_per_minute
        self._clock = clock
        self._taken: deque[float] = deque()
        self._schema = build(self.estate)
        graphql = [Route(path, self._graphql, methods=["POST"]) for path in ("/gateway/api/graphql", "/api/graphql")]
        interrupts = [
            Route(path, self._interrupt, methods=["PUT"])
            for path in ("/gateway/api/executions/{execution}", "/api/executions/{execution}")
        ]
        self.faults = Faults(
            Starlette(routes=[*graphql, *interrupts]),
            _label,
            {
                "invalid_token": _invalid_token,
                "invalid_api_key": lambda: _early(401, "Invalid Api Key"),
                "rate_limited": lambda: _early(429, "The rate limit of calls is reached"),
                "server_fault": lambda: PlainTextResponse("There was an error processing your request", 500),
                "null": lambda: JSONResponse({"data": {"resumeExecution": None}}),
                "invalid_query": lambda: _errors([_element(GraphQLError("Unknown field"), "ValidationError")]),
                "no_id": lambda: JSONResponse({"data": {"resumeExecution": {"execution": {"id": ""}}}}),
                "empty_object": lambda: JSONResponse({}),
            },
        )
        self.app = self.faults

    @property
    def public_url(self) -> str:
        """The address that links start with."""
        return self.estate.public_url

    @public_url.setter
    def public_url(self, url: str) -> None:
        self.estate.public_url = url.rstrip("/")

    def application(self, identifier: str, name: str) -> Application:
        """Make an application known."""
        return self.estate.applications.setdefault(identifier, Application(identifier, name))

    def service(self, service: Service) -> Service:
        """Make a service known."""
        return self.estate.services.setdefault(service.identifier, service)

    def environment(self, environment: Environment) -> Environment:
        """Make an environment known."""
        return self.estate.environments.setdefault(environment.identifier, environment)

    def deny(self, field: str, checks: int) -> None:
        """Let the next permission checks of a field say no: one is the null without error, two are a refusal."""
        self.estate.denials[field] = checks

    async def _graphql(self, request: Request) -> Response:
        refused = self._refuse_early(request)
        if refused is not None:
            return refused
        body = await request.body()
        if request.headers.get("content-type", "").startswith("text/plain"):
            return self._answer(body.decode("utf-8"), {}, None)
        try:
            asked = json.loads(body)
            query, variables = asked["query"], asked.get("variables") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            return PlainTextResponse("Unable to process JSON", 400)
        return self._answer(query, variables, asked.get("operationName"))

    def _refuse_early(self, request: Request) -> Response | None:
        key = request.headers.get("x-api-key")
        if key in self.strangers:
            return _early(401, "Invalid Api Key")
        if key not in self.keys:
            return _invalid_token()
        if request.query_params.get("accountId", self.estate.account) != self.estate.account:
            return _early(401, "Invalid Api Key")
        if not self.has_api:
            return _early(400, "Feature not enabled for this account")
        if not self._admit():
            return _early(429, "The rate limit of calls per minute is reached")
        return None

    def _admit(self) -> bool:
        now = self._clock()
        while self._taken and self._taken[0] <= now - 60:
            self._taken.popleft()
        if len(self._taken) >= self._calls_per_minute:
            return False
        self._taken.append(now)
        return True

    def _answer(self, query: str, variables: dict[str, Any], operation: str | None) -> Response:
        try:
            document = parse(query)
        except GraphQLSyntaxError as error:
            return _errors([_element(error, "InvalidSyntax")])
        invalid = validate(self._schema, document)
        if invalid:
            return _errors([_element(error, "ValidationError") for error in invalid])
        depth = query_depth(document)
        if depth > MAX_DEPTH:
            too_deep = GraphQLError(f"maximum query depth exceeded {depth} > {MAX_DEPTH}")
            return _errors([_element(too_deep, "ExecutionAborted")])
        result = execute_sync(self._schema, document, variable_values=variables, operation_name=operation)
        return JSONResponse(_result(result))

    async def _interrupt(self, request: Request) -> Response:
        if request.headers.get("x-api-key") not in self.keys:
            return _invalid_token()
        run = self.world.runs.get(request.path_params["execution"])
        if run is None or request.query_params.get("appId") != run.pipeline.scope:
            return _old_envelope(400, "INVALID_ARGUMENT", "The execution does not exist")
        if json.loads(await request.body()).get("executionInterruptType") != "ABORT_ALL":
            return _old_envelope(400, "INVALID_ARGUMENT", "The interrupt is not simulated")
        self.world.abort(run)
        return JSONResponse({"metaData": {}, "resource": {"uuid": run.identifier}, "responseMessages": []})


def query_depth(document: DocumentNode) -> int:
    """How deep the fields of a query nest; introspection does not count."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}

    def of_set(selections: SelectionSetNode | None) -> int:
        return max((of_selection(one) for one in selections.selections), default=0) if selections else 0

    def of_selection(one: SelectionNode) -> int:
        if isinstance(one, FieldNode):
            return 0 if one.name.value.startswith("__") else 1 + of_set(one.selection_set)
        if isinstance(one, FragmentSpreadNode):
            return of_set(fragments[one.name.value].selection_set)
        return of_set(getattr(one, "selection_set", None))

    roots = (one for one in document.definitions if not isinstance(one, FragmentDefinitionNode))
    return max((of_set(getattr(one, "selection_set", None)) for one in roots), default=0)


def _label(method: str, path: str, body: bytes) -> str:
    """The first root field of a query, else method and path."""
    if not path.endswith("/graphql"):
        return f"{method} {path}"
    try:
        read = json.loads(body)
        document = parse(read["query"] if isinstance(read, dict) else "")
    except (ValueError, KeyError, GraphQLSyntaxError):
        return f"{method} {path}"
    for definition in document.definitions:
        selections = getattr(definition, "selection_set", None)
        if not isinstance(definition, FragmentDefinitionNode) and selections is not None:
            return next((one.name.value for one in selections.selections if isinstance(one, FieldNode)), path)
    return f"{method} {path}"


def _result(result: ExecutionResult) -> dict[str, Any]:
    errors = result.errors or []
    if result.data is None:
        return {"errors": [_element(error, "ValidationError") for error in errors]}
    answer: dict[str, Any] = {"data": result.data}
    if errors:
        answer["errors"] = [_element(error, "DataFetchingException") for error in errors]
    return answer


def _element(error: GraphQLError, classification: str) -> dict[str, Any]:
    path = "/".join(str(part) for part in error.path or ())
    element: dict[str, Any] = {
        "message": f"Exception while fetching data (/{path}) : {error.message}" if path else error.message,
        "locations": [{"line": one.line, "column": one.column} for one in error.locations or ()],
    }
    if error.path:
        element["path"] = list(error.path)
    return element | {"extensions": {"classification": classification}}


def _errors(elements: list[dict[str, Any]]) -> Response:
    return JSONResponse({"errors": elements})


def _early(status: int, message: str) -> Response:
    """What is said before the engine: the GraphQL form without data, as a text that was JSON already."""
    body: dict[str, Any] = {"errors": [{"message": message, "locations": [], "extensions": None}]}
    return Response(json.dumps(body), status, media_type="application/json")


def _invalid_token() -> Response:
    return _old_envelope(401, "INVALID_TOKEN", "Token is not valid.")


def _old_envelope(status: int, code: str, message: str) -> Response:
    said: dict[str, Any] = {"code": code, "level": "ERROR", "message": message, "exception": None, "failureTypes": []}
    body: dict[str, Any] = {"metaData": {}, "resource": None, "responseMessages": [said]}
    return JSONResponse(body, status, headers={"X-Harness-Error": code})
