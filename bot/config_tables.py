"""The tables of the configuration file: which keys each knows, and what may stand under them."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, model_validator

from bot.domain.errors import ConfigError
from bot.domain.execution import Action
from bot.domain.policy import Policy
from bot.domain.ports import LONGEST_PACE
from bot.domain.setup import ConnectionInfo, Route
from bot.domain.text import listed, nearest, shorten
from bot.engines import calls_of_a_resume, counted_as, engine_class

Model = TypeVar("Model", bound=BaseModel)
SPANS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
PERIODS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hour": 3600}
ENOUGH = 0.8  # of a burst: at that a sequence of calls begins at the latest, before anything that matters less
LONGEST_EXPIRY = timedelta(days=7)
TAKEN_NAMES = frozenset({"attempt", "session", "http", "https"})  # they begin links and ids that people paste
NAME = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)
CHANNEL = re.compile(r"[CG][A-Z0-9]+")
PRINCIPAL = re.compile(r"anyone|channel|[UWSCG][A-Z0-9]+|slack:[TE][A-Z0-9]+/[UW][A-Z0-9]+|shell:[^\s:@/]+@[^\s:@/]+")
ROUTE_KEYS = ("connection", "name", "environment")
POLICY_KEYS = (*ROUTE_KEYS, "stage", "action")


@dataclass(frozen=True)
class SecretSource:
    """Where secrets are: the environment's variables, and files beside the configuration file."""

    variables: Mapping[str, str]
    folder: Path

    def resolve(self, value: object) -> SecretStr:
        """The secret that `env:NAME` or `file:PATH` points to; ValueError says what to set, and never shows a value."""
        kind, _, place = value.partition(":") if isinstance(value, str) else ("", "", "")
        if kind == "env" and place:
            if secret := self.variables.get(place, "").strip():
                return SecretStr(secret)
            raise ValueError(f"set the environment variable {place}, it is {'empty' if place in self.variables else 'not set'}")
        if kind == "file" and place:
            return self._of_file(self.folder / place)
        raise ValueError("secrets do not stand in this file: write “env:NAME” or “file:PATH”")

    def _of_file(self, path: Path) -> SecretStr:
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise ValueError(f"the file {path} cannot be read: make it, or correct the path") from fault
        if not secret:
            raise ValueError(f"the file {path} is empty: write the secret into it")
        return SecretStr(secret)


