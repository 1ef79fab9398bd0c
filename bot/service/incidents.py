"""From a failure notice to an open incident, what is known of it, and its end.

report_failure ─tx─▶ incident ─job describe─▶ read_engine ─tx─▶ points, channel, card
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.errors import EngineError, NotFound
from bot.domain.execution import Execution, ExecutionRef, ExecutionStatus, FailureNotice
from bot.domain.incident import Incident, IncidentState, awake, described, ended, entry, merged, opened_by, reopened
from bot.domain.messages import Answer
from bot.domain.policy import BOT_ACTOR
from bot.domain.request import mention
from bot.domain.setup import seconds
from bot.domain.text import clean, cleaned, storable
from bot.service import health, kills
from bot.service.chains import elder_by_call, in_chain, is_held_back
from bot.service.core import Core
from bot.service.requests import watch_now
from bot.service.unit import TIMER_QUEUE, Job, Rank, Unit, engine_queue

HELD = timedelta(seconds=3)  # between two looks whether the receipt is here that a notice waits for
KEY = 500  # characters of a notice's key that count: an index takes no more than about 2,700 bytes


async def report_failure(core: Core, notice: FailureNotice, via: str) -> None:
    """Merge the notice into its incident or open one; the same notice again changes nothing. Commits before it returns."""
    async with core.store.unit() as unit:
        now = core.now()
        if not await unit.first_time("notice", f"{notice.ref.connection} {storable(notice.key)[:KEY]}", now):
            return
        incident = await unit.incidents.lock_by_execution(notice.ref.connection, notice.ref.id)
        if incident is None:
            await _open(core, unit, notice, via, now)
            return
        if not notice.is_certain:
            actor = f"engine:{notice.ref.connection}"
            unit.record(entry(incident, AuditAction.NOTICE_MERGED, actor, now, execution=notice.ref.id, notice=notice.key))
            await unit.enqueue(describe_job(incident))
            await watch_now(unit, incident.connection, incident.root)
            return
        after, entries = merged(incident, notice, now)
        after = await unit.incidents.save(incident, after)
        unit.record(*entries)
        if incident.is_doubtful:
            await _route_later(core, unit, after, now)
        await unit.enqueue(describe_job(after))
        unit.messages.change(after.label, "card")
        await watch_now(unit, after.connection, after.root)


async def _open(core: Core, unit: Unit, notice: FailureNotice, via: str, now: datetime) -> Incident:
    incident = opened_by(notice, core.setup.workspace, now)
    is_held = await is_held_back(core, unit, incident, now)
    is_silent = is_held or incident.is_doubtful
    if not is_silent and not core.setup.needs_description(notice.ref.connection, incident.name):
        incident = replace(incident, channel=_channel(core, incident))
    incident = await unit.incidents.add(incident)
    unit.record(
        entry(
            incident,
            AuditAction.NOTICE_RECEIVED,
            f"engine:{notice.ref.connection}",
            now,
            via=via,
            stage=incident.stage,
            message=clean(notice.message, 500),
        )
    )
    timings = core.setup.timings
    await unit.incidents.read_again_at(incident.id, now + seconds(timings.reread_first))
    if is_held:
        await _hold_back(unit, incident, now)
        return incident
    await unit.enqueue(describe_job(incident))
    if incident.channel:
        want_card(unit, incident, not_before=now + seconds(timings.first_card))
    elif not incident.is_doubtful:
        await _route_later(core, unit, incident, now)
    return incident


async def _route_later(core: Core, unit: Unit, incident: Incident, now: datetime) -> None:
    """A card at any rate, when the engine has not said where it belongs by then."""
    wait = now + seconds(core.setup.timings.unrouted_card)
    await unit.enqueue(Job("route", TIMER_QUEUE, {"incident_id": incident.id}, at=wait))


async def _hold_back(unit: Unit, incident: Incident, now: datetime) -> None:
    await unit.enqueue(Job("route", TIMER_QUEUE, {"incident_id": incident.id}, at=now + HELD))


async def open_for(core: Core, unit: Unit, execution: Execution, actor: str, now: datetime) -> Incident:
    """The incident of an execution that a person pointed at: the known one with what is seen now, or a new one."""
    incident = await unit.incidents.lock_by_execution(execution.ref.connection, execution.ref.id)
    if incident is None:
        incident = await unit.incidents.lock_by_root(execution.ref.connection, execution.root)
    if incident is None:
        notice = FailureNotice(ref=execution.ref, key="", name=execution.name, at=execution.ended_at)
        opened = opened_by(notice, core.setup.workspace, now)
        if not (execution.points or execution.pending_points or execution.status is ExecutionStatus.FAILED):
            opened = replace(opened, failures=0, failed_at=None)
        incident = await unit.incidents.add(opened)
        unit.record(entry(incident, AuditAction.INCIDENT_OPENED, actor, now))
    elif incident.state is not IncidentState.OPEN and (execution.points or kills.can_be_ended(core, execution)):
        unit.record(entry(incident, AuditAction.INCIDENT_REOPENED, actor, now))
        incident = await unit.incidents.save(incident, reopened(incident))
    settled = await settle(core, unit, incident, execution, now)
    want_card(unit, settled)
    return settled


def describe_job(incident: Incident) -> Job:
    """The job that reads the engine for an incident."""
    return Job("describe", engine_queue(incident.connection), {"incident_id": incident.id})


def want_card(unit: Unit, incident: Incident, not_before: datetime | None = None) -> None:
    """The incident's card is to stand in its channel and show the state of now."""
    if incident.channel:
        unit.messages.want(
            incident.label,
            "card",
            Rank.CARD,
            workspace=incident.workspace,
            channel=incident.channel,
            not_before=not_before,
        )


