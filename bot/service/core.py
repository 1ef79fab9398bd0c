"""What every service function is handed: the store, the set-up, the clock, engines and chat."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.errors import NotFound
from bot.domain.ports import Chat, Clock, Engine, People
from bot.domain.setup import Setup
from bot.service.unit import Store


@dataclass
class Life:
    """Whether the process is on its way out: then no new call to an engine starts."""

    is_ending: bool = False


@dataclass(frozen=True)
class Core:
    """Explicit arguments in one hand; made once by bootstrap."""

    store: Store
    setup: Setup
    clock: Clock
    engines: Mapping[str, Engine]
    chat: Chat
    people: People
    life: Life = field(default_factory=Life)
    heard: dict[str, datetime] = field(default_factory=dict)  # when this process last wrote that an engine answers
    _calling: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def calling(self, connection: str) -> asyncio.Lock:
        """Held from the last reading to the answer: an intent is recorded only when its call can leave at once."""
        return self._calling[connection]

    def now(self) -> datetime:
        """The wall clock."""
        return self.clock.now()

    def engine(self, connection: str) -> Engine:
        """The engine of a connection; raises NotFound when the configuration has it no more."""
        engine = self.engines.get(connection)
        if engine is None:
            raise NotFound(f"there is no connection called {connection} any more")
        return engine
