"""How often the bot may call, and what goes wrong on purpose."""

import fnmatch
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

TIER_2: Final = 20
TIER_3: Final = 50
TIER_4: Final = 100
SPECIAL: Final = 300
"""Calls a minute; Slack says only "hundreds" for its special methods."""
POSTS_AT_ONCE: Final = 3


@dataclass
class Bucket:
    """So many calls at once, and then one whenever it has filled up again."""

    size: float
    per_second: float
    level: float
    at: float

    def wait_s(self, now: float) -> int:
        """Takes one call and gives 0, or gives the whole seconds after which there is one."""
        self.level = min(self.size, self.level + (now - self.at) * self.per_second)
        self.at = now
        if self.level < 1:
            return max(1, math.ceil((1 - self.level) / self.per_second))
        self.level -= 1
        return 0


class Pace:
    """Counts calls by method, and posts by channel as well."""

    def __init__(self, clock: Callable[[], float], *, enforced: bool) -> None:
        self.enforced = enforced
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def wait_s(self, method: str, per_minute: int, channel: str) -> int:
        """0 if the call may pass now, otherwise the seconds for `Retry-After`."""
        if not self.enforced:
            return 0
        if method == "chat.postMessage" and (wait := self._take(f"{method} {channel}", POSTS_AT_ONCE, 1.0)):
            return wait
        return self._take(method, per_minute, per_minute / 60)

    def _take(self, key: str, size: float, per_second: float) -> int:
        now = self._clock()
        return self._buckets.setdefault(key, Bucket(size, per_second, size, now)).wait_s(now)


@dataclass
class Trouble:
    """A fault that strikes the next so many calls of the methods it matches.

    `kind` is an HTTP status, "slow", "cut" (dropped before it acts), "lost" (acted, the answer dropped) or an error of Slack's.
    """

    method: str
    kind: int | str
    times: int
    seconds: float


class Troubles:
    """The faults still to come."""

    def __init__(self) -> None:
        self.down = False
        self._waiting: list[Trouble] = []

    def add(self, trouble: Trouble) -> None:
        """Queues a fault behind those there are."""
        self._waiting.append(trouble)

    def strike(self, method: str) -> Trouble | None:
        """The fault that hits this call, used up by it."""
        if self.down:
            return Trouble(method, "cut", 1, 0)
        for trouble in self._waiting:
            if trouble.times > 0 and fnmatch.fnmatchcase(method, trouble.method):
                trouble.times -= 1
                return trouble
        return None
