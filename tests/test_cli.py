"""What the command line promises: exit status, one sentence for a fault, the ten fields, the same bytes every time."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.cli import main
from bot.cli_data import moment
from bot.domain.audit import AuditAction, AuditEntry
from bot.store.data_folder import url_of
from bot.store.embedded import Embedded, attach
from bot.store.seals import Seal, seal
from bot.store.tables import connections, groups, incidents, lookups, memberships, messages, people, requests
from tests.conftest import execute
from tests.store.trail import BEGIN, StandingClock, entry, opened, tamper, write

FIELDS = ["id", "at", "actor", "action", "subject", "request", "incident", "connection", "execution", "data"]
TOML = """\
[[connections]]
name = "orders"
engine = "restate"
admin_url = "http://127.0.0.1:9070"
token = "env:ORDERS_TOKEN"

[[routes]]
channel = "C0DEPLOYS"

[[policies]]
name = "all"
approvers = ["S0RELEASE"]
approvals = 2
"""
SET = {"ORDERS_TOKEN": "token-of-orders", "SLACK_BOT_TOKEN": "xoxb-geheim", "SLACK_SIGNING_SECRET": "signing-geheim"}


@dataclass(frozen=True)
class Ended:
    """How a call of the program ended."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Ended]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the program with these words in an empty folder, and with these variables only."""

    def call(*words: str, **environ: str) -> Ended:
        with monkeypatch.context() as patch:
            for name in ("DATABASE_URL", "RESUMEBOT_CONFIG", "RESUMEBOT_DATA", "KUBERNETES_SERVICE_HOST"):
                patch.delenv(name, raising=False)
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["resumebot", *words])
            with pytest.raises(SystemExit) as exit_:
                main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ended(int(exit_.value.code or 0), out, err)

    return call


@pytest.fixture
def on(call: Call, database: str) -> Call:
    """The same, on a migrated database."""
    return lambda *words, **environ: call(*words, DATABASE_URL=database, **environ)


@pytest.fixture
def empty_database(server: Embedded) -> Iterator[str]:
    """A database without a schema."""
    execute(server, "CREATE DATABASE restored")
    yield url_of(server.socket, "restored")
    execute(server, "DROP DATABASE restored WITH (FORCE)")


def fill(database: str, *entries: AuditEntry, sealed: bool = True) -> Seal | None:
    """Write entries, and seal them."""

    async def work() -> Seal | None:
        async with opened(database) as engine:
            await write(engine, *entries)
            return await seal(engine, StandingClock()) if sealed else None

    return asyncio.run(work())


def put(database: str, *rows: tuple[Any, dict[str, Any]]) -> None:
    """Put rows into tables."""

    async def work() -> None:
        async with opened(database) as engine, engine.begin() as connection:
            for table, values in rows:
                await connection.execute(insert(table).values(values))

    asyncio.run(work())


# ---- wrong use and faults ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        [],
        ["audit"],
        ["audit", "query", "--since", "yesterday"],
        ["audit", "query", "--since", "999999d"],
        ["audit", "query", "--request", "req-x"],
        ["audit", "query", "--incident", "req-17"],
        ["audit", "verify", "--anchors", "nowhere"],
    ],
)
def test_wrong_use_is_2(call: Call, words: list[str]) -> None:
    ended = call(*words)

    assert ended.status == 2


@pytest.mark.parametrize(
    "words", [["audit", "verify"], ["audit", "export"], ["incidents"], ["requests"], ["stuck"], ["backup", "f"]]
)
def test_reading_makes_no_database_where_there_is_none(call: Call, tmp_path: Path, words: list[str]) -> None:
    ended = call(*words)

    assert (ended.status, ended.out) == (1, "")
    assert re.fullmatch(r"There are no data in .*/\.resumebot yet: .*\n", ended.err)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_reached_is_one_sentence_without_its_password(call: Call) -> None:
    ended = call("audit", "export", DATABASE_URL="postgresql://bot:geheim@127.0.0.1:1/none")

    assert ended.status == 1
    assert re.fullmatch(r"The database does not answer as it should: .*\n", ended.err)
    assert "geheim" not in ended.err


