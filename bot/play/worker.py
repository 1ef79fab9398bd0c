"""The worker of the playground: reads from its standard input what to work on, and ends when that is closed.

python -m bot.play.worker
"""

import asyncio
import os
import sys

from bot import bootstrap
from bot.play.playground import TIMINGS, Playground


async def main() -> None:
    """Work until a signal comes, or until whoever started us is gone."""
    told = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    playground = Playground.of_json(await told.readline())
    watching = asyncio.create_task(_end_with_starter(told))
    settings = playground.settings
    async with bootstrap.prepared(settings, playground.database, timings=TIMINGS) as parts:
        await bootstrap.serve(settings, parts, playground.database, has_web=False, has_workers=True)
    watching.cancel()


async def _end_with_starter(told: asyncio.StreamReader) -> None:
    """A pipe is closed whatever ended the process at its other end, kill -9 included."""
    await told.read()
    os._exit(1)


if __name__ == "__main__":
    asyncio.run(main())
