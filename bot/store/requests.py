"""Rows of requests and their decisions; the database repeats what the transition table says."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.execution import Action
from bot.domain.incident import Incident
from bot.domain.request import LIVE, Decision, Request, RequestState
from bot.store.codec import POINT, dump, dump_rules, load_rules
from bot.store.incidents import IncidentRows, StaleWrite
from bot.store.tables import decisions, requests

SPECIAL = {"action", "point", "rules", "state"}


def request_from(row: Row[Any], made: tuple[Decision, ...] = ()) -> Request:
    """The request of a whole row."""
    plain = {column.name: getattr(row, column.name) for column in requests.c if column.name not in SPECIAL}
    return Request(
        **plain,
        action=Action(row.action),
        point=POINT.validate_python(row.point),
        rules=load_rules(row.rules),
        state=RequestState(row.state),
        decisions=made,
    )


def _values(request: Request) -> dict[str, Any]:
    plain = {column.name: getattr(request, column.name) for column in requests.c if column.name not in SPECIAL | {"id"}}
    return plain | {
        "action": request.action.value,
        "point": dump(POINT, request.point),
        "rules": dump_rules(request.rules),
        "state": request.state.value,
        "inputs": dict(request.inputs),
        "input_labels": dict(request.input_labels),
    }


async def decisions_of(connection: AsyncConnection, request_id: int) -> tuple[Decision, ...]:
    """The decisions on a request, oldest first."""
    rows = await connection.execute(
        select(decisions).where(decisions.c.request_id == request_id).order_by(decisions.c.at, decisions.c.actor)
    )
    return tuple(Decision(row.actor, row.is_approval, row.at, row.reason) for row in rows)


class RequestRows:
    """The unit's requests."""

    def __init__(self, connection: AsyncConnection, incidents: IncidentRows) -> None:
        self._connection, self._incidents = connection, incidents

    async def lock(self, request_id: int) -> tuple[Request, Incident | None] | None:
        """The request and its incident, both locked until the unit ends, the incident first."""
        known = await self._connection.execute(select(requests.c.incident_id).where(requests.c.id == request_id))
        if (row := known.one_or_none()) is None:
            return None
        incident = await self._incidents.lock(row.incident_id) if row.incident_id else None
        locked = await self._connection.execute(select(requests).where(requests.c.id == request_id).with_for_update())
        return request_from(locked.one(), await decisions_of(self._connection, request_id)), incident

    async def live(self, connection: str, root: str) -> Request | None:
        """The one live request of a chain."""
        return await self._one(
            select(requests).where(
                requests.c.connection == connection,
                requests.c.root == root,
                requests.c.state.in_([state.value for state in LIVE]),
            )
        )

    async def newest(self, incident_id: int) -> Request | None:
        """The newest request of an incident."""
        return await self._one(
            select(requests).where(requests.c.incident_id == incident_id).order_by(requests.c.id.desc()).limit(1)
        )

    async def _one(self, statement: Any) -> Request | None:
        row = (await self._connection.execute(statement)).one_or_none()
        return request_from(row, await decisions_of(self._connection, row.id)) if row else None

    async def new_id(self) -> int:
        """An id for a request about to be added."""
        sequence = func.pg_get_serial_sequence("requests", "id")
        return int((await self._connection.execute(select(func.nextval(sequence)))).scalar_one())

    async def add(self, request: Request) -> None:
        """Store a new request under its id; a second live one of the chain breaks the unit."""
        await self._connection.execute(insert(requests).values(_values(request) | {"id": request.id}))

    async def save(self, before: Request, after: Request) -> None:
        """Store a change and a new decision; raises StaleWrite unless state and version are still those loaded."""
        statement = (
            update(requests)
            .where(requests.c.id == before.id, requests.c.state == before.state.value, requests.c.version == before.version)
            .values(_values(replace(after, version=before.version + 1)))
        )
        if (await self._connection.execute(statement)).rowcount != 1:
            raise StaleWrite(before.label)
        for decision in after.decisions[len(before.decisions) :]:
            await self._connection.execute(
                insert(decisions).values(
                    request_id=after.id,
                    actor=decision.actor,
                    is_approval=decision.is_approval,
                    at=decision.at,
                    reason=decision.reason,
                )
            )
