"""Reads what a client sends to the simulated server, and refuses it as the server's parser would."""

import base64
import binascii
import json
from datetime import datetime
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bot.simulators.digdag_records import Broken, Config, Refused
from bot.simulators.digdag_wire import Flavour
from bot.simulators.digdag_world import StartOrder, World

Item = TypeVar("Item")

_REQUEST = "io.digdag.client.api.ImmutableRestSessionAttemptRequest"
_SOURCE = " at [Source: (io.undertow.servlet.spec.ServletInputStreamImpl); line: 1, column: 1]"


def refuse_credentials(given: str | None, expected: str | None, flavour: Flavour) -> None:
    """Lets a call pass that carries what is expected; `user:password` for the open-source server, a key for the other."""
    if expected is None:
        return
    if given is None:
        raise Refused(401, "Missing Authorization header")
    if flavour is Flavour.TD:
        if given != f"TD1 {expected}":
            raise Refused(401, "unauthorized")
        return
    scheme, _, value = given.partition(" ")
    if scheme != "Basic":
        raise Broken("Invalid Authorization header")
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Broken("Illegal base64 character") from error
    if decoded != expected:
        raise Refused(401, "unauthorized")


def start_order(body: bytes, flavour: Flavour, world: World) -> StartOrder:
    """A start call, or the refusal of whatever it is instead."""
    given = _object(body)
    by_name = flavour is Flavour.TD and "workflowId" not in given and "workflowName" in given
    _require(given, _REQUEST, "RestSessionAttemptRequest", (() if by_name else ("workflowId",)) + ("sessionTime", "params"))
    if not isinstance(given["params"], dict):
        shown = json.dumps(given["params"])
        problem = f"problem: Expected object but got {shown}"
        raise Refused(400, f"Cannot construct instance of `io.digdag.client.config.Config`, {problem}\n{_SOURCE}")
    mode, resumed_id, pattern = _resume(given.get("resume"))
    session_time = _time(given["sessionTime"])
    workflow_id = _by_name(given, world) if by_name else _number(given["workflowId"])
    return StartOrder(
        workflow_id, session_time, given["params"], given.get("retryAttemptName"), mode,
        _number(resumed_id) if mode else 0, pattern, may_queue=flavour is Flavour.TD and given.get("allowQueueing") is True,
    )  # fmt: skip


def _object(body: bytes) -> Config:
    if not body.strip():
        raise Broken("Cannot invoke a method on an empty body")
    try:
        given = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"Unexpected character or end of input: {error}\n{_SOURCE}") from error
    if not isinstance(given, dict):
        raise Refused(400, f"Cannot deserialize value of type `{_REQUEST}$Json` from another value\n{_SOURCE}")
    return given


def _require(given: Config, type_name: str, short: str, fields: tuple[str, ...]) -> None:
    missing = [field for field in fields if given.get(field) is None]
    if missing:
        problem = f"Cannot build {short}, some of required attributes are not set [{', '.join(missing)}]"
        raise Refused(400, f"Cannot construct instance of `{type_name}`, problem: {problem}\n{_SOURCE}")


def _resume(given: Any) -> tuple[str | None, Any, str]:
    if given is None:
        return None, None, ""
    mode = given.get("mode") if isinstance(given, dict) else None
    if mode not in {"failed", "from"}:
        raise Refused(
            400, f"Could not resolve type id '{mode}': known type ids = [failed, from] (for POJO property 'resume')\n{_SOURCE}"
        )
    _require(given, f"{_REQUEST}$Resume", "Resume", ("attemptId",) if mode == "failed" else ("attemptId", "from"))
    return mode, given["attemptId"], str(given.get("from", ""))


def _time(given: Any) -> datetime:
    try:
        time = datetime.fromisoformat(str(given))
    except ValueError as error:
        raise Refused(400, f"Invalid ISO time format: {given}") from error
    if time.tzinfo is None:
        raise Refused(400, f"Unable to obtain Instant from TemporalAccessor: {{}},ISO resolved to {given}")
    return time.replace(microsecond=0)


def _number(given: Any) -> int:
    text = str(given)
    if not (text.isascii() and text.isdecimal()):
        raise Refused(400, f'For input string: "{text}"')
    return int(text)


def _by_name(given: Config, world: World) -> int:
    project = next((p for p in world.projects.values() if p.name == given.get("projectName") and p.deleted_at is None), None)
    if project is None:
        raise Refused(404, f"Resource does not exist: project name={given.get('projectName')}")
    return world.workflow_by_name(project, str(given["workflowName"])).id


def page_of(items: list[Item], request: Request, maximum: int) -> list[Item]:
    """The page that `page_size` asks for: the newest first are given, none for 0, all for a negative number."""
    size = _query_number(request, "page_size")
    if size is None:
        return items[:maximum]
    if size > maximum:
        raise Refused(
            400,
            f"Your specified page_size is Optional.of({size}), but it is larger than MAX_PAGE_SIZE: {maximum}. "
            f"You must specify page_size with a number which is smaller than {maximum}.",
        )
    return items if size < 0 else items[:size]


def last_id_of(request: Request) -> int | None:
    """The id below which the page lies."""
    return _query_number(request, "last_id")


def count_of(request: Request) -> int:
    """How many workflows a page of them holds."""
    count = _query_number(request, "count")
    return 100 if count is None else count


def _query_number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        return int(given)
    except ValueError as error:
        raise HTTPException(404) from error
