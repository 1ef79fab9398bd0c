"""Rows of commands that wait for engines, and of how engines were reached."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.service.unit import ConnectionHealth, Lookup, Place
from bot.store.prepared import Prepared, driver_of
from bot.store.tables import connections, lookups

ADD = Prepared(
    insert(lookups)
    .values({column.name: bindparam(column.name) for column in lookups.c if column.name not in {"id", "answered_at"}})
    .returning(lookups)
)


class CommandRows:
    """The unit's waiting commands."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, place: Place, verb: str, argument: str, stage: str, *, now: datetime, expires_at: datetime) -> Lookup:
        """Store a command that waits; its response_url is wiped with the answer."""
        row = await ADD.first(
            driver_of(self._connection),
            workspace=place.workspace,
            channel=place.channel or "",
            user_id=place.user,
            verb=verb,
            argument=argument,
            stage=stage,
            response_url=place.response_url,
            view_id=place.view_id,
            at=now,
            expires_at=expires_at,
        )
        return _lookup_from(row)

    async def lock(self, lookup_id: int) -> Lookup | None:
        """The command while it waits, locked; None once it was answered."""
        statement = select(lookups).where(lookups.c.id == lookup_id, lookups.c.answered_at.is_(None)).with_for_update()
        row = (await self._connection.execute(statement)).one_or_none()
        return _lookup_from(row) if row else None

    async def answered(self, lookup_id: int, now: datetime) -> None:
        """It was answered: the secret address goes."""
        statement = update(lookups).where(lookups.c.id == lookup_id).values(answered_at=now, response_url=None)
        await self._connection.execute(statement)


def _lookup_from(row: Row[tuple[object, ...]]) -> Lookup:
    place = Place(
        workspace=row.workspace,
        user=row.user_id,
        channel=row.channel or None,
        response_url=row.response_url,
        view_id=row.view_id,
    )
    return Lookup(row.id, place, row.verb, row.argument, row.stage, row.at, row.expires_at)


class ConnectionRows:
    """The unit's connections."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, name: str) -> ConnectionHealth:
        """How the connection's engine was reached, locked; made when it is new."""
        await self._connection.execute(upsert(connections).values(name=name).on_conflict_do_nothing())
        row = (await self._connection.execute(select(connections).where(connections.c.name == name).with_for_update())).one()
        return ConnectionHealth(**row._asdict())

    async def save(self, health: ConnectionHealth) -> None:
        """Store a change."""
        values = asdict(health)
        name = values.pop("name")
        await self._connection.execute(update(connections).where(connections.c.name == name).values(values))
