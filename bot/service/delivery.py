"""Brings the messages of a lane to the state of now: which are due, what they show, and what became of each try.

A run holds the lane's lock. It never waits: when the lane or a method has to pause, it writes until when, ends, and a
timer without a lock enqueues the lane again.
"""

import logging
from datetime import datetime

from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.errors import ChatError, ChatRateLimited, ChatRefused, ChatUnavailable
from bot.domain.messages import Home, Modal, Shown
from bot.domain.policy import BOT_ACTOR
from bot.domain.setup import seconds
from bot.service import health
from bot.service.core import Core
from bot.service.outbox import Outbox, Readings
from bot.service.showing import show
from bot.service.unit import Message, Unit

log = logging.getLogger(__name__)

STORM_ABOVE, STORM_LINES = 10, 40
A_RUN = 50  # messages at most in one run, so that a lane gives way to others
LONGEST_WAIT = 60.0
PROBES = 6  # tries of a message, about a minute, in which the lane waits with it; then it may be the message's own fault
GONE = frozenset({"message_not_found"})  # people deleted it: post it anew
PRIVATE_LIFE_TRIES = 4
VIEW_OPENS = seconds(6)  # within so long Slack has opened a view, or does not any more


class Delivery:
    """Delivers lanes; needs the store's outbox and readings besides the core."""

    def __init__(self, core: Core, outbox: Outbox, readings: Readings) -> None:
        self._core, self._outbox, self._readings = core, outbox, readings

    async def deliver(self, lane: str) -> None:
        """Send what is due on the lane, in order of rank, as far as pauses allow; wake the lane again for the rest."""
        if not lane.startswith("private:"):
            await self._outbox.fold(lane, STORM_ABOVE, STORM_LINES, self._core.now())
        for _ in range(A_RUN):
            now = self._core.now()
            may_post = await self._is_open(f"post:{lane}", now)
            may_update = await self._is_open(f"update:{lane.partition(':')[0]}", now)
            message = await self._outbox.next_due(lane, now, may_post=may_post, may_update=may_update)
            if message is None:
                break
            await self._send(message)
        await self._wake_for_rest(lane)

    async def _is_open(self, key: str, now: datetime) -> bool:
        until = await self._outbox.pause_until(key)
        return until is None or until <= now

    async def _wake_for_rest(self, lane: str) -> None:
        at = await self._outbox.due_again_at(lane, self._core.now())
        if at is not None:
            await self._outbox.wake_at(lane, at)

    async def _send(self, message: Message) -> None:
        try:
            shown = await show(self._core, self._readings, message)
            if shown is None:
                await self._outbox.sent(message, message.ts)
                return
            if message.ts is not None and message.channel and not await self._may_update(message):
                return
            ts = await self._call(message, shown)
        except ChatRateLimited as error:
            await self._pause(message, error)
        except ChatUnavailable as error:
            await self._try_later(message, error)
        except ChatRefused as error:
            await self._refused(message, error)
        else:
            await self._outbox.sent(message, ts)

    async def _may_update(self, message: Message) -> bool:
        now = self._core.now()
        wait = await self._outbox.take(f"updates:{message.workspace}", self._core.setup.timings.updates_a_minute, now)
        if wait > 0:
            await self._outbox.pause(f"update:{message.workspace}", now + seconds(wait))
        return wait <= 0

    async def _call(self, message: Message, shown: Shown | Modal | Home) -> str | None:
        chat = self._core.chat
        if isinstance(shown, Home):
            await chat.publish_home(message.user or "", shown)
            return None
        if message.view_id:
            await chat.update_view(message.view_id, shown)  # type: ignore[arg-type]  # rows with a view hold modals
            return None
        if message.response_url:
            await chat.answer(message.response_url, shown)  # type: ignore[arg-type]
            return None
        if message.user:
            await chat.whisper(message.channel or message.user, message.user, shown, message.parent_ts)  # type: ignore[arg-type]
            return None
        if message.ts is not None:
            await chat.update(message.channel or "", message.ts, shown)  # type: ignore[arg-type]
            return message.ts
        ts = await chat.post(message.channel or "", shown, message.parent_ts)  # type: ignore[arg-type]
        pause = seconds(self._core.setup.timings.lane_pause)
        await self._outbox.pause(f"post:{message.lane}", self._core.now() + pause)
        return ts

    async def _pause(self, message: Message, error: ChatRateLimited) -> None:
        until = self._core.now() + seconds(max(error.wait, 1.0))
        await self._outbox.pause(message.method_key, until)
        if message.is_private:
            await self._outbox.put_off(message, until)

    async def _try_later(self, message: Message, error: ChatError) -> None:
        now = self._core.now()
        if message.expires_at is not None and now >= message.expires_at:
            await self._bury(message, error)
            return
        until = now + seconds(min(1.0 * 2 ** min(message.tries, 8), LONGEST_WAIT))
        if message.is_private or message.tries >= PROBES:
            await self._outbox.put_off(message, until)
            return
        await self._outbox.pause(message.method_key, until)  # the others would not fare better, and keep their order
        await self._outbox.put_off(message, now)

    async def _refused(self, message: Message, error: ChatRefused) -> None:
        if error.code in GONE and message.ts is not None and message.tries < PRIVATE_LIFE_TRIES:
            await self._outbox.lost_its_place(message)
            return
        if message.view_id and error.code == "not_found":
            await self._no_view(message)
            return
        if message.response_url and message.user and message.channel:
            await self._instead(message)
            return
        await self._bury(message, error)

    async def _no_view(self, message: Message) -> None:
        """Slack may not have opened the view yet that is to change; later on somebody has closed it, and that is no fault."""
        now = self._core.now()
        if now - message.created_at < VIEW_OPENS:
            await self._outbox.put_off(message, now + seconds(0.5))
        else:
            await self._outbox.sent(message, None)

    async def _instead(self, message: Message) -> None:
        """A response_url that is used up or too old: the person is told in the channel, or directly."""
        shown = await show(self._core, self._readings, message)
        try:
            await self._core.chat.whisper(message.channel or "", message.user or "", shown)  # type: ignore[arg-type]
        except ChatRefused as error:
            await self._bury(message, error)
        except ChatError:
            await self._outbox.put_off(message, self._core.now() + seconds(min(1.0 * 2 ** min(message.tries, 8), LONGEST_WAIT)))
        else:
            await self._outbox.sent(message, None)

    async def _bury(self, message: Message, error: ChatError) -> None:
        """A dead letter: said in the trail and in the audit channel, and tried again only when somebody wants it anew."""
        async with self._core.store.unit() as unit:
            now = self._core.now()
            await unit.messages.bury(message.id, error.code, now)
            if message.surface == "home" or message.view_id:
                return  # somebody closed what we wanted to change
            unit.record(_undeliverable(message, error.code, now))
            await self._tell(unit, message, error.code)
        log.error("message cannot be delivered", extra={"subject": message.subject, "code": error.code})

    async def _tell(self, unit: Unit, message: Message, code: str) -> None:
        if message.channel == self._core.setup.audit_channel:
            return
        where = f"<#{message.channel}>" if message.channel else "a person"
        sentence = f"A message about {message.subject} could not be delivered to {where}: {_advice(code)}"
        await health.announce(self._core, unit, f"dead:{message.id}:{message.wanted}", sentence)


def _undeliverable(message: Message, code: str, now: datetime) -> AuditEntry:
    subject = message.subject
    return AuditEntry(
        at=now,
        actor=BOT_ACTOR,
        action=AuditAction.MESSAGE_UNDELIVERABLE,
        subject=subject,
        request=subject if subject.startswith("req-") else None,
        incident=subject if subject.startswith("inc-") else None,
        data={"surface": message.surface, "channel": message.channel, "code": code},
    )


ADVICE = {
    "not_in_channel": "I am not in that channel; invite me with `/invite`.",
    "channel_not_found": "there is no such channel, or it is private and I am not in it.",
    "is_archived": "the channel is archived; change the route.",
    "invalid_auth": "Slack does not accept my token.",
    "token_revoked": "my token was revoked; install the app again.",
    "missing_scope": "my token lacks a scope; compare with `manifest.yml` and reinstall.",
}


def _advice(code: str) -> str:
    return ADVICE.get(code, f"Slack says `{code}`.")
