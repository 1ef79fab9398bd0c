"""Processes of the bot: started, waited for, killed, frozen and thawed by their own id."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Bot:
    """One process and what it says."""

    role: str
    options: tuple[str, ...]
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, as far as is known yet."""
        return self.process.returncode is None

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    def freeze(self) -> None:
        """Let it do nothing until it is thawed."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    async def ended(self, limit: float = 30.0) -> int:
        """Its exit status once it has ended."""
        async with asyncio.timeout(limit):
            return await self.process.wait()


async def start(role: str, options: tuple[str, ...], settings: Mapping[str, str], log: Path) -> Bot:
    """Start one; it sees no environment but the settings and what a process needs."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = [sys.executable, "-m", "tests.journeys.process", role, *options]
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, env={**environment, **settings}
        )
    return Bot(role, options, process, log)
