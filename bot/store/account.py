"""The account that the embedded PostgreSQL runs as, and the processes it starts."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bot.domain.errors import ConfigError


class EmbeddedError(ConfigError):
    """The embedded PostgreSQL cannot run; the text is one sentence for the person who started it."""


@dataclass(frozen=True)
class Account:
    """Whom the server runs as: ourselves, or, since PostgreSQL refuses root, the cluster's owner or nobody."""

    uid: int
    gid: int
    is_other: bool

    @classmethod
    def of_cluster(cls, pg: Path | None) -> Self:
        """The account that runs, or will run, the server on this cluster."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), is_other=False)
        if pg and pg.exists():
            uid, gid = pg.stat().st_uid, pg.stat().st_gid
            if uid == 0:
                raise EmbeddedError(f"{pg} belongs to root, and PostgreSQL refuses to run as root: give it to another account")
            return cls(uid, gid, is_other=True)
        try:  # not any unused number: initdb wants one that has a name
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedError("PostgreSQL refuses to run as root, and there is no account nobody: set DATABASE_URL") from None
        return cls(nobody.pw_uid, nobody.pw_gid, is_other=True)

    def spawn(self, argv: Sequence[str | Path], output: int | IO[str]) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own: a Ctrl-C is for the owner, who stops the server last."""
        return subprocess.Popen(  # noqa: S603 — our own argument lists
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},  # none of the caller's PG* variables
            start_new_session=True,
            user=self.uid if self.is_other else None,
            group=self.gid if self.is_other else None,
            extra_groups=[] if self.is_other else None,
        )

    def run(self, argv: Sequence[str | Path]) -> tuple[int, str]:
        """Run a program to its end: its status and what it said."""
        with self.spawn(argv, subprocess.PIPE) as child:
            said = child.communicate()[0]
        return child.returncode, said.decode(errors="replace").strip()

    def can(self, flag: str, path: Path | str) -> bool:
        """Whether the account may enter (-x) or read (-r) this path."""
        return self.run(["/bin/sh", "-c", f'test {flag} "$1"', "sh", path])[0] == 0


def arguments_of(pid: int) -> str:
    """The command line of a live process, blanks between its words; nothing for a dead one or a zombie."""
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="surrogateescape").replace("\0", " ").strip()
    return arguments_by_ps(pid)  # macOS has no /proc


def arguments_by_ps(pid: int) -> str:
    """The same from ps, which puts a zombie's name in brackets."""
    argv = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    asked = subprocess.run(argv, capture_output=True, check=False)  # noqa: S603 — our own argument list
    return asked.stdout.decode(errors="surrogateescape").strip()
