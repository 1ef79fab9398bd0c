"""Every control, form, command, shortcut and event, from the signed request to what stands in Slack afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.simulators.slack import Ack
from tests.in_process import ARNO, DEPLOYS, ELSEWHERE, GINA, NORA, OLGA, RITA, Bot, opened, place_of, seen, words_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path) as made, made.working():
        yield made
        assert made.slack.broken == []


async def fields_of(bot: Bot, user: str) -> dict[str, tuple[str, str]]:
    """Block and action of each field of the open form, by the control's name."""
    view = await seen(lambda: bot.slack.views[user][-1:], "form")
    elements = [(block["block_id"], block.get("element", {})) for block in view[0]["blocks"] if block["type"] == "input"]
    return {element["action_id"].split(":")[1]: (block, element["action_id"]) for block, element in elements}


async def submit(bot: Bot, user: str, **values: str) -> Ack:
    """Fill in the open form and send it; options by their value."""
    fields = await fields_of(bot, user)
    filled: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        block, action = fields[name]
        kind = "selected_option" if name in {"stage", "failure"} else "value"
        filled.setdefault(block, {})[action] = {kind: {"value": value} if kind == "selected_option" else value}
    return await bot.slack.submit(user, filled)


def options_of(view: dict[str, Any], name: str) -> dict[str, str]:
    """Labels and values of a select in a view."""
    for block in view["blocks"]:
        for element in [block.get("element", {}), *block.get("elements", [])]:
            if element.get("action_id", "").startswith(f"rb:{name}"):
                return {option["text"]["text"]: option["value"] for option in element["options"]}
    raise AssertionError(f"no select {name}")


def top(bot: Bot, user: str) -> str:
    """All words of the open form."""
    return str(bot.slack.views[user][-1]) if bot.slack.views[user] else ""


async def form_says(bot: Bot, user: str, words: str) -> None:
    await seen(lambda: words in top(bot, user), f"“{words}” in the form")


# ---- the life of a request through buttons ----------------------------------------------------


async def test_retry_asks_in_the_thread_and_an_approval_sends_the_call(bot: Bot) -> None:
    card = await bot.card()
    question = await bot.asked(card)

    ack = await bot.press(ARNO, question, "Approve")

    assert ack.status == 200
    await seen(lambda: bot.orders.count("PATCH */resume"), "call")
    assert len(await bot.trail("request:decision:approved")) == 1


async def test_a_choice_before_the_press_counts(bot: Bot) -> None:
    card = await bot.card()
    block, select = next(
        (block["block_id"], element)
        for block in card.blocks
        for element in block.get("elements", [])
        if element["type"] == "static_select"
    )
    chosen = select["options"][1]

    ack = await bot.slack.choose(RITA, card.channel, card.ts, block, select["action_id"], value=chosen["value"])
    assert ack.status == 200
    question = await bot.asked(card)

    assert chosen["text"]["text"].split(",")[0] in words_of(question)


async def test_reject_asks_for_a_reason_and_the_thread_says_who_and_why(bot: Bot) -> None:
    card = await bot.card()
    question = await bot.asked(card)

    assert (await bot.press(ARNO, question, "Reject")).status == 200
    ack = await submit(bot, ARNO, reason="not before noon")

    assert ack.status == 200
    await seen(lambda: bot.find("not before noon", thread=card.ts), "reason in the thread")
    assert not bot.orders.count("PATCH */resume")


async def test_withdraw_is_for_who_asked(bot: Bot) -> None:
    card = await bot.card()
    question = await bot.asked(card)

    await bot.press(ARNO, question, "Withdraw")
    assert await bot.told(ARNO)
    assert await bot.trail("request:life:cancelled") == []
    await bot.press(RITA, question, "Withdraw")

    await seen(lambda: bot.find("ithdr", thread=card.ts), "word of the end in the thread")
    assert len(await bot.trail("request:life:cancelled")) == 1


@pytest.mark.parametrize(
    ("label", "action"),
    [("👀 Acknowledge", "acknowledged"), ("💤 Snooze 1 h", "snoozed"), ("👤 Assign to me", "assigned")],
)
async def test_the_cards_menu_looks_after_the_failure(bot: Bot, label: str, action: str) -> None:
    card = await bot.card()
    block, menu = next(
        (block["block_id"], element)
        for block in card.blocks
        for element in [*block.get("elements", []), block.get("accessory", {})]
        if element.get("type") == "overflow"
    )
    value = next(option["value"] for option in menu["options"] if option["text"]["text"] == label)

    ack = await bot.slack.overflow(RITA, card.channel, card.ts, block, menu["action_id"], value=value)

    assert ack.status == 200
    entries = await bot.trail(f"incident:care:{action}")
    assert [entry["actor"] for entry in entries] == [f"slack:T0PLAY/{RITA}"]


