"""Finds an engine's class by its kind, through the entry points of the group "bot.engines"."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from bot.domain.errors import ConfigError
from bot.domain.ports import Engine, Throttle

GROUP = "bot.engines"


class EngineClass(Protocol):
    """What a class behind an entry point offers before it is made.

    It may also say `environments_are_opaque = True`: its environments are ids that count only where a connection maps them;
    `calls_of_a_resume = 5`: so many calls it takes together from the last reading to the resume, where a budget lets it.
    Its `Settings` may have `counts_by`: for whom the engine counts calls, where that is not the token.
    """

    kind: str
    title: str  # what people call it
    Settings: type[BaseModel]
    features: Mapping[str, str]

    def __call__(self, connection: str, settings: Any, throttle: Throttle) -> Engine:
        """An engine for one connection; `settings` is an instance of `Settings`."""
        ...


def engine_kinds() -> tuple[str, ...]:
    """The kinds of engines that are installed, in alphabetical order."""
    return tuple(sorted(entry.name for entry in entry_points(group=GROUP)))


def engine_class(kind: str) -> EngineClass:
    """The class of a kind of engine; ConfigError names the known kinds when there is none."""
    found: EntryPoint | None = next(iter(entry_points(group=GROUP, name=kind)), None)
    if found is None:
        raise ConfigError(f"There is no engine “{kind}”; known are: {', '.join(engine_kinds())}.")
    loaded: EngineClass = found.load()
    return loaded


def calls_of_a_resume(made: EngineClass) -> int:
    """How many calls an engine of this class takes together to carry out one request."""
    return int(getattr(made, "calls_of_a_resume", 1))


def counted_as(kind: str, settings: BaseModel) -> str:
    """A name for those whose calls are counted together, without a secret in it; empty where the settings name no address."""
    address = str(getattr(settings, "base_url", "") or getattr(settings, "admin_url", ""))
    token: SecretStr | None = getattr(settings, "token", None)
    who = getattr(settings, "counts_by", None)
    if who is None:
        who = f"{address.rstrip('/')} {token.get_secret_value() if token else ''}"
    host = urlsplit(address).netloc.lower()
    return f"{kind} {host} {sha256(f'{host} {who}'.encode()).hexdigest()}" if host else ""
