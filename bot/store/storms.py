"""Folding: many new cards of one channel become lines of one message; a storm that goes on fills the message it began."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.service.unit import Rank
from bot.store.tables import messages

GOES_ON = timedelta(seconds=60)  # a storm takes further lines for so long
A_FEW = 2  # more new cards than that go to a storm that goes on


async def fold(connection: AsyncConnection, lane: str, more_than: int, a_message: int, *, now: datetime) -> int:
    """Fold the waiting cards of the lane where there are too many, the youngest storm first; how many were folded."""
    rows = (await connection.execute(_waiting(lane))).all()
    if len(rows) <= min(more_than, A_FEW):
        return 0
    storm = (await connection.execute(_going_on(lane, a_message, now))).first()
    if len(rows) <= more_than and storm is None:
        return 0
    room = 0
    if storm is not None:
        numbers = storm.payload["incidents"]
        room = a_message - len(numbers)
        await _add(connection, storm.id, numbers, rows[:room])
    for start in range(room, len(rows), a_message):
        await _begin(connection, lane, rows[start : start + a_message], now)
    return len(rows)


def _waiting(lane: str) -> Any:
    return (
        select(messages.c.id, messages.c.subject, messages.c.workspace, messages.c.channel)
        .where(
            messages.c.lane == lane,
            messages.c.surface == "card",
            messages.c.ts.is_(None),
            messages.c.dead_at.is_(None),
            messages.c.folded_into.is_(None),
            messages.c.rank == Rank.CARD,
            messages.c.wanted > messages.c.posted,
        )
        .order_by(messages.c.id)
        .with_for_update()
    )


def _going_on(lane: str, a_message: int, now: datetime) -> Any:
    has_room = func.jsonb_array_length(messages.c.payload["incidents"]) < a_message
    is_young = messages.c.created_at > now - GOES_ON
    storm = (messages.c.lane == lane) & (messages.c.surface == "storm") & messages.c.dead_at.is_(None)
    return select(messages.c.id, messages.c.payload).where(storm, is_young, has_room).order_by(messages.c.id.desc()).limit(1)


async def _begin(connection: AsyncConnection, lane: str, part: Sequence[Row[Any]], now: datetime) -> None:
    first = part[0]
    storm = insert(messages).values(
        workspace=first.workspace,
        subject=f"storm-{_number(first)}",
        surface="storm",
        lane=lane,
        channel=first.channel,
        rank=Rank.CARD,
        payload={"incidents": []},
        created_at=now,
    )
    storm_id = (await connection.execute(storm.returning(messages.c.id))).scalar_one()
    await _add(connection, storm_id, [], part)


async def _add(connection: AsyncConnection, storm_id: int, numbers: list[int], part: Sequence[Row[Any]]) -> None:
    payload = {"incidents": [*numbers, *[_number(row) for row in part]]}
    values = {"payload": payload, "wanted": messages.c.wanted + int(bool(numbers))}
    await connection.execute(update(messages).where(messages.c.id == storm_id).values(values))
    folded = update(messages).where(messages.c.id.in_([row.id for row in part]))
    await connection.execute(folded.values(folded_into=storm_id, posted=messages.c.wanted))


def _number(row: Row[Any]) -> int:
    return int(row.subject.removeprefix("inc-"))
