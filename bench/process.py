"""The bot as a process of its own, as `resumebot run` starts it; only what waits for nothing but time is shortened.

python -m bench.process
"""

import asyncio

from bench.stand import TIMINGS
from bot import bootstrap, config


async def main() -> None:
    """Run until a signal ends it."""
    settings = config.from_process()
    async with bootstrap.database(settings, owned=True) as url, bootstrap.prepared(settings, url, timings=TIMINGS) as parts:
        await bootstrap.serve(settings, parts, url, has_web=True, has_workers=True)


if __name__ == "__main__":
    asyncio.run(main())