@dataclass(frozen=True)
class Rate:
    """So many calls in so many seconds, never more: what may be saved up and what comes back together stay within it."""

    calls: int
    seconds: int

    @property
    def burst(self) -> float:
        """Calls that may be made at once after a pause."""
        return float(max(self.calls // 3, 1))

    @property
    def a_second(self) -> float:
        """Calls that come back every second."""
        return (self.calls - self.burst or self.calls) / self.seconds

    def bucket(self, sequence: int) -> tuple[float, float] | None:
        """Burst and calls a second with which so many calls in a row get through; None where no division does that."""
        if sequence == 1:
            return self.burst, self.a_second
        for burst in range(int(self.burst), max(self.calls, 2)):
            a_second = (self.calls - burst or self.calls) / self.seconds
            if sequence - LONGEST_PACE * a_second <= ENOUGH * burst:
                return float(burst), a_second
        return None

    def least(self, sequence: int) -> int:
        """The fewest calls in as many seconds that such a sequence gets through with."""
        return next(calls for calls in itertools.count(1) if Rate(calls, self.seconds).bucket(sequence) is not None)

    def __str__(self) -> str:
        return f"{self.calls} calls in {self.seconds} s"


def _secret(value: object, info: ValidationInfo) -> SecretStr:
    source = cast("SecretSource", info.context)
    return source.resolve(value)


def _rate(value: object) -> Rate:
    parts = re.fullmatch(r"(\d{1,6})\s*/\s*([a-z]+)", value) if isinstance(value, str) else None
    if not parts or parts[2] not in PERIODS or not int(parts[1]):
        raise ValueError("write calls per second, minute or hour, such as “30/min”, “5/s” or “600/h”")
    return Rate(int(parts[1]), PERIODS[parts[2]])


def _span(value: object) -> timedelta:
    parts = re.fullmatch(r"(\d{1,6})\s*([smhd])", value) if isinstance(value, str) else None
    if not parts or not int(parts[1]):
        raise ValueError("write a time such as “60m”, “2h” or “90s”")
    span = timedelta(**{SPANS[parts[2]]: int(parts[1])})
    if span > LONGEST_EXPIRY:
        raise ValueError(f"at most {LONGEST_EXPIRY.days} days: who decides later has not seen what failed")
    return span


def _texts(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("write a text, or a list of texts in brackets")
    return tuple(texts)


def _principals(value: object) -> tuple[str, ...]:
    for word in (words := _texts(value)):
        if not PRINCIPAL.fullmatch(word):
            raise ValueError(
                f"“{shorten(word, 60)}” names nobody: write a user's id (U…), a user group's id (S…), “channel” or “anyone”"
            )
    return words


def _channel(value: object) -> str:
    if not isinstance(value, str) or not CHANNEL.fullmatch(value):
        raise ValueError("write the channel's id, such as “C0DEPLOYS”; Slack shows it at the end of the channel's details")
    return value


def _matching(keys: tuple[str, ...]) -> Callable[[object], dict[str, tuple[str, ...]]]:
    def match(value: object) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, dict):
            raise ValueError('write { key = "glob" }, such as { connection = "prod-*" }')  # noqa: TRY004 — pydantic's own
        for key in value:
            if key not in keys:
                raise ValueError(f"nothing can be matched by “{key}”{nearest(key, keys)} Known are {listed(keys)}.")
        return {key: _globs(key, globs) for key, globs in value.items()}

    return match


def _globs(key: str, value: object) -> tuple[str, ...]:
    globs = _texts(value)
    if not globs:
        raise ValueError(f"“{key}” lists nothing, so it would match nothing")
    actions = [action.value for action in Action]
    for glob in globs if key == "action" else ():
        if not re.search(r"[*?\[]", glob) and glob not in actions:
            raise ValueError(f"there is no action “{shorten(glob, 60)}”{nearest(glob, actions)} Known are {listed(actions)}.")
    return globs


Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Principals = Annotated[tuple[str, ...], BeforeValidator(_principals)]
Channel = Annotated[str, BeforeValidator(_channel)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SlackTable(_Table):
    """`[slack]`"""

    audit_channel: Channel | None = None


class RouteTable(_Table):
    """`[[routes]]`"""

    match: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_matching(ROUTE_KEYS))] = Field(default_factory=dict)
    channel: Channel
    viewers: Principals = ()

    def made(self) -> Route:
        """As the core knows it."""
        return Route(self.match, self.channel, self.viewers)


class PolicyTable(_Table):
    """`[[policies]]`"""

    name: str = Field(min_length=1, max_length=80)
    match: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_matching(POLICY_KEYS))] = Field(default_factory=dict)
    requesters: Principals = ("channel",)
    approvers: Principals = ("channel",)
    approvals: int = Field(1, ge=0, le=20)
    self_approval: bool = False
    expires: Annotated[timedelta, BeforeValidator(_span)] = timedelta(minutes=60)
    reason: bool = False

    def made(self) -> Policy:
        """As the core knows it."""
        return Policy(**self.model_dump(exclude={"reason"}), wants_reason=self.reason)


class ConnectionTable(_Table):
    """`[[connections]]`: the keys that every engine has; what is left over are the engine's own."""

    model_config = ConfigDict(extra="allow")

    name: str
    engine: str
    token: Secret | None = None
    hook_secret: Secret | None = None
    poll_seconds: int = Field(15, ge=0, le=3600)
    environment: str | None = Field(None, min_length=1)
    environments: dict[str, str] = Field(default_factory=dict)
    rate: Annotated[Rate, BeforeValidator(_rate)] | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> "ConnectionTable":
        if not NAME.fullmatch(self.name):
            raise ValueError("name: begin with a letter, then letters, digits, “.”, “_” and “-”; people type it before the id")
        if self.name.lower() in TAKEN_NAMES:
            raise ValueError(f"name: “{self.name}” begins links and ids that people paste; choose another")
        if self.environment and self.environments:
            raise ValueError("set either environment or environments, not both")
        if not 0 <= len(self.secrets) <= 2 or (self.hook_secret and not self.secrets):
            raise ValueError("hook_secret: one secret, or while it is being changed two, separated by a comma")
        return self

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """What a hook may show."""
        given = self.hook_secret.get_secret_value().split(",") if self.hook_secret else []
        return tuple(SecretStr(secret.strip()) for secret in given if secret.strip())


