"""What tests of the playground share: its engines, a worker that only sleeps, and how to wait."""

import asyncio
import contextlib
import sys
from collections.abc import Callable

from bot.play.digdag import DigdagPlay
from bot.play.harness import HarnessFirstgenPlay, HarnessNextgenPlay
from bot.play.restate import RestatePlay

SECRET = "a-secret-of-a-test"
ENGINES = (RestatePlay, HarnessNextgenPlay, HarnessFirstgenPlay, DigdagPlay)
SLEEPER = (sys.executable, "-c", "import sys, time; print(sys.stdin.readline().strip(), flush=True); time.sleep(60)")


async def until(holds: Callable[[], bool], what: str, limit: float = 20.0) -> None:
    """Wait until this holds, and say what did not come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            while not holds():  # noqa: ASYNC110 — what is looked at tells nobody
                await asyncio.sleep(0.02)
    assert holds(), what
