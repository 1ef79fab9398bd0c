"""Servers that tests of the embedded database start, one of them owned by another process."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bot.store.embedded import Embedded

OWNER = """
import pathlib, sys
from bot.store.embedded import Embedded
with Embedded(pathlib.Path(sys.argv[1]), passing=sys.argv[2] == "passing") as server:
    print(server.server.pid, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Owner:
    """Another process that runs a server on `data`; it stops when its standard input ends."""

    process: subprocess.Popen[str]
    data: Path
    postmaster: int
    socket: Path

    def end(self) -> None:
        """Let it close in good order, and do not wait for it."""
        assert self.process.stdin
        self.process.stdin.close()


def ask(server: Embedded, sql: str) -> object:
    """The first value of a statement's answer, None when it has none."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@contextlib.contextmanager
def owning(data: Path, *, passing: bool = False) -> Iterator[Owner]:
    """Another process that owns a running server, for the length of the block."""
    argv = [sys.executable, "-c", OWNER, str(data), "passing" if passing else "staying"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        postmaster = int(process.stdout.readline())
        socket = Path(json.loads((data / "server.json").read_text())["socket"])
        owner = Owner(process, data, postmaster, socket)
        try:
            yield owner
        finally:
            owner.end()
            process.wait(60)
