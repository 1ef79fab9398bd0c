"""Polls engines for failures nobody told us of; the same notices as a hook's, with a watermark in the database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.errors import EngineError, RateLimited
from bot.domain.execution import FailureNotice
from bot.domain.ports import FindsFailures, Purpose, purpose
from bot.domain.setup import seconds
from bot.service import health
from bot.service.core import Core
from bot.service.incidents import report_failure

OVERLAP = timedelta(seconds=10)  # clocks differ, and what was committed late must not be missed
PROBE_SECONDS = 60  # an engine that is not polled is asked this often whether it answers
LONGEST_PAUSE = timedelta(minutes=2)
LIMIT = 200
GIVEN_UP = timedelta(seconds=30)  # polls do not overlap: the next waits for this one's end, or for so long when it died


async def poll(core: Core, connection: str) -> None:
    """Ask the engine what has failed since the last time, if it is time; the very first time takes "now" as its mark."""
    purpose.set(Purpose.POLL)
    info = core.setup.connections[connection]
    every = seconds(info.poll_seconds or PROBE_SECONDS)
    async with core.store.unit() as unit:
        known, now = await unit.connections.lock(connection), core.now()
        if known.poll_next_at is not None and now < known.poll_next_at:
            return
        mark, watched_from = known.polled_to or now, known.watched_from or now
        claimed = replace(known, polled_to=mark, watched_from=watched_from, poll_next_at=now + every + GIVEN_UP)
        await unit.connections.save(claimed)
    engine = core.engine(connection)
    notices: Sequence[FailureNotice] = ()
    try:
        if info.poll_seconds and isinstance(engine, FindsFailures):
            notices = await engine.find_failures(mark - OVERLAP, LIMIT)
        else:
            await engine.check()
    except EngineError as error:
        await health.failed(core, connection, error)
        await _slow_down(core, connection, error, every)
        return
    for notice in notices:
        if notice.at is None or notice.at >= watched_from:
            await report_failure(core, notice, via="poll")
    await health.answered(core, connection)
    await _advance(core, connection, now, every, notices)


async def _advance(core: Core, connection: str, asked_at: datetime, every: timedelta, notices: Sequence[FailureNotice]) -> None:
    """The mark follows what was read; a full page means that there is more, to be asked for at once."""
    is_full = len(notices) >= LIMIT
    last = max((notice.at for notice in notices if notice.at), default=None)
    mark = last + OVERLAP if is_full and last else asked_at
    async with core.store.unit() as unit:
        known = await unit.connections.lock(connection)
        later = max(mark, known.polled_to or mark)
        next_at = core.now() if is_full else asked_at + every
        await unit.connections.save(replace(known, polled_to=later, poll_next_at=next_at))


async def _slow_down(core: Core, connection: str, error: EngineError, every: timedelta) -> None:
    """Twice the pause after a fault, or as long as the engine asks for."""
    wait = seconds(error.wait) if isinstance(error, RateLimited) and error.wait else every * 2
    async with core.store.unit() as unit:
        known = await unit.connections.lock(connection)
        await unit.connections.save(replace(known, poll_next_at=core.now() + min(wait, LONGEST_PAUSE)))
