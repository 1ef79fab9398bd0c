"""Waiting for something to be so, with a limit and a word on what was missing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")
PAUSE = 0.03


async def until(probe: Callable[[], Awaitable[Found | None]], what: str, limit: float = 20.0) -> Found:
    """The first answer that is neither empty nor false; fails with `what` when there is none in time."""
    deadline = time.monotonic() + limit
    while not (found := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"within {limit:g} s there was no {what}")
        await asyncio.sleep(PAUSE)
    return found


async def seen(probe: Callable[[], Found | None], what: str, limit: float = 20.0) -> Found:
    """The same for what can be looked at without waiting."""

    async def look() -> Found | None:
        return probe()

    return await until(look, what, limit)