def channel_for(core: Core, execution: Execution) -> str | None:
    """Where a failure of this execution belongs."""
    environment = core.setup.connections[execution.ref.connection].environment_of(execution.environment)
    route = core.setup.route(execution.ref.connection, execution.name, environment)
    return route.channel if route else None


def _channel(core: Core, incident: Incident) -> str | None:
    info = core.setup.connections.get(incident.connection)
    own = incident.seen.environment if incident.seen else None
    route = core.setup.route(incident.connection, incident.name, info.environment_of(own) if info else None)
    return route.channel if route else None


async def read_engine(core: Core, incident_id: int) -> None:
    """Ask the engine about an incident and show what it says; trouble is shown too and tried again later."""
    async with core.store.unit() as unit:
        incident = await unit.incidents.lock(incident_id)
    if incident is None:
        return
    try:
        execution = cleaned(await follow_chain(core, incident.ref))
    except NotFound as error:
        await _gone(core, incident_id, str(error))
        return
    except EngineError as error:
        await health.failed(core, incident.connection, error)
        await _unreadable(core, incident_id, clean(str(error), 500))
        return
    await health.answered(core, incident.connection)
    async with core.store.unit() as unit:
        current = await unit.incidents.lock(incident_id)
        if current is not None and current.execution_id == incident.execution_id:
            await settle(core, unit, current, execution, core.now())


async def follow_chain(core: Core, ref: ExecutionRef) -> Execution:
    """The newest execution of the chain that `ref` belongs to, described."""
    engine = core.engine(ref.connection)
    execution = await engine.describe(ref)
    if execution.newest and execution.newest != execution.ref.id:
        with suppress(NotFound):
            return await engine.describe(ExecutionRef(ref.connection, execution.newest))
    return execution


