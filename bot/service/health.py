"""Whether engines answer: silence is said in the audit channel, in the trail and in the log, and so is its end."""

import logging
from dataclasses import replace
from datetime import datetime

from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.errors import EngineError, NotFound, NotResumable, RateLimited
from bot.domain.messages import Answer, Tone
from bot.domain.policy import BOT_ACTOR
from bot.domain.setup import seconds
from bot.domain.text import clean
from bot.service.core import Core
from bot.service.unit import ConnectionHealth, Unit

log = logging.getLogger(__name__)
FRESH_ENOUGH = seconds(10)
HEARD_ENOUGH = seconds(3)


async def answered(core: Core, connection: str) -> None:
    """The engine has just answered; what this process wrote of it a moment ago need not be written again."""
    heard = core.heard.get(connection)
    if heard is not None and core.now() - heard < HEARD_ENOUGH:
        return
    async with core.store.unit() as unit:
        health, now = await unit.connections.lock(connection), core.now()
        core.heard[connection] = now
        known = health.answered_at is not None and now - health.answered_at < FRESH_ENOUGH
        if known and health.silent_since is None:
            return
        if health.told_at is not None:
            await _tell_found(core, unit, health, now)
        await unit.connections.save(replace(health, answered_at=now, silent_since=None, silence="", told_at=None))


async def failed(core: Core, connection: str, error: EngineError) -> None:
    """The engine did not answer, or not so that we could use it; said once when that has lasted."""
    if isinstance(error, NotFound | NotResumable | RateLimited):
        await answered(core, connection)
        return
    core.heard.pop(connection, None)
    async with core.store.unit() as unit:
        health, now = await unit.connections.lock(connection), core.now()
        since = health.silent_since or now
        health = replace(health, silent_since=since, silence=clean(str(error), 500))
        last = max(health.answered_at or since, since) if health.silent_since else since
        if health.told_at is None and now - last >= seconds(core.setup.timings.silence):
            health = replace(health, told_at=now)
            await _tell_lost(core, unit, health, now)
        await unit.connections.save(health)


async def _tell_lost(core: Core, unit: Unit, health: ConnectionHealth, now: datetime) -> None:
    last = health.answered_at.isoformat(timespec="seconds") if health.answered_at else "never since the first start"
    log.error("engine is silent", extra={"connection": health.name, "last_answer": last, "reason": health.silence})
    unit.record(_entry(AuditAction.ENGINE_LOST, health.name, now, last_answer=last, reason=health.silence))
    sentence = f"Connection *{health.name}* has not answered since {_when(health.answered_at or health.silent_since, now)}."
    await announce(core, unit, f"lost:{health.name}:{now.timestamp():.0f}", sentence, health.silence)


async def _tell_found(core: Core, unit: Unit, health: ConnectionHealth, now: datetime) -> None:
    log.warning("engine answers again", extra={"connection": health.name})
    silent_since = health.silent_since.isoformat(timespec="seconds") if health.silent_since else None
    unit.record(_entry(AuditAction.ENGINE_FOUND, health.name, now, silent_since=silent_since))
    sentence = f"Connection *{health.name}* answers again."
    await announce(core, unit, f"found:{health.name}:{now.timestamp():.0f}", sentence, tone=Tone.DONE)


def _entry(action: AuditAction, connection: str, now: datetime, **data: object) -> AuditEntry:
    return AuditEntry(at=now, actor=BOT_ACTOR, action=action, subject="bot", connection=connection, data=data)


def _when(moment: datetime | None, now: datetime) -> str:
    at = moment or now
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at.isoformat(timespec='seconds')}>"


async def announce(core: Core, unit: Unit, key: str, sentence: str, foreign: str = "", *, tone: Tone = Tone.TROUBLE) -> None:
    """Say something in the audit channel, where there is one; once per key."""
    if core.setup.audit_channel:
        shown = Answer(sentence, tone=tone, foreign=clean(foreign, 1000))
        await unit.messages.announce(key, core.setup.workspace, core.setup.audit_channel, shown)
