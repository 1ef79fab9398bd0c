"""What a killed owner leaves behind does not stay: its server, its socket folder, a temporary data folder."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store.account import arguments_of
from bot.store.data_folder import wait
from bot.store.embedded import Embedded
from tests.store.servers import Owner, ask

TEMPORARY_OWNER = """
import sys
from bot.store.embedded import Embedded
with Embedded() as server:
    print(server.server.pid, server.socket, server.data, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process and its children make their temporary folders."""
    (made := folder / "tmp").mkdir()
    made.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(made))
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@contextlib.contextmanager
def temporary_owner() -> Iterator[Owner]:
    """Another process that owns a server on a temporary folder of its own."""
    argv = [sys.executable, "-c", TEMPORARY_OWNER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        postmaster, socket, data = process.stdout.readline().split()
        owner = Owner(process, Path(data), int(postmaster), Path(socket))
        try:
            yield owner
        finally:
            owner.end()
            process.wait(60)


def watchers(data: Path) -> list[int]:
    """The processes that wait for the end of the folder's owner, or clear up after it."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if f" bot.store.leftovers {data} " in f"{arguments_of(pid)} "]


def kill(owner: Owner, *, with_watcher: bool = False) -> None:
    """End it as a crash would; without its watcher its server stays."""
    if with_watcher:
        for pid in watchers(owner.data):
            os.kill(pid, signal.SIGKILL)
    owner.process.kill()
    owner.process.wait()


def test_the_server_of_a_killed_owner_ends_by_itself_and_its_data_stay(owner: Owner) -> None:
    kill(owner)

    assert wait(lambda: not arguments_of(owner.postmaster), 10)
    assert wait(lambda: not owner.socket.exists(), 10)
    assert (owner.data / "pg" / "PG_VERSION").exists()


def test_a_killed_owner_of_a_temporary_folder_leaves_neither_server_nor_folder(temporary: Path) -> None:
    with temporary_owner() as owner:
        kill(owner)

        assert wait(lambda: not arguments_of(owner.postmaster), 10)
        assert wait(lambda: list(temporary.iterdir()) == [], 10)


def test_what_a_killed_owner_left_is_removed_by_the_next_one_with_a_temporary_folder(temporary: Path) -> None:
    with temporary_owner() as owner:
        kill(owner, with_watcher=True)
        assert arguments_of(owner.postmaster)

        with Embedded() as server:
            assert ask(server, "SELECT 1") == 1
            assert not arguments_of(owner.postmaster)
            assert {path.resolve() for path in temporary.iterdir()} == {server.data, Path(server.socket)}


def test_a_temporary_folder_in_use_is_left_alone(temporary: Path) -> None:
    with temporary_owner() as owner, Embedded():
        assert arguments_of(owner.postmaster)
        assert (owner.data / "pg" / "PG_VERSION").exists()


def test_a_folder_that_is_not_a_killed_owners_is_left_alone(temporary: Path) -> None:
    for name, lock in (
        ("resumebot-starting", ""),
        ("resumebot-starti01", ""),
        ("resumebot-unlocked", None),
        ("somebody-elses-01", "1\n"),
    ):
        (temporary / name).mkdir()
        if lock is not None:
            (temporary / name / "lock").write_text(lock)
    (temporary / "resumebot-pointing").symlink_to(temporary / "somebody-elses-01")
    before = set(temporary.iterdir())

    with Embedded():
        assert before <= set(temporary.iterdir())

    assert set(temporary.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another account's folder")
def test_another_accounts_folder_is_left_alone(temporary: Path) -> None:
    (theirs := temporary / "resumebot-theirs01").mkdir()
    (theirs / "lock").write_text("1\n")
    os.chown(theirs, 65534, 65534)

    with Embedded():
        assert theirs.exists()


def test_the_watcher_of_a_killed_owner_does_not_touch_the_next_owners_server(folder: Path, owner: Owner) -> None:
    kill(owner)

    with Embedded(folder / "db") as server:
        assert wait(lambda: len(watchers(server.data)) == 1, 10)  # ours; the other has done its work
        assert server.is_running()
        assert ask(server, "SELECT 1") == 1


def test_a_server_that_was_started_anew_ends_with_its_owner_too(folder: Path) -> None:
    script = (
        "import pathlib, sys; from bot.store.embedded import Embedded; s = Embedded(pathlib.Path(sys.argv[1])).start();"
        " s.restart(); print(s.server.pid, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", script, str(folder / "db")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        postmaster = int(process.stdout.readline())
        process.kill()

    assert wait(lambda: not arguments_of(postmaster), 10)


def test_an_owner_that_closes_leaves_no_watcher(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        assert len(watchers(server.data)) == 1

    assert watchers(folder / "db") == []
