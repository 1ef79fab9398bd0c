"""The trail on the command line: the ten fields, the same bytes every time, what a query finds, what verify says."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.audit import AuditAction
from tests.cli.calls import Call, Ended, fill
from tests.store.trail import entry, opened, tamper

FIELDS = ["id", "at", "actor", "action", "subject", "request", "incident", "connection", "execution", "data"]


# ---- the trail ---------------------------------------------------------------------------------


def test_every_entry_prints_all_ten_fields_in_order(on: Call, database: str) -> None:
    fill(database, entry(1), entry(2, request=None, data={}), sealed=False)

    first, second = on("audit", "export").records

    assert list(first) == list(second) == FIELDS
    assert first == {
        "id": 1,
        "at": "2026-03-01T12:00:01.123456Z",
        "actor": "slack:T1/U1",
        "action": "request:decision:approved",
        "subject": "req-1",
        "request": "req-1",
        "incident": None,
        "connection": None,
        "execution": None,
        "data": {"text": "line\n1 é"},
    }
    assert (second["request"], second["data"]) == (None, {})


def test_an_export_is_complete_ordered_resumable_and_the_same_every_time(on: Call, database: str) -> None:
    fill(database, *[entry(number) for number in range(2500)])

    whole = on("audit", "export").out
    rest = on("audit", "export", "--after", "2100").out

    lines = whole.splitlines(keepends=True)
    assert [json.loads(line)["id"] for line in lines] == list(range(1, 2501))
    assert "".join(lines[2100:]) == rest
    assert on("audit", "export").out == whole


async def _export_beside_a_slow_writer(database: str, on: Call) -> tuple[Ended, Ended]:
    async with opened(database) as engine:
        async with engine.begin() as slow:
            await slow.execute(text("INSERT INTO audit_entries (entry) VALUES ('{}')"))
            await _raw(engine)
            during = await asyncio.to_thread(on, "audit", "export")
        last = during.records[-1]["id"] if during.out else 0
        return during, await asyncio.to_thread(on, "audit", "export", "--after", str(last))


async def _raw(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO audit_entries (entry) VALUES ('{}')"))


def test_whoever_resumes_an_export_misses_no_entry_of_a_slow_writer(on: Call, database: str) -> None:
    fill(database, entry(1))

    during, after = asyncio.run(_export_beside_a_slow_writer(database, on))

    assert [record["id"] for record in during.records] == [1]
    assert [record["id"] for record in after.records] == [2, 3]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [1, 2, 3, 4]),
        (["--limit", "2"], [3, 4]),
        (["--since", "2026-03-01T12:00:02Z", "--until", "2026-03-01T13:00:04+01:00"], [2, 3]),
        (["--since", "2026-03-02"], []),
        (["--since", "1s"], []),
        (["--actor", "slack:T1/U2"], [2]),
        (["--actor", "slack:*"], [1, 2, 3]),
        (["--actor", "slack_T1/U2"], []),
        (["--action", "request:decision:*"], [1, 2, 4]),
        (["--action", "*:?ent"], [3]),
        (["--request", "req-1"], [1]),
        (["--incident", "inc-7"], [2, 3]),
        (["--execution", "run-3", "--incident", "inc-7"], [3]),
    ],
)
def test_a_query_finds_what_fits(on: Call, database: str, words: list[str], found: list[int]) -> None:
    fill(
        database,
        entry(1),
        entry(2, actor="slack:T1/U2", incident="inc-7"),
        entry(3, action=AuditAction.CALL_SENT, execution="run-3", incident="inc-7"),
        entry(4, actor="bot"),
    )

    ended = on("audit", "query", *words)

    assert [record["id"] for record in ended.records] == found
    assert all(list(record) == FIELDS for record in ended.records)


def test_verify_says_consistent_and_with_an_anchor_complete(on: Call, database: str, tmp_path: Path) -> None:
    sealed = fill(database, entry(1), entry(2))
    assert sealed
    anchors = tmp_path / "bot.log"
    anchors.write_text(f"started\n{json.dumps({'message': 'audit sealed', 'no': sealed.no, 'sha256': sealed.sha256})}\n")

    without = on("audit", "verify")
    anchored = on("audit", "verify", "--anchors", str(anchors))

    assert (without.status, anchored.status) == (0, 0)
    assert without.out.startswith("consistent: 2 entries")
    assert anchored.out.startswith("complete up to seal 2: 2 entries")


def test_verify_names_the_bad_row_and_ends_with_1(on: Call, database: str) -> None:
    fill(database, entry(1), entry(2), entry(3))
    asyncio.run(_tamper(database))

    ended = on("audit", "verify")

    assert ended.status == 1
    assert ended.out.startswith("not sound: entry 2 was changed")


async def _tamper(database: str) -> None:
    async with opened(database) as engine:
        await tamper(engine, "UPDATE audit_entries SET entry = '{}' WHERE id = 2")


def test_a_file_without_anchors_is_not_taken_for_one(on: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("nothing here\n")

    ended = on("audit", "verify", "--anchors", str(tmp_path / "empty"))

    assert ended.status == 1
    assert "holds no seal" in ended.err


def test_who_stops_reading_an_export_sees_no_traceback(database: str, tmp_path: Path) -> None:
    fill(database, *[entry(number) for number in range(3000)])
    program = Path(sys.executable).with_name("resumebot")

    with subprocess.Popen(
        [program, "audit", "export"],
        env={"DATABASE_URL": database},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()

    assert said == b""
