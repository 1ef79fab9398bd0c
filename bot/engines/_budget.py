"""Calls that only help together are taken together: what cannot be finished is not begun, and the rest is given back.

together(5) ─▶ read, read, read, read ─▶ keep ─▶ … ─▶ spending(kept) ─▶ the call that counts
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from bot.domain.ports import TakesTogether, Throttle


class Purse:
    """Calls that were taken and not made yet, by the moment from which each may be made."""

    def __init__(self, due: Iterable[float] = ()) -> None:
        self._due = deque(due)

    def __len__(self) -> int:
        return len(self._due)

    async def next(self) -> None:
        """Take one, and wait until it is due."""
        await asyncio.sleep(max(self._due.popleft() - asyncio.get_running_loop().time(), 0.0))

    async def keep(self) -> "Purse":
        """One of them for later, once it is due; an empty purse where none is left."""
        if not self._due:
            return Purse()
        await self.next()
        return Purse([0.0])


_purse: ContextVar[Purse | None] = ContextVar("purse", default=None)


class Budget:
    """A throttle whose calls can be taken together; what a purse of the present sequence holds is used first."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle

    async def admit(self) -> None:
        """As every throttle does."""
        purse = _purse.get()
        if purse:
            await purse.next()
        else:
            await self._throttle.admit()

    @asynccontextmanager
    async def together(self, calls: int) -> AsyncIterator[Purse]:
        """So many calls for what is done within, or RateLimited before any of them."""
        throttle = self._throttle
        if not isinstance(throttle, TakesTogether):
            yield Purse()
            return
        waits = await throttle.take_together(calls)
        now = asyncio.get_running_loop().time()
        purse = Purse(now + wait for wait in waits)
        try:
            with self.spending(purse):
                yield purse
        finally:
            if purse:
                await throttle.give_back(len(purse))

    @contextmanager
    def spending(self, purse: Purse) -> Iterator[None]:
        """Use what was kept for what is called within."""
        before = _purse.set(purse)
        try:
            yield
        finally:
            _purse.reset(before)
