"""The buttons of the page: what can be made to go wrong, and right again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.play.engine import PlayEngine
from bot.play.restate import RestatePlay
from bot.play.worker_process import WorkerProcess

RIGHT, HARD, BREAK = "Put it right", "Make it hard for the bot", "Break something and get its card"


@dataclass(frozen=True)
class Action:
    """One button; pressing it gives a sentence, or None when it could not be done."""

    key: str
    label: str
    help: str
    group: str
    style: str
    press: Callable[[], Awaitable[str | None]]
    brief: bool = False  # its help is shown only when asked for

    @property
    def shown(self) -> dict[str, Any]:
        """As the page reads it."""
        return {name: getattr(self, name) for name in ("key", "label", "help", "group", "style", "brief")}


class Actions:
    """All buttons; the first engine is the one that fails by itself at the start and in a storm."""

    def __init__(self, first: RestatePlay, others: Sequence[PlayEngine], worker: WorkerProcess) -> None:
        self._first, self._worker = first, worker
        self._engines: tuple[PlayEngine, ...] = (first, *others)
        self._calls_before: int | None = None  # resume calls when the loss of an answer was ordered
        self.is_repaired = False
        self.all = {action.key: action for action in (*self._repairing(), *self._hardening(), *self._breaking())}

    def look(self) -> None:
        """An answer is lost once, on whichever engine the call comes first."""
        if self._calls_before is not None and self._resume_calls > self._calls_before:
            self._keep_answers()

    def _breaking(self) -> Sequence[Action]:
        keys = ["break", *(f"break_{engine.connection}" for engine in self._engines[1:])]
        singles = [
            Action(key, *engine.breaking, BREAK, "", self._breaks(engine.break_something), brief=True)
            for key, engine in zip(keys, self._engines, strict=True)
        ]
        words = "Sixteen services fail in the same second, as in an outage: one message gathers what would flood the channel."
        return [
            *singles,
            Action("storm", "Sixteen at once", words, BREAK, "danger", self._breaks(self._first.break_all), brief=True),
        ]

    def _repairing(self) -> Sequence[Action]:
        words = "From now on, whatever is resumed passes."
        return [Action("repair", "Repair it", words, RIGHT, "primary", self._repair)]

    def _hardening(self) -> Sequence[Action]:
        losing = "The next resume works, but no answer comes back."
        killing = "kill -9 while it works. Another one takes over."
        return [
            Action("lose_answer", "Lose an answer", losing, HARD, "", self._lose_answer),
            Action("kill_worker", "Kill the worker", killing, HARD, "danger", self._kill_worker),
        ]

    async def _repair(self) -> str:
        for engine in self._engines:
            engine.repair()
        self.is_repaired = True
        return "Repaired: whatever is resumed or begun from now on passes."

    def _breaks(self, press: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str | None]]:
        async def pressed() -> str:
            self.is_repaired = False
            return await press()

        return pressed

    async def _lose_answer(self) -> str:
        self._keep_answers()
        self._calls_before = self._resume_calls
        for engine in self._engines:
            engine.lose_answer()
        return "The answer to the next resume call will be lost."

    async def _kill_worker(self) -> str | None:
        return "Killed. A new worker starts in three seconds." if self._worker.kill() else None

    def _keep_answers(self) -> None:
        self._calls_before = None
        for engine in self._engines:
            engine.keep_answers()

    @property
    def _resume_calls(self) -> int:
        return sum(engine.resume_calls for engine in self._engines)
