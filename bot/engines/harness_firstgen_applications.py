"""The applications of a FirstGen account: found by name, or all of them page by page, up to what the budget of calls bears."""

from dataclasses import dataclass

from bot.domain.errors import ContractViolation, Forbidden
from bot.engines.harness_firstgen_api import GraphQL
from bot.engines.harness_firstgen_wire import APPLICATIONS, EntitiesBody, Entity

PAGE = 100
MOST = 200  # an account allows some 30 calls a minute: one for each page, one for each 40 applications
NAMED = "query Application($name: String!) { applicationByName(name: $name) { id name } }"


@dataclass(frozen=True)
class Listed:
    """Applications that can be seen; `total` counts those beyond what was read too."""

    applications: tuple[Entity, ...]
    total: int

    @property
    def is_all(self) -> bool:
        """Whether there are no more than these."""
        return self.total <= len(self.applications)


class Applications:
    """What can be asked about applications."""

    def __init__(self, connection: str, api: GraphQL) -> None:
        self._connection = connection
        self._api = api

    async def named(self, name: str) -> list[Entity]:
        """The one of this name, if there is one. Raises Forbidden where that cannot be seen."""
        reply = await self._api.ask(NAMED, {"name": name})
        found, complaint = reply.data.get("applicationByName"), reply.complaint("applicationByName")
        if found is None and complaint is not None and isinstance(error := self._api.refused(complaint), Forbidden):
            raise error
        return [] if found is None else [self._api.read(Entity, found)]

    async def all(self) -> Listed:
        """As many as MOST, and how many there are."""
        found: dict[str, Entity] = {}
        for offset in range(0, MOST, PAGE):
            page = await self._page(PAGE, offset)
            found |= {one.id: one for one in page.nodes}
            if not page.info.has_more or not page.nodes:
                return Listed(tuple(found.values()), len(found))
        return Listed(tuple(found.values()), max(page.info.total or 0, len(found) + 1))

    async def count(self) -> int:
        """How many can be seen. Raises Forbidden where none can."""
        return (await self._page(1, 0)).info.total or 0

    async def _page(self, limit: int, offset: int) -> EntitiesBody:
        reply = await self._api.ask(APPLICATIONS, {"limit": limit, "offset": offset})
        listed, complaint = reply.data.get("applications"), reply.complaint("applications")
        if listed is not None:
            return self._api.read(EntitiesBody, listed)
        if complaint is None:
            raise ContractViolation(f"{self._connection} shows no applications, and no reason.")
        raise Forbidden(self._api.sentence("shows no applications", complaint.text))
