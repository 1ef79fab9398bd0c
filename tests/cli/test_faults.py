"""What wrong use and faults of the command line give: an exit status and one sentence."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.cli_data import moment
from tests.cli.calls import Call, Ended
from tests.store.trail import BEGIN

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
