"""What the store knows of people, groups and channels: Directory over three tables."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, delete, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.policy import Person, PersonKind
from bot.store.prepared import Last, Prepared, driver_of
from bot.store.tables import groups, memberships, people

FACTS_SQL = (  # all that is known of people, in one look: a press waits for it
    "SELECT 'kind' AS what, id AS user_id, kind AS word, read_at AS at FROM people"
    " WHERE workspace = :workspace AND id = ANY(:users)"
    " UNION ALL SELECT 'member', user_id, group_id, NULL FROM memberships"
    " WHERE workspace = :workspace AND user_id = ANY(:users)"
    " UNION ALL SELECT 'read', NULL, id, read_at FROM groups WHERE workspace = :workspace"
)
FACTS = Prepared(text(FACTS_SQL))
_kind = upsert(people).values({column.name: bindparam(column.name) for column in people.c})
SAVE_KIND = Prepared(
    _kind.on_conflict_do_update(
        index_elements=["workspace", "id"], set_={"kind": _kind.excluded.kind, "read_at": _kind.excluded.read_at}
    )
)
_group = upsert(groups).values(workspace=bindparam("workspace"), id=bindparam("id"), read_at=bindparam("read_at"), trouble="")
SAVE_GROUP = Prepared(
    _group.on_conflict_do_update(
        index_elements=["workspace", "id"], set_={"read_at": _group.excluded.read_at, "trouble": _group.excluded.trouble}
    )
)
FORGET_MEMBERS = Prepared(
    delete(memberships).where(
        memberships.c.workspace == bindparam("workspace"),
        memberships.c.group_id == bindparam("group_id"),
        memberships.c.user_id != func.all(bindparam("users", type_=ARRAY(Text))),
    )
)
ADD_MEMBERS = Prepared(
    text(
        "INSERT INTO memberships (workspace, group_id, user_id) SELECT :workspace, :group_id, unnest(CAST(:users AS text[]))"
        " ON CONFLICT DO NOTHING"
    )
)
_troubled = upsert(groups).values({column.name: bindparam(column.name) for column in groups.c})
SAVE_TROUBLE = Prepared(
    _troubled.on_conflict_do_update(index_elements=["workspace", "id"], set_={"trouble": _troubled.excluded.trouble})
)


class KnownPeople:
    """What the tables know of people."""

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
        return people_from(workspace, users, await FACTS.rows(driver_of(self._connection), workspace=workspace, users=users))


class DirectoryRows(KnownPeople):
    """The unit's directory; what is saved is written with the commit."""

    def __init__(self, connection: AsyncConnection, last: Last) -> None:
        super().__init__(connection)
        self._last = last

    def save_kind(self, workspace: str, user: str, kind: PersonKind, now: datetime) -> None:
        """What a person is, as read now."""
        self._last.add(SAVE_KIND, workspace=workspace, id=user, kind=kind.value, read_at=now)

    def save_members(self, workspace: str, group: str, members: Iterable[str], now: datetime) -> None:
        """Who belongs to a group or channel, as read now."""
        self._last.add(SAVE_GROUP, workspace=workspace, id=group, read_at=now)
        who = {"workspace": workspace, "group_id": group, "users": sorted(set(members))}
        self._last.add(FORGET_MEMBERS, **who)
        self._last.add(ADD_MEMBERS, **who)

    def save_trouble(self, workspace: str, group: str, trouble: str, now: datetime) -> None:
        """Why a group could not be read; what was known of it grows old."""
        never = datetime.fromtimestamp(0, now.tzinfo)
        self._last.add(SAVE_TROUBLE, workspace=workspace, id=group, read_at=never, trouble=trouble)


def people_from(workspace: str, users: Sequence[str], rows: Sequence[Any]) -> dict[str, Person]:
    """People out of such rows."""
    read_at = {row.word: row.at for row in rows if row.what == "read"}
    return {user: _person(workspace, user, rows, read_at) for user in users}


def _person(workspace: str, user: str, rows: Sequence[Any], read_at: Mapping[str, datetime]) -> Person:
    kind = next((row for row in rows if row.what == "kind" and row.user_id == user), None)
    return Person(
        workspace=workspace,
        id=user,
        kind=PersonKind(kind.word) if kind else None,
        kind_read_at=kind.at if kind else None,
        groups=frozenset(row.word for row in rows if row.what == "member" and row.user_id == user),
        read_at=read_at,
    )
