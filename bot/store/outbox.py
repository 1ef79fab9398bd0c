"""The store's side of delivery: what is due on a lane, pauses and budgets, and what became of each try."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.service.unit import SLACK_QUEUE, Job, Message, Rank
from bot.store import storms
from bot.store.messages import due, message_from, parents, select_messages
from bot.store.tables import budgets, messages, pauses
from bot.store.unit_of_work import SqlStore

STATELESS = messages.c.response_url.is_not(None) | messages.c.view_id.is_not(None) | messages.c.user_id.is_not(None)
IS_UPDATE = messages.c.ts.is_not(None)


class SqlOutbox:
    """Outbox over an engine; see `bot.service.outbox`."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._engine: AsyncEngine = store.engine

    async def next_due(self, lane: str, now: datetime, *, may_post: bool, may_update: bool) -> Message | None:
        """The first message to send; updates of what stands there rank below posts, private answers have no pause."""
        kinds: list[ColumnElement[bool]] = [STATELESS]
        if may_post:
            kinds.append(messages.c.ts.is_(None))
        if may_update:
            kinds.append(IS_UPDATE)
        allowed = kinds[0]
        for kind in kinds[1:]:
            allowed |= kind
        statement = (
            select_messages()
            .where(messages.c.lane == lane, due(now), allowed)
            .order_by(IS_UPDATE, messages.c.rank, messages.c.id)
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return message_from(row) if row else None

    async def due_again_at(self, lane: str, now: datetime) -> datetime | None:
        """When the lane has to be looked at again: None when nothing waits on it."""
        waits = (messages.c.wanted > messages.c.posted) & messages.c.dead_at.is_(None) & messages.c.folded_into.is_(None)
        ready = messages.c.parent_id.is_(None) | parents.c.ts.is_not(None)
        statement = (
            select(IS_UPDATE.label("is_update"), func.min(func.coalesce(messages.c.not_before, now)).label("at"))
            .outerjoin_from(messages, parents, parents.c.id == messages.c.parent_id)
            .where(messages.c.lane == lane, waits, ready)
            .group_by(IS_UPDATE)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
            times = [await self._not_before(connection, row, lane) for row in rows]
        return min(times, default=None)

    async def _not_before(self, connection: AsyncConnection, row: Row[Any], lane: str) -> datetime:
        key = f"update:{lane.partition(':')[0]}" if row.is_update else f"post:{lane}"
        until = (await connection.execute(select(pauses.c.until).where(pauses.c.key == key))).scalar_one_or_none()
        at: datetime = row.at
        return max(at, until) if until else at

    async def pause_until(self, key: str) -> datetime | None:
        """Until when a lane or method pauses."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(pauses.c.until).where(pauses.c.key == key))).scalar_one_or_none()

    async def pause(self, key: str, until: datetime) -> None:
        """Pause until then, or longer where that was said already."""
        statement = upsert(pauses).values(key=key, until=until)
        later = func.greatest(pauses.c.until, statement.excluded.until)
        async with self._engine.begin() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"until": later}))

    async def take(self, key: str, a_minute: int, now: datetime) -> float:
        """Take one from a budget of so many a minute; 0, or the seconds until there is one."""
        async with self._engine.begin() as connection:
            return await take(connection, key, a_minute / 60, float(a_minute), now=now)

    async def sent(self, message: Message, ts: str | None) -> None:
        """It shows the version that was read; its secret address is wiped once nothing is left to say.

        Where it was not wanted any more by the time it stood there, it has to be told what has become of it.
        """
        still_wanted = case((messages.c.wanted < message.wanted, message.wanted + 1), else_=messages.c.wanted)
        values: dict[str, Any] = {"posted": message.wanted, "wanted": still_wanted, "ts": ts, "tries": 0, "not_before": None}
        if message.response_url:
            values["response_url"] = None
        if message.surface == "card":
            values["rank"] = Rank.UPDATE
        async with self._engine.begin() as connection:
            await connection.execute(update(messages).where(messages.c.id == message.id).values(values))

    async def lost_its_place(self, message: Message) -> None:
        """People deleted it: it is to be posted anew."""
        async with self._engine.begin() as connection:
            statement = update(messages).where(messages.c.id == message.id)
            await connection.execute(statement.values(ts=None, tries=messages.c.tries + 1))

    async def put_off(self, message: Message, until: datetime) -> None:
        """Not before then."""
        statement = update(messages).where(messages.c.id == message.id)
        async with self._engine.begin() as connection:
            await connection.execute(statement.values(not_before=until, tries=messages.c.tries + 1))

    async def wake_at(self, lane: str, at: datetime) -> None:
        """Enqueue a timer without a lock that enqueues the lane again, unless one waits that is as early."""
        async with self._store.unit() as unit:
            known = await unit.connection.execute(EARLIER_WAKE, {"lane": lane, "at": at + timedelta(milliseconds=50)})
            if not known.first():
                await unit.enqueue(Job("wake", SLACK_QUEUE, {"lane": lane}, at=at))

    async def wake(self, lane: str) -> None:
        """What the timer does."""
        async with self._store.unit() as unit:
            await unit.messages.deliver(lane)

    async def fold(self, lane: str, more_than: int, a_message: int, now: datetime) -> int:
        """Fold new cards that wait on the lane into storm messages when there are too many; how many were folded."""
        async with self._engine.begin() as connection:
            return await storms.fold(connection, lane, more_than, a_message, now=now)


EARLIER_WAKE = text(
    "SELECT 1 FROM jobs.procrastinate_jobs WHERE task_name = 'wake' AND status = 'todo'"
    " AND args ->> 'lane' = :lane AND scheduled_at <= :at LIMIT 1"
)


async def take(connection: AsyncConnection, key: str, a_second: float, burst: float, now: datetime) -> float:
    """Take one token from a bucket kept in the database; 0, or the seconds until there is one."""
    tokens = await tokens_of(connection, key, a_second, burst, now)
    if tokens < 1:
        return (1 - tokens) / a_second
    await put(connection, key, tokens - 1, now)
    return 0.0


async def tokens_of(connection: AsyncConnection, key: str, a_second: float, burst: float, now: datetime) -> float:
    """What a bucket holds by now, below 0 where more was taken; its row is locked until the transaction ends."""
    await connection.execute(upsert(budgets).values(key=key, tokens=burst, at=now).on_conflict_do_nothing())
    row = (await connection.execute(select(budgets).where(budgets.c.key == key).with_for_update())).one()
    passed = max((now - row.at).total_seconds(), 0.0)
    return float(min(row.tokens + passed * a_second, burst))


async def put(connection: AsyncConnection, key: str, tokens: float, now: datetime) -> None:
    """Store what is left in a bucket that was locked."""
    await connection.execute(update(budgets).where(budgets.c.key == key).values(tokens=tokens, at=now))