async def settle(core: Core, unit: Unit, incident: Incident, execution: Execution, now: datetime) -> Incident:
    """Store what the engine shows: one incident per chain, routed, its card due; ended when nothing is left to do."""
    before = await _eldest(core, unit, incident, execution, now)
    execution = in_chain(core, before, execution)
    live = await unit.requests.live(execution.ref.connection, execution.root)
    after = described(before, execution, now)
    after, entries = _ended_by(after, execution, now) if live is None else (after, ())
    is_held = after.is_doubtful or await is_held_back(core, unit, after, now)
    after = after if is_held else replace(after, channel=after.channel or _channel(core, after))
    after = await unit.incidents.save(before, after)
    unit.record(*entries)
    await unit.incidents.link(after, execution.chain)
    again = _next_reading(core, after, execution, now)
    await unit.incidents.read_again_at(after.id, again)
    if again is not None and execution.pending_points:  # somebody waits for Retry: not for the sweep
        await unit.enqueue_once(Job("describe_later", TIMER_QUEUE, {"incident_id": after.id}, at=again))
    if after.channel and _shows_otherwise(before, after):
        want_card(unit, after)
    elif after.channel is None and after.state is IncidentState.OPEN and not is_held:
        await _unrouted(core, unit, after, now)
    return after


async def _eldest(core: Core, unit: Unit, incident: Incident, execution: Execution, now: datetime) -> Incident:
    """The oldest incident of the chain; it takes in the other."""
    root = in_chain(core, incident, execution).root
    known = await unit.incidents.lock_by_root(execution.ref.connection, root)
    if known is None or known.id == incident.id:
        known = await elder_by_call(core, unit, incident, execution.ref)
    if known is None:
        return incident
    elder, younger = sorted((known, incident), key=lambda each: each.id)
    unit.messages.change(younger.label, "card")
    await unit.incidents.absorb(elder, younger)
    after, entries = ended(younger, IncidentState.CLOSED, f"the same chain as {elder.label}", now)
    await unit.incidents.save(younger, after)
    unit.record(*entries)
    return elder


def _shows_otherwise(before: Incident, after: Incident) -> bool:
    """Whether a card has to change; that it was read once more is not shown."""
    return replace(before, read_at=None, version=0) != replace(after, read_at=None, version=0)


def _ended_by(incident: Incident, execution: Execution, now: datetime) -> tuple[Incident, tuple[AuditEntry, ...]]:
    if execution.status is ExecutionStatus.SUCCEEDED:
        return ended(incident, IncidentState.RESOLVED, "the engine says that it succeeded", now)
    if execution.status is ExecutionStatus.CANCELLED and not execution.points:
        return ended(incident, IncidentState.CLOSED, "it was cancelled in the engine", now)
    if incident.state is not IncidentState.OPEN and execution.status is ExecutionStatus.FAILED and execution.points:
        after = reopened(incident)
        return after, (entry(after, AuditAction.INCIDENT_REOPENED, BOT_ACTOR, now),)
    return incident, ()


def _next_reading(core: Core, incident: Incident, execution: Execution, now: datetime) -> datetime | None:
    if incident.state is not IncidentState.OPEN:
        return None
    timings, age = core.setup.timings, (now - (incident.failed_at or now)).total_seconds()
    if execution.pending_points:
        return now + seconds(min(max(timings.pending_first, age / 4), timings.pending_longest))
    if not execution.status.is_terminal:
        return now + seconds(min(timings.reread_first, 10.0))
    return now + seconds(min(max(timings.reread_first, age / 4), timings.reread_longest))


async def _gone(core: Core, incident_id: int, reason: str) -> None:
    async with core.store.unit() as unit:
        incident = await unit.incidents.lock(incident_id)
        if incident is None:
            return
        now = core.now()
        never_read = incident.seen is None
        after, entries = ended(incident, IncidentState.CLOSED, f"the engine does not know it: {reason}", now)
        await unit.incidents.save(incident, after)
        unit.record(*entries)
        if never_read:
            unit.record(entry(after, AuditAction.NOTICE_REJECTED, BOT_ACTOR, now, reason=clean(reason, 500)))
        unit.messages.change(after.label, "card")


async def _unreadable(core: Core, incident_id: int, trouble: str) -> None:
    async with core.store.unit() as unit:
        incident = await unit.incidents.lock(incident_id)
        if incident is None or incident.state is not IncidentState.OPEN:
            return
        now = core.now()
        wait = min(seconds(5) + (now - (incident.failed_at or now)) / 2, timedelta(seconds=60))
        await unit.incidents.read_again_at(incident.id, now + wait)
        await unit.enqueue(Job("describe_later", TIMER_QUEUE, {"incident_id": incident.id}, at=now + wait))
        if incident.trouble != trouble:
            await unit.incidents.save(incident, replace(incident, trouble=trouble))
            unit.messages.change(incident.label, "card")