def test_a_fault_in_the_configuration_is_one_sentence(call: Call, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text("[slak]")

    ended = call("run")

    assert ended == Ended(1, "", "resumebot.toml: there is no table “slak”; did you mean “slack”? Known are slack, "
                          "connections, routes and policies.\n")  # fmt: skip


@pytest.mark.parametrize("verb", ["run", "web", "worker"])
def test_without_slack_nothing_is_started(call: Call, verb: str) -> None:
    ended = call(verb)

    assert ended.status == 1
    assert ended.err.startswith("Slack is not connected: set SLACK_BOT_TOKEN")


def test_web_and_worker_want_a_database(call: Call) -> None:
    assert "DATABASE_URL" in call("web", **SET).err
    assert "DATABASE_URL" in call("worker", **SET).err


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


# ---- lists -------------------------------------------------------------------------------------

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=2)


def incident(**changes: Any) -> tuple[Any, dict[str, Any]]:
    values = {"workspace": "T1", "connection": "orders", "execution_id": "run-1", "state": "open", "opened_at": LONG_AGO}
    return incidents, values | {"channel": "C0DEPLOYS", "stage": "deploy", "error": "disk\nfull"} | changes


def test_incidents_are_listed_for_people_and_for_programs(on: Call, database: str) -> None:
    put(database, incident(), incident(execution_id="run-2"), incident(execution_id="run-3", state="resolved"))

    table, records = on("incidents"), on("incidents", "--json").records

    head, *rows = table.out.splitlines()
    assert head.split() == ["incident", "connection", "execution", "stage", "opened_at", "channel", "error"]
    assert [row.split()[:4] for row in rows] == [["inc-2", "orders", "run-2", "deploy"], ["inc-1", "orders", "run-1", "deploy"]]
    assert [record["incident"] for record in records] == ["inc-2", "inc-1"]
    assert records[0]["error"] == "disk\nfull"


def test_empty_lists_say_so_to_people_and_nothing_to_programs(on: Call) -> None:
    assert on("incidents") == Ended(0, "No failure needs a human.\n", "")
    assert on("requests") == Ended(0, "No request is under way.\n", "")
    assert on("stuck") == Ended(0, "Nothing stands still.\n", "")
    assert on("requests", "--json", "--all") == on("incidents", "--json") == on("stuck", "--json") == Ended(0, "", "")


def test_what_stands_still_is_listed_and_ends_with_1(on: Call, database: str) -> None:
    lost = {"workspace": "T1", "surface": "card", "lane": "T1:C1", "rank": 3, "created_at": LONG_AGO, "channel": "C1"}
    put(
        database,
        incident(channel=None),
        incident(execution_id="run-2"),
        request("resuming", sent_at=LONG_AGO),
        request("resuming", sent_at=datetime.now(UTC)),
        request("unknown", sent_at=LONG_AGO, outcome="no answer"),
        request("approved", not_before=NOW),
        request("approved"),
        request("pending"),
        (messages, {**lost, "subject": "inc-1", "dead_at": LONG_AGO, "dead_because": "channel_not_found"}),
        (messages, {**lost, "subject": "inc-2", "dead_at": NOW - timedelta(days=30), "dead_because": "old"}),
        (messages, {**lost, "subject": "inc-3"}),
        (lookups, {"workspace": "T1", "channel": "C1", "user_id": "U1", "verb": "resume", "argument": "x"} | AT),
        (connections, {"name": "orders", "answered_at": LONG_AGO, "silent_since": LONG_AGO, "silence": "refused"}),
    )

    ended = on("stuck", "--json")

    assert ended.status == 1
    assert [(record["kind"], record["subject"]) for record in ended.records] == [
        ("request", "req-4"),
        ("request", "req-3"),
        ("request", "req-1"),
        ("dead letter", "inc-1"),
        ("unsent", "T1:C1"),
        ("command", "lookup-1"),
        ("incident", "inc-1"),
        ("engine", "orders"),
    ]
    assert on("stuck").out.splitlines()[0].split() == ["kind", "subject", "since", "why"]


