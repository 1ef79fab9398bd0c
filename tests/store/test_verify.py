"""What verifying promises: every tampering is found and the first bad row or seal is named; anchors show a cut-off end."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store.seals import Seal, seal
from bot.store.verify import read_anchors, verify
from tests.store.trail import StandingClock, entry, opened, tamper, write

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """Six sealed entries, each under a seal of its own, and one that is not sealed yet."""
    async with opened(database) as engine:
        await write(engine, *[entry(number) for number in range(1, 7)])
        await seal(engine, StandingClock())
        await write(engine, entry(7))
        yield engine


@pytest.fixture
async def crowded(database: str) -> AsyncIterator[AsyncEngine]:
    """Many entries, several under each seal."""
    async with opened(database) as engine:
        await write(engine, *[entry(number) for number in range(1, 1001)])
        await seal(engine, StandingClock())
        yield engine


async def test_a_trail_that_nobody_touched_is_consistent(engine: AsyncEngine) -> None:
    verdict = await verify(engine)

    assert (verdict.fault, verdict.entries, verdict.seals, verdict.unsealed) == (None, 6, 6, 1)
    assert str(verdict).startswith("consistent: 6 entries under 6 seals, 1 not sealed yet; newest seal no. 6: ")


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["UPDATE audit_entries SET entry = replace(entry, 'U1', 'U2') WHERE id = 3"], "entry 3 was changed"),
        (["DELETE FROM audit_entries WHERE id = 4"], "entry 4 is missing"),
        (["DELETE FROM audit_entries WHERE id = 1"], "entry 1 is missing"),
        (["DELETE FROM audit_entries WHERE id = 6"], "entry 6 is missing"),
        (["TRUNCATE audit_entries"], "entry 1 is missing"),
        (
            [
                "UPDATE audit_entries SET entry = (SELECT entry FROM audit_entries WHERE id = 5) WHERE id = 2",
                "UPDATE audit_entries SET entry = replace(entry, '5', '2') WHERE id = 5",
            ],
            "entry 2 was changed",
        ),
        (
            [
                "UPDATE audit_entries SET id = DEFAULT WHERE id = 4",
            ],
            "entry 4 is missing",
        ),
        (["INSERT INTO audit_entries (id, entry) OVERRIDING SYSTEM VALUE VALUES (0, '{}')"], "entry 0 was inserted"),
        (["INSERT INTO audit_entries (id, entry) OVERRIDING SYSTEM VALUE VALUES (-9, '{}')"], "entry -9 was inserted"),
        (["DELETE FROM audit_seals WHERE no = 2"], "seal 2 is missing"),
        (["DELETE FROM audit_seals WHERE no = 1"], "seal 1 is missing"),
        (["UPDATE audit_seals SET no = 0 WHERE no = 1"], "seal 0 lies below"),
        ([f"UPDATE audit_seals SET sha256 = '{'a' * 64}' WHERE no = 3"], "seal 3 was changed"),
        ([f"UPDATE audit_seals SET prev = '{'a' * 64}' WHERE no = 4"], "seal 4 does not follow seal 3"),
        (["UPDATE audit_seals SET at = at - interval '1 hour' WHERE no = 5"], "seal 5"),
        (["UPDATE audit_seals SET last_id = 1 WHERE no = 3"], "seal 3 goes back"),
        (["UPDATE audit_seals SET count = 9 WHERE no = 3"], "seal 3"),
        (["UPDATE audit_seals SET last_id = 1000000000000 WHERE no = 6"], "seal 6"),
    ],
)
async def test_tampering_is_found_and_named(engine: AsyncEngine, statements: list[str], named: str) -> None:
    await tamper(engine, *statements)

    verdict = await verify(engine)

    assert verdict.fault is not None
    assert named in verdict.fault


async def test_moved_entries_are_found(engine: AsyncEngine) -> None:
    await tamper(
        engine,
        "UPDATE audit_entries SET id = DEFAULT WHERE id = 2",
        "INSERT INTO audit_entries (id, entry) OVERRIDING SYSTEM VALUE SELECT 2, entry FROM audit_entries WHERE id = 3",
    )

    verdict = await verify(engine)

    assert verdict.fault
    assert "entry 2 was changed or moved" in verdict.fault


async def test_an_entry_in_the_gap_of_a_rollback_is_found(database: str) -> None:
    async with opened(database) as engine:
        await write(engine, entry(1))
        async with engine.connect() as connection, connection.begin() as transaction:
            await connection.exec_driver_sql("INSERT INTO audit_entries (entry) VALUES ('{}')")
            await transaction.rollback()
        await write(engine, entry(3))
        await seal(engine, StandingClock())
        assert (await verify(engine)).fault is None

        await tamper(engine, "INSERT INTO audit_entries (id, entry) OVERRIDING SYSTEM VALUE VALUES (2, '{}')")
        verdict = await verify(engine)

    assert verdict.fault
    assert "entry 2 was inserted" in verdict.fault


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE audit_entries SET entry = '{}' WHERE id = 502", "entry 501, 502, 503, 504 or 505 was changed"),
        ("DELETE FROM audit_entries WHERE id = 502", "entry 502 is missing"),
        ("UPDATE audit_entries SET id = DEFAULT WHERE id = 502", "entry 502 is missing"),
    ],
)
async def test_under_a_seal_of_several_the_few_are_named(crowded: AsyncEngine, statement: str, named: str) -> None:
    await tamper(crowded, statement)

    verdict = await verify(crowded)

    assert verdict.fault
    assert named in verdict.fault


async def cut_off(engine: AsyncEngine) -> None:
    await tamper(engine, "DELETE FROM audit_entries WHERE id >= 5", "DELETE FROM audit_seals WHERE no >= 5")


async def test_a_cut_off_end_is_found_with_an_anchor_only(engine: AsyncEngine) -> None:
    clock = StandingClock()
    newest = await seal(engine, clock)
    assert newest

    await cut_off(engine)

    without = await verify(engine)
    anchored = await verify(engine, read_anchors([json.dumps({"no": newest.no, "sha256": newest.sha256})]))
    assert without.fault is None
    assert "only anchors" in str(without)
    assert anchored.fault
    assert "seal 7 was vouched for outside and is not here" in anchored.fault


async def test_an_end_that_was_written_anew_does_not_fit_the_anchor(engine: AsyncEngine) -> None:
    clock = StandingClock()
    newest = await seal(engine, clock)
    assert newest

    await cut_off(engine)
    await write(engine, *[entry(number, actor="slack:T1/U9") for number in range(5, 8)])
    forged = await seal(engine, clock)

    assert forged
    assert forged.no == newest.no
    verdict = await verify(engine, read_anchors([f"seal no. {newest.no}: {newest.sha256}"]))
    assert verdict.fault
    assert "seal 7 is not the one that was vouched for outside" in verdict.fault


async def test_with_an_anchor_that_fits_it_is_complete_up_to_there(engine: AsyncEngine) -> None:
    newest = await seal(engine, StandingClock())
    assert newest

    verdict = await verify(engine, read_anchors([json.dumps({"no": newest.no, "sha256": newest.sha256})]))

    assert verdict.fault is None
    assert str(verdict).startswith("complete up to seal 7: 7 entries")


SEALED = Seal(12, StandingClock().at, 5, 9, 5, "b" * 64, "c" * 64)


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"no": SEALED.no, "sha256": SEALED.sha256}),
        json.dumps({"at": "…", "level": "info", "message": "audit sealed", "no": 12, "last_id": 9, "sha256": SEALED.sha256}),
        f"12:00:00 info    audit sealed no=12 last_id=9 sha256={SEALED.sha256}",
        f":information_source: Audit seal no. 12 up to entry 9: `{SEALED.sha256}`",
        f"platform[web.1]: {json.dumps({'message': 'audit sealed', 'no': 12, 'sha256': SEALED.sha256})}",
    ],
)
def test_an_anchor_is_read_wherever_it_was_written(line: str) -> None:
    assert read_anchors(["", "something else 12", line]) == {12: frozenset({SEALED.sha256})}


def test_a_text_without_an_anchor_holds_none() -> None:
    assert read_anchors(["", "[]", '{"no": "x"}', '{"sha256": 1}', "no. 12 was missed", "null", "c" * 64]) == {}
