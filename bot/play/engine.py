"""What the playground wants of an engine: be reached, fail, be repaired, lose an answer, and show how it stands."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send

from bot.play.playground import ConnectionFacts

STEP_SECONDS = 0.3  # slow enough to be watched
SHOWN = 6  # executions of an engine, the newest


@dataclass(frozen=True)
class Step:
    """A part of an execution and how it stands, in words that people read."""

    name: str
    status: str


@dataclass(frozen=True)
class Row:
    """An execution as the page shows it."""

    id: str
    name: str
    status: str
    link: str
    steps: tuple[Step, ...]
    begun_at: float
    note: str = ""


class PlayEngine(ABC):
    """One simulated engine with a story that can go wrong; needs a running event loop."""

    kind: ClassVar[str]
    connection: ClassVar[str]
    title: ClassVar[str]
    breaking: ClassVar[tuple[str, str]]  # the button that breaks it: its label, and what it does

    def __init__(self, base: str, secret: str) -> None:
        self._base, self._secret = base, secret

    @property
    @abstractmethod
    def facts(self) -> ConnectionFacts:
        """How the bot is connected to it."""

    @abstractmethod
    def mounts(self) -> Mapping[str, ASGIApp]:
        """Its apps by the prefix of the path where each is found."""

    @abstractmethod
    async def break_something(self) -> str:
        """Begin an execution that fails; a sentence that says so."""

    @abstractmethod
    def repair(self) -> None:
        """Let everything pass from now on."""

    @abstractmethod
    def lose_answer(self) -> None:
        """Let the next resume call take effect and its answer get lost."""

    @abstractmethod
    def keep_answers(self) -> None:
        """Take that back."""

    @property
    @abstractmethod
    def resume_calls(self) -> int:
        """How many resume calls came in."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """The newest executions, newest first."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop all motion."""

    def as_state(self) -> dict[str, Any]:
        """As the page reads it."""
        rows = [asdict(row) for row in self.rows()]
        return {"connection": self.connection, "engine": self.kind, "title": self.title, "executions": rows}


def below(prefix: str, app: ASGIApp) -> dict[str, ASGIApp]:
    """The app under a prefix that it does not know of."""

    async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(prefix)
        await app({**scope, "path": path or "/"}, receive, send)

    return {f"{prefix}/": stripped}


def newest(items: list[Any], age: Callable[[Any], Any]) -> list[Any]:
    """The newest of these that are shown, newest first."""
    return sorted(items, key=age, reverse=True)[:SHOWN]
