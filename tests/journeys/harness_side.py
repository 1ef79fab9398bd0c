"""The whole bot in this process between a simulated Slack and one generation of a simulated Harness that really pushes.

people ─▶ Slack ─▶ bot ─▶ simulator, its calls recorded
            bot ◀─ hooks ── rules of the simulator, each delivered `copies` times
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.setup import Timings
from bot.simulators.harness_faults import Call, Faults
from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_hooks import Pusher, Rule, firstgen_observer, nextgen_observer
from bot.simulators.harness_nextgen import NextGenSimulator
from bot.simulators.harness_samples import ORG, PROJECT, firstgen_shop, nextgen_shop
from bot.simulators.harness_world import Pipeline, Progress, Run, World
from bot.simulators.serving import serve
from bot.simulators.slack import Ack, Message
from tests.in_process import ARNO, DEPLOYS, HOOK_SECRET, QUICK, RITA, Bot, Seam, opened, seen, until, words_of

CONNECTION, KEY = "shop", "pat.acc.key-of.a-test"
PATIENCE = 20.0
STEP_SECONDS = 0.01
OFTEN = 50  # tries
CONFIGURATION = """
[slack]
audit_channel = "C0AUDIT"

[[connections]]
name = "shop"
{connection}
token = "env:SHOP_TOKEN"
hook_secret = "env:SHOP_HOOK"
poll_seconds = {poll_seconds}

[[routes]]
match = {{ connection = "shop", name = "Deploy*" }}
channel = "C0DEPLOYS"

