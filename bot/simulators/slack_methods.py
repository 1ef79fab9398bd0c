"""The table of Web API methods: what each takes, how often, under which scope, and how a call runs through it.

call ──token──method──pace──arguments──scope──> act(args) ──> {"ok": true, …}
        └──────── any of them: {"ok": false, "error": …} ────────┘
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from bot.simulators.slack_limits import Pace
from bot.simulators.slack_state import ApiError, Call, SlackState

Args: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, Any]


class Kind(StrEnum):
    """What an argument is; in a form everything comes as text."""

    TEXT = "a string"
    FLAG = "a boolean"
    NUMBER = "an integer"
    LIST = "an array"
    OBJECT = "an object"


@dataclass(frozen=True)
class Method:
    """One method of the Web API."""

    act: Callable[[Args], Answer]
    per_minute: int
    scopes: tuple[str, ...] = ()
    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What goes back over HTTP."""

    answer: Answer
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


EVERYWHERE: Final = {"team_id": Kind.TEXT}
"""The client Bolt hands to listeners names its workspace in every call; Slack heeds it with organisation tokens only."""


class WebApi:
    """Runs calls through the table and logs them."""

    def __init__(self, state: SlackState, pace: Pace, token: str, scopes: Sequence[str], methods: Mapping[str, Method]) -> None:
        self._state = state
        self._pace = pace
        self._token = token
        self._scopes = scopes
        self._methods = methods

    def call(self, name: str, args: Args, token: str) -> Reply:
        """The answer to one call, as Slack would give it."""
        try:
            reply = self._run(name, args, token)
        except ApiError as refused:
            reply = Reply(failure(refused))
        self._state.calls.append(Call(name, args, reply.answer, self._state.clock(), reply.status))
        return Reply(reply.answer, reply.status, {"x-oauth-scopes": ",".join(self._scopes), **reply.headers})

    def _run(self, name: str, args: Args, token: str) -> Reply:
        if token != self._token:
            raise ApiError("invalid_auth" if token else "not_authed")
        method = self._methods.get(name)
        if method is None:
            self._state.break_rule(f"{name}: unknown method")
            raise ApiError("unknown_method")
        if wait := self._pace.wait_s(name, method.per_minute, str(args.get("channel"))):
            return Reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(wait)})
        given = self._decoded(name, method, args)
        # One scope of the row is enough: Slack asks for channels:read or groups:read, by the kind of channel.
        if method.scopes and not set(method.scopes) & set(self._scopes):
            self._state.break_rule(f"{name}: needs the scope {method.scopes[0]}")
            raise ApiError("missing_scope", f"needed: {method.scopes[0]}")
        return Reply({"ok": True} | method.act(given))

    def _decoded(self, name: str, method: Method, args: Args) -> Args:
        known = {**EVERYWHERE, **method.required, **method.optional}
        wrong = [f"[ERROR] invalid additional property: {arg}" for arg in args if arg not in known]
        wrong += [f"[ERROR] missing required field: {arg}" for arg in method.required if args.get(arg) in (None, "")]
        given = {}
        for arg, value in args.items():
            if arg in known and value is not None:
                try:
                    given[arg] = decoded(value, known[arg])
                except ValueError:
                    wrong.append(f"[ERROR] {arg} must be {known[arg]}")
        if wrong:
            self._state.broken += [f"{name}: {words.removeprefix('[ERROR] ')}" for words in wrong]
            raise ApiError("invalid_arguments", *wrong)
        return given


def decoded(value: Any, kind: Kind) -> Any:
    """The value of an argument, from JSON or from the text of a form; ValueError if it is something else."""
    if isinstance(value, str) and kind in (Kind.LIST, Kind.OBJECT):
        value = json.loads(value)
    if kind is Kind.FLAG and value in ("true", "1", "false", "0"):
        value = value in ("true", "1")
    if kind is Kind.NUMBER and isinstance(value, str):
        value = int(value)
    types: dict[Kind, type] = {Kind.TEXT: str, Kind.FLAG: bool, Kind.NUMBER: int, Kind.LIST: list, Kind.OBJECT: dict}
    if not isinstance(value, types[kind]):
        raise ValueError(f"not {kind}")  # noqa: TRY004 — one error for both ways of being wrong
    return value


def failure(refused: ApiError) -> Answer:
    """The answer that says what Slack refused."""
    answer: Answer = {"ok": False, "error": refused.error}
    if refused.messages:
        answer["errors"] = [message.removeprefix("[ERROR] ") for message in refused.messages]
        answer["response_metadata"] = {"messages": list(refused.messages)}
    return answer


def page_of(everything: Sequence[Any], args: Args, most: int) -> tuple[list[Any], dict[str, Any]]:
    """One page of a list, and the `response_metadata` that leads to the next."""
    limit = args.get("limit", 100)
    if not 1 <= limit <= 1000:
        raise ApiError("invalid_limit")
    start = 0
    if cursor := args.get("cursor"):
        try:
            start = int(base64.b64decode(cursor, validate=True).decode().removeprefix("from:"))
        except ValueError:
            raise ApiError("invalid_cursor") from None
    end = start + min(limit, most)
    following = base64.b64encode(f"from:{end}".encode()).decode() if end < len(everything) else ""
    return list(everything[start:end]), {"response_metadata": {"next_cursor": following}}
