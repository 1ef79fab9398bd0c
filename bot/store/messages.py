"""Rows of messages: wanting one enqueues the delivery of its lane in the same transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, case, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.messages import Modal, Shown
from bot.service.unit import SLACK_QUEUE, Job, Message, Place, Rank
from bot.store.codec import dump_private, load_private
from bot.store.jobs import JobRows
from bot.store.prepared import Prepared, driver_of, together
from bot.store.tables import messages

parents = messages.alias("parents")
PARENT_SURFACES = ("card", "start")
LINES_GATHER = timedelta(seconds=5)  # changes of a storm's lines that come within this make one update


def channel_lane(workspace: str, channel: str) -> str:
    """The lane of a channel."""
    return f"{workspace}:{channel}"


def select_messages() -> Select[Any]:
    """Whole rows with the ts of the message whose thread they stand in."""
    return select(messages, parents.c.ts.label("parent_ts")).outerjoin(parents, parents.c.id == messages.c.parent_id)


def message_from(row: Row[Any]) -> Message:
    """The message of such a row."""
    payload = row.payload or {}
    return Message(
        id=row.id,
        workspace=row.workspace,
        subject=row.subject,
        surface=row.surface,
        lane=row.lane,
        rank=row.rank,
        channel=row.channel,
        parent_id=row.parent_id,
        parent_ts=row.parent_ts or payload.get("thread_ts"),
        folded_into=row.folded_into,
        user=row.user_id,
        response_url=row.response_url,
        view_id=row.view_id,
        shown=load_private(payload["shown"]) if "shown" in payload else None,
        numbers=tuple(payload.get("incidents", ())),
        ts=row.ts,
        wanted=row.wanted,
        posted=row.posted,
        tries=row.tries,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


_parent = (
    select(parents.c.id)
    .where(parents.c.subject == bindparam("parent"), or_(*[parents.c.surface == name for name in PARENT_SURFACES]))
    .scalar_subquery()
)
_made = upsert(messages).values(
    {
        **{
            name: bindparam(name)
            for name in ("workspace", "subject", "surface", "rank", "lane", "channel", "not_before", "created_at")
        },
        "parent_id": _parent,
    }
)
_PARENTS_STORM = text(
    "(SELECT parents.folded_into FROM messages AS parents WHERE parents.id = messages.parent_id) AS parents_storm"
)
WANT = Prepared(
    _made.on_conflict_do_update(
        index_elements=["subject", "surface"],
        set_={"wanted": messages.c.wanted + 1, "not_before": _made.excluded.not_before, "tries": 0, "dead_at": null()},
    ).returning(messages.c.folded_into, _PARENTS_STORM)
)
_first_time = case((messages.c.posted == 0, messages.c.not_before), else_=null())  # what it waits for has not come yet
CHANGE = Prepared(
    update(messages)
    .where(messages.c.subject == bindparam("of"), messages.c.surface == bindparam("shown_as"))
    .values(wanted=messages.c.wanted + 1, not_before=_first_time, tries=0, dead_at=None)
    .returning(messages.c.lane, messages.c.folded_into)
)
_TOLD = ("subject", "surface", "lane", "workspace", "channel", "user_id", "response_url", "view_id", "payload", "expires_at")
TELL = Prepared(
    upsert(messages)
    .values({**{name: bindparam(name) for name in (*_TOLD, "rank", "created_at")}, "parent_id": _parent})
    .on_conflict_do_nothing()
    .returning(messages.c.id)
)
AT = Prepared(select_messages().where(messages.c.channel == bindparam("channel"), messages.c.ts == bindparam("ts")))


class MessageRows:
    """The unit's messages."""

    def __init__(self, connection: AsyncConnection, jobs: JobRows, now: datetime) -> None:
        self._connection, self._jobs, self._now = connection, jobs, now
        self._changed: set[tuple[str, str]] = set()  # in this unit: one more version shows all of its changes
        self._waiting: list[tuple[Prepared, Mapping[str, Any]]] = []

    def want(
        self,
        subject: str,
        surface: str,
        rank: Rank,
        *,
        workspace: str,
        channel: str,
        parent: str | None = None,
        not_before: datetime | None = None,
    ) -> None:
        """One message of this subject and surface is to stand in the channel, showing its state at the time of sending."""
        self._changed.add((subject, surface))
        values = {
            "workspace": workspace,
            "subject": subject,
            "surface": surface,
            "rank": int(rank),
            "lane": channel_lane(workspace, channel),
            "channel": channel,
            "not_before": not_before,
            "created_at": self._now,
            "parent": parent,
        }
        self._waiting.append((WANT, values))

    def change(self, subject: str, surface: str) -> None:
        """What the message shows has changed, if there is one. A folded one changes its storm's line.

        A dead letter gets another try: the new version may do, or the channel take it by now.
        """
        if (subject, surface) not in self._changed:
            self._changed.add((subject, surface))
            self._waiting.append((CHANGE, {"of": subject, "shown_as": surface}))

    async def write(self) -> None:
        """Write all that was wanted and changed, and enqueue the deliveries; the end of the unit does so."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        driver = driver_of(self._connection)
        async with together(driver):
            asked = [await statement.ask(driver, **values) for statement, values in waiting]
            answers = [await one.rows() for one in asked]
        for (statement, values), rows in zip(waiting, answers, strict=True):
            if statement is CHANGE:
                await self._deliver_changed(rows)
            else:
                await self._deliver_wanted(values, rows[0])

    async def _deliver_wanted(self, values: Mapping[str, Any], row: Any) -> None:
        if values["parent"] and row.parents_storm:
            await self.unfold(values["parent"])
        if row.folded_into:
            await self._change_storm(row.folded_into)
        if not_before := values["not_before"]:
            await self._jobs.enqueue(Job("wake", SLACK_QUEUE, {"lane": values["lane"]}, at=not_before))
        else:
            await self.deliver(values["lane"])

    async def unfold(self, subject: str) -> bool:
        """Give an incident that is a line of a storm its own card; False when it was none."""
        folded = messages.c.folded_into.is_not(None)
        statement = (
            update(messages)
            .where(messages.c.subject == subject, messages.c.surface == "card", folded)
            .values(folded_into=None, wanted=messages.c.posted + 1, rank=Rank.APPROVAL)
        )
        if (await self._connection.execute(statement)).rowcount == 0:
            return False
        return bool(await self._bump((messages.c.subject == subject) & (messages.c.surface == "card")))

    async def _bump(self, which: ColumnElement[bool]) -> Sequence[Any]:
        statement = (
            update(messages)
            .where(which)
            .values(wanted=messages.c.wanted + 1, not_before=None, tries=0, dead_at=None)
            .returning(messages.c.lane, messages.c.folded_into)
        )
        rows = (await self._connection.execute(statement)).all()
        await self._deliver_changed(rows)
        return rows

    async def _deliver_changed(self, rows: Sequence[Any]) -> None:
        for lane in dict.fromkeys(row.lane for row in rows):
            await self.deliver(lane)
        for storm in dict.fromkeys(row.folded_into for row in rows if row.folded_into):
            await self._change_storm(storm)

    async def _change_storm(self, storm: int) -> None:
        """A line of a storm has changed: many do so at once, so they wait a little for each other."""
        at = self._now + LINES_GATHER
        is_settled = (messages.c.id == storm) & (messages.c.wanted == messages.c.posted)
        first = update(messages).where(is_settled).values(wanted=messages.c.wanted + 1, not_before=at)
        rows = (await self._connection.execute(first.returning(messages.c.lane))).all()
        for row in rows:
            await self._jobs.enqueue(Job("wake", SLACK_QUEUE, {"lane": row.lane}, at=at))
        if not rows:
            again = update(messages).where(messages.c.id == storm).values(wanted=messages.c.wanted + 1)
            await self._connection.execute(again)

    async def deliver(self, lane: str) -> None:
        """Enqueue the delivery of a lane."""
        await self._jobs.enqueue(Job("deliver", SLACK_QUEUE, {"lane": lane}, lane=lane, collapses=True))

    async def whisper(self, key: str, place: Place, shown: Shown | Modal, expires_at: datetime) -> None:
        """Tell one person alone; once per key."""
        await self._private(
            subject=key,
            surface="private",
            lane=f"private:{key}",
            workspace=place.workspace,
            channel=place.channel,
            user_id=place.user,
            response_url=place.response_url,
            view_id=place.view_id,
            payload={"shown": dump_private(shown), "thread_ts": place.thread_ts},
            expires_at=expires_at,
        )

    async def announce(self, key: str, workspace: str, channel: str, shown: Shown, parent: str | None = None) -> None:
        """Post a message that does not change, in the thread of the parent where there is one; once per key."""
        await self._private(
            subject=key,
            surface="announcement",
            lane=channel_lane(workspace, channel),
            workspace=workspace,
            channel=channel,
            payload={"shown": dump_private(shown)},
            parent=parent,
        )

    async def _private(self, **given: Any) -> None:
        values = {**dict.fromkeys((*_TOLD, "parent")), **given, "rank": int(Rank.RESULT), "created_at": self._now}
        if await TELL.first(driver_of(self._connection), **values):
            await self.deliver(values["lane"])

    async def want_home(self, workspace: str, user: str) -> None:
        """A person's App Home is to show the state of now."""
        lane = f"private:home:{user}"
        statement = upsert(messages).values(
            workspace=workspace,
            subject=f"home:{user}",
            surface="home",
            lane=lane,
            rank=Rank.UPDATE,
            user_id=user,
            created_at=self._now,
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["subject", "surface"],
                set_={"wanted": messages.c.wanted + 1, "not_before": null(), "dead_at": null()},
            )
        )
        await self.deliver(lane)

    async def at(self, channel: str, ts: str) -> Message | None:
        """The message that stands there, if it is one of ours."""
        row = await AT.first(driver_of(self._connection), channel=channel, ts=ts)
        return message_from(row) if row else None

    async def renew(self, subject: str) -> None:
        """Show all that stands in channels about the subject anew: what turns out to be gone is posted again."""
        await self._bump((messages.c.subject == subject) & messages.c.user_id.is_(None))

    async def is_orphan(self, subject: str, channel: str, ts: str) -> bool:
        """Whether a message of the subject stands there that the rows do not know, with nothing of it on its way."""
        rows = await self._connection.execute(
            select(messages.c.ts, messages.c.channel, messages.c.wanted, messages.c.posted).where(messages.c.subject == subject)
        )
        known = [row for row in rows if row.channel == channel]
        return bool(known) and not any(row.ts == ts or row.ts is None for row in known)

    async def bury(self, message_id: int, reason: str, now: datetime) -> None:
        """Make it a dead letter."""
        statement = update(messages).where(messages.c.id == message_id)
        await self._connection.execute(statement.values(dead_at=now, dead_because=reason, response_url=None))

    async def revive(self, channel: str) -> None:
        """Try the dead letters of a channel again, as after somebody invited the bot."""
        await self._bump((messages.c.channel == channel) & messages.c.dead_at.is_not(None) & messages.c.user_id.is_(None))


def due(now: datetime) -> ColumnElement[bool]:
    """Rows that can be sent at this moment, as far as their own row says."""
    return (
        (messages.c.wanted > messages.c.posted)
        & messages.c.dead_at.is_(None)
        & messages.c.folded_into.is_(None)
        & or_(messages.c.not_before.is_(None), messages.c.not_before <= now)
        & or_(messages.c.parent_id.is_(None), parents.c.ts.is_not(None))
    )
