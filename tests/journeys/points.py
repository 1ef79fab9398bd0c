"""Named fail points: places where a process ends or freezes itself, once, because a file of the stage says so.

stage arms   "<point> <execution>"              holds how: kill or freeze
process      renames it to "… reached-<pid>"    only one process can, and then it sends itself the signal
thawed       writes "… ended-<pid>"             once it has left what it was frozen in
"""

import os
import signal
from enum import StrEnum
from pathlib import Path


class How(StrEnum):
    """What happens to the process that reaches the point."""

    KILL = "kill"
    FREEZE = "freeze"


SIGNALS = {How.KILL: signal.SIGKILL, How.FREEZE: signal.SIGSTOP}


class Points:
    """The process's side: `reach` may not return, or return much later."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thawed: list[str] = []

    def reach(self, point: str, execution: str) -> None:
        """Be here: end or freeze if that is armed and nobody else was first."""
        name = f"{point} {execution}"
        armed = self._folder / name
        try:
            armed.rename(self._folder / f"{name} reached-{os.getpid()}")
        except FileNotFoundError:
            return
        how = How((self._folder / f"{name} reached-{os.getpid()}").read_text(encoding="utf-8"))
        os.kill(os.getpid(), SIGNALS[how])
        self._thawed.append(name)

    def leave(self, execution: str) -> None:
        """What was begun on this execution is over: whoever waits for a thawed process may look now."""
        for name in [name for name in self._thawed if name.endswith(f" {execution}")]:
            self._thawed.remove(name)
            (self._folder / f"{name} ended-{os.getpid()}").touch()


class Arming:
    """The stage's side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arm(self, point: str, execution: str, how: How) -> None:
        """Let the next process that reaches the point on this execution end or freeze."""
        name = f"{point} {execution}"
        written = self._folder / f".{name}"
        written.write_text(how, encoding="utf-8")
        written.rename(self._folder / name)

    def reached(self, point: str, execution: str) -> int | None:
        """The process that was there; None as long as nobody was."""
        return self._pid(f"{point} {execution} reached-")

    def ended(self, point: str, execution: str) -> int | None:
        """The thawed process that has left what it was frozen in."""
        return self._pid(f"{point} {execution} ended-")

    def _pid(self, prefix: str) -> int | None:
        found = next(self._folder.glob(f"{prefix}*"), None)
        return int(found.name.removeprefix(prefix)) if found else None