[[policies]]
name = "journeys"
requesters = ["channel"]
approvers = ["S0RELEASE", "U0RITA"]
"""


@dataclass
class Side:
    """One generation: its world, the calls that came in, and how its two calls with effect are labelled."""

    settings: str  # of the connection, but for the address
    world: World
    calls: Faults
    shop: Pipeline
    resume: str
    start: str
    broken: str  # the one of three parallel members that fails
    events: frozenset[str]  # what a team has its rules tell of
    rules: Pusher = field(default_factory=Pusher)

    def fail(self, *, inputs: str | None = None) -> Run:
        """A run on its way to fail in one member of its parallel group, and so will all that continue it."""
        self.world.plan(self.broken, *[Progress.FAILED] * OFTEN, message="the region did not answer")
        return self.world.start(self.shop, inputs=inputs)

    def repair(self) -> None:
        """From now on every stage passes."""
        self.world.repair(self.broken)

    @property
    def resumes(self) -> list[Call]:
        """The resume calls that came in."""
        return [call for call in self.calls.calls if call.label == self.resume]

    @property
    def starts(self) -> list[Call]:
        """The calls that start something that came in."""
        return [call for call in self.calls.calls if call.label == self.start]

    def after(self, run: Run) -> list[Run]:
        """The runs that began after it, oldest first."""
        return sorted(
            (one for one in self.world.runs.values() if one.created_at > run.created_at), key=lambda one: one.created_at
        )


def firstgen(base: str) -> Side:
    """FirstGen on an address."""
    simulator = FirstGenSimulator(keys=(KEY,), world=World(step_seconds=STEP_SECONDS), calls_per_minute=10_000)
    simulator.public_url = base
    side = Side(
        settings=f'engine = "harness_firstgen"\nbase_url = "{base}"\naccount = "{simulator.estate.account}"',
        world=simulator.world,
        calls=simulator.faults,
        shop=firstgen_shop(simulator),
        resume="resumeExecution",
        start="startExecution",
        broken="el-deploy-us",
        events=frozenset({"pipeline_end"}),
    )
    side.world.observers.append(firstgen_observer(simulator.estate, side.rules))
    return side


def nextgen(base: str) -> Side:
    """NextGen on an address."""
    simulator = NextGenSimulator(world=World(step_seconds=STEP_SECONDS))
    simulator.tokens, simulator.public_url = {KEY: simulator.tokens[simulator.token]}, base
    place = f'account = "{simulator.account}"\norg = "{ORG}"\nproject = "{PROJECT}"'
    side = Side(
        settings=f'engine = "harness_nextgen"\nbase_url = "{base}"\n{place}',
        world=simulator.world,
        calls=simulator.faults,
        shop=nextgen_shop(simulator),
        resume="POST /pipeline/execute/retry/shop",
        start="POST /pipeline/execute/shop",
        broken="deploy_us",
        events=frozenset({"PipelineFailed", "PipelineEnd", "StageFailed"}),
    )
    side.world.observers.append(nextgen_observer(simulator.account, simulator.links, side.rules))
    return side


GENERATIONS: dict[str, Callable[[str], Side]] = {"firstgen": firstgen, "nextgen": nextgen}


@dataclass
class Journey:
    """What people do and see; `side` is what really happens in Harness."""

    bot: Bot
    side: Side

    # ---- what people do ------------------------------------------------------------------

    async def failed(self, **how: Any) -> tuple[Run, Message]:
        """A run that has failed and its card, from which it can be resumed."""
        run = await self.side.world.over(self.side.fail(**how))
        return run, await self.card(run, "Retry")

    async def choose(self, card: Message, label: str) -> None:
        """Rita chooses a stage on the card."""
        block, select = _stages(card)
        (value,) = [option["value"] for option in select["options"] if option["text"]["text"] == label]
        ack = await self.bot.slack.choose(RITA, card.channel, card.ts, block, select["action_id"], value=value)
        assert ack.status == 200

    async def ask(self, card: Message) -> Message:
        """Rita presses Retry; the question to those who may approve."""
        questions = len(self.questions(card))
        assert (await self.bot.press(RITA, card, "Retry")).status == 200
        await seen(lambda: len(self.questions(card)) > questions, "question to the approvers", PATIENCE)
        return self.questions(card)[-1]

    async def approve(self, question: Message, user: str = ARNO) -> Ack:
        """Somebody presses Approve."""
        ack = await self.bot.press(user, question, "Approve")
        assert ack.status == 200
        return ack

    # ---- what there is to see ------------------------------------------------------------

    def cards(self) -> list[Message]:
        """The messages outside threads in the channel of the deployments, oldest first."""
        return [m for m in self.bot.slack.messages if m.channel == DEPLOYS and not m.thread_ts and m.to is None]

    def questions(self, parent: Message) -> list[Message]:
        """The messages below it that can be approved, oldest first."""
        below = [m for m in self.bot.slack.messages if m.thread_ts == parent.ts and m.to is None]
        return [message for message in below if _has(message, "Approve")]

    async def card(self, run: Run, label: str = "", words: str = "") -> Message:
        """The newest card that shows the run, once it has such a button and says these words."""
        return await seen(
            lambda: next((m for m in self.cards() if _shows(m, run) and words in words_of(m) and _has(m, label)), None),
            f"card of {run.identifier} with “{label}” and “{words}”",
            PATIENCE,
        )

    async def reads(self, parent: Message, words: str) -> Message:
        """The line below a message with these words, once it is there."""
        return await seen(lambda: self.bot.find(words, thread=parent.ts), f"“{words}” in the thread", PATIENCE)

    async def request(self, number: int, state: str) -> None:
        """Wait until a request has come to a state."""
        query = "SELECT id FROM requests WHERE id = %s AND state = %s"
        await until(lambda: self.bot.ask(query, number, state), f"req-{number} {state}", PATIENCE)

    async def polled_since(self, run: Run) -> None:
        """Wait until Harness was asked for failures after the run had ended, and what it said was taken."""
        assert run.ended_at is not None
        query = "SELECT name FROM connections WHERE polled_to > to_timestamp(%s)"
        await until(lambda: self.bot.ask(query, run.ended_at / 1000), "poll since", PATIENCE)  # type: ignore[operator]

    async def trail(self, request: str) -> list[dict[str, Any]]:
        """The entries of a request, oldest first."""
        return [entry for entry in await self.bot.trail() if entry["request"] == request]


def stages_of(card: Message) -> list[str]:
    """The labels of the stages on offer."""
    return [option["text"]["text"] for option in _stages(card)[1]["options"]]


def given_to(call: Call) -> dict[str, Any]:
    """The input of a mutation of FirstGen."""
    given: dict[str, Any] = json.loads(call.body)["variables"]["input"]
    return given


def rerun(run: Run) -> list[str]:
    """The stages that a run did not copy."""
    return [stage.member.identifier for stage in run.stages if not stage.copied]


def _stages(card: Message) -> tuple[str, dict[str, Any]]:
    elements = [(block["block_id"], each) for block in card.blocks for each in block.get("elements", [])]
    return next((block, each) for block, each in elements if each["type"] == "static_select")


def _shows(message: Message, run: Run) -> bool:
    return run.identifier in json.dumps(message.blocks)


def _has(message: Message, label: str) -> bool:
    return not label or f'"text": "{label}"' in json.dumps([one for one in message.blocks if one["type"] == "actions"])


@asynccontextmanager
async def on_the_way(
    generation: str, database: str, folder: Path, *, poll_seconds: int = 0, copies: int = 1, timings: Timings = QUICK
) -> AsyncIterator[Journey]:
    """A bot that works, connected to a generation of Harness whose rules push each notice so many times."""
    async with AsyncExitStack() as stack:
        door = Seam()
        base = await stack.enter_async_context(serve(door))
        side = GENERATIONS[generation](base)
        door.app = side.calls
        stack.push_async_callback(side.world.aclose)
        bot = await stack.enter_async_context(
            opened(
                database,
                folder,
                timings=timings,
                poll_seconds=poll_seconds,
                configuration=CONFIGURATION.replace("{connection}", side.settings),
                environment={"SHOP_TOKEN": KEY, "SHOP_HOOK": HOOK_SECRET},
            )
        )
        address = f"{await stack.enter_async_context(serve(bot.app))}/hooks/{CONNECTION}"
        side.rules.rules.append(Rule(address, {"X-Resumebot-Secret": HOOK_SECRET}, side.events, copies))
        stack.push_async_callback(side.rules.settled)
        await stack.enter_async_context(bot.working())
        yield Journey(bot, side)
        assert bot.slack.broken == []
        assert set(side.rules.answers) <= {202}  # no notice was turned away
