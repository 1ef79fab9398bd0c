"""Another process with the product's workers: it stays with each job until there is a table `go_on`."""

import asyncio
import sys

import psycopg

from bot.jobs import Workers
from tests.in_process import QUICK
from tests.jobs.lab import group


async def main(conninfo: str) -> None:
    """Work until the process is ended."""

    async def deliver(number: int) -> None:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            while not await _value(connection, "SELECT to_regclass('public.go_on')"):  # noqa: ASYNC110 — nobody tells of it
                await asyncio.sleep(0.02)

    async def note(_task: str, _job: int | None, _fault: Exception) -> None:
        return None

    await Workers([group(deliver=deliver, poll=0.25)], conninfo, QUICK, note).run()


async def _value(connection: psycopg.AsyncConnection, statement: str) -> object:
    row = await (await connection.execute(statement.encode())).fetchone()
    return row[0] if row else None


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
