"""What the store knows of people, groups and channels: Directory over three tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, column, delete, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.policy import Person, PersonKind
from bot.store.prepared import Prepared, driver_of
from bot.store.tables import groups, memberships, people

_wanted = (
    func.unnest(bindparam("users", type_=ARRAY(Text))).table_valued(column("user_id", Text), name="wanted").render_derived()
)
_belongs = select(func.array_agg(memberships.c.group_id)).where(
    memberships.c.workspace == bindparam("workspace"), memberships.c.user_id == _wanted.c.user_id
)
_read = select(func.json_object_agg(groups.c.id, groups.c.read_at)).where(groups.c.workspace == bindparam("workspace"))
FACTS = Prepared(  # all that is known of people, in one look: a press waits for it
    select(
        _wanted.c.user_id,
        people.c.kind,
        people.c.read_at,
        _belongs.scalar_subquery().label("belongs"),
        _read.scalar_subquery().label("groups_read_at"),
    ).select_from(
        _wanted.outerjoin(people, (people.c.workspace == bindparam("workspace")) & (people.c.id == _wanted.c.user_id))
    )
)


class DirectoryRows:
    """The unit's directory."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def person(self, workspace: str, user: str) -> Person:
        """All that is known of a person; unknown ones have no kind."""
        return (await self._people(workspace, [user]))[user]

    async def people(self, actors: Iterable[str]) -> list[Person]:
        """The Slack people among actors (`slack:<workspace>/<user>`), in order."""
        named = [actor.removeprefix("slack:").split("/", 1) for actor in actors if actor.startswith("slack:")]
        by_workspace = {workspace: [user for other, user in named if other == workspace] for workspace, _ in named}
        found = {workspace: await self._people(workspace, users) for workspace, users in by_workspace.items()}
        return [found[workspace][user] for workspace, user in named]

    async def _people(self, workspace: str, users: Sequence[str]) -> dict[str, Person]:
        rows = await FACTS.rows(driver_of(self._connection), workspace=workspace, users=users)
        return {row.user_id: _person(workspace, row) for row in rows}

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


def _person(workspace: str, row: Any) -> Person:
    return Person(
        workspace=workspace,
        id=row.user_id,
        kind=PersonKind(row.kind) if row.kind else None,
        kind_read_at=row.read_at,
        groups=frozenset(row.belongs or ()),
        read_at={group: datetime.fromisoformat(at) for group, at in (row.groups_read_at or {}).items()},
    )
