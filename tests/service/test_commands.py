"""What commands answer, to whom, and what they do: every kind of bad input has its own sentence."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.errors import NotFound, NotSent
from bot.domain.execution import ExecutionStatus
from bot.domain.messages import Answer, PickPoint, Word
from bot.domain.policy import PersonKind, Policy
from bot.domain.request import RequestState
from bot.domain.setup import Route, Timings
from bot.service.commands import Order, take_order
from bot.service.presses import Verb
from bot.service.unit import Place
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, HOME, NORA, OLGA, OTHER, RITA, World, open_world

pytestmark = pytest.mark.anyio
QUICK = Timings(lane_pause=0.0, lookup_limit=1.0)


class SessionEngine(FakeEngine):
    """One whose links may name a session, to be looked up."""

    async def resolve_argument(self, text: str) -> str | None:
        """The newest run of a session."""
        if not text.startswith(("session:", f"https://{self.connection}.example/sessions/")):
            return None
        await self._admit("resolve")
        if not self.runs:
            raise NotFound("Session 7 has no attempt.")
        return list(self.runs)[-1]


@pytest.fixture
async def three(database: str) -> AsyncIterator[World]:
    """Two connections that accept the same ids, and a third with ids of its own."""
    clock = FakeClock()
    engines = [
        FakeEngine("orders", clock),
        FakeEngine("billing", clock),
        SessionEngine("payments", clock, prefix="pay"),
    ]
    async with open_world(database, engines=engines, clock=clock, timings=QUICK) as world:
        yield world


def engine(world: World, name: str) -> FakeEngine:
    found = world.core.engines[name]
    assert isinstance(found, FakeEngine)
    return found


# ---- resuming --------------------------------------------------------------------------------


async def test_a_command_opens_the_incident_and_offers_the_stages_privately(world: World) -> None:
    world.engine.fail()

    told = await world.command(RITA, "resume", "run-1")

    assert isinstance(told.shown, Answer)
    assert [point.label for point in told.shown.points] == ["deploy", "build", "smoke test"]
    assert "Retry" in told.text
    assert "run-1" in world.card().text
    assert await world.tags() == ["bot:command:received", "incident:life:opened"]
    assert await world.readings.newest_request(1) is None


async def test_a_command_with_a_stage_asks_at_once(world: World) -> None:
    world.engine.fail()

    told = await world.command(RITA, "resume", "orders:run-1", "SMOKE Test")

    assert "Asked: req-1 (smoke test)" in told.text
    request = await world.newest(await world.incident())
    assert (request.point.label, request.requester) == ("smoke test", f"slack:{HOME}/{RITA}")
    assert "asks to resume" in world.thread()[0]
    requested = (await world.trail(action="request:resume:requested"))[0]
    assert requested["data"]["via"] == "command"


async def test_a_link_or_a_link_to_a_session_is_taken_like_an_id(three: World) -> None:
    engine(three, "orders").fail(5)
    engine(three, "payments").fail(3)

    assert "run-5" in (await three.command(RITA, "resume", "https://orders.example/runs/run-5")).text or three.chat.posts
    await three.command(RITA, "resume", "https://payments.example/sessions/7")
    await three.command(RITA, "resume", "session:7")

    opened = [entry["execution"] for entry in await three.trail(action="incident:life:opened")]
    assert opened == ["run-5", "pay-3"]


async def test_a_form_of_the_engine_with_a_colon_is_no_connection(three: World) -> None:
    engine(three, "payments").fail(3)

    told = await three.command(RITA, "resume", "pay:pay-3")

    assert isinstance(told.shown, Answer)
    assert told.shown.points


async def test_the_command_counts_once_however_often_it_is_delivered(world: World) -> None:
    world.engine.fail()
    order = Order("same", Place(HOME, RITA, DEPLOYS), HOME, "resume", "run-1", "deploy")

    taken = [await take_order(world.core, order) for _ in range(3)]
    await world.work()

    assert taken == [True, False, False]
    assert len(await world.trail(action="request:resume:requested")) == 1


async def test_a_command_whose_job_is_lost_is_answered_by_the_sweep(world: World) -> None:
    world.engine.fail()
    await take_order(world.core, Order("k", Place(HOME, RITA, DEPLOYS), HOME, "resume", "run-1"))
    await world.drop_jobs()

    await world.live(60)

    assert isinstance(world.told(RITA).shown, Answer)


async def test_an_execution_that_goes_by_its_id_on_two_connections_is_asked_about(three: World) -> None:
    engine(three, "orders").fail()
    engine(three, "billing").fail(name="Invoices")

    told = await three.command(RITA, "resume", "run-1", "deploy")

    assert isinstance(told.shown, Answer)
    assert [choice.argument for choice in told.shown.choices] == ["orders:run-1 deploy", "billing:run-1 deploy"]
    assert "Invoices" in told.text
    assert await three.trail(action="incident:life:opened") == []


async def test_a_connection_that_is_down_does_not_keep_another_from_being_used(three: World) -> None:
    engine(three, "billing").down = NotSent("connection refused")
    engine(three, "orders").fail()

    told = await three.command(RITA, "resume", "run-1", "deploy")

    assert "Asked: req-1" in told.text


async def test_a_connection_that_is_slow_does_not_keep_another_from_being_used(three: World) -> None:
    engine(three, "billing").is_slow = True
    engine(three, "orders").fail()

    told = await three.command(RITA, "resume", "run-1", "deploy")

    assert "Asked: req-1" in told.text


async def test_the_incident_of_a_known_failure_is_used_and_its_card_stays_one(world: World) -> None:
    await world.failed()

    await world.command(RITA, "resume", "run-1")

    assert len(world.chat.in_channel(DEPLOYS)) == 1
    assert await world.readings.incident(2) is None


async def test_an_incident_that_had_ended_is_open_again_when_it_can_be_resumed(world: World) -> None:
    await world.failed()
    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.live(120)
    world.engine.end("run-1", ExecutionStatus.FAILED)

    await world.command(RITA, "resume", "run-1")

    assert "incident:life:reopened" in await world.tags()
    assert "Retry" in world.card().text


async def test_where_policy_wants_a_reason_the_command_says_how_to_give_one(database: str) -> None:
    async with open_world(database, Policy("why", wants_reason=True)) as world:
        world.engine.fail()

        told = await world.command(RITA, "resume", "run-1", "deploy")

        assert "wants a reason" in told.text
        assert "Retry" in told.text
        assert await world.readings.newest_request(1) is None


async def test_an_answer_to_a_form_comes_in_the_form(world: World) -> None:
    world.engine.fail()
    world.chat.views["v"] = []
    for argument in ("run-1", "run-9"):
        await take_order(world.core, Order(argument, Place(HOME, RITA, DEPLOYS, view_id="v"), HOME, "resume", argument))
        await world.work()

    offered, refused = world.chat.views["v"]
    assert isinstance(offered, PickPoint)
    assert isinstance(refused, Word)
    assert "run-9" in refused.text


# ---- bad input -------------------------------------------------------------------------------

BAD = [
    ("run-404", "", "No execution `run-404` is known to orders or billing"),
    ("what's this", "", "is no execution id that billing, orders or payments would know"),
    ("orders:pay-1", "", "`pay-1` is not an execution id of orders"),
    ("order:run-1", "", "There is no connection “order”; did you mean “orders”?"),
    ("https://evil.example/runs/run-1", "", "I follow only addresses of configured engines"),
    ("orders:run-1", "smok test", "There is no stage “smok test” to resume from; did you mean “smoke test”?"),
    ("orders:run-1", "xyz", "On offer: “deploy”, “build” or “smoke test”"),
    ("orders:run-1", "notify", "“notify” cannot be resumed from: It runs only after all others."),
    ("orders:run-2", "", "It is succeeded and cannot be resumed."),
    ("orders:run-3", "deploy", "It is running and cannot be resumed."),
    ("<!channel>\x00", "", "&lt;!channel&gt;"),
]


@pytest.mark.parametrize(("argument", "stage", "sentence"), BAD, ids=[f"{argument} {stage}" for argument, stage, _ in BAD])
async def test_what_cannot_be_resumed_is_answered_with_what_to_do_instead(
    three: World, argument: str, stage: str, sentence: str
) -> None:
    orders = engine(three, "orders")
    orders.fail(1)
    orders.fail(2, status=ExecutionStatus.SUCCEEDED)
    orders.fail(3, status=ExecutionStatus.RUNNING)

    told = await three.command(RITA, "resume", argument, stage)

    assert isinstance(told.shown, Answer)
    assert sentence in told.shown.text
    assert "\x00" not in told.text
    assert await three.readings.newest_request(1) is None
    refused = await three.trail(action="incident:request:refused")
    assert [entry["actor"] for entry in refused] == [f"slack:{HOME}/{RITA}"]


async def test_an_engine_that_is_down_is_said_so_and_nothing_is_done(world: World) -> None:
    world.engine.fail()
    world.engine.down = NotSent("connection refused")

    told = await world.command(RITA, "resume", "run-1", "deploy")

    assert "orders could not be asked: connection refused" in told.text
    assert "try again" in told.text


async def test_an_engine_that_is_slow_is_given_up_on_in_time(three: World) -> None:
    engine(three, "orders").fail()
    engine(three, "orders").is_slow = True

    told = await three.command(RITA, "resume", "orders:run-1", "deploy")

    assert "not answered in time" in told.text
    assert await three.readings.newest_request(1) is None


async def test_a_session_that_leads_nowhere_is_said_so(three: World) -> None:
    assert "Session 7 has no attempt" in (await three.command(RITA, "resume", "session:7")).text
    engine(three, "payments").down = NotSent("connection refused")
    assert "connection refused" in (await three.command(RITA, "resume", "session:7")).text


async def test_without_any_connection_the_answer_says_what_is_missing(world: World) -> None:
    empty = replace(world.core, engines={})
    world.commands._core = empty

    assert "No engine is connected yet" in (await world.command(RITA, "resume", "run-1")).text


# ---- who may ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "workspace"), [(NORA, HOME), (OLGA, "T0ELSE"), ("U0NOBODY", HOME)])
@pytest.mark.parametrize("argument", ["run-1", "run-2"], ids=["failed", "succeeded"])
async def test_whoever_may_not_read_learns_nothing_and_opens_nothing(
    world: World, user: str, workspace: str, argument: str
) -> None:
    world.engine.fail(1, name="Secret")
    world.engine.fail(2, name="Secret", status=ExecutionStatus.SUCCEEDED)

    told = await world.command(user, "resume", argument, workspace=workspace)

    assert "Secret" not in told.text
    assert f"Only members of <#{DEPLOYS}>" in told.text
    assert world.chat.posts == []
    assert await world.trail(action="incident:life:opened") == []


async def test_whoever_may_not_ask_opens_nothing(world: World) -> None:
    world.engine.fail()

    told = await world.command(NORA, "resume", "run-1", "deploy")

    assert "You cannot ask for this" in told.text
    assert world.chat.posts == []


async def test_whoever_a_policy_lets_ask_may_do_so_from_outside_the_channel(database: str) -> None:
    async with open_world(database, Policy("open", requesters=("anyone",))) as world:
        world.engine.fail()

        told = await world.command(NORA, "resume", "run-1", "deploy")

        assert "Asked: req-1" in told.text


async def test_a_person_nobody_has_read_is_looked_up_first(world: World) -> None:
    world.engine.fail()
    world.people.kinds["U0NEW"] = PersonKind.MEMBER
    world.people.channels[DEPLOYS].add("U0NEW")
    world.clock.let_pass(10)

    told = await world.command("U0NEW", "resume", "run-1", "deploy")

    assert "Asked: req-1" in told.text


async def test_an_execution_without_a_route_is_nobodys_to_resume(database: str) -> None:
    async with open_world(database, routes=(Route({"name": ("Other",)}, DEPLOYS),)) as world:
        world.engine.fail()

        told = await world.command(RITA, "resume", "run-1")

        assert "No route leads this to a channel" in told.text


async def test_of_several_executions_only_those_are_named_that_one_may_read(database: str) -> None:
    clock = FakeClock()
    engines = [FakeEngine("orders", clock), FakeEngine("billing", clock), FakeEngine("secret", clock)]
    routes = (Route({"connection": ("secret",)}, OTHER), Route({}, DEPLOYS))
    async with open_world(database, engines=engines, clock=clock, routes=routes) as world:
        for each in engines:
            each.fail()

        told = await world.command(RITA, "resume", "run-1")

        assert isinstance(told.shown, Answer)
        assert [choice.argument for choice in told.shown.choices] == ["orders:run-1", "billing:run-1"]


# ---- shortcut on a message -------------------------------------------------------------------


async def test_of_several_things_a_message_may_mean_the_first_that_is_known_is_used(world: World) -> None:
    world.engine.fail(2)

    told = await world.command(RITA, "find", "https://evil.example/x\nrun-1\nrun-2")

    assert isinstance(told.shown, Answer)
    assert told.shown.points
    assert (await world.incident()).execution_id == "run-2"


async def test_a_message_that_means_nothing_known_is_said_so(world: World) -> None:
    assert "no execution that I know" in (await world.command(RITA, "find", "run-1\nrun-2")).text


# ---- the secret address ----------------------------------------------------------------------


async def test_nothing_of_a_commands_secret_address_is_kept_after_its_answer(world: World) -> None:
    world.engine.fail()
    await world.command(RITA, "resume", "run-1")

    kept = await world.trail()
    async with world.store.engine.connect() as connection:
        for table in ("lookups", "messages"):
            rows = (await connection.exec_driver_sql(f"SELECT t::text FROM {table} t")).scalars().all()
            kept += [{"row": row} for row in rows]
    assert not [entry for entry in kept if "hooks.slack.com" in str(entry)]


async def test_retry_on_the_private_offer_makes_the_request(world: World) -> None:
    world.engine.fail()
    await world.command(RITA, "resume", "run-1")

    outcome = await world.press(RITA, Verb.RETRY, await world.incident(), choice="")

    assert not outcome.is_refusal
    assert (await world.newest(await world.incident())).state is RequestState.PENDING


async def test_what_was_typed_is_recorded_but_never_without_limit(world: World) -> None:
    await world.command(ARNO, "resume", "x" * 5000, "y" * 5000)

    data = (await world.trail(action="bot:command:received"))[0]["data"]
    assert (len(data["argument"]), len(data["stage"])) == (500, 300)
