"""The budget of calls of one connection, kept in the database so that all processes share it."""

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.errors import NotSent, RateLimited
from bot.domain.ports import Clock, Purpose, purpose
from bot.store.outbox import take

LIMITS = text("SELECT set_config('statement_timeout', '1500', true), set_config('lock_timeout', '1000', true)")
# what must be left of the burst after a call, so that what matters more still finds some
RESERVE = {Purpose.CARRY_OUT: 0.0, Purpose.DESCRIBE: 0.1, Purpose.WATCH: 0.25, Purpose.POLL: 0.5}


class SqlThrottle:
    """Throttle over an engine; see `bot.domain.ports`. A rate of 0 is a free pass, without a look into the database."""

    def __init__(self, engine: AsyncEngine, connection_name: str, rate_per_second: float, burst: float, clock: Clock) -> None:
        self._engine, self._connection_name, self._clock = engine, connection_name, clock
        self._rate, self._burst = rate_per_second, burst

    async def admit(self) -> None:
        """Take one call from the budget; raises RateLimited with the wait, or NotSent when the budget cannot be read."""
        if not self._rate:
            return
        least = min(RESERVE[purpose.get()] * self._burst, self._burst - 1)
        key = f"calls:{self._connection_name}"
        try:
            async with self._engine.begin() as connection:
                await connection.execute(LIMITS)  # a frozen process may hold the row
                wait = await take(connection, key, self._rate, self._burst, self._clock.now(), least=least)
        except SQLAlchemyError as fault:
            raise NotSent(f"The budget of calls of {self._connection_name} could not be read; nothing was sent.") from fault
        if wait:
            raise RateLimited(
                f"The rate set for connection {self._connection_name} allows the next call in {wait:.0f} s.", wait
            )
