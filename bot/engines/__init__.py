"""Finds an engine's class by its kind, through the entry points of the group "bot.engines"."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from pydantic import BaseModel

from bot.domain.errors import ConfigError
from bot.domain.ports import Engine, Throttle

GROUP = "bot.engines"


class EngineClass(Protocol):
    """What a class behind an entry point offers before it is made.

    It may also say `environments_are_opaque = True`: its environments are ids that count only where a connection maps them.
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