@pytest.mark.parametrize(
    ("label", "action"), [("Press again", "request:unknown:pressed_again"), ("Close as not run", "request:unknown:closed")]
)
async def test_an_unknown_outcome_offers_to_press_again_and_to_close(bot: Bot, label: str, action: str) -> None:
    card = await bot.card()
    question = await bot.asked(card)
    bot.orders.fail("PATCH */resume", "lost")
    await bot.press(ARNO, question, "Approve")
    await seen(lambda: bot.orders.count("PATCH */resume"), "call")
    bot.orders.fail("POST /query", "cut", times=1000)  # nothing can be seen of it
    offering = await seen(lambda: bot.find("", label), f"button {label}")

    ack = await bot.press(RITA, offering, label)

    assert ack.status == 200
    assert len(await bot.trail(action)) == 1
    if label == "Press again":
        await seen(lambda: bot.find("may have run", "Approve", thread=card.ts), "question that tells of the earlier call")
    assert bot.orders.count("PATCH */resume") == 1
    bot.orders.heal()


# ---- who may not --------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [RITA, GINA, OLGA])
async def test_who_may_not_approve_is_told_privately_and_nothing_is_decided(bot: Bot, user: str) -> None:
    card = await bot.card()
    question = await bot.asked(card)
    before = len(bot.slack.private(user))

    ack = await bot.press(user, question, "Approve")

    assert ack.status == 200
    assert await bot.told(user, before)
    assert await bot.trail("request:decision:approved") == []
    team = "T0ELSE" if user == OLGA else "T0PLAY"
    refused = await bot.trail("request:decision:refused")
    assert [entry["actor"] for entry in refused] == [f"slack:{team}/{user}"]
    assert refused[0]["request"] == "req-1"


@pytest.mark.parametrize("user", [GINA, OLGA])
async def test_guests_and_people_of_other_organisations_may_not_ask(bot: Bot, user: str) -> None:
    card = await bot.card()

    assert (await bot.press(user, card, "Retry")).status == 200

    assert await bot.told(user)
    assert await bot.trail("request:resume:requested") == []


@pytest.mark.parametrize("text", ["", "list", "mine", "status inc-1", "why inc-1", "audit inc-1", "{execution} deploy"])
async def test_people_of_other_organisations_learn_nothing_by_commands(bot: Bot, text: str) -> None:
    card = await bot.card()
    execution = (await bot.ask("SELECT execution_id FROM incidents"))[0]
    before = len(bot.slack.private(OLGA))

    ack = await bot.slack.command(OLGA, DEPLOYS, "/resume", text.format(execution=execution))

    assert ack.status == 200
    said = (await bot.told(OLGA, before)) if text else top(bot, OLGA) or ack.body
    assert "on purpose" not in said
    assert await bot.trail("request:resume:requested") == []
    assert bot.find("", "Approve", thread=card.ts) is None


# ---- forms --------------------------------------------------------------------------------------


async def test_resume_alone_opens_a_form_of_failures_then_of_stages(bot: Bot) -> None:
    card = await bot.card()
    assert (await bot.slack.command(RITA, DEPLOYS, "/resume")).status == 200
    failures = options_of(bot.slack.views[RITA][-1], "failure")

    ack = await submit(bot, RITA, failure=next(iter(failures.values())))

    assert ack.data["response_action"] == "update"
    stages = options_of(bot.slack.views[RITA][-1], "stage")
    ack = await submit(bot, RITA, stage=next(value for label, value in stages.items() if "test" in label))
    assert ack.status == 200
    await seen(lambda: bot.find("test", "Approve", thread=card.ts), "approval message")
    assert bot.slack.views[RITA] == []


async def test_in_the_form_an_execution_can_be_typed(bot: Bot) -> None:
    execution = await bot.failed()
    await bot.slack.command(RITA, DEPLOYS, "/resume")

    ack = await submit(bot, RITA, execution=execution)

    assert "Looking it up" in str(ack.data["view"])
    await form_says(bot, RITA, "deploy")
    stages = options_of(bot.slack.views[RITA][-1], "stage")
    assert (await submit(bot, RITA, stage=next(iter(stages.values())))).status == 200
    await seen(lambda: bot.find("", "Approve"), "approval message")


async def test_a_form_of_a_request_that_was_decided_meanwhile_says_so(bot: Bot) -> None:
    card = await bot.card()
    question = await bot.asked(card)
    await bot.press(ARNO, question, "Reject")
    await bot.press(RITA, question, "Withdraw")

    ack = await submit(bot, ARNO, reason="too late")

    assert ack.data["response_action"] == "update"
    assert await bot.trail("request:decision:rejected") == []


# ---- shortcuts, Home, events --------------------------------------------------------------------


