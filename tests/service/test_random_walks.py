"""Walks of random events over engine, chat, people and presses; whatever happens, the promises hold at the end."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from bot.domain.errors import ChatRateLimited, ChatUnavailable, NotResumable, NotSent, OutcomeUnknown, RateLimited
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.policy import Policy
from bot.domain.request import RequestState
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, GINA, LEA, NORA, RITA, World, open_world

pytestmark = pytest.mark.anyio
PEOPLE = (RITA, ARNO, LEA, GINA, NORA)
RUNS, STEPS, SEEDS = 3, 60, 3
VERBS = [Verb.APPROVE, Verb.APPROVE, Verb.APPROVE, Verb.REJECT, Verb.WITHDRAW, Verb.PRESS_AGAIN, Verb.CLOSE]
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
        seldom = [self.fail, self.trouble, self.repair, self.lose_jobs]
        often = [self.retry, self.engine_moves, self.pass_time]
        events: list[Callable[[], Awaitable[object]]] = [*seldom, *often * 2, *[self.decide] * 3]
        await self.draw.choice(events)()

    async def fail(self) -> None:
        """A run has failed, and a notice tells of it."""
        engine, number = self.world.engine, self.draw.randint(1, RUNS)
        run = engine.runs.get(f"run-{number}") or engine.fail(number)
        if run.status is ExecutionStatus.FAILED:
            await self.world.report(run)

    async def retry(self) -> None:
        """Somebody presses Retry."""
        if incident := await self.world.readings.incident(self.draw.randint(1, RUNS)):
            await self.world.press(self.draw.choice(PEOPLE), Verb.RETRY, incident)

    async def decide(self) -> None:
        """Somebody presses something on a request, new or old."""
        if requests := await self.world.readings.requests(6):
            request = self.draw.choice(requests)
            await self.world.press(self.draw.choice(PEOPLE), self.draw.choice(VERBS), request, reason="r")

    async def engine_moves(self) -> None:
        """A run comes to an end."""
        going = [run for run in self.world.engine.runs.values() if run.status is ExecutionStatus.RUNNING]
        if going:
            end = self.draw.choice([ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
            self.world.engine.end(self.draw.choice(going).id, end)

    async def trouble(self) -> None:
        """Something breaks, or the next call does."""
        world, engine = self.world, self.world.engine
        match self.draw.randrange(8):
            case 0:
                engine.down = NotSent("connection refused")
            case 1:
                world.chat.down = ChatUnavailable("unreachable")
            case 2:
                world.people.down = ChatUnavailable("unreachable")
            case 3:
                engine.answer_lost = OutcomeUnknown("no answer in 20 s")
            case 4:
                engine.faults.add("resume", OutcomeUnknown("no answer in 20 s"))
            case 5:
                engine.faults.add("resume", self.draw.choice([NotSent("refused"), RateLimited("slow", 9.0)]))
            case 6:
                engine.faults.add("resume", NotResumable("not now"))
            case _:
                world.chat.faults.add(self.draw.choice(["post", "update"]), ChatRateLimited(9.0))

    async def repair(self) -> None:
        """What was broken works again."""
        self.world.engine.down = self.world.chat.down = self.world.people.down = None

    async def lose_jobs(self) -> None:
        """As a crash loses them."""
        if self.draw.random() < 0.3:
            await self.world.drop_jobs()

    async def pass_time(self) -> None:
        """Jobs run."""
        await self.world.wait(self.draw.choice([0, 1, 7, 40]))
        if self.draw.random() < 0.3:
            await self.world.live(30)

    async def come_to_rest(self) -> None:
        """All works again, runs end whenever they were begun, and time passes."""
        await self.repair()
        self.world.engine.answer_lost = None
        for _ in range(5):
            await self.world.live(90)
            for run in self.world.engine.runs.values():
                if run.status is ExecutionStatus.RUNNING:
                    run.move(ExecutionStatus.SUCCEEDED)
        await self.world.live(60)


async def check_calls(world: World) -> None:
    """At most one call of a request took effect, recorded before, and approved by two people other than who asked."""
    sent = [entry["data"]["call"] for entry in await world.trail(action="request:call:sent")]
    effects = Counter(call.key.rpartition("-")[0] for call in world.engine.effects)
    assert len(sent) == len(set(sent))
    assert {call.key for call in world.engine.calls} <= set(sent)
    assert set(effects.values()) <= {1}
    for label in effects:
        approvers = {entry["actor"] for entry in await world.trail(action="request:decision:approved", request=label)}
        requested = (await world.trail(action="request:resume:requested", request=label))[0]["actor"]
        assert len(approvers - {requested}) >= 2


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


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("starts_new", [False, True], ids=["same run", "new runs"])
async def test_whatever_happens_the_promises_hold(database: str, seed: int, starts_new: bool) -> None:
    clock = FakeClock()
    engine = FakeEngine("orders", clock, starts_new=starts_new, proves_absence=seed % 2 == 0)
    async with open_world(database, Policy("two", approvals=2), engines=[engine], clock=clock) as world:
        walk = Walk(world, random.Random(seed))
        for _ in range(STEPS):
            await walk.step()
        await walk.come_to_rest()

        await check_calls(world)
        await check_requests(world)
        await check_messages(world)
