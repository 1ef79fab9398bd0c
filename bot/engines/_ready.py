"""What was read right before a call, and the call itself already taken from the budget: nothing is read after the intent."""

from typing import Generic, TypeVar

from bot.engines._budget import Purse
from bot.engines._http import boot_time

T = TypeVar("T")
MOST = 64
GOOD_FOR = 10.0  # seconds; whoever comes later reads again


class Ready(Generic[T]):
    """The newest of what was read, by key; each is used once and not for long."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[T, Purse, float]] = {}

    def keep(self, key: str, read: T, purse: Purse) -> None:
        """Keep what was read for the call that may follow."""
        self._kept.pop(key, None)
        self._kept[key] = (read, purse, boot_time() + GOOD_FOR)
        if len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def take(self, key: str) -> tuple[T | None, Purse]:
        """What is still good of it, with the call that was taken along."""
        read, purse, until = self._kept.pop(key, (None, Purse(), 0.0))
        return (read, purse) if boot_time() < until else (None, Purse())
