"""Migrating, and a backup that restores everything into an empty database."""

from pathlib import Path

from tests.cli.calls import Call, Ended, fill, incident, put
from tests.store.trail import entry


def test_migrate_may_be_repeated(on: Call) -> None:
    assert on("migrate") == on("migrate") == Ended(0, "The schema is up to date.\n", "")


def test_a_backup_restores_everything_into_an_empty_database(
    on: Call, call: Call, database: str, empty_database: str, tmp_path: Path
) -> None:
    fill(database, entry(1), entry(2))
    put(database, incident())
    dump = tmp_path / "all.dump"

    made, again = on("backup", str(dump)), on("backup", str(dump))
    restored = call("restore", str(dump), DATABASE_URL=empty_database)
    twice = call("restore", str(dump), DATABASE_URL=empty_database)

    assert (made.status, again.status, restored.status, twice.status) == (0, 1, 0, 1)
    assert dump.stat().st_mode & 0o777 == 0o600
    assert "is there already" in again.err
    assert "holds data already" in twice.err
    assert call("audit", "export", DATABASE_URL=empty_database).out == on("audit", "export").out != ""
    assert call("audit", "verify", DATABASE_URL=empty_database).out == on("audit", "verify").out
    assert call("incidents", DATABASE_URL=empty_database).out == on("incidents").out


def test_what_is_no_dump_is_said_and_nothing_is_changed(call: Call, empty_database: str, tmp_path: Path) -> None:
    (tmp_path / "x.dump").write_text("no dump")

    ended = call("restore", str(tmp_path / "x.dump"), DATABASE_URL=empty_database)

    assert ended.status == 1
    assert "archive" in ended.err


def test_a_dump_that_breaks_off_leaves_the_database_as_it_was(
    on: Call, call: Call, empty_database: str, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole.dump", tmp_path / "part.dump"
    on("backup", str(whole))
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    broken = call("restore", str(part), DATABASE_URL=empty_database)
    restored = call("restore", str(whole), DATABASE_URL=empty_database)

    assert broken.status == 1
    assert broken.err
    assert restored.status == 0
