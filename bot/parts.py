"""Everything a process is made of, put together with explicit arguments; nothing here runs by itself.

Settings ─▶ engine of the database ─▶ store, outbox, readings ─▶ Core ─▶ delivery, commands, forms, hooks ─▶ groups of workers
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.config import Settings
from bot.config_tables import Connection
from bot.domain.audit import AuditAction, AuditEntry
from bot.domain.messages import Answer, Tone
from bot.domain.policy import BOT_ACTOR
from bot.domain.ports import Clock, Engine, Throttle
from bot.domain.setup import Setup, Timings
from bot.engines import calls_of_a_resume, engine_class
from bot.ingest.poll import poll
from bot.jobs import Group, Periodic, Work, rescue, tick_for
from bot.service import carry_out, incidents, people, presses, requests, watch
from bot.service.commands import Commands
from bot.service.core import Core, Life
from bot.service.delivery import Delivery
from bot.service.forms import Forms
from bot.service.reports import Reports
from bot.service.sweep import sweep
from bot.service.unit import LOOKUP_QUEUE, SLACK_QUEUE, TIMER_QUEUE, engine_queue
from bot.slack.chat import SlackChat
from bot.slack.directory import SlackPeople
from bot.store.outbox import SqlOutbox
from bot.store.queries import SqlSweepReadings
from bot.store.seals import seal
from bot.store.throttle import SqlThrottle
from bot.store.unit_of_work import SqlStore

log = logging.getLogger(__name__)
SEAL_TOLD_EVERY = timedelta(minutes=10)


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    def boot(self) -> float:
        """Seconds since the machine started, sleep included."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Identity:
    """Who we are in the chat."""

    workspace: str
    bot_user: str
    bot_id: str = ""
    url: str = ""  # of the workspace, where people read it


@dataclass(frozen=True)
class Parts:
    """What web, workers and commands are made from."""

    core: Core
    store: SqlStore
    readings: SqlSweepReadings
    outbox: SqlOutbox
    delivery: Delivery
    commands: Commands
    forms: Forms
    chat: SlackChat
    client: AsyncWebClient
    session: aiohttp.ClientSession
    identity: Identity
    life: Life

    async def close(self) -> None:
        """Close connections to engines, chat and database."""
        for engine in self.core.engines.values():
            await engine.aclose()
        await self.session.close()
        await self.store.close()


