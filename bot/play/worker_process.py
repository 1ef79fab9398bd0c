"""The worker as its starter sees it: one child process, started anew a moment after it ended."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PROGRAM = (sys.executable, "-P", "-m", "bot.play.worker")  # -P: a folder called bot in the current one is not ours


@dataclass
class WorkerProcess:
    """`facts` is what the page shows of it."""

    told: str
    program: Sequence[str] = PROGRAM
    pause: float = 3.0  # before it is started anew: long enough to see that nobody works
    drain: float = 6.0  # to end what runs, when all of it ends
    restarts: int = 0
    since: datetime | None = None
    _child: asyncio.subprocess.Process | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.returncode is None

    @property
    def facts(self) -> dict[str, Any]:
        """Whether it lives, as which process, how often it was started anew, and since when it stands so."""
        return {
            "alive": self.is_alive,
            "pid": self._child.pid if self._child else None,
            "restarts": self.restarts,
            "since": self.since.isoformat() if self.since else None,
        }

    async def keep(self) -> None:
        """Start it, and start it anew whenever it ended; cancelling this stops it."""
        try:
            while True:
                child = await self._start()
                await child.wait()
                self._note()
                await asyncio.sleep(self.pause)
                self.restarts += 1
        finally:
            await self._stop()

    def kill(self) -> bool:
        """End it as a crash would, in the middle of whatever it does; False when there is none."""
        if self._child is None or self._child.returncode is not None:
            return False
        self._child.kill()
        return True

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C is for the starter, which ends the worker in its turn.
        self._child = child = await asyncio.create_subprocess_exec(
            *self.program, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._note()
        assert child.stdin is not None  # noqa: S101 — it was asked for
        child.stdin.write(f"{self.told}\n".encode())
        with contextlib.suppress(ConnectionError):
            await child.stdin.drain()
        return child

    async def _stop(self) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.drain):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    def _note(self) -> None:
        self.since = datetime.now(UTC)