async def route_anyway(core: Core, incident_id: int) -> None:
    """Post the card of an incident whose engine did not say in time what decides its route: with what is known."""
    async with core.store.unit() as unit:
        incident = await unit.incidents.lock(incident_id)
        if incident is None or incident.channel or incident.is_doubtful or incident.state is not IncidentState.OPEN:
            return
        if await is_held_back(core, unit, incident, core.now()):
            await _hold_back(unit, incident, core.now())
            return
        if incident.seen is None:
            await unit.enqueue_once(describe_job(incident))
        channel = _channel(core, incident)
        if channel is None and incident.seen is None:
            channel = next(iter(core.setup.possible_channels(incident.connection, incident.name)), None)
        if channel is None:
            await _unrouted(core, unit, incident, core.now())
            return
        want_card(unit, await unit.incidents.save(incident, replace(incident, channel=channel)))


async def _unrouted(core: Core, unit: Unit, incident: Incident, now: datetime) -> None:
    if not await unit.first_time("unrouted", incident.label, now):
        return
    reason = f"no route matches {incident.connection}:{incident.execution_id} ({incident.name or 'name unknown'})"
    unit.record(entry(incident, AuditAction.MESSAGE_UNDELIVERABLE, BOT_ACTOR, now, reason=reason))
    await health.announce(core, unit, f"unrouted:{incident.label}", f"A failure has no channel: {incident.label}.", reason)


async def read_due(core: Core, incident_ids: Sequence[int]) -> None:
    """Enqueue a reading for each."""
    async with core.store.unit() as unit:
        for incident_id in incident_ids:
            incident = await unit.incidents.lock(incident_id)
            if incident is not None:
                await unit.enqueue_once(describe_job(incident))
                later = core.now() + seconds(core.setup.timings.reread_first)
                await unit.incidents.read_again_at(incident_id, later)


def snooze_job(incident: Incident) -> Job:
    """The job of the moment when a snooze is over."""
    return Job("snooze_over", TIMER_QUEUE, {"incident_id": incident.id}, at=incident.snoozed_until)


async def snooze_over(core: Core, incident_id: int) -> None:
    """Remind whoever snoozed it, unless it has ended or somebody has asked for it; does nothing when early."""
    async with core.store.unit() as unit:
        incident = await unit.incidents.lock(incident_id)
        if incident is None or incident.snoozed_until is None or core.now() < incident.snoozed_until:
            return
        after = await unit.incidents.save(incident, awake(incident))
        want_card(unit, after)
        if after.channel and incident.snoozed_by and await unit.requests.live_of(after) is None:
            key = f"snoozed:{incident.label}:{incident.snoozed_until.timestamp():.0f}"
            sentence = f"💤 The snooze of {incident.label} is over, {mention(incident.snoozed_by)}, and it is still open."
            await unit.messages.announce(key, incident.workspace, after.channel, Answer(sentence), parent=incident.label)


async def reject_notice(core: Core, connection: str, reason: str, body: bytes) -> None:
    """Keep an authenticated notice that cannot be read, and say so in the trail."""
    async with core.store.unit() as unit:
        now = core.now()
        await unit.keep_rejected(connection, clean(reason, 500), body, now)
        unit.record(
            AuditEntry(
                at=now,
                actor=f"engine:{connection}",
                action=AuditAction.NOTICE_REJECTED,
                subject="bot",
                connection=connection,
                data={"reason": clean(reason, 500), "bytes": len(body)},
            )
        )


async def read_later(core: Core, incident_id: int) -> None:
    """The timer of an incident that could not be read: enqueue another reading."""
    async with core.store.unit() as unit:
        incident = await unit.incidents.lock(incident_id)
        if incident is not None and incident.state is IncidentState.OPEN:
            await unit.enqueue_once(describe_job(incident))