@dataclass(frozen=True)
class Connection:
    """A configured account of an engine; `settings` is an instance of the engine class's own model."""

    name: str
    engine: str
    settings: BaseModel
    hook_secrets: tuple[SecretStr, ...] = ()
    poll_seconds: int = 15
    environment: str | None = None
    environments: Mapping[str, str] = field(default_factory=dict)
    rate: Rate | None = None

    @property
    def info(self) -> ConnectionInfo:
        """As the core knows it."""
        made = engine_class(self.engine)
        is_opaque = getattr(made, "environments_are_opaque", False)
        return ConnectionInfo(
            self.name, self.engine, made.title, self.poll_seconds, self.environment, self.environments, is_opaque
        )

    @property
    def budget(self) -> str:
        """Under which name its calls are counted: the same for all connections whose calls the engine counts together."""
        return counted_as(self.engine, self.settings) or self.name

    @property
    def token(self) -> SecretStr | None:
        """The engine's credential, where its model knows one."""
        token: SecretStr | None = getattr(self.settings, "token", None)
        return token


def read_connection(table: Mapping[str, Any], where: str, source: SecretSource) -> Connection:
    """A connection, its engine's own keys held to the engine's own model; ConfigError in a sentence."""
    common = read(ConnectionTable, table, where, source)
    try:
        made = engine_class(common.engine)
    except ConfigError as error:
        raise ConfigError(f"{where}, engine: {error}") from None
    model, sequence = made.Settings, calls_of_a_resume(made)
    if common.rate and common.rate.bucket(sequence) is None:
        said = f"one resume takes {sequence} calls here, and {common.rate} never let them through"
        raise ConfigError(f"{where}, rate: {said}; the least is {common.rate.least(sequence)}.")
    own = dict(common.model_extra or {})
    if common.token:
        own["token"] = common.token
    known = {*model.model_fields, *ConnectionTable.model_fields}
    return Connection(
        name=common.name,
        engine=common.engine,
        settings=read(model, own, where, source, known),
        hook_secrets=common.secrets,
        poll_seconds=common.poll_seconds,
        environment=common.environment,
        environments=common.environments,
        rate=common.rate,
    )


def read(model: type[Model], table: object, where: str, source: SecretSource, known: Iterable[str] = ()) -> Model:
    """A table as its model; the first fault becomes a ConfigError that says where it is and what to write."""
    try:
        return model.model_validate(table, context=source)
    except ValidationError as error:
        raise ConfigError(sentence_of(error, where, known or model.model_fields)) from None


def sentence_of(error: ValidationError, where: str, known: Iterable[str]) -> str:
    """What is wrong first, for a newcomer; never the value, which may be a secret in the wrong place."""
    errors = error.errors(include_url=False, include_input=False)
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])  # a misspelt key is missing too
    key = ".".join(str(part) for part in first["loc"])
    place = f"{where}, {key}" if key else where
    context = first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            return f"{where}: there is no key “{shorten(key, 60)}”{nearest(key, known)}"
        case "missing":
            return f"{where}: the key “{key}” is missing."
        case "value_error":
            return f"{place}: {str(context['error']).rstrip('.')}."
        case "string_pattern_mismatch" if str(context["pattern"]).startswith("^https?"):
            return f"{place}: write an address without a path, such as “https://engine.example.com”."
        case "string_pattern_mismatch":
            return f"{place}: it has to look like {context['pattern']}."
        case _:
            said = first["msg"].removeprefix("Input ").removeprefix("String ")
            return f"{place}: it {said}."