AT = {"at": LONG_AGO, "expires_at": NOW + timedelta(minutes=20)}


def request(state: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
    number = next(NUMBERS)
    values = {
        "id": number,
        "workspace": "T1",
        "channel": "C1",
        "action": "resume",
        "connection": "orders",
        "execution_id": f"run-{number}",
        "root": f"run-{number}",
        "point": {},
        "baseline": "",
        "digest": "",
        "rules": [],
        "requester": "slack:T1/U1",
        "requested_at": LONG_AGO,
        "expires_at": NOW,
        "state": state,
        "version": 1,
    }
    return requests, values | changes


NUMBERS = iter(range(1, 1000))


# ---- check -------------------------------------------------------------------------------------


def test_check_of_nothing_says_in_one_screen_what_to_do_next(call: Call, tmp_path: Path) -> None:
    ended = call("check")

    lines = ended.out.splitlines()
    assert (ended.status, ended.err) == (1, "")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for needed in (
        "resumebot play",
        "manifest.yml",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        "[[connections]]",
        "resumebot run",
    ):
        assert needed in ended.out
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_sound_installation_ends_with_0_and_shows_no_secret(on: Call, database: str, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(TOML)
    put(
        database,
        (connections, {"name": "orders", "answered_at": LONG_AGO}),
        (groups, {"workspace": "T1", "id": "S0RELEASE", "read_at": NOW}),
        *[(memberships, {"workspace": "T1", "group_id": "S0RELEASE", "user_id": user}) for user in ("U1", "U2")],
        *[(people, {"workspace": "T1", "id": user, "kind": "member", "read_at": NOW}) for user in ("U1", "U2")],
    )

    ended = on("check", **SET)

    assert (ended.status, ended.err) == (0, "")
    assert "ok     schema: fits this program" in ended.out
    assert "ok     audit: trigger: " in ended.out
    assert f"ok     connection orders: answered at {LONG_AGO:%Y-%m-%d %H:%M:%S} UTC" in ended.out
    assert "ok     policy all: 2 of S0RELEASE can let it through" in ended.out
    assert not [secret for secret in SET.values() if secret in ended.out]


def test_check_says_what_is_wrong_and_ends_with_1(on: Call, database: str, tmp_path: Path) -> None:
    more = """\
[[connections]]
name = "billing"
engine = "restate"
admin_url = "http://127.0.0.1:9071"
[[policies]]
name = "nobody"
match = { connection = "bill*" }
approvers = ["U1"]
approvals = 2
[[policies]]
name = "elsewhere"
match = { connection = "prod-*" }
"""
    (tmp_path / "resumebot.toml").write_text(TOML.replace("[[routes]]", '[[routes]]\nmatch = { name = "Check*" }') + more)
    put(
        database,
        (connections, {"name": "orders", "answered_at": LONG_AGO, "silent_since": LONG_AGO, "silence": "refused"}),
        (groups, {"workspace": "T1", "id": "S0RELEASE", "read_at": NOW}),
        (groups, {"workspace": "T1", "id": "C0DEPLOYS", "read_at": NOW, "trouble": "not_in_channel"}),
        (memberships, {"workspace": "T1", "group_id": "S0RELEASE", "user_id": "U1"}),
        (people, {"workspace": "T1", "id": "U1", "kind": "member", "read_at": NOW}),
        incident(channel=None),
    )

    ended = on("check", ORDERS_TOKEN="x")

    assert ended.status == 1
    at = f"{LONG_AGO:%Y-%m-%d %H:%M:%S} UTC"
    for fault in (
        "slack: Slack is not connected: set SLACK_BOT_TOKEN",
        "connection billing: its routes do not catch all failures; add a last one",
        "policy nobody: can let nothing through: it wants 2 approvals and names 1 approvers",
        "policy elsewhere: its match fits no connection of this file, so it never holds",
        f"connection orders: cannot be reached since {at}, last answer at {at}: refused",
        "channel C0DEPLOYS: cannot be read: not_in_channel",
        "policy all: wants 2 approvals, and S0RELEASE hold 1 full members",
        "incident: 1 stand still (inc-1): see `resumebot stuck`",
    ):
        assert f"FAULT  {fault}" in ended.out


def test_check_finds_a_schema_that_is_not_there(call: Call, server: Embedded, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(TOML)

    ended = call("check", DATABASE_URL=server.url, **SET)

    assert ended.status == 1
    assert "FAULT  database: The database has no schema yet: run `resumebot migrate`." in ended.out


def test_check_goes_on_where_the_database_cannot_be_reached(call: Call, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(TOML)

    ended = call("check", "--live", DATABASE_URL="postgresql://bot:geheim@127.0.0.1:1/none", **SET)

    assert (ended.status, ended.err) == (1, "")
    assert "FAULT  database: does not answer as it should: " in ended.out
    assert "ok     policy all" in ended.out
    assert "geheim" not in ended.out


def test_check_makes_no_database(call: Call, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(TOML)

    ended = call("check", **SET)

    assert ended.status == 0
    assert "ok     database: none in " in ended.out
    assert [path.name for path in tmp_path.iterdir()] == ["resumebot.toml"]


def test_a_live_check_calls_slack_and_every_engine(on: Call, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(TOML.replace("9070", "1"))

    ended = on("check", "--live", SLACK_API_URL="http://127.0.0.1:1/api/", **SET)

    assert ended.status == 1
    assert len(re.findall(r"^FAULT  slack: ", ended.out, re.MULTILINE)) == 1
    assert len(re.findall(r"^FAULT  connection orders: ", ended.out, re.MULTILINE)) == 1


def test_a_live_check_makes_no_database(call: Call, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(TOML.replace("9070", "1"))

    ended = call("check", "--live", SLACK_API_URL="http://127.0.0.1:1/api/", **SET)

    assert ended.status == 1
    assert "FAULT  slack: " in ended.out
    assert "FAULT  connection orders: " in ended.out
    assert [path.name for path in tmp_path.iterdir()] == ["resumebot.toml"]


# ---- migrate, backup, restore ------------------------------------------------------------------


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


# ---- moments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01 12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T13:00:00.123456+01:00", BEGIN),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(written: str, meant: datetime) -> None:
    assert moment(written) == meant


@pytest.mark.parametrize("written", ["999999d", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "soon"])
def test_a_moment_beyond_all_time_is_wrong_use(written: str) -> None:
    with pytest.raises(ValueError, match="write “2h”"):
        moment(written)


def test_a_moment_may_be_a_while_ago() -> None:
    assert abs(datetime.now(UTC) - timedelta(hours=2) - moment("2h")) < timedelta(seconds=5)


@pytest.fixture
def folder(base: Path) -> Iterator[Path]:
    """Open to the database server's account, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="resumebot-test-", dir=base))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def test_a_process_told_to_stop_before_it_serves_leaves_no_database_behind(folder: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "RESUMEBOT_DATA": str(folder), "SLACK_API_URL": "http://127.0.0.1:9/api/", "PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.argv = ['resumebot', 'run']; from bot.cli import main; main()"],
        env=environ | {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert next(line for line in process.stderr if "does not answer auth.test" in line)  # the database runs by then
        process.terminate()
        assert process.wait(20) == 0

    assert attach(folder) is None


def test_a_taken_port_is_said_before_anything_starts(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = call("run", **SET, PORT=str(taken.getsockname()[1]))

    assert (ended.status, ended.out) == (1, "")
    assert re.fullmatch(r"Cannot listen on 127\.0\.0\.1:\d+ .*: set PORT to a free one, or HOST\.\n", ended.err)
