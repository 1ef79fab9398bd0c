"""What the page sees beside the chat: the engines, the audit trail, the worker, the buttons; one version for all of it."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.play.actions import Actions
from bot.play.engine import PlayEngine
from bot.play.worker_process import WorkerProcess
from bot.store import trail
from bot.store.tables import audit_entries

LOOK_EVERY, LOOKS = 0.2, 100  # 20 s, and only while a page waits
ENTRIES = 200


class Seen:
    """Looks at everything while somebody waits for news."""

    def __init__(self, engines: Sequence[PlayEngine], worker: WorkerProcess, actions: Actions, notices: Sequence[str]) -> None:
        self.database: AsyncEngine | None = None
        self._engines, self._worker, self._actions, self._notices = engines, worker, actions, list(notices)
        self._version, self._seen = 0, ""
        self._audit: list[dict[str, Any]] = []

    async def state(self, since: int | None) -> dict[str, Any]:
        """All of it, as soon as it is not what the asker has seen, or after 20 s."""
        for _ in range(LOOKS):
            if await self._look() != since:
                break
            await asyncio.sleep(LOOK_EVERY)
        return {"version": self._version, **self._present()}

    async def _look(self) -> int:
        """The version, one higher when anything is not as it was."""
        self._actions.look()
        await self._read_audit()
        if (present := json.dumps(self._present())) != self._seen:
            self._seen = present
            self._version += 1
        return self._version

    def _present(self) -> dict[str, Any]:
        engines = [engine.as_state() for engine in self._engines]
        engines.sort(key=lambda engine: max((row["begun_at"] for row in engine["executions"]), default=0.0), reverse=True)
        return {
            "title": "resumebot playground",
            "engines": engines,
            "audit": self._audit,
            "worker": self._worker.facts,
            "repaired": self._actions.is_repaired,
            "actions": [action.shown for action in self._actions.all.values()],
            "notices": self._notices,
        }

    async def _read_audit(self) -> None:
        if self.database is None:
            return
        last = self._audit[-1]["id"] if self._audit else 0
        with contextlib.suppress(SQLAlchemyError):  # a database that is being started anew: what was read stands
            async with self.database.connect() as connection:
                newest = await connection.scalar(select(func.max(audit_entries.c.id)))
            if (newest or 0) > last:
                self._audit = [json.loads(line) for line in await trail.query(self.database, trail.Selection(), ENTRIES)]
