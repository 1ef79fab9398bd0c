"""Asks a Digdag server what has failed, for those that send no notices and for notices that were lost."""

from collections.abc import Sequence
from datetime import datetime

from bot.domain.errors import NotFound
from bot.domain.execution import ExecutionRef, FailureNotice
from bot.engines.digdag_api import PAGE, DigdagApi
from bot.engines.digdag_wire import AttemptBody

# The list goes by when attempts began and has no filter. Those seen running are looked at again by id, so a page or two
# per poll are enough; only the first poll of a process looks further back for what is running.
_FIRST_PAGES = 5
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
    """Finds failed attempts, and remembers those that were running when they were last seen."""

    def __init__(self, connection: str, api: DigdagApi) -> None:
        self._connection = connection
        self._api = api
        self._running: set[str] = set()
        self._is_first = True

    async def find(self, since: datetime | None, limit: int) -> Sequence[FailureNotice]:
        """Failures that ended since then and are the newest of their session, oldest first."""
        seen = await self._pages(since, limit)
        shown = {attempt.id for attempt in seen}
        missing = sorted(self._running - shown, key=int)[:_LOOKED_AT_AGAIN]
        seen += [attempt for attempt in [await self._again(attempt_id) for attempt_id in missing] if attempt is not None]
        self._running -= {*shown, *missing}
        self._running |= {attempt.id for attempt in seen if not attempt.done}
        self._is_first = False
        failed = [attempt for attempt in seen if attempt.has_failed and _is_new(attempt, since)]
        notices = [notice_of(self._connection, attempt) for attempt in failed]
        return sorted(notices, key=lambda notice: (notice.at is None, notice.at, int(notice.ref.id)))[-limit:]

    async def _pages(self, since: datetime | None, limit: int) -> list[AttemptBody]:
        """Newest attempts of their sessions: as far back as the mark, further when nothing is remembered yet."""
        found: list[AttemptBody] = []
        most = max(1, -(-limit // PAGE)) if since is None else _FIRST_PAGES
        for _ in range(most):
            query = {"page_size": str(PAGE)} | ({"last_id": found[-1].id} if found else {})
            page = await self._api.attempts(query)
            found += page
            is_before_mark = (
                since is not None and bool(page) and page[-1].created_at is not None and page[-1].created_at < since
            )
            if len(page) < PAGE or (is_before_mark and not self._is_first):
                break
        return found

    async def _again(self, attempt_id: str) -> AttemptBody | None:
        try:
            return await self._api.attempt(attempt_id)
        except NotFound:
            return None


def _is_new(attempt: AttemptBody, since: datetime | None) -> bool:
    return since is None or attempt.finished_at is None or attempt.finished_at >= since