async def test_the_global_shortcut_opens_the_form(bot: Bot) -> None:
    await bot.card()

    assert (await bot.slack.global_shortcut(RITA, "resume_any")).status == 200

    assert options_of(bot.slack.views[RITA][-1], "failure")


async def test_the_shortcut_on_a_message_finds_the_execution_it_names(bot: Bot) -> None:
    execution = await bot.failed()
    written = bot.slack.say(RITA, DEPLOYS, f"it broke again: {execution}, please help")

    assert (await bot.slack.shortcut(RITA, "resume_this", DEPLOYS, written.ts)).status == 200

    await form_says(bot, RITA, "deploy")


async def test_the_shortcut_on_a_message_that_names_nothing_says_so(bot: Bot) -> None:
    written = bot.slack.say(RITA, DEPLOYS, "good morning")

    assert (await bot.slack.shortcut(RITA, "resume_this", DEPLOYS, written.ts)).status == 200

    assert "find nothing" in top(bot, RITA)


async def test_home_shows_what_is_open_and_what_waits_for_whom(bot: Bot) -> None:
    card = await bot.card()
    await bot.asked(card)

    assert (await bot.slack.open_home(ARNO)).status == 200

    await seen(lambda: "req-1" in str(bot.slack.homes.get(ARNO)), "request on the Home tab")


async def test_the_form_opens_from_home_too(bot: Bot) -> None:
    await bot.card()
    await bot.slack.open_home(RITA)
    home = await seen(lambda: bot.slack.homes.get(RITA), "Home tab")
    block, action = next(
        (block["block_id"], element["action_id"])
        for block in home["blocks"]
        for element in block.get("elements", [])
        if element.get("action_id") == "rb:resume"
    )

    assert (await bot.slack.view_action(RITA, block, action)).status == 200

    assert options_of(bot.slack.views[RITA][-1], "failure")


async def test_who_joins_the_approvers_may_approve_at_once(bot: Bot) -> None:
    card = await bot.card()
    question = await bot.asked(card)
    await bot.slack.join(NORA, DEPLOYS)

    assert (await bot.slack.change_group("S0RELEASE", [ARNO, NORA])).status == 200
    await seen(lambda: [call for call in bot.slack.calls if call.method == "usergroups.users.list"][2:], "reading of the group")
    await bot.press(NORA, question, "Approve")

    await seen(lambda: bot.orders.count("PATCH */resume"), "call")


async def test_the_bot_invited_to_a_channel_posts_what_waited_for_it(bot: Bot) -> None:
    members = bot.slack.cast.channels[ELSEWHERE].members
    members.remove("U0BOT")
    bot.slack.cast.channels[ELSEWHERE].is_private = True
    made = bot.billing.start(deploy="fail")
    await bot.billing.wait_status(made["id"], "paused")
    await bot.hook(made["id"], "billing")
    await seen(lambda: bot.find("could not be delivered"), "word in the audit channel")

    assert (await bot.slack.join("U0BOT", ELSEWHERE)).status == 200

    card = await seen(lambda: bot.find(made["id"], "Retry"), "card")
    assert card.channel == ELSEWHERE


# ---- replays ------------------------------------------------------------------------------------


async def test_the_same_bytes_again_change_nothing(bot: Bot) -> None:
    card = await bot.card()
    question = await bot.asked(card)
    await bot.press(RITA, question, "Approve")  # refused: her own
    await bot.press(ARNO, question, "Reject")
    await submit(bot, ARNO, reason="no")
    await seen(lambda: bot.find("no", thread=card.ts), "reason")
    await bot.says(RITA, "list")
    await bot.slack.open_home(RITA)
    await seen(lambda: bot.slack.homes.get(RITA), "Home tab")
    entries, requests = await bot.trail(), await bot.ask("SELECT requests::text FROM requests")
    posts = [message for message in bot.slack.messages if message.to is None]

    for ack in list(bot.slack.acks):
        again = await bot.slack.replay(ack)
        assert again.status == 200

    await bot.says(RITA, "list")
    assert await bot.ask("SELECT requests::text FROM requests") == requests
    assert [message for message in bot.slack.messages if message.to is None] == posts
    assert (await bot.trail())[: len(entries)] == entries
    assert {entry["action"] for entry in (await bot.trail())[len(entries) :]} <= {"bot:command:received"}
    bot.slack.broken.clear()  # a replayed trigger is used twice, as Slack notes


async def test_eight_presses_at_once_make_one_request(bot: Bot) -> None:
    card = await bot.card()
    block, action = place_of(card, "Retry")

    acks = await asyncio.gather(*[bot.slack.press(RITA, card.channel, card.ts, block, action) for _ in range(8)])

    assert {ack.status for ack in acks} == {200}
    assert len(await bot.trail("request:resume:requested")) == 1
    assert len(await bot.trail("incident:request:refused")) == 7
