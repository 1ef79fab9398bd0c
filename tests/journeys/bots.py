"""Processes of the bot: started, waited for, killed, frozen and thawed by their own id."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-c", "from bot.cli import main; main()")  # what `resumebot` runs
OURS = (sys.executable, "-m", "tests.journeys.process")
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

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.terminate()

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
    """Start one: the product's program, or with options our own process; it sees no environment but the settings."""
    command = [*(OURS if options else PROGRAM), role, *options]
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, env=_environment(settings)
        )
    return Bot(role, options, process, log)


async def call(words: tuple[str, ...], settings: Mapping[str, str]) -> str:
    """What a command of the program prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=_environment(settings)
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, **settings}
