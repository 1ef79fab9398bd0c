"""What `check` tells of an installation, and what it leaves alone."""

import re
from pathlib import Path

from bot.store.embedded import Embedded
from bot.store.tables import connections, groups, memberships, people
from tests.cli.calls import LONG_AGO, NOW, SET, Call, incident, put

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
