"""Asks a Digdag server what has failed, for those that send no notices and for notices that were lost.

new attempts ─▶ list, newest first, down to the mark ─┬─ failed since the mark ─▶ found ─▶ oldest first, until the mark
                                                      └─ running ─▶ looked at again by id ─▶ found      has passed them
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.domain.errors import NotFound, RateLimited
from bot.domain.execution import ExecutionRef, FailureNotice
from bot.engines.digdag_api import DigdagApi
from bot.engines.digdag_wire import AttemptBody

log = logging.getLogger(__name__)

# The list goes by when attempts began and has no filter. Those seen running are looked at again by id, so that a page or
# two per poll are enough; only the first poll of a process looks further back for what is running.
LONGEST_RUN = timedelta(days=1)
MOST_PAGES = 50
_LOOKED_AT_AGAIN = 20


def notice_of(connection: str, attempt: AttemptBody) -> FailureNotice:
    """The notice of a failed attempt; its key is the same as that of the server's own notice."""
    return FailureNotice(
        ref=ExecutionRef(connection, attempt.id),
        key=failure_key(attempt.id),
        name=attempt.workflow.name,
        at=attempt.finished_at,
    )


def failure_key(attempt_id: str) -> str:
    """An attempt fails once: the server's notice, an `_error` block's and the poll's are the same failure."""
    return f"attempt:{attempt_id}"


class FailurePoll:
    """Finds failed attempts; remembers what was running, and what it found until the mark has passed it."""

    def __init__(self, connection: str, api: DigdagApi, most_pages: int = MOST_PAGES) -> None:
        """`most_pages` are read at once; what is more is read by the next polls, and the mark waits."""
        self._connection, self._api, self._most_pages = connection, api, most_pages
        self._turn = asyncio.Lock()
        self._since: datetime | None = None
        self._found: dict[str, FailureNotice] = {}
        self._given: set[str] = set()
        self._running: dict[str, None] = {}  # the one looked at longest ago first
        self._shown: set[str] = set()
        self._is_first = True
        self._newest = 0
        self._unread = ""  # the id below which the list was not read to its end

    async def find(self, since: datetime | None, limit: int) -> Sequence[FailureNotice]:
        """Failures that are the newest of their session, oldest first: those since a moment, or the newest standing ones."""
        if since is None:
            return await self._standing(limit)
        async with self._turn:
            self._forget_before(since)
            if len(self._found) < limit:
                self._shown.clear()
                await self._read_new(since)
                await self._look_again(since)
            chosen = sorted(self._found.values(), key=_by_end)[:limit]
            self._given |= {notice.ref.id for notice in chosen}
            return chosen

    async def _standing(self, limit: int) -> Sequence[FailureNotice]:
        walk, looked_at = self._api.attempts({}), 0
        failed: list[FailureNotice] = []
        while looked_at < limit and (page := await walk.next()):
            looked_at += len(page)
            failed += [notice_of(self._connection, attempt) for attempt in page if attempt.has_failed]
        return sorted(failed, key=_by_end)[-limit:]

    def _forget_before(self, since: datetime) -> None:
        """What was handed out counts as kept once the mark has moved; before that it is handed out again."""
        if since == self._since:
            return
        self._since = since
        for attempt_id in self._given:
            self._found.pop(attempt_id, None)
        self._given.clear()

    async def _read_new(self, since: datetime) -> None:
        """Take in all that began since the mark; raises where that is more than is read at once, and goes on next time."""
        newest_before = self._newest if self._unread else 0
        unread = await self._read_down(since, "", newest_before)
        if self._unread and not unread:
            unread = await self._read_down(since, self._unread, 0)
        self._unread = unread
        if unread:
            log.warning("more attempts than one poll reads", extra={"connection": self._connection, "read_down_to": unread})
            raise RateLimited(f"{self._connection} has so many new attempts that the next polls read on.", 1.0)
        self._is_first = False

    async def _read_down(self, since: datetime, below: str, stop_at: int) -> str:
        """Read until attempts are older than the mark, or known; the id to go on below where there is more."""
        walk = self._api.attempts({}, below)
        for _ in range(self._most_pages):
            page = await walk.next()
            if not page:
                return ""
            self._take(page, since)
            began = page[-1].created_at
            is_older = began is not None and began < since
            if int(page[-1].id) <= stop_at or (is_older and not self._is_first):
                return ""
            if began is not None and began < since - LONGEST_RUN:
                return ""
        return "" if is_older else walk.below

    def _take(self, attempts: Sequence[AttemptBody], since: datetime) -> None:
        for attempt in attempts:
            self._newest = max(self._newest, int(attempt.id))
            self._shown.add(attempt.id)
            # What ran when it was last seen ended since, whatever the mark says by now.
            was_running = attempt.id in self._running
            self._running.pop(attempt.id, None)
            is_new = was_running or attempt.finished_at is None or attempt.finished_at >= since
            if attempt.has_failed and is_new:
                self._found[attempt.id] = notice_of(self._connection, attempt)
            if not attempt.done:
                self._running[attempt.id] = None

    async def _look_again(self, since: datetime) -> None:
        """At those that were running and stand too far down the list by now."""
        out_of_sight = [attempt_id for attempt_id in self._running if attempt_id not in self._shown]
        for attempt_id in out_of_sight[:_LOOKED_AT_AGAIN]:
            try:
                self._take([await self._api.attempt(attempt_id)], since)
            except NotFound:
                del self._running[attempt_id]


def _by_end(notice: FailureNotice) -> tuple[bool, float, int]:
    return notice.at is None, notice.at.timestamp() if notice.at else 0.0, int(notice.ref.id)
