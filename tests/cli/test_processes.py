"""Processes that serve: what they want before they start, and how they end."""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store.embedded import attach
from tests.cli.calls import SET, Call

# ---- wrong use and faults ----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "web", "worker"])
def test_without_slack_nothing_is_started(call: Call, verb: str) -> None:
    ended = call(verb)

    assert ended.status == 1
    assert ended.err.startswith("Slack is not connected: set SLACK_BOT_TOKEN")


def test_web_and_worker_want_a_database(call: Call) -> None:
    assert "DATABASE_URL" in call("web", **SET).err
    assert "DATABASE_URL" in call("worker", **SET).err


# ---- moments -----------------------------------------------------------------------------------


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
