"""The engines' common contract as data: one row per engine and server, picked up from every `case_<engine>.py` beside this.

Case.serve()  one server for a module of tests ─> Opener
Opener()      a fresh stand for one test: engine, world, record of calls ─> Stand
"""

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from bot.domain.errors import EngineError, OutcomeUnknown
from bot.domain.execution import ExecutionRef
from bot.domain.ports import Engine

CONNECTION = "orders"
SECRET = "s3cret-of-the-connection"
NOBODY_LISTENS = "http://127.0.0.1:9"


class Unlimited:
    """A budget that is never used up."""

    async def admit(self) -> None:
        """Let the call pass."""


class CallKind(Enum):
    """What a scripted trouble hits: every read, or the call that resumes."""

    READ = auto()
    RESUME = auto()


class Trouble(Enum):
    """What can happen to a call; a row translates it into its simulator's words."""

    UNAUTHORISED = auto()  # 401
    FORBIDDEN = auto()  # 403
    LIMITED = auto()  # 429, with `Case.limit_wait` where the engine's contract has a wait
    FAULT = auto()  # 500
    STRANGE = auto()  # 200 and JSON of another form
    PAGE = auto()  # 200 and HTML of something in between
    CUT = auto()  # dropped before anything happened
    LOST = auto()  # it happened, and the answer is dropped


@dataclass(frozen=True)
class Sample:
    """A notice as it comes over the wire; header names are lower case."""

    name: str
    body: bytes
    headers: dict[str, str]


class Stand(Protocol):
    """An engine, its server, and what a test may do to both. Its credential holds `SECRET`."""

    @property
    def engine(self) -> Engine:
        """The engine under test."""
        ...

    async def fail_one(self) -> ExecutionRef:
        """An execution that has failed and offers resume points."""
        ...

    async def succeed_one(self) -> ExecutionRef:
        """An execution that ended well."""
        ...

    def unknown(self) -> ExecutionRef:
        """An execution of the right form that the server does not know."""
        ...

    async def repair(self, ref: ExecutionRef) -> None:
        """Take away why it failed: the next try succeeds."""
        ...

    def trouble(self, call: CallKind, trouble: Trouble, times: int = 1) -> None:
        """Let the next calls of a kind go wrong."""
        ...

    def resumes(self) -> int:
        """How many calls that resume have come in."""
        ...

    def elsewhere(self) -> Engine:
        """The same engine for the address `NOBODY_LISTENS`; the stand closes it."""
        ...

    def notices(self, ref: ExecutionRef) -> Sequence[Sample]:
        """Notices of that failure, one of each kind the engine or its users send."""
        ...


Opener = Callable[[], AbstractAsyncContextManager[Stand]]


@dataclass(frozen=True)
class Case:
    """One row: an engine on one kind of server, and what its contract leaves open."""

    name: str
    kind: str
    serve: Callable[[], AbstractAsyncContextManager[Opener]]
    limit_wait: float | None = 7.0
    fault_on_resume: type[EngineError] = OutcomeUnknown
    proves_lost_calls: bool = True  # evidence tells a lost call from one that was cut
    shows_chain: bool = True  # an execution tells which ones it continues


def all_cases() -> tuple[Case, ...]:
    """The rows of all engines."""
    here = Path(__file__).parent
    modules = [importlib.import_module(f"tests.engines.{path.stem}") for path in sorted(here.glob("case_*.py"))]
    return tuple(case for module in modules for case in module.CASES)
