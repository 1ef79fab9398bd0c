"""The data folder of the embedded PostgreSQL: who owns it, what the owner announces, who has joined.

<data>/  lock         flock of the owner, holds its process id
         server.json  while the server answers: its socket folder, the owner's process id
         guests       flock shared by the processes that joined a passing owner
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from bot.store.account import EmbeddedError

SOCKET_NAMES = (".s.PGSQL.5432", ".s.PGSQL.5432.lock")
PATIENCE = 30.0  # seconds for each way of stopping, for backends to end, and for another owner to start or stop
GLANCE = 0.5  # seconds that somebody who only looks at the lock may hold it
PASSING = " for one command"


class DataFolderInUse(EmbeddedError):
    """Another process owns the data folder; the text names it."""


def wait(condition: Callable[[], bool], limit: float = PATIENCE) -> bool:
    """Whether the condition came true within `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def url_of(socket: str, database: str = "postgres") -> str:
    """The SQLAlchemy address of a database behind the socket in this folder."""
    return f"postgresql+psycopg://postgres@/{quote(database, safe='')}?host={quote(socket)}&port=5432"


def is_held(data: Path) -> bool:
    """Whether a process owns this data folder now."""
    try:
        with (data / "lock").open() as lock:
            return not try_lock(lock, fcntl.LOCK_SH)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as fault:
        raise EmbeddedError(f"the data folder {data} cannot be used: {fault.strerror}") from fault


def hold(data: Path, lock: IO[str], *, passing: bool) -> None:
    """Own the folder for as long as `lock` stays open; an owner that lives for one command is waited for."""
    # the server does not inherit the lock: it ends with the owner
    taken = wait(lambda: try_lock(lock), GLANCE)
    lock.seek(0)
    holder = lock.read().strip()
    if not taken and holder.endswith(PASSING) and not passing:
        taken = wait(lambda: try_lock(lock))
    if not taken:
        raise DataFolderInUse(f"the data folder {data} is in use by process {holder}")
    lock.truncate(0)
    print(f"{os.getpid()}{PASSING if passing else ''}", file=lock, flush=True)


def sign_in(data: Path) -> IO[str]:
    """Be a guest until the file is closed. Before the address is read: a passing owner waits for its guests."""
    book = private(data / "guests")
    fcntl.flock(book, fcntl.LOCK_SH)
    return book


def announce(data: Path, socket: str) -> None:
    """Say where the server answers; readable by this account and root."""
    fresh = data / "server.json.new"
    with private(fresh) as file:
        file.truncate(0)
        json.dump({"socket": socket, "pid": os.getpid()}, file)
    fresh.rename(data / "server.json")


def withdraw(data: Path, *, passing: bool) -> None:
    """Take the announcement back, and as a passing owner see the guests off."""
    (data / "server.json").unlink(missing_ok=True)
    if passing:
        with private(data / "guests") as guests:
            wait(lambda: try_lock(guests))


def forget_announcement(data: Path) -> None:
    """Remove what a killed owner announced, with its socket folder."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        remove_socket(Path(json.loads((data / "server.json").read_text())["socket"]))
    (data / "server.json").unlink(missing_ok=True)


def remove_socket(folder: Path) -> None:
    """Remove a socket folder, unless it holds anything else."""
    with contextlib.suppress(OSError):
        for name in SOCKET_NAMES:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def answering(data: Path) -> str | None:
    """The announced server's address, if it takes a connection. What a killed owner left announced is not believed."""
    with contextlib.suppress(OSError, ValueError, KeyError, psycopg.OperationalError):
        announced = json.loads((data / "server.json").read_text())
        socket, owner = str(announced["socket"]), int(announced["pid"])
        if _is_alive(owner):
            psycopg.connect(host=socket, port=5432, user="postgres", dbname="postgres", connect_timeout=2).close()
            return url_of(socket)
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def private(path: Path) -> IO[str]:
    """Open for reading and appending a file that only this account may read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+")


def try_lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock if it is free; whether it was."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
