"""`python -m bench`: the figures of the design, each beside its yardstick in the same run; status 1 when a goal is missed."""

import asyncio
import sys
import time
from functools import partial

from bench import approvals, clicks, hooks
from bench.engine import engine
from bench.figures import Figure
from bench.stand import bot_on, fresh_database, make_template, server


async def measure_all() -> list[Figure]:
    """One figure after the other, on one server."""
    with server() as running:
        print(f"PostgreSQL 18 with fsync on, its data in {running.data}", flush=True)
        await make_template(running)
        figures = []
        async with bot_on(fresh_database(running, "clicks")) as bot:
            figures.append(_shown(await clicks.measure(bot)))
        figures.append(_shown(await hooks.measure(partial(fresh_database, running))))
        async with engine() as side:
            figures.append(_shown(await approvals.measure(fresh_database(running, "approvals"), side)))
    return figures


def _shown(figure: Figure) -> Figure:
    print(f"\n{figure.printed()}", flush=True)
    return figure


def main() -> None:
    """Measure and say whether all goals are met."""
    begun = time.monotonic()
    figures = asyncio.run(measure_all())
    print(f"\n{sum(figure.is_met for figure in figures)} of {len(figures)} goals met in {time.monotonic() - begun:.0f} s")
    sys.exit(0 if all(figure.is_met for figure in figures) else 1)


if __name__ == "__main__":
    main()
