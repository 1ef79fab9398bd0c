"""Rows of requests and their decisions; the database repeats what the transition table says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Text, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.execution import Action
from bot.domain.incident import Incident
from bot.domain.request import LIVE, Decision, Request, RequestState
from bot.store.codec import POINT, dump, dump_rules, load_rules
from bot.store.incidents import LOCK_OF_REQUEST, StaleWrite, incident_from
from bot.store.prepared import Asked, Driver, Last, Prepared, driver_of, together
from bot.store.tables import decisions, incidents, requests

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


LOOK = Prepared(select(requests).where(requests.c.id == bindparam("of")))
LOCK = Prepared(select(requests).where(requests.c.id == bindparam("of")).with_for_update())
_is_live = requests.c.state == func.any(bindparam("states", type_=ARRAY(Text)))
_kill_first = (requests.c.action != Action.KILL.value, requests.c.id)
_all_live = select(requests).where(requests.c.connection == bindparam("on"), requests.c.root == bindparam("chain"), _is_live)
LIVE_ONES = Prepared(_all_live.order_by(*_kill_first))
LIVE_OF = Prepared(
    select(requests)
    .join(incidents, (incidents.c.connection == requests.c.connection) & (incidents.c.root == requests.c.root))
    .where(incidents.c.id == bindparam("of"), _is_live)
    .order_by(*_kill_first)
)
NEWEST = Prepared(select(requests).where(requests.c.incident_id == bindparam("of")).order_by(requests.c.id.desc()).limit(1))
_is_resume = requests.c.incident_id.is_not(None) & (requests.c.action != Action.KILL.value)
IN_DOUBT = Prepared(select(requests).where(requests.c.connection == bindparam("on"), _is_live, _is_resume))
BEGUN_BY = Prepared(
    select(requests.c.incident_id)
    .where(requests.c.connection == bindparam("on"), requests.c.new_execution == bindparam("execution"), _is_resume)
    .order_by(requests.c.id.desc())
    .limit(1)
)
RESUMED_AS = Prepared(
    select(requests.c.new_execution)
    .where(requests.c.connection == bindparam("on"), requests.c.execution_id == bindparam("execution"), _is_resume)
    .where(requests.c.new_execution.is_not(None), requests.c.doubt == "")
    .order_by(requests.c.id.desc())
    .limit(1)
)
DECISIONS = Prepared(
    select(decisions).where(decisions.c.request_id == bindparam("of")).order_by(decisions.c.at, decisions.c.actor)
)
DECIDE = Prepared(insert(decisions).values({column.name: bindparam(column.name) for column in decisions.c}))
NEW_ID = Prepared(select(func.nextval(func.pg_get_serial_sequence("requests", "id")).label("id")))
ADD = Prepared(insert(requests).values({column.name: bindparam(column.name) for column in requests.c}))
SAVE = Prepared(
    update(requests)
    .where(requests.c.id == bindparam("of"), requests.c.state == bindparam("was"), requests.c.version == bindparam("before"))
    .values({column.name: bindparam(column.name) for column in requests.c if column.name != "id"})
)
LIVE_STATES = [state.value for state in LIVE]


async def decisions_of(connection: AsyncConnection, request_id: int) -> tuple[Decision, ...]:
    """The decisions on a request, oldest first."""
    return _decisions(await DECISIONS.rows(driver_of(connection), of=request_id))


def _decisions(rows: Sequence[Any]) -> tuple[Decision, ...]:
    return tuple(Decision(row.actor, row.is_approval, row.at, row.reason) for row in rows)


@dataclass(frozen=True)
class _AskedRequest:
    """A request on its way, its incident locked before it."""

    incident: Asked
    request: Asked
    decisions: Asked

    async def loaded(self) -> tuple[Request, Incident | None] | None:
        incident, request = await self.incident.first(), await self.request.first()
        if request is None:
            return None
        return request_from(request, _decisions(await self.decisions.rows())), incident_from(incident) if incident else None


class RequestRows:
    """The unit's requests."""

    def __init__(self, connection: AsyncConnection, last: Last) -> None:
        self._connection, self._last = connection, last
        self._ahead: dict[int, _AskedRequest] = {}
        self._live_ahead: dict[int, Asked] = {}

    async def lock(self, request_id: int) -> tuple[Request, Incident | None] | None:
        """The request and its incident, both locked until the unit ends, the incident first."""
        if request_id not in self._ahead:
            async with together(self._driver):
                await self.lock_ahead(request_id)
        return await self._ahead.pop(request_id).loaded()

    async def lock_ahead(self, request_id: int) -> None:
        """Ask, among statements sent together, for what `lock` will give."""
        self._ahead[request_id] = _AskedRequest(
            await LOCK_OF_REQUEST.ask(self._driver, of=request_id),
            await LOCK.ask(self._driver, of=request_id),
            await DECISIONS.ask(self._driver, of=request_id),
        )

    async def look(self, request_id: int) -> Request | None:
        """The request as it stands, without its lock."""
        async with together(self._driver):
            request = await LOOK.ask(self._driver, of=request_id)
            made = await DECISIONS.ask(self._driver, of=request_id)
            row = await request.first()
            return request_from(row, _decisions(await made.rows())) if row else None

    @property
    def _driver(self) -> Driver:
        return driver_of(self._connection)

    async def live(self, connection: str, root: str) -> Request | None:
        """The one live request of a chain, or the kill that lives beside it."""
        return await self._with_decisions(await LIVE_ONES.first(self._driver, on=connection, chain=root, states=LIVE_STATES))

    async def running(self, connection: str, root: str) -> Sequence[Request]:
        """The requests of a chain that are watched; without their decisions."""
        states = [RequestState.RUNNING.value]
        return [request_from(row) for row in await LIVE_ONES.rows(self._driver, on=connection, chain=root, states=states)]

    async def live_of(self, incident: Incident) -> Request | None:
        """The one live request of an incident's chain, or the kill that lives beside it."""
        asked = self._live_ahead.pop(incident.id, None)
        if asked is None:
            return await self.live(incident.connection, incident.root)
        return await self._with_decisions(await asked.first())

    async def live_ahead(self, incident_id: int) -> None:
        """Ask, among statements sent together, for what `live_of` will give."""
        self._live_ahead[incident_id] = await LIVE_OF.ask(self._driver, of=incident_id, states=LIVE_STATES)

    async def newest(self, incident_id: int) -> Request | None:
        """The newest request of an incident."""
        return await self._with_decisions(await NEWEST.first(self._driver, of=incident_id))

    async def in_doubt(self, connection: str) -> Sequence[Request]:
        """Resumes whose call has left and whose effect nobody knows yet; without their decisions."""
        states = [RequestState.RESUMING.value, RequestState.UNKNOWN.value]
        return [request_from(row) for row in await IN_DOUBT.rows(self._driver, on=connection, states=states)]

    async def begun_by(self, connection: str, execution_id: str) -> int | None:
        """The incident whose request began an execution under a new id."""
        row = await BEGUN_BY.first(self._driver, on=connection, execution=execution_id)
        return row.incident_id if row else None

    async def newest_of(self, connection: str, execution_id: str) -> str:
        """What an execution surely became by our own resumes, one after the other; itself where there were none."""
        passed = [execution_id]
        while row := await RESUMED_AS.first(self._driver, on=connection, execution=passed[-1]):
            if row.new_execution in passed:
                break
            passed.append(row.new_execution)
        return passed[-1]

    async def _with_decisions(self, row: Any) -> Request | None:
        return request_from(row, await decisions_of(self._connection, row.id)) if row else None

    async def new_id(self) -> int:
        """An id for a request about to be added."""
        return int((await NEW_ID.first(self._driver)).id)

    async def add(self, request: Request) -> None:
        """Store a new request under its id; a second live one of the chain breaks the unit at its end."""
        self._last.add(ADD, **_values(request), id=request.id)

    async def save(self, before: Request, after: Request) -> None:
        """Store a change and a new decision; raises StaleWrite unless state and version are still those loaded."""
        values = _values(replace(after, version=before.version + 1))
        if await SAVE.count(self._driver, **values, of=before.id, was=before.state.value, before=before.version) != 1:
            raise StaleWrite(before.label)
        for decision in after.decisions[len(before.decisions) :]:
            self._last.add(
                DECIDE,
                request_id=after.id,
                actor=decision.actor,
                is_approval=decision.is_approval,
                at=decision.at,
                reason=decision.reason,
            )
