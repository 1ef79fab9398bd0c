"""One process of the bot as a journey wants it: the product's own composition, perhaps hurried, perhaps with fail points.

python -m tests.journeys.process (run | web | worker) [--hurried] [--points FOLDER] [--bug NAME]
"""

import argparse
import asyncio
from pathlib import Path

from bot import bootstrap, config
from bot.domain.setup import Timings
from bot.store import schema
from tests.journeys.bugs import BUGS
from tests.journeys.pointed import with_points
from tests.journeys.points import Points

HURRIED = Timings(
    send_window=1.0,
    call_timeout=0.5,
    settle=0.5,
    takeover=1.2,
    heartbeat=0.3,
    rescue_every=1,
    sweep_every=1,
    seal_every=1,
    first_card=0.3,
    unrouted_card=1.0,
    watch_first=0.1,
    watch_longest=0.5,
    lane_pause=0.05,
    updates_a_minute=6000,
)


async def main(arguments: argparse.Namespace) -> None:
    """Run until a signal ends it."""
    settings = config.from_process()
    timings = HURRIED if arguments.hurried else Timings()
    async with bootstrap.database(settings, owned=True) as url:
        if settings.database_url is None:
            await schema.migrate(url)
        async with bootstrap.prepared(settings, url, timings=timings) as parts:
            bug = BUGS[arguments.bug]
            used = with_points(parts, settings, Points(arguments.points), bug.store, bug.engine) if arguments.points else parts
            has_web, has_workers = arguments.role != "worker", arguments.role != "web"
            await bootstrap.serve(settings, used, url, has_web=has_web, has_workers=has_workers)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["run", "web", "worker"])
    parser.add_argument("--hurried", action="store_true")
    parser.add_argument("--points", type=Path)
    parser.add_argument("--bug", choices=BUGS, default="none")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parsed()))
