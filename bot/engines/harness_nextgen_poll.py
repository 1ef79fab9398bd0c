"""What failed in a project, asked for by start over thirty days and told by end: an execution may run for days.

page 0, and on while pages hold what is new ─▶ one page further down each time, round and round: long runs that ended late
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bot.domain.errors import RateLimited
from bot.domain.execution import ExecutionRef, FailureNotice
from bot.engines._harness_links import at
from bot.engines.harness_nextgen_api import PipelineApi
from bot.engines.harness_nextgen_wire import RETRYABLE, ExecutionsBody, SummaryBody

OVERLAP = timedelta(minutes=5)
STANDING = timedelta(days=30)  # older ones cannot be retried
PAGE = 50  # what fits into an answer where pipelines have dozens of stages
MOST_PAGES = 40


class Failures:
    """The list of failures of one project, with how far down it was read."""

    def __init__(self, connection: str, api: PipelineApi) -> None:
        self._connection = connection
        self._api = api
        self._next = 0
        # The list moves while it is read, so that a round may miss what the next one sees: told is what ended since the
        # round before the last began.
        self._rounds: tuple[datetime, datetime] | None = None

    async def find(self, since: datetime | None, limit: int) -> Sequence[FailureNotice]:
        """Executions that ended badly and were not retried since (the list hides the others), the oldest end first."""
        now = datetime.now(UTC)
        after = since - OVERLAP if since else now - STANDING
        self._rounds = self._rounds or (after, after)
        page = await self._read(0, now)
        found, number = _ended(page, after), 1
        try:
            while len(page.content) == PAGE and _ended(page, after) and number < MOST_PAGES:
                page = await self._read(number, now)
                found += _ended(page, after)
                number += 1
            if len(page.content) == PAGE:
                found += await self._further_down(number, now)
        except RateLimited:
            # The first page was read: what is further down comes with the next rounds.
            self._rounds = (min(self._rounds[0], after), min(self._rounds[1], after))
        unique = {one.id: one for one in found}
        oldest = sorted(unique.values(), key=lambda one: one.ended_at or 0)
        return [self._notice(one) for one in oldest[: max(limit, 1)]]

    async def _further_down(self, first: int, now: datetime) -> list[SummaryBody]:
        """One page of those that hold nothing new but what ran for long."""
        assert self._rounds is not None  # noqa: S101 — set by the caller
        number = max(self._next, first)
        page = await self._read(number, now)
        found = _ended(page, self._rounds[0])
        self._next = number + 1
        if len(page.content) < PAGE or self._next >= MOST_PAGES:
            self._next, self._rounds = 0, (self._rounds[1], now)
        return found

    async def _read(self, number: int, now: datetime) -> ExecutionsBody:
        times = {"startTime": _milliseconds(now - STANDING), "endTime": _milliseconds(now + OVERLAP)}
        body = {"filterType": "PipelineExecution", "status": list(RETRYABLE), "timeRange": times}
        query = {"page": str(number), "size": str(PAGE)}
        return await self._api.post(ExecutionsBody, "/pipelines/execution/summary", body, query)

    def _notice(self, one: SummaryBody) -> FailureNotice:
        return FailureNotice(
            ref=ExecutionRef(self._connection, one.id),
            key=one.id,
            name=one.name or one.pipeline,
            message=(one.failure.message or "") if one.failure else "",
            at=at(one.ended_at),
        )


def _ended(page: ExecutionsBody, after: datetime) -> list[SummaryBody]:
    return [one for one in page.content if one.status in RETRYABLE and ((end := at(one.ended_at)) is None or end >= after)]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
