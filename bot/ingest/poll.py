"""Polls engines for failures nobody told us of; the same notices as a hook's, with a watermark in the database."""

import logging
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
from bot.service.unit import ConnectionHealth

log = logging.getLogger(__name__)
OVERLAP = timedelta(seconds=10)  # clocks differ, and what was committed late must not be missed
PROBE_SECONDS = 60  # an engine that is not polled is asked this often whether it answers
LONGEST_PAUSE = timedelta(minutes=2)
LIMIT, MOST_OF_ONE_MOMENT = 200, 12_800


async def poll(core: Core, connection: str) -> None:
    """Ask the engine what has failed since the last time, if it is time; the very first time takes "now" as its mark."""
    purpose.set(Purpose.POLL)
    info = core.setup.connections[connection]
    every = seconds(info.poll_seconds or PROBE_SECONDS)
    known = await _claim(core, connection, every)
    if known is None:
        return
    engine = core.engine(connection)
    try:
        if info.poll_seconds and isinstance(engine, FindsFailures):
            await _read_pages(core, engine, known)
        else:
            await engine.check()
    except EngineError as error:
        await health.failed(core, connection, error)
        await _slow_down(core, connection, error, every)
    else:
        await health.answered(core, connection)


async def _claim(core: Core, connection: str, every: timedelta) -> ConnectionHealth | None:
    """The connection as it is now, ours to ask until its next time; None when it is not time yet."""
    async with core.store.unit() as unit:
        known, now = await unit.connections.lock(connection), core.now()
        if known.poll_next_at is not None and now < known.poll_next_at:
            return None
        mark, watched_from = known.polled_to or now, known.watched_from or now
        claimed = replace(known, polled_to=mark, watched_from=watched_from, poll_next_at=now + every)
        await unit.connections.save(claimed)
        return claimed


async def _read_pages(core: Core, engine: FindsFailures, known: ConnectionHealth) -> None:
    """Report page after page; the mark follows what was committed."""
    asked_at = core.now()
    since, limit = (known.polled_to or asked_at) - OVERLAP, LIMIT
    while len(notices := await engine.find_failures(since, limit)) >= limit:
        await _report(core, notices, known)
        last = max((notice.at for notice in notices if notice.at), default=since)
        if last > since:
            since, limit = last, LIMIT
            await _advance(core, known.name, last + OVERLAP)
        elif limit < MOST_OF_ONE_MOMENT:
            limit *= 8  # the page begins and ends in one moment: the next one would be the same
        else:
            log.error("more failures of one moment than can be read", extra={"connection": known.name, "limit": limit})
            break
        asked_at = core.now()
    else:
        await _report(core, notices, known)
    await _advance(core, known.name, asked_at)


async def _report(core: Core, notices: Sequence[FailureNotice], known: ConnectionHealth) -> None:
    for notice in notices:
        if notice.at is None or known.watched_from is None or notice.at >= known.watched_from:
            await report_failure(core, notice, via="poll")


async def _advance(core: Core, connection: str, mark: datetime) -> None:
    async with core.store.unit() as unit:
        known = await unit.connections.lock(connection)
        await unit.connections.save(replace(known, polled_to=max(mark, known.polled_to or mark)))


async def _slow_down(core: Core, connection: str, error: EngineError, every: timedelta) -> None:
    """Twice the pause after a fault, or as long as the engine asks for."""
    wait = seconds(error.wait) if isinstance(error, RateLimited) and error.wait else every * 2
    async with core.store.unit() as unit:
        known = await unit.connections.lock(connection)
        await unit.connections.save(replace(known, poll_next_at=core.now() + min(wait, LONGEST_PAUSE)))
