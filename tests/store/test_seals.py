"""What sealing promises: no gap below a seal, whoever writes; nobody is held up; a chain that anybody can recompute."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store import seals
from bot.store.seals import seal
from bot.store.verify import verify
from tests.store.trail import BEGIN, StandingClock, ask, entry, opened, write

pytestmark = pytest.mark.anyio
INSERT = text("INSERT INTO audit_entries (entry) VALUES ('{}')")
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database) as engine:
        yield engine


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 — the database tells nobody of it
            await asyncio.sleep(0.005)


async def waiting(engine: AsyncEngine, count: int) -> None:
    async def condition() -> bool:
        return await ask(engine, WAITING) == [count]

    await until(condition)


async def test_a_seal_covers_each_new_entry_once_and_names_the_seal_before(engine: AsyncEngine) -> None:
    clock = StandingClock()
    await write(engine, entry(1), entry(2))

    first = await seal(engine, clock)
    await write(engine, entry(3))
    second = await seal(engine, clock)

    assert first
    assert second
    assert (first.no, first.last_id) == (2, 2)  # few entries have a seal each
    assert (second.no, second.first_id, second.last_id, second.count) == (3, 3, 3, 1)
    assert second.prev == first.sha256
    assert await ask(engine, "SELECT sha256 FROM audit_seals WHERE no = 3") == [second.sha256]


async def test_the_digest_is_over_the_bytes_that_the_documentation_names(engine: AsyncEngine) -> None:
    await write(engine, entry(1))

    made = await seal(engine, StandingClock())

    (written,) = await ask(engine, "SELECT entry FROM audit_entries")
    body = str(written).encode()
    head = f"resumebot-seal/1\n{'0' * 64}\n1\n2026-03-01T12:00:00.123456Z\n1\n1\n1\n"
    assert made
    assert made.sha256 == hashlib.sha256(head.encode() + f"1 {len(body)}\n".encode() + body + b"\n").hexdigest()


async def test_nothing_new_is_sealed_again_after_ten_minutes_only(engine: AsyncEngine) -> None:
    clock = StandingClock()
    await write(engine, entry(1))
    await seal(engine, clock)

    clock.move(599)
    early = await seal(engine, clock)
    clock.move(1)
    due = await seal(engine, clock)

    assert early is None
    assert due
    assert (due.no, due.first_id, due.last_id, due.count) == (2, None, 1, 0)


async def test_an_empty_trail_begins_with_an_empty_seal(engine: AsyncEngine) -> None:
    made = await seal(engine, StandingClock())

    assert made
    assert (made.no, made.at, made.last_id, made.count) == (1, BEGIN, 0, 0)
    assert (await verify(engine)).fault is None


async def test_a_flood_is_cut_into_few_seals(engine: AsyncEngine) -> None:
    await write(engine, *[entry(number) for number in range(1001)])

    made = await seal(engine, StandingClock())

    assert made
    assert made.no <= seals.SEALS_A_TICK
    assert made.last_id == 1001
    assert await ask(engine, "SELECT max(count) FROM audit_seals") == [6]
    verdict = await verify(engine)
    assert (verdict.fault, verdict.entries, verdict.unsealed) == (None, 1001, 0)


async def test_a_seal_has_no_gap_below_it_while_eight_writers_insert_and_roll_back(engine: AsyncEngine) -> None:
    async def writer(number: int) -> None:
        for turn in range(40):
            with contextlib.suppress(ZeroDivisionError):
                async with engine.begin() as connection:
                    await connection.execute(INSERT)
                    await connection.execute(text("SELECT pg_sleep(random() * 0.003)"))
                    await connection.execute(INSERT)
                    if (turn + number) % 7 == 0:
                        raise ZeroDivisionError

    clock, rounds = StandingClock(), 0
    writers = asyncio.gather(*[writer(number) for number in range(8)])
    while not writers.done():
        rounds += await seal(engine, clock) is not None
        clock.move(1)
    await writers
    await seal(engine, clock)

    verdict = await verify(engine)
    assert rounds > 5
    assert verdict.fault is None
    assert [verdict.entries] == await ask(engine, "SELECT count(*) FROM audit_entries")
    assert verdict.unsealed == 0


async def test_two_sealers_at_one_moment_make_one_chain(engine: AsyncEngine) -> None:
    clock = StandingClock()
    for number in range(20):
        await write(engine, entry(number))
        await asyncio.gather(*[seal(engine, clock) for _ in range(4)])

    verdict = await verify(engine)
    assert (verdict.fault, verdict.entries, verdict.seals) == (None, 20, 20)


async def test_a_sealer_gives_up_on_a_slow_writer_and_holds_up_nobody_for_longer(engine: AsyncEngine) -> None:
    clock = StandingClock()
    async with engine.begin() as slow:
        await slow.execute(INSERT)
        sealing = asyncio.create_task(seal(engine, clock))
        await waiting(engine, 1)
        quick = asyncio.create_task(write(engine, entry(2)))

        gave_up = await sealing
        await asyncio.wait_for(quick, 5)  # while the slow writer is still not done

    assert gave_up is None
    made = await seal(engine, clock)
    assert made
    assert made.last_id == 2


async def test_an_entry_cannot_be_changed_or_removed_by_a_plain_statement(engine: AsyncEngine) -> None:
    await write(engine, entry(1))
    await seal(engine, StandingClock())

    for table, column in (("audit_entries", "entry"), ("audit_seals", "sha256")):
        for statement in (f"UPDATE {table} SET {column} = ''", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(DBAPIError, match="append-only"):
                async with engine.begin() as connection:
                    await connection.execute(text(statement))
