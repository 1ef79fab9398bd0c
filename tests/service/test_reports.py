"""What people are told who only ask: open failures, their own, how something stands, who did what, why they cannot."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.domain.errors import NotSent
from bot.domain.execution import ExecutionStatus
from bot.domain.incident import Incident
from bot.domain.messages import Listing, PickFailure, PickPoint, Trail, Word
from bot.domain.policy import Person, PersonKind, Policy
from bot.domain.request import RequestState
from bot.domain.setup import Route, Timings
from bot.service.presses import Verb
from tests.fake_engine import FakeEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, GINA, HOME, LEA, NORA, OLGA, OTHER, RITA, World, open_world

pytestmark = pytest.mark.anyio


def lines(told: Any) -> list[str]:
    assert isinstance(told.shown, Listing)
    return [one.label for line in told.shown.lines for one in (line.incident, line.request) if one is not None]


@pytest.fixture
async def split(database: str) -> AsyncIterator[World]:
    """Checkout is told of in one channel, the rest in another that Lea and a group may read too."""
    routes = (Route({"name": ("Checkout",)}, DEPLOYS), Route({}, OTHER, viewers=(LEA, "S0DEVS")))
    async with open_world(database, routes=routes) as world:
        yield world


# ---- list ------------------------------------------------------------------------------------


async def test_open_failures_are_listed_newest_first_to_those_who_may_read_them(split: World) -> None:
    await split.failed(1)
    await split.failed(2, name="Billing")
    await split.failed(3)
    split.engine.end("run-3", ExecutionStatus.SUCCEEDED)
    await split.live(120)

    asked = {user: await split.command(user, "list") for user in (GINA, NORA, LEA, RITA, OLGA)}

    assert {user: lines(told) for user, told in asked.items()} == {
        GINA: ["inc-1"],
        NORA: ["inc-2"],
        LEA: ["inc-2", "inc-1"],
        RITA: ["inc-2", "inc-1"],
        OLGA: ["inc-1"],
    }


async def test_what_stood_there_before_is_listed_with_how_to_take_it_up(world: World) -> None:
    world.engine.fail(7, error="old\x00")
    await world.failed(8)

    told = await world.command(RITA, "list")

    assert isinstance(told.shown, Listing)
    assert [line for line in told.shown.foreign if "run-7" in line and "/resume orders:run-7" in line]
    assert not [line for line in told.shown.foreign if "run-8" in line]


async def test_what_stood_there_before_is_listed_only_where_it_surely_may_be_read(database: str) -> None:
    routes = (Route({"environment": ("production",)}, OTHER), Route({}, DEPLOYS))
    async with open_world(database, routes=routes) as world:
        world.engine.fail(7, name="Secret", environment="production")

        assert "Secret" not in (await world.command(RITA, "list")).text


async def test_an_engine_that_cannot_be_asked_or_is_slow_does_not_spoil_the_list(database: str) -> None:
    clock = FakeClock()
    engines = [FakeEngine(name, clock) for name in ("orders", "billing", "payments")]
    async with open_world(database, engines=engines, clock=clock, timings=Timings(lookup_limit=1.0)) as world:
        await world.failed()
        engines[1].down = NotSent("connection refused")
        engines[2].is_slow = True

        told = await world.command(RITA, "list")

        assert lines(told) == ["inc-1"]
        assert "billing: could not be asked (connection refused)" in told.text
        assert "payments: has not answered in time" in told.text


async def test_a_long_list_says_how_much_is_missing(world: World) -> None:
    for number in range(1, 24):
        await world.report(world.engine.fail(number))
    await world.wait(3)

    told = await world.command(RITA, "list")

    assert len(lines(told)) == 20
    assert "and 3 more" in told.text


async def test_whoever_may_read_nothing_is_told_that_nothing_is_open(world: World) -> None:
    await world.failed()

    told = await world.command(NORA, "list")

    assert "Nothing is open." in told.text
    assert "Checkout" not in told.text


# ---- mine ------------------------------------------------------------------------------------


async def test_mine_is_what_i_asked_for_and_what_waits_for_me(world: World) -> None:
    first, second = await world.failed(1), await world.failed(2)
    await world.asked(first, RITA)
    await world.asked(second, ARNO)
    await world.press(LEA, Verb.RETRY, first)

    asked = {user: await world.command(user, "mine") for user in (RITA, ARNO, LEA, NORA)}

    assert {user: lines(told) for user, told in asked.items()} == {
        RITA: ["req-2", "req-1"],
        ARNO: ["req-1", "req-2"],
        LEA: ["req-2", "req-1"],
        NORA: [],
    }


async def test_what_i_have_decided_on_waits_for_me_no_more(database: str) -> None:
    async with open_world(database, Policy("two", approvals=2)) as world:
        request = await world.asked(await world.failed())
        await world.press(ARNO, Verb.APPROVE, request)

        assert lines(await world.command(ARNO, "mine")) == []
        assert lines(await world.command(LEA, "mine")) == ["req-1"]


# ---- status, audit, why ----------------------------------------------------------------------


async def test_everything_by_which_it_goes_finds_it(world: World) -> None:
    request = await world.asked(await world.failed())
    await world.press(ARNO, Verb.APPROVE, request)
    await world.work()

    for subject in ("inc-1", "req-1", "run-1", "orders:run-1", "https://orders.example/runs/run-1"):
        status, trail, why = [await world.command(RITA, verb, subject) for verb in ("status", "audit", "why")]
        assert lines(status) == ["inc-1", "req-1"]
        assert isinstance(trail.shown, Trail)
        assert "request:call:sent" in [entry.action for entry in trail.shown.entries]
        assert "req-1 stands so" in why.text


@pytest.mark.parametrize("verb", ["status", "audit", "why"])
async def test_what_is_not_known_is_said_so(world: World, verb: str) -> None:
    await world.failed()

    for subject in ("inc-9", "req-9", "run-9", "orders:run-9", "x", "req-99999999999999999999", "<!channel>"):
        told = await world.command(RITA, verb, subject)
        assert "I know nothing of" in told.text
        assert "<!channel>" not in told.text


async def test_whoever_may_not_read_is_refused(world: World) -> None:
    await world.asked(await world.failed())

    for verb in ("status", "audit", "why"):
        for subject in ("inc-1", "req-1", "run-1"):
            told = await world.command(NORA, verb, subject)
            assert f"Only members of <#{DEPLOYS}> can see this." in told.text
            assert "Checkout" not in told.text


async def test_a_trail_is_oldest_first_and_cut_with_a_count(world: World) -> None:
    incident = await world.failed()
    for _ in range(45):
        await world.press(RITA, Verb.ACKNOWLEDGE, incident)
    await world.work()

    told = await world.command(RITA, "audit", "inc-1")

    assert isinstance(told.shown, Trail)
    assert (len(told.shown.entries), told.shown.more) == (40, 6)
    assert [entry.at for entry in told.shown.entries] == sorted(entry.at for entry in told.shown.entries)


WHY = Policy("release", requesters=("S0DEVS",), approvers=("S0RELEASE",), approvals=2)


async def why(world: World, user: str, subject: str = "inc-1") -> str:
    return (await world.command(user, "why", subject)).text


async def test_why_tells_who_may_ask_and_what_it_then_wants(database: str) -> None:
    async with open_world(database, WHY) as world:
        await world.failed()

        assert "You may ask for it (policy release); it then wants the approval of 2 of <!subteam^S0RELEASE>" in await why(
            world, RITA
        )
        assert "You cannot ask for this: only <!subteam^S0DEVS> may (policy “release”)" in await why(world, LEA)
        assert "guests of the workspace may only when a policy names them" in await why(world, GINA)


async def test_why_tells_who_may_decide(database: str) -> None:
    async with open_world(database, WHY) as world:
        await world.asked(await world.failed(), RITA)

        assert "You may decide in its thread" in await why(world, LEA, "req-1")
        assert "You asked for this yourself" in await why(world, RITA, "req-1")
        assert "You cannot decide on this" in await why(world, GINA, "req-1")


async def test_why_tells_what_the_engine_says_against_it(world: World) -> None:
    world.engine.down = NotSent("connection refused")
    await world.report(world.engine.fail())
    await world.wait(3)
    assert "I could not read it from its engine yet: connection refused" in await why(world, RITA)
    world.engine.down = None
    world.engine.runs["run-1"].has_points = False
    await world.wait(60)
    assert "It is failed and cannot be resumed." in await why(world, RITA)

    world.engine.end("run-1", ExecutionStatus.SUCCEEDED)
    await world.live(120)

    assert "inc-1 has ended: the engine says that it succeeded." in await why(world, RITA)


async def test_why_tells_that_a_request_is_over(world: World) -> None:
    request = await world.asked(await world.failed())
    await world.press(RITA, Verb.WITHDRAW, request)

    assert "req-1 is over: it was withdrawn or closed." in await why(world, RITA, "req-1")
    assert (await world.again(request)).state is RequestState.CANCELLED


# ---- who may read ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("viewers", "user", "workspace", "may"),
    [
        ((), NORA, HOME, False),
        ((NORA,), NORA, HOME, True),
        (("anyone",), NORA, HOME, True),
        (("anyone",), "U0GUEST", HOME, False),
        (("anyone",), OLGA, "T0ELSE", False),
        (("S0VIEW",), NORA, HOME, True),
        (("S0DEVS",), NORA, HOME, False),
    ],
)
async def test_viewers_of_a_route_may_read_beside_the_channels_members(
    database: str, viewers: tuple[str, ...], user: str, workspace: str, may: bool
) -> None:
    async with open_world(database, routes=(Route({}, DEPLOYS, viewers=viewers),)) as world:
        world.people.groups["S0VIEW"] = {NORA}
        world.people.kinds["U0GUEST"] = PersonKind.GUEST
        await world.run_task("slack", "read_people")
        await world.failed()

        told = await world.command(user, "status", "inc-1", workspace=workspace)

        assert isinstance(told.shown, Listing) is may


# ---- forms -----------------------------------------------------------------------------------


async def test_the_form_lists_open_failures_one_may_read(split: World) -> None:
    await split.failed(1)
    await split.failed(2, name="Billing")

    forms = [await split.forms.pick_failure(Person(HOME, user), DEPLOYS) for user in (GINA, NORA, "U0NOBODY")]

    assert all(isinstance(form, PickFailure) for form in forms)
    assert [[one.label for one in form.incidents] for form in forms] == [["inc-1"], ["inc-2"], []]


async def test_the_form_of_an_incident_offers_its_stages_or_says_why_there_are_none(world: World) -> None:
    incident: Incident = await world.failed()

    offered = await world.forms.pick_point(Person(HOME, RITA), incident.id)
    world.engine.runs["run-1"].has_points = False
    await world.run_task("engine:orders", "describe", incident_id=incident.id)
    refused = await world.forms.pick_point(Person(HOME, RITA), incident.id)

    assert isinstance(offered, PickPoint)
    assert (offered.selected, len(offered.points)) == ("from:deploy", 3)
    assert refused == Word("It is failed and cannot be resumed.")
