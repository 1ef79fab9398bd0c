"""The services over the real store, with fake engine, chat, people and clock; jobs run when a test lets them.

world.report(run) ─▶ jobs wait ─▶ world.work() runs what is due, world.wait(seconds) lets time pass and runs what comes due
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.incident import Incident
from bot.domain.policy import PersonKind, Policy
from bot.domain.ports import Engine
from bot.domain.request import Request
from bot.domain.setup import ConnectionInfo, Route, Setup, Timings
from bot.jobs import Work
from bot.parts import Parts, groups_of
from bot.service.commands import Commands, Order, take_order
from bot.service.core import Core, Life
from bot.service.delivery import Delivery
from bot.service.forms import Forms
from bot.service.incidents import report_failure
from bot.service.presses import Outcome, Press, Verb, press
from bot.service.reports import Reports
from bot.service.unit import Place
from bot.store.outbox import SqlOutbox
from bot.store.queries import SqlSweepReadings
from bot.store.unit_of_work import SqlStore
from tests.fake_engine import Run
from tests.fakes import FakeChat, FakeClock, FakeEngine, FakePeople, Post, Whisper, open_store

HOME, DEPLOYS, OTHER, AUDIT = "T0HOME", "C0DEPLOYS", "C0OTHER", "C0AUDIT"
RITA, ARNO, LEA, GINA, OLGA, NORA = "U0RITA", "U0ARNO", "U0LEA", "U0GINA", "U0OLGA", "U0NORA"
STEPS = 2000  # more jobs than any test needs: a loop of jobs is a fault
NEXT_DUE = text("SELECT min(scheduled_at) FROM jobs.procrastinate_jobs WHERE status = 'todo' AND scheduled_at > :now")
TAKE = text(
    "DELETE FROM jobs.procrastinate_jobs WHERE id = (SELECT min(id) FROM jobs.procrastinate_jobs WHERE status = 'todo'"
    " AND (scheduled_at IS NULL OR scheduled_at <= :now)) RETURNING queue_name, task_name, args"
)


@dataclass
class World:
    """All of it; what a test looks at, and what it does."""

    store: SqlStore
    hand: AsyncConnection  # takes jobs, each statement by itself
    core: Core
    clock: FakeClock
    chat: FakeChat
    people: FakePeople
    engine: FakeEngine
    readings: SqlSweepReadings
    outbox: SqlOutbox
    delivery: Delivery
    commands: Commands
    forms: Forms
    done: list[str] = field(default_factory=list)  # tasks that ran
    _tasks: dict[str, dict[str, Work]] = field(default_factory=dict)
    _pressed: int = 0

    # ---- jobs ----------------------------------------------------------------------------

    async def work(self) -> None:
        """Run what is due, in order, until nothing is."""
        for _ in range(STEPS):
            job = (await self.hand.execute(TAKE, {"now": self.clock.now()})).one_or_none()
            if job is None:
                return
            self.done.append(job.task_name)
            await self._tasks[job.queue_name][job.task_name](**job.args)
        raise AssertionError(f"jobs without an end: {self.done[-10:]}")

    async def wait(self, seconds: float) -> None:
        """Let time pass, and run each job when it comes due."""
        end = self.clock.now() + timedelta(seconds=seconds)
        await self.work()
        while True:
            due = (await self.hand.execute(NEXT_DUE, {"now": self.clock.now()})).scalar_one()
            step = min(due, end) if due else end
            self.clock.let_pass((step - self.clock.now()).total_seconds())
            await self.work()
            if self.clock.now() >= end:
                return

    async def waiting_jobs(self, task: str | None = None) -> list[dict[str, Any]]:
        """Arguments of the jobs that wait, of one task or all."""
        condition = "AND task_name = :task" if task else ""
        query = text(f"SELECT args FROM jobs.procrastinate_jobs WHERE status = 'todo' {condition} ORDER BY id")
        async with self.store.engine.connect() as connection:
            return list((await connection.execute(query, {"task": task} if task else {})).scalars())

    async def drop_jobs(self) -> None:
        """As after a crash between two lines, or a wake-up that was lost."""
        async with self.store.engine.begin() as connection:
            await connection.execute(text("DELETE FROM jobs.procrastinate_jobs"))

    async def run_task(self, queue: str, task: str, **args: Any) -> None:
        """One job out of its turn, and what follows from it."""
        await self._tasks[queue][task](**args)
        await self.work()

    async def sweep(self) -> None:
        """What comes by itself every half minute."""
        await self.run_task("timer", "sweep")

    async def live(self, seconds: float) -> None:
        """Let time pass, with a sweep every half minute and people read every minute."""
        for half_minute in range(int(seconds // 30)):
            await self.wait(30)
            await self.sweep()
            if half_minute % 2:
                await self.run_task("slack", "read_people")

    # ---- what happens --------------------------------------------------------------------

    async def report(self, run: Run, key: str = "", *, with_name: bool = True) -> None:
        """A notice of the run arrives."""
        engine = next(one for one in self.core.engines.values() if isinstance(one, FakeEngine) and run.id in one.runs)
        await report_failure(self.core, engine.notice(run.id, key, with_name=with_name), "hook")

    async def failed(self, number: int = 1, **details: object) -> Incident:
        """A run has failed, was told of, and its card stands there."""
        await self.report(self.engine.fail(number, **details))
        await self.wait(3)
        found = await self.readings.find_incident(self.engine.connection, f"{self.engine.prefix}-{number}")
        assert found is not None
        return found

    async def press(self, user: str, verb: Verb, subject: Incident | Request, **changes: Any) -> Outcome:
        """Somebody presses; each press is a new one unless `key` says otherwise."""
        self._pressed += 1
        place = Place(HOME, user, DEPLOYS, response_url=f"https://hooks.slack.com/{user}/{self._pressed}")
        place = replace(place, **{key: changes.pop(key) for key in list(changes) if key in place.__dict__})
        self.chat.urls[place.response_url or ""] = user
        made = Press(verb, f"press-{self._pressed}", place, subject.id, isinstance(subject, Request), HOME)
        return await press(self.core, replace(made, **changes))

    async def command(self, user: str, verb: str, argument: str = "", stage: str = "", **changes: Any) -> Whisper:
        """Somebody types; the answer they get."""
        self._pressed += 1
        url = f"https://hooks.slack.com/commands/{self._pressed}"
        self.chat.urls[url] = user
        place = Place(HOME, user, DEPLOYS, response_url=url)
        place = replace(place, **{key: changes.pop(key) for key in list(changes) if key in place.__dict__})
        order = Order(f"command-{self._pressed}", place, place.workspace, verb, argument, stage)
        assert await take_order(self.core, replace(order, **changes))
        await self.work()
        return self.told(user)

    async def asked(self, incident: Incident, user: str = RITA, choice: str = "", **changes: Any) -> Request:
        """Somebody presses Retry; the request, its question posted."""
        outcome = await self.press(user, Verb.RETRY, incident, choice=choice, **changes)
        assert not outcome.is_refusal, outcome
        await self.work()
        return await self.newest(incident)

    # ---- what there is to see ------------------------------------------------------------

    async def newest(self, incident: Incident) -> Request:
        """The newest request of an incident."""
        found = await self.readings.newest_request(incident.id)
        assert found is not None
        return found

    async def again(self, request: Request) -> Request:
        """The request as it is now."""
        found = await self.readings.request(request.id)
        assert found is not None
        return found

    async def incident(self, number: int = 1) -> Incident:
        """An incident as it is now."""
        found = await self.readings.incident(number)
        assert found is not None
        return found

    def card(self, number: int = 0, channel: str = DEPLOYS) -> Post:
        """A message outside threads."""
        return self.chat.in_channel(channel)[number]

    def thread(self, number: int = 0) -> list[str]:
        """What the messages below a card say now."""
        return [post.text for post in self.chat.in_thread(self.card(number))]

    def told(self, user: str) -> Whisper:
        """The last thing a person was told."""
        return [whisper for whisper in self.chat.whispers if whisper.user == user][-1]

    async def trail(self, **fields: str) -> list[dict[str, Any]]:
        """The audit entries that have these fields, oldest first."""
        async with self.store.engine.connect() as connection:
            rows = (await connection.execute(text("SELECT id, entry FROM audit_entries ORDER BY id"))).all()
        entries = [{"id": row.id, **json.loads(row.entry)} for row in rows]
        return [entry for entry in entries if fields.items() <= entry.items()]

    async def tags(self, **fields: str) -> list[str]:
        """The actions of those entries."""
        return [entry["action"] for entry in await self.trail(**fields)]


SETUP = Setup(
    workspace=HOME,
    connections={"orders": ConnectionInfo("orders", "fake", "Fake")},
    routes=(Route({}, DEPLOYS),),
    audit_channel=AUDIT,
    timings=Timings(lane_pause=0.0),
)


def people_of_home() -> FakePeople:
    """Rita, Arno and Lea are members of the channel; Gina is a guest there, Nora a member elsewhere, Olga of another firm."""
    kinds = dict.fromkeys((RITA, ARNO, LEA, NORA), PersonKind.MEMBER)
    return FakePeople(
        kinds={**kinds, GINA: PersonKind.GUEST, OLGA: PersonKind.FOREIGN},
        groups={"S0DEVS": {RITA, ARNO}, "S0RELEASE": {LEA, ARNO}},
        channels={DEPLOYS: {RITA, ARNO, LEA, GINA, OLGA}, OTHER: {NORA}},
    )


@asynccontextmanager
async def open_world(
    database: str, *policies: Policy, engines: list[FakeEngine] | None = None, clock: FakeClock | None = None, **setup: Any
) -> AsyncIterator[World]:
    """A world with these policies, everybody's facts read; the first engine is *the* engine."""
    clock = clock or FakeClock()
    engines = engines or [FakeEngine("orders", clock)]
    chat, people, life = FakeChat(), people_of_home(), Life()
    infos = {engine.connection: ConnectionInfo(engine.connection, "fake", "Fake") for engine in engines}
    made = replace(SETUP, **{"policies": policies, "connections": infos, **setup})
    ports: dict[str, Engine] = {engine.connection: engine for engine in engines}
    async with open_store(database, clock) as store, store.engine.connect() as hand:
        await hand.execution_options(isolation_level="AUTOCOMMIT")
        core = Core(store, made, clock, ports, chat, people, life)
        outbox, readings = SqlOutbox(store), SqlSweepReadings(store.engine)
        world = World(
            store=store,
            hand=hand,
            core=core,
            clock=clock,
            chat=chat,
            people=people,
            engine=engines[0],
            readings=readings,
            outbox=outbox,
            delivery=Delivery(core, outbox, readings),
            commands=Commands(core, Reports(core, readings)),
            forms=Forms(core, readings),
        )
        world._tasks = {group.queue: dict(group.tasks) for group in groups_of(cast("Parts", world), "")}
        await _know_people(world)
        yield world


async def _know_people(world: World) -> None:
    """All that counts was read, as the first round does it, in one go."""
    setup, people, now = world.core.setup, world.people, world.clock.now()
    named = {word for policy in setup.policies for word in (*policy.requesters, *policy.approvers)}
    groups = {**people.groups, **people.channels}
    async with world.store.unit() as unit:
        for group in sorted((setup.followed_groups | setup.followed_channels) & groups.keys()):
            named |= groups[group]
            unit.directory.save_members(HOME, group, groups[group], now)
        for user in sorted(named & people.kinds.keys()):
            unit.directory.save_kind(HOME, user, people.kinds[user], now)
