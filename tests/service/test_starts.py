"""Starting: a request like any other, with a search, a form and a call of its own."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.errors import NotResumable, NotSent, OutcomeUnknown, Unsupported
from bot.domain.execution import ExecutionStatus, InputKind, StartInput, StartTarget
from bot.domain.messages import START_CHOICE, StartForm, Word
from bot.domain.request import Request, RequestState
from bot.service.presses import Verb
from bot.service.starts import Filled, Wanted
from tests.fake_engine import StartingEngine
from tests.fakes import FakeClock
from tests.service.world import ARNO, DEPLOYS, GINA, NORA, RITA, World, open_world

pytestmark = pytest.mark.anyio

S = RequestState
TAG = StartInput("tag", "Image tag", is_required=True)
REGION = StartInput("region", "Region", InputKind.CHOICE, choices=("eu", "us"), default="eu")
TARGET = StartTarget("orders", "deploy-shop", "Deploy Shop", (TAG, REGION))
GIVEN = {"tag": "v1.2.3", "region": "eu"}


@pytest.fixture
async def starting(database: str) -> AsyncIterator[World]:
    """An engine with one thing to start."""
    clock = FakeClock()
    engine = StartingEngine("orders", clock)
    engine.targets = [TARGET]
    async with open_world(database, engines=[engine], clock=clock) as world:
        yield world


def starter(world: World) -> StartingEngine:
    assert isinstance(world.engine, StartingEngine)
    return world.engine


async def submit(world: World, user: str = RITA, inputs: dict[str, str] | None = None) -> str:
    filled = Filled("orders", "deploy-shop", "Deploy Shop", GIVEN if inputs is None else inputs)
    return (await world.command(user, "start_now", filled.as_text())).text


async def start(world: World) -> Request:
    await submit(world)
    (newest,) = await world.readings.requests_of(f"slack:T0HOME/{RITA}", 1)
    return newest


async def test_a_name_leads_to_the_form_of_its_inputs(starting: World) -> None:
    starting.chat.views["v"] = []

    await starting.command(RITA, "find", "x")  # an answer to look back on
    wanted = Wanted("Deploy Shop", "Deploy Shop")
    await starting.command(RITA, "start", wanted.as_text(), view_id="v", response_url=None)

    assert starting.chat.views["v"] == [StartForm(TARGET, DEPLOYS)]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted("Depoy", "Depoy"), "Nothing called “Depoy” can be started"),
        (Wanted("order:Deploy Shop", "Deploy Shop", "order"), "did you mean “orders”"),
    ],
)
async def test_a_name_that_leads_nowhere_is_said_so(starting: World, wanted: Wanted, said: str) -> None:
    assert said in (await starting.command(RITA, "start", wanted.as_text())).text


async def test_of_several_things_of_one_name_a_person_chooses(starting: World) -> None:
    other = StartTarget("orders", "other", "Deploy Shop", place="workflow in Shop")
    starter(starting).targets.append(other)
    starting.chat.views["v"] = []
    await starting.command(RITA, "find", "x")  # an answer to look back on
    wanted = Wanted("orders:Deploy Shop", "Deploy Shop", "orders")

    await starting.command(RITA, "start", wanted.as_text(), view_id="v", response_url=None)
    (word,) = starting.chat.views["v"]
    assert isinstance(word, Word)
    assert [choice.label for choice in word.choices] == [
        "orders: Deploy Shop (deploy-shop)",
        "orders: Deploy Shop (workflow in Shop)",
    ]
    chosen = word.choices[1].argument.removeprefix(START_CHOICE)
    await starting.command(RITA, "start", chosen, view_id="v", response_url=None)

    assert starting.chat.views["v"][-1] == StartForm(other, DEPLOYS)


async def test_a_slash_may_belong_to_the_name(starting: World) -> None:
    slashed = StartTarget("orders", "eu", "EU/Deploy shop")
    starter(starting).targets.append(slashed)
    starting.chat.views["v"] = []
    await starting.command(RITA, "find", "x")  # an answer to look back on
    wanted = Wanted("orders:EU/Deploy shop", "Deploy shop", "orders", "EU")

    await starting.command(RITA, "start", wanted.as_text(), view_id="v", response_url=None)

    assert starting.chat.views["v"] == [StartForm(slashed, DEPLOYS)]


async def test_a_search_that_was_cut_short_is_said_to_be(starting: World) -> None:
    starting.engine.faults.add("find_targets", Unsupported("orders has 300 applications and I looked in 200 of them"))

    told = await starting.command(RITA, "start", Wanted("Late", "Late").as_text())

    assert "I have not looked everywhere: orders has 300 applications" in told.text


async def test_a_submitted_form_finds_what_its_name_would_not(starting: World) -> None:
    filled = Filled("orders", "deploy-shop", "What no search finds", GIVEN)

    await starting.command(RITA, "start_now", filled.as_text())

    assert len(await starting.readings.requests_of(f"slack:T0HOME/{RITA}", 1)) == 1


@pytest.mark.parametrize(("given", "fits"), [("eu, us", True), ("eu,mars", False)])
async def test_each_of_several_values_of_an_input_has_to_be_a_choice(starting: World, given: str, fits: bool) -> None:
    several = replace(REGION, kind=InputKind.TEXT, is_list=True)
    starter(starting).targets = [replace(TARGET, inputs=(several,))]

    told = await submit(starting, inputs={"region": given})

    assert ("Asked" in told) is fits


async def test_a_start_is_asked_for_approved_sent_and_watched_without_a_card(starting: World) -> None:
    request = await start(starting)
    message = starting.chat.in_channel(DEPLOYS)[0]
    assert "Deploy Shop" in message.text
    assert "v1.2.3" in message.text

    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(2)
    assert starter(starting).started == [("deploy-shop", GIVEN, "req-1-1")]
    starting.engine.end("run-91", ExecutionStatus.SUCCEEDED)
    await starting.wait(20)

    assert (await starting.again(request)).state is S.SUCCEEDED
    assert "Succeeded" in message.text
    assert "run-91" in starting.chat.in_thread(message)[-1].text
    assert await starting.tags(request="req-1") == [
        "request:start:requested",
        "request:decision:approved",
        "request:call:sent",
        "request:receipt:running",
        "request:outcome:succeeded",
    ]
    entries = await starting.trail(request="req-1")
    assert [entry["data"].get("new_execution") for entry in entries[-2:]] == ["run-91"] * 2
    assert "v1.2.3" not in str(await starting.trail())


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "“Image tag” has to be given"),
        ({"tag": "x", "region": "mars"}, "“Region” takes eu or us"),
        ({"tag": "latest"}, "A tag has to be one of a release"),
    ],
)
async def test_inputs_that_do_not_fit_are_refused_before_anything_is_asked(
    starting: World, inputs: dict[str, str], said: str
) -> None:
    assert said in await submit(starting, inputs=inputs)
    assert starting.chat.posts == []


@pytest.mark.parametrize("user", [GINA, NORA])
async def test_whoever_may_not_ask_starts_nothing(starting: World, user: str) -> None:
    assert "You cannot ask for this" in await submit(starting, user)
    assert starting.chat.posts == []


async def test_a_target_that_changed_its_name_since_is_not_started(starting: World) -> None:
    request = await start(starting)
    starter(starting).targets = [StartTarget("orders", "deploy-shop", "Deploy Shop 2")]
    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(5)

    assert (await starting.again(request)).state in {S.SUPERSEDED, S.REFUSED}
    assert starter(starting).started == []


@pytest.mark.parametrize(
    "changed",
    [
        replace(TARGET, inputs=(TAG, replace(REGION, key="zone"))),
        replace(TARGET, inputs=(TAG, replace(REGION, choices=("eu", "us", "mars")))),
        replace(TARGET, inputs=(TAG, replace(REGION, is_environment=True))),
        replace(TARGET, inputs=(TAG, REGION, StartInput("more", "More", default="x"))),
        replace(TARGET, inputs=(TAG,)),
        replace(TARGET, version="another"),
        replace(TARGET, environment="production"),
    ],
    ids=range(7),
)
async def test_what_asks_for_other_inputs_than_were_approved_is_not_started(starting: World, changed: StartTarget) -> None:
    request = await start(starting)
    starter(starting).targets = [changed]

    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(5)

    assert (await starting.again(request)).state is S.SUPERSEDED
    assert starter(starting).started == []


async def test_a_default_that_was_approved_and_changed_since_is_not_sent(starting: World) -> None:
    await submit(starting, inputs={"tag": "v1"})
    (request,) = await starting.readings.requests_of(f"slack:T0HOME/{RITA}", 1)
    starter(starting).targets = [replace(TARGET, inputs=(TAG, replace(REGION, default="us")))]

    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(5)

    assert (await starting.again(request)).state is S.SUPERSEDED


async def test_a_default_that_nobody_took_may_change(starting: World) -> None:
    request = await start(starting)
    starter(starting).targets = [replace(TARGET, inputs=(replace(TAG, default="latest"), REGION))]

    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(5)

    assert (await starting.again(request)).state not in {S.SUPERSEDED, S.REFUSED}


async def test_what_cannot_be_asked_for_here_is_refused_with_the_way_there(starting: World) -> None:
    starter(starting).targets = [replace(TARGET, inputs=(), refusal="It takes 99 inputs.", link="https://engine.example/p/1")]

    said = (await starting.command(RITA, "start", Wanted("Deploy Shop", "Deploy Shop").as_text())).text

    assert "Deploy Shop: It takes 99 inputs. <https://engine.example/p/1|Open it there.>" in said


async def test_a_form_that_was_open_while_the_inputs_changed_is_refused(starting: World) -> None:
    assert "asks for other inputs" in await submit(starting, inputs=GIVEN | {"gone": "x"})
    assert starting.chat.posts == []


async def test_a_start_that_the_engine_refuses_is_final(starting: World) -> None:
    request = await start(starting)
    starting.engine.faults.add("start", NotResumable("the tag does not exist"))
    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(5)

    assert (await starting.again(request)).state is S.REFUSED
    assert "the tag does not exist" in starting.chat.posts[-1].text


async def test_a_start_whose_answer_was_lost_is_found_or_left_to_people(starting: World) -> None:
    lost = OutcomeUnknown("no answer in 20 s")
    found = await start(starting)
    starting.engine.answer_lost = lost
    await starting.press(ARNO, Verb.APPROVE, found)
    await starting.wait(5)
    assert (await starting.again(found)).state is S.RUNNING

    open_one = await start(starting)
    starting.engine.faults.add("start", lost)
    await starting.press(ARNO, Verb.APPROVE, open_one)
    await starting.wait(300)

    assert (await starting.again(open_one)).state is S.UNKNOWN
    assert len(starter(starting).started) == 1
    again = await starting.press(RITA, Verb.PRESS_AGAIN, open_one)
    assert again.is_refusal
    await starting.press(RITA, Verb.CLOSE, open_one)
    assert (await starting.again(open_one)).state is S.CANCELLED


async def test_an_engine_that_is_down_holds_a_start_back(starting: World) -> None:
    request = await start(starting)
    starting.engine.down = NotSent("connection refused")
    await starting.press(ARNO, Verb.APPROVE, request)
    await starting.wait(10)
    assert (await starting.again(request)).state is S.APPROVED

    starting.engine.down = None
    await starting.wait(60)

    assert (await starting.again(request)).state is S.RUNNING
    assert len(starter(starting).started) == 1


async def test_two_starts_of_the_same_thing_do_not_stand_in_each_others_way(starting: World) -> None:
    first, second = await start(starting), await start(starting)

    assert first.label != second.label
    assert (first.state, second.state) == (S.PENDING, S.PENDING)
