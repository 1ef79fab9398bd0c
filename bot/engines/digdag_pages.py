"""Pages of attempts, newest first: as large as the server lets them be, smaller where their attempts hold much.

next ─▶ too large to be read? half of it, down to one attempt
        400 that names its maximum? that, for as long as this process lives
"""

import re
from collections.abc import Collection, Mapping, Sequence

from bot.domain.errors import ContractViolation
from bot.engines._http import Answer, AnswerTooLarge, EngineClient
from bot.engines.digdag_wire import AttemptBody, AttemptsBody

PAGE = 100
_REFUSED_SIZE = re.compile(rb"page_size.*MAX_PAGE_SIZE: (\d{1,9})", re.DOTALL)


class PageReader:
    """Reads pages of one server, and remembers the size that they may have."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._most = self._size = PAGE

    async def read(self, path: str, query: Mapping[str, str], expect: Collection[int] = ()) -> tuple[int, Answer]:
        """A page, and how many attempts it could have held."""
        while True:
            size = self._size
            try:
                answer = await self._client.read("GET", path, params={**query, "page_size": str(size)}, expect={400, *expect})
            except AnswerTooLarge:
                if size == 1:
                    raise
                self._size = size // 2
                continue
            if answer.status != 400:
                # Larger again where the next size would fit with ease: attempts with much in them come in swarms.
                is_light = len(answer.body) < self._client.longest_answer // 4
                self._size = min(size * 2, self._most) if is_light else size
                return size, answer
            named = _REFUSED_SIZE.search(answer.body)
            if named is None or not 0 < int(named[1]) < size:
                raise ContractViolation(f"Digdag refuses to list {path} (HTTP 400).")
            self._most = self._size = int(named[1])

    def walk(self, path: str, query: Mapping[str, str], below: str = "") -> "Walk":
        """The pages of a list, one after the other; `below` leaves out that id and all newer ones."""
        return Walk(self, self._client, path, query, below)


class Walk:
    """The pages of one list."""

    def __init__(self, reader: PageReader, client: EngineClient, path: str, query: Mapping[str, str], below: str) -> None:
        self._reader, self._client, self._path, self._query = reader, client, path, query
        self._is_over = False
        self.below = below
        """The id below which the next page lies."""

    async def next(self) -> Sequence[AttemptBody]:
        """The next page; an empty one when there are no more."""
        if self._is_over:
            return ()
        size, answer = await self._reader.read(self._path, {**self._query, **({"last_id": self.below} if self.below else {})})
        page = self._client.parse(answer, AttemptsBody).attempts
        self._is_over = len(page) < size
        if page:
            self.below = page[-1].id
        return page
