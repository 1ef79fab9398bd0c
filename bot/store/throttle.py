"""The budget of calls of one account, kept in the database so that all processes and connections share it.

A sequence of calls (`take_together`) is taken at once: it may run into debt as far as the debt is paid within LONGEST_PACE,
and each of its calls waits for its own time, so that in no span more calls are made than were set.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import floor

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.errors import NotSent, RateLimited
from bot.domain.ports import LONGEST_PACE, Clock, Purpose, purpose
from bot.store.outbox import put, tokens_of

LIMITS = text("SELECT set_config('statement_timeout', '1500', true), set_config('lock_timeout', '1000', true)")
# the part of the burst that must be left after a call, so that what matters more still finds some
RESERVE = {Purpose.CARRY_OUT: 0.0, Purpose.DESCRIBE: 0.1, Purpose.WATCH: 0.25, Purpose.POLL: 0.5}

NEARLY_ALL = 0.9  # of the burst: what matters begins before the poll, which waits for all of it, takes the next call
TINY = 1e-6  # seconds: whoever waited as long as was said is not turned away for a rounding


class SqlThrottle:
    """Throttle over an engine; see `bot.domain.ports`. A rate of 0 is a free pass, without a look into the database.

    `key` names the account that the far side counts by, `sequence` the calls that carrying out one request takes.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        connection_name: str,
        rate_per_second: float,
        burst: float,
        clock: Clock,
        *,
        key: str = "",
        sequence: int = 1,
    ) -> None:
        self._engine, self._connection_name, self._clock = engine, connection_name, clock
        self._rate, self._burst = rate_per_second, burst
        self._key = f"calls:{key or connection_name}"
        self._sequence = sequence

    async def admit(self) -> None:
        """Take one call from the budget; raises RateLimited with the wait, or NotSent when the budget cannot be read."""
        if self._rate:
            await self._take(1, self._wanted(purpose.get(), 1))

    async def take_together(self, calls: int) -> Sequence[float]:
        """Take so many calls or none: after how many seconds each may be made. Raises as `admit` does."""
        if not self._rate:
            return [0.0] * calls
        reason = purpose.get()
        wanted = self._begins_at(calls) if reason is Purpose.CARRY_OUT else self._wanted(reason, calls)
        tokens = await self._take(calls, wanted)
        return [max((number - tokens) / self._rate, 0.0) for number in range(1, calls + 1)]

    async def give_back(self, calls: int) -> None:
        """Return what was taken and not used; what cannot be returned now comes back with time."""
        if not self._rate:
            return
        try:
            async with self._locked() as (connection, tokens):
                await put(connection, self._key, min(tokens + calls, self._burst), self._clock.now())
        except NotSent:
            return

    def _begins_at(self, calls: int) -> float:
        """What must be there for a sequence to be through in time."""
        return max(calls - LONGEST_PACE * self._rate, 0.0)

    def _wanted(self, reason: Purpose, calls: int) -> float:
        """What must be there for this purpose: enough for the calls and for what matters more, if the burst allows it."""
        if reason is Purpose.CARRY_OUT:
            return calls
        kept = RESERVE[reason] * self._burst
        if self._sequence > 1 and reason is Purpose.POLL:
            kept = max(kept, self._wanted(Purpose.WATCH, self._sequence - 1))
        elif self._sequence > 1:
            kept = max(kept, self._begins_at(self._sequence))
        most = self._burst if reason is Purpose.POLL else self._burst * NEARLY_ALL
        return min(calls + kept, max(most, 1.0))

    async def _take(self, calls: int, wanted: float) -> float:
        """Take them when as many as are wanted are there; what was there before."""
        async with self._locked() as (connection, tokens):
            wait = (wanted - tokens) / self._rate
            if wait < TINY:
                await put(connection, self._key, tokens - calls, self._clock.now())
                return tokens
        raise RateLimited(
            f"The rate set for connection {self._connection_name} allows the next call in {floor(wait) + 1} s.", wait
        )

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[tuple[AsyncConnection, float]]:
        """What the budget holds by now, nobody else's until it is left."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(LIMITS)  # a frozen process may hold the row
                now = self._clock.now()
                yield connection, await tokens_of(connection, self._key, self._rate, self._burst, now)
        except SQLAlchemyError as fault:
            raise NotSent(f"The budget of calls of {self._connection_name} could not be read; nothing was sent.") from fault
