"""Waits for work no longer than somebody waits for us: a database that stands still holds on even to what is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Patience:
    """Bounds pieces of work; late ones are left to themselves and kept alive until they have ended."""

    def __init__(self) -> None:
        self._left: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        """The work's result; TimeoutError when it is late, and then nobody knows whether it was done."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self._leave(task)
            raise
        if not done:
            self._leave(task)
            raise TimeoutError
        return task.result()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let it happen beside everything else; how it ends is nobody's concern."""
        self._keep(asyncio.ensure_future(work))

    def _leave(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._keep(task)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._left.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the loop does not complain
