"""The buttons of the page: what can be made to go wrong, and right again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.play.engine import PlayEngine
from bot.play.restate import RestatePlay
from bot.play.worker_process import WorkerProcess

BREAK, RIGHT, HARD = "Let something fail", "Put it right", "Make it hard for the bot"


@dataclass(frozen=True)
class Action:
    """One button; pressing it gives a sentence, or None when it could not be done."""

    key: str
    label: str
    help: str
    group: str
    style: str
    press: Callable[[], Awaitable[str | None]]

    @property
    def shown(self) -> dict[str, str]:
        """As the page reads it."""
        return {name: getattr(self, name) for name in ("key", "label", "help", "group", "style")}


class Actions:
    """All buttons; the first engine is the one that fails by itself at the start and in a storm."""

    def __init__(self, first: RestatePlay, others: Sequence[PlayEngine], worker: WorkerProcess) -> None:
        self._first, self._worker = first, worker
        self._engines: tuple[PlayEngine, ...] = (first, *others)
        self._calls_before: int | None = None  # resume calls when the loss of an answer was ordered
        self.all = {action.key: action for action in (*self._breaking(), *self._repairing(), *self._hardening())}

    def look(self) -> None:
        """An answer is lost once, on whichever engine the call comes first."""
        if self._calls_before is not None and self._resume_calls > self._calls_before:
            self._keep_answers()

    def _breaking(self) -> Sequence[Action]:
        keys = ["break", *(f"break_{engine.connection}" for engine in self._engines[1:])]
        singles = [
            Action(key, *engine.breaking, BREAK, "", engine.break_something)
            for key, engine in zip(keys, self._engines, strict=True)
        ]
        words = "Twelve services fail within a second, as in an outage: one message gathers what would flood the channel."
        return [*singles, Action("storm", "Break everything", words, BREAK, "danger", self._first.break_all)]

    def _repairing(self) -> Sequence[Action]:
        words = "Nothing fails any more. What stands still goes on standing still: resume it."
        return [Action("repair", "Repair it", words, RIGHT, "primary", self._repair)]

    def _hardening(self) -> Sequence[Action]:
        losing = "The next resume call takes effect, but its answer never arrives. The bot finds out, and calls no second time."
        killing = "kill -9 of the process that does all the work. Nothing is lost: a new one takes over within seconds."
        return [
            Action("lose_answer", "Lose the engine’s answer", losing, HARD, "", self._lose_answer),
            Action("kill_worker", "Kill the worker", killing, HARD, "danger", self._kill_worker),
        ]

    async def _repair(self) -> str:
        for engine in self._engines:
            engine.repair()
        return "Repaired: whatever is resumed or begun from now on passes."

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