def slack_client(settings: Settings, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client without retries: rows say what is due."""
    token = settings.slack_bot_token.get_secret_value() if settings.slack_bot_token else ""
    client = AsyncWebClient(token=token, base_url=settings.slack_api_url, session=session, retry_handlers=[])
    if urlsplit(settings.slack_api_url).hostname in {"127.0.0.1", "::1", "localhost"}:
        client.proxy = None  # the environment's leads out of this machine, not back into it
    return client


def make_engines(settings: Settings, throttle_of: Callable[[Connection], Throttle]) -> Mapping[str, Engine]:
    """An engine object for each connection."""
    return {one.name: engine_class(one.engine)(one.name, one.settings, throttle_of(one)) for one in settings.connections}


def shared_throttles(
    database: AsyncEngine, clock: Clock, connections: Sequence[Connection]
) -> Callable[[Connection], Throttle]:
    """The budgets that all processes on this database share, one for each account; its strictest rate holds for all."""

    def throttle_of(connection: Connection) -> Throttle:
        rates = [one.rate for one in connections if one.budget == connection.budget and one.rate]
        rate = min(rates, key=lambda one: one.calls / one.seconds, default=None)
        sequence = calls_of_a_resume(engine_class(connection.engine))
        bucket = rate.bucket(sequence) if rate else None
        burst, a_second = bucket or (0.0, 0.0)
        return SqlThrottle(database, connection.name, a_second, burst, clock, key=connection.budget, sequence=sequence)

    return throttle_of


def assemble(
    settings: Settings,
    database: AsyncEngine,
    client: AsyncWebClient,
    session: aiohttp.ClientSession,
    identity: Identity,
    *,
    timings: Timings | None = None,
) -> Parts:
    """All parts of a process on these connections."""
    clock, life = SystemClock(), Life()
    setup: Setup = settings.setup(identity.workspace, timings or Timings())
    store = SqlStore(database, clock)
    outbox, readings = SqlOutbox(store), SqlSweepReadings(database)
    chat = SlackChat(client, session)
    people_port = SlackPeople(client, identity.workspace)
    engines = make_engines(settings, shared_throttles(database, clock, settings.connections))
    core = Core(store, setup, clock, engines, chat, people_port, life)
    return Parts(
        core=core,
        store=store,
        readings=readings,
        outbox=outbox,
        delivery=Delivery(core, outbox, readings),
        commands=Commands(core, Reports(core, readings)),
        forms=Forms(core, readings),
        chat=chat,
        client=client,
        session=session,
        identity=identity,
        life=life,
    )


def groups_of(parts: Parts, conninfo: str) -> list[Group]:
    """The groups of workers of a process that does all the work."""
    core, timings = parts.core, parts.core.setup.timings
    slack: dict[str, Work] = {
        "deliver": parts.delivery.deliver,
        "wake": parts.outbox.wake,
        "read_group": partial(people.refresh_group, core),
        "read_people": partial(people.refresh_all, core),
        "delete_orphan": partial(presses.delete_orphan, core),
    }
    timer: dict[str, Work] = {
        "expire": partial(requests.expire, core),
        "remind": partial(requests.remind, core),
        "carry_out_later": partial(carry_out.carry_out_again, core),
        "describe_later": partial(incidents.read_later, core),
        "route": partial(incidents.route_anyway, core),
        "snooze_over": partial(incidents.snooze_over, core),
        "sweep": partial(sweep, core, parts.readings, parts.outbox),
        "rescue": partial(rescue, conninfo, timings.takeover),
        "seal": partial(seal_and_tell, parts),
    }
    lookup: dict[str, Work] = {"look_up": parts.commands.look_up, "lookup_tick": _nothing}
    every_minute = Periodic("lookup_tick", 60)
    return [
        Group("slack", SLACK_QUEUE, 8, 0.25, slack, [Periodic("read_people", timings.membership_every)]),
        Group(
            "timer",
            TIMER_QUEUE,
            2,
            min(2.0, timings.rescue_every),
            timer,
            [
                Periodic("sweep", timings.sweep_every),
                Periodic("rescue", timings.rescue_every),
                Periodic("seal", timings.seal_every),
            ],
        ),
        Group("lookup", LOOKUP_QUEUE, 8, 2.0, lookup, [every_minute]),
        *[_engine_group(core, name, timings) for name in core.engines],
    ]


def _engine_group(core: Core, connection: str, timings: Timings) -> Group:
    tasks: dict[str, Work] = {
        "describe": partial(incidents.read_engine, core),
        "carry_out": partial(carry_out.carry_out, core),
        "watch": partial(watch.watch, core),
        f"poll {connection}": partial(poll, core, connection),
    }
    every = core.setup.connections[connection].poll_seconds or 60
    interval = min(2.0, timings.watch_longest)
    tick = Periodic(f"poll {connection}", tick_for(every))
    return Group(f"engine {connection}", engine_queue(connection), 4, interval, tasks, [tick])


async def _nothing() -> None:
    """Keeps a worker from going deaf: an app without a periodic task does."""


async def seal_and_tell(parts: Parts) -> None:
    """Seal what was written since the last seal; the newest seal goes to the log, and now and then to the audit channel."""
    sealed = await seal(parts.store.engine, parts.core.clock)
    if sealed is None:
        return
    anchor = {"no": sealed.no, "last_id": sealed.last_id, "sha256": sealed.sha256}
    log.info("audit sealed", extra=anchor)
    channel, now = parts.core.setup.audit_channel, parts.core.now()
    if channel is None:
        return
    slot = int(now.timestamp() // SEAL_TOLD_EVERY.total_seconds())
    async with parts.store.unit() as unit:
        sentence = f"Audit seal no. {sealed.no} up to entry {sealed.last_id}: `{sealed.sha256}`"
        shown = Answer(sentence, Tone.INFO)
        await unit.messages.announce(f"seal:{slot}", parts.core.setup.workspace, channel, shown)


async def record_job_failure(core: Core, task: str, job: int | None, fault: Exception) -> None:
    """A failed job is an entry of the trail; which arguments it had stands in the log."""
    async with core.store.unit() as unit:
        data = {"task": task, "job": job, "fault": type(fault).__name__}
        entry = AuditEntry(at=core.now(), actor=BOT_ACTOR, action=AuditAction.JOB_FAILED, subject="bot", data=data)
        unit.record(entry)


async def record_start(core: Core, action: AuditAction, version: str, roles: Sequence[str]) -> None:
    """That a process started or stopped, with its version and the digest of its policies."""
    async with core.store.unit() as unit:
        data = {"version": version, "policies": core.setup.policies_digest, "roles": list(roles)}
        unit.record(AuditEntry(at=core.now(), actor=BOT_ACTOR, action=action, subject="bot", data=data))
