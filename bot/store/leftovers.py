"""What an owner leaves when it is killed: a server, its socket folder, perhaps a temporary data folder. None of it stays.

owner ── pipe ──▶ watcher, a shell that waits ── closed without a word ──▶ python -m bot.store.leftovers ──▶ clears up
next owner of a temporary folder ──▶ sweep(): what a watcher that was killed too has left
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bot.store.account import EmbeddedError, arguments_of
from bot.store.data_folder import forget_announcement, remove_socket, try_lock, wait

PREFIX = "resumebot-"
MADE = f"{PREFIX}????????"  # what tempfile makes of it
FAST, AT_ONCE = (signal.SIGINT, signal.SIGQUIT), (signal.SIGQUIT, signal.SIGKILL)  # a throw-away cluster needs no checkpoint
SHOWS_UP = 2.0  # seconds in which a server that has just been started writes its postmaster.pid
WAIT = 'read -r word || exec "$@"'
SOURCE = Path(__file__).resolve().parents[2]


def make_folder(base: str) -> Path:
    """A temporary data folder that sweep() finds."""
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)).resolve()


def running(pg: Path, socket: str = "") -> tuple[int, str]:
    """Process id and status of the live postmaster of this cluster (on this socket); its arguments tell whose it is."""
    with contextlib.suppress(OSError, ValueError):
        pid, *_, status = (pg / "postmaster.pid").read_text().split()
        wanted = f" -D {pg} -k {socket} " if socket else f" -D {pg} "
        if wanted in f"{arguments_of(int(pid))} ":
            return int(pid), status
    return 0, ""


def stop(pg: Path, socket: str = "", *, signs: Sequence[signal.Signals] = FAST) -> None:
    """End that postmaster; each sign has its time before the next."""
    for sign in signs:
        if pid := running(pg, socket)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            wait(lambda: not running(pg, socket)[0])


@contextlib.contextmanager
def watched(data: Path, socket: str, *, is_temporary: bool) -> Iterator[None]:
    """While the block lasts, another process waits that clears up should this one be killed."""
    clear: list[str | Path] = [
        sys.executable,
        "-P",
        "-m",
        "bot.store.leftovers",
        data,
        socket,
        "temporary" if is_temporary else "kept",
    ]
    with subprocess.Popen(  # noqa: S603 — our own argument list
        ["/bin/sh", "-c", WAIT, "sh", *clear],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE)},
        start_new_session=True,  # whatever ends the owner's group does not end this
    ) as watcher:
        try:
            yield
        finally:
            with contextlib.suppress(BrokenPipeError):  # it was killed
                watcher.communicate(b"closed\n")


def sweep(bases: Iterable[str]) -> None:
    """Remove the temporary folders of our account whose owners were killed; a folder in use, or just made, is left alone."""
    for base in {Path(each).resolve() for each in bases}:
        for folder in base.glob(MADE):
            with contextlib.suppress(OSError, EmbeddedError):  # what is not ours to remove keeps nobody from starting
                _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        return
    with (folder / "lock").open() as lock:
        if try_lock(lock) and lock.read().strip():  # an empty one has not had its owner yet
            stop(folder / "pg", signs=AT_ONCE)
            forget_announcement(folder)
            shutil.rmtree(folder)


def _clear_up(data: Path, socket: Path, *, is_temporary: bool) -> None:
    """After a killed owner. Not under its lock, which the next owner may want: only what runs on its own socket is ended."""
    pg = data / "pg"
    wait(lambda: running(pg, str(socket))[0] != 0, SHOWS_UP)
    stop(pg, str(socket), signs=AT_ONCE if is_temporary else FAST)
    remove_socket(socket)
    if is_temporary:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    _clear_up(Path(sys.argv[1]), Path(sys.argv[2]), is_temporary=sys.argv[3] == "temporary")
