"""Walks of random events over engine, chat, people and presses; whatever happens, the promises hold at the end."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from bot.domain.errors import ChatRateLimited, ChatUnavailable, NotResumable, NotSent, OutcomeUnknown, RateLimited
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.request import RequestState
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, GINA, LEA, NORA, RITA, World, open_world

pytestmark = pytest.mark.anyio
PEOPLE = (RITA, ARNO, LEA) * 4 + (GINA, NORA)
RUNS, STEPS = 5, 60
WALKS = [(209, False), (201, True), (209, True), (212, True)]  # these caught a blind second call that was planted
VERBS = [*[Verb.APPROVE] * 12, Verb.REJECT, Verb.WITHDRAW, Verb.PRESS_AGAIN, Verb.CLOSE]
ENDS = {
    RequestState.SUCCEEDED: "request:outcome:succeeded",
    RequestState.FAILED: "request:outcome:failed",
    RequestState.REJECTED: "request:decision:rejected",
    RequestState.EXPIRED: "request:life:expired",
    RequestState.REFUSED: "request:receipt:refused",
}


@dataclass
class Walk:
    """One walk: draws what happens next."""

    world: World
    draw: random.Random

    async def step(self) -> None:
        """Something happens, some things more often than others."""
        seldom = [self.fail, self.outage, self.lose_jobs, self.pass_time]
        often = [self.fault, self.repair, self.engine_moves]
        events: list[Callable[[], Awaitable[object]]] = [*seldom, *often * 2, *[self.retry, self.decide] * 4]
        await self.draw.choice(events)()
        await self.world.wait(self.draw.choice([0, 0, 1, 3]))

    async def fail(self) -> None:
        """A run has failed, and a notice tells of it, perhaps once more."""
        engine = self.world.engine
        failed = [run for run in engine.runs.values() if run.status is ExecutionStatus.FAILED]
        known = {run.root for run in engine.runs.values()}
        if failed and (len(known) == RUNS or self.draw.random() < 0.2):
            await self.world.report(self.draw.choice(failed))
        elif len(known) < RUNS:
            await self.world.report(engine.fail(len(known) + 1))

    async def retry(self) -> None:
        """Somebody presses Retry."""
        if incidents := await self.world.readings.open_incidents(RUNS):
            await self.world.press(self.draw.choice(PEOPLE), Verb.RETRY, self.draw.choice(incidents))

    async def decide(self) -> None:
        """Somebody presses something on a request, mostly on one that waits."""
        readings, is_old = self.world.readings, self.draw.random() < 0.2
        if requests := await (readings.requests(9) if is_old else readings.live_requests(9)):
            request = self.draw.choice(requests)
            await self.world.press(self.draw.choice(PEOPLE), self.draw.choice(VERBS), request, reason="r")

    async def engine_moves(self) -> None:
        """A run comes to an end."""
        going = [run for run in self.world.engine.runs.values() if run.status is ExecutionStatus.RUNNING]
        if going:
            ends = [ExecutionStatus.FAILED] * 4 + [ExecutionStatus.SUCCEEDED, ExecutionStatus.CANCELLED]
            end = self.draw.choice(ends)
            self.world.engine.end(self.draw.choice(going).id, end)

    async def outage(self) -> None:
        """Something breaks until it is repaired."""
        match self.draw.randrange(3):
            case 0:
                self.world.engine.down = NotSent("connection refused")
            case 1:
                self.world.chat.down = ChatUnavailable("unreachable")
            case _:
                self.world.people.down = ChatUnavailable("unreachable")

    async def fault(self) -> None:
        """The next call goes wrong."""
        engine, lost = self.world.engine, OutcomeUnknown("no answer in 20 s")
        match self.draw.randrange(6):
            case 0:
                engine.answer_lost = lost
            case 1:
                engine.faults.add("resume", lost)
            case 2:
                engine.faults.add("resume", self.draw.choice([NotSent("refused"), RateLimited("slow", 9.0)]))
            case 3:
                engine.faults.add("resume", NotResumable("not now"))
            case 4:
                engine.arrives_after = self.draw.choice([2.0, 20.0, 60.0])
            case _:
                self.world.chat.faults.add(self.draw.choice(["post", "update"]), ChatRateLimited(9.0))

    async def repair(self) -> None:
        """What was broken works again."""
        self.world.engine.down = self.world.chat.down = self.world.people.down = None

    async def lose_jobs(self) -> None:
        """As a crash loses them."""
        if self.draw.random() < 0.3:
            await self.world.drop_jobs()

    async def pass_time(self) -> None:
        """More of it than between other events."""
        await self.world.live(self.draw.choice([30, 90]))

    async def come_to_rest(self) -> None:
        """All works again, runs end whenever they were begun, and time passes."""
        await self.repair()
        self.world.engine.answer_lost = self.world.engine.arrives_after = None
        for _ in range(5):
            await self.world.live(90)
            for run in self.world.engine.runs.values():
                if run.status is ExecutionStatus.RUNNING:
                    run.move(ExecutionStatus.SUCCEEDED)
        await self.world.live(60)


async def check_calls(world: World) -> None:
    """At most one call of a request took effect, recorded before, and approved by somebody other than who asked."""
    sent = [entry["data"]["call"] for entry in await world.trail(action="request:call:sent")]
    effects = Counter(call.key.rpartition("-")[0] for call in world.engine.effects)
    assert len(sent) == len(set(sent))
    assert {call.key for call in world.engine.calls} <= set(sent)
    assert set(effects.values()) <= {1}
    for label in effects:
        approvers = {entry["actor"] for entry in await world.trail(action="request:decision:approved", request=label)}
        requested = (await world.trail(action="request:resume:requested", request=label))[0]["actor"]
        assert approvers - {requested}


async def check_requests(world: World) -> None:
    """Every request has come to its end, or waits for people; the trail names the end once."""
    for request in await world.readings.requests(100):
        assert not request.state.is_live or request.state in {RequestState.PENDING, RequestState.UNKNOWN}
        if end := ENDS.get(request.state):
            assert (await world.tags(request=request.label)).count(end) == 1


async def check_messages(world: World) -> None:
    """One card an incident, true to the engine; nothing waits to be sent."""
    assert await world.outbox.due_again_at(f"T0HOME:{DEPLOYS}", world.clock.now()) is None
    for incident in await world.readings.incidents(range(1, RUNS + 1)):
        run = world.engine.runs[incident.execution_id]
        (card,) = [post for post in world.chat.in_channel(DEPLOYS) if f"({run.id} on orders)" in post.text]
        newest = await world.readings.newest_request(incident.id)
        if run.status is ExecutionStatus.SUCCEEDED:
            assert incident.state is IncidentState.RESOLVED
            assert "Succeeded" in card.text
            assert "Retry" not in card.text
        elif run.status is ExecutionStatus.FAILED and not (newest and newest.state.is_live):
            assert "Retry" in card.text


@pytest.mark.parametrize(("seed", "starts_new"), WALKS)
async def test_whatever_happens_the_promises_hold(database: str, seed: int, starts_new: bool) -> None:
    clock = FakeClock()
    engine = FakeEngine("orders", clock, starts_new=starts_new, proves_absence=seed % 2 == 0)
    async with open_world(database, engines=[engine], clock=clock) as world:
        walk = Walk(world, random.Random(seed))
        for _ in range(STEPS):
            await walk.step()
        await walk.come_to_rest()

        await check_calls(world)
        await check_requests(world)
        await check_messages(world)
