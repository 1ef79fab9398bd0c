"""What the store knows of people, groups and channels: Directory over three tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.policy import Person, PersonKind
from bot.store.tables import groups, memberships, people


class DirectoryRows:
    """The unit's directory."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def person(self, workspace: str, user: str) -> Person:
        """All that is known of a person; unknown ones have no kind."""
        return (await self._people(workspace, [user]))[0]

    async def people(self, actors: Iterable[str]) -> list[Person]:
        """The Slack people among actors (`slack:<workspace>/<user>`), in order."""
        found = []
        for actor in actors:
            if actor.startswith("slack:"):
                workspace, _, user = actor.removeprefix("slack:").partition("/")
                found.append(await self.person(workspace, user))
        return found

    async def _people(self, workspace: str, users: Sequence[str]) -> list[Person]:
        kinds = {
            row.id: row
            for row in await self._connection.execute(
                select(people).where(people.c.workspace == workspace, people.c.id.in_(users))
            )
        }
        read = await self._connection.execute(select(groups).where(groups.c.workspace == workspace))
        read_at = {row.id: row.read_at for row in read}
        member = await self._connection.execute(
            select(memberships.c.group_id, memberships.c.user_id).where(
                memberships.c.workspace == workspace, memberships.c.user_id.in_(users)
            )
        )
        belongs: dict[str, set[str]] = {}
        for row in member:
            belongs.setdefault(row.user_id, set()).add(row.group_id)
        return [
            Person(
                workspace=workspace,
                id=user,
                kind=PersonKind(kinds[user].kind) if user in kinds else None,
                kind_read_at=kinds[user].read_at if user in kinds else None,
                groups=frozenset(belongs.get(user, ())),
                read_at=read_at,
            )
            for user in users
        ]

    async def save_kind(self, workspace: str, user: str, kind: PersonKind, now: datetime) -> None:
        """What a person is, as read now."""
        values = {"kind": kind.value, "read_at": now}
        statement = upsert(people).values(workspace=workspace, id=user, **values)
        await self._connection.execute(statement.on_conflict_do_update(index_elements=["workspace", "id"], set_=values))

    async def save_members(self, workspace: str, group: str, members: Iterable[str], now: datetime) -> None:
        """Who belongs to a group or channel, as read now."""
        values = {"read_at": now, "trouble": ""}
        statement = upsert(groups).values(workspace=workspace, id=group, **values)
        await self._connection.execute(statement.on_conflict_do_update(index_elements=["workspace", "id"], set_=values))
        await self._connection.execute(
            delete(memberships).where(memberships.c.workspace == workspace, memberships.c.group_id == group)
        )
        rows = [{"workspace": workspace, "group_id": group, "user_id": user} for user in sorted(set(members))]
        if rows:
            await self._connection.execute(insert(memberships), rows)

    async def save_trouble(self, workspace: str, group: str, trouble: str, now: datetime) -> None:
        """Why a group could not be read; what was known of it grows old."""
        statement = upsert(groups).values(
            workspace=workspace, id=group, trouble=trouble, read_at=datetime.fromtimestamp(0, now.tzinfo)
        )
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["workspace", "id"], set_={"trouble": trouble})
        )
