"""What Slack's requests get back whatever is wrong: 200 in time with a private word, 401 without a signature."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.simulators.slack import Ack, sign
from bot.store.embedded import Embedded
from bot.store.schema import migrate
from tests.in_process import ARNO, DEPLOYS, RITA, SECRET, Bot, opened, place_of, seen, words_of
from tests.jobs.lab import bring_back, freeze, own_server, take_down, thaw, url_on

pytestmark = pytest.mark.anyio
SLACKS_PATIENCE = 3.0
FORM = "application/x-www-form-urlencoded"
USER = {"id": RITA, "team_id": "T0PLAY"}


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path) as made:
        yield made


def interaction(bot: Bot, kind: str, **fields: Any) -> dict[str, Any]:
    """A payload as Slack sends it, with an address for answers."""
    url = bot.slack._state.issue_response_url(RITA, DEPLOYS)
    common = {"user": USER, "team": {"id": "T0PLAY"}, "trigger_id": "1.trigger", "response_url": url}
    return {"type": kind, **common, **fields}


async def deliver(bot: Bot, payload: dict[str, Any]) -> Ack:
    """One interaction, signed."""
    return await signed(bot, urlencode({"payload": json.dumps(payload)}).encode())


async def signed(bot: Bot, content: bytes, kind: str = FORM) -> Ack:
    """Any bytes, signed."""
    return await bot.slack.send(content, {"Content-Type": kind, **sign(SECRET, content)})


# ---- what we do not know -----------------------------------------------------------------------


@pytest.mark.parametrize("action_id", ["rb:retired", "somebody_elses", "rb:approve"])
async def test_a_button_that_is_not_ours_any_more_is_answered_200_with_a_private_word(bot: Bot, action_id: str) -> None:
    pressed = {"action_id": action_id, "block_id": "b", "type": "button", "action_ts": "1.0", "value": "req-1:1"}

    ack = await deliver(bot, interaction(bot, "block_actions", actions=[pressed]))

    async with bot.working():
        assert ack.status == 200
        assert await bot.told(RITA)
    assert bot.slack.broken == []


@pytest.mark.parametrize("fields", [{}, {"actions": [{"action_id": None}]}, {"user": None}])
async def test_a_press_that_cannot_be_read_is_answered_200_with_a_private_word(bot: Bot, fields: dict[str, Any]) -> None:
    ack = await deliver(bot, interaction(bot, "block_actions", **fields))

    assert ack.status == 200
    assert await bot.told(RITA)


@pytest.mark.parametrize("fields", [{"actions": []}, {"actions": "none"}, {"team": 7}])
async def test_a_press_that_slack_would_not_make_is_answered_200(bot: Bot, fields: dict[str, Any]) -> None:
    assert (await deliver(bot, interaction(bot, "block_actions", **fields))).status == 200


async def test_a_command_that_is_not_ours_is_answered_200_with_a_private_word(bot: Bot) -> None:
    ack = await bot.slack.command(RITA, DEPLOYS, "/restart", "everything")

    assert ack.status == 200
    assert "/resume" in ack.data["text"]
    assert ack.data["response_type"] == "ephemeral"


@pytest.mark.parametrize("callback_id", ["rb-form:retired", "somebody_elses"])
async def test_a_form_that_is_not_ours_any_more_says_so_in_itself(bot: Bot, callback_id: str) -> None:
    view = {"id": "V1", "type": "modal", "callback_id": callback_id, "private_metadata": "", "state": {"values": {}}}

    ack = await deliver(bot, interaction(bot, "view_submission", view=view))

    assert ack.status == 200
    assert ack.data["response_action"] == "update"
    assert "older version" in str(ack.data["view"])


@pytest.mark.parametrize("kind", ["message_action", "shortcut", "view_closed", "block_suggestion", "somethings_new"])
async def test_what_slack_may_send_one_day_is_answered_200(bot: Bot, kind: str) -> None:
    view = {"id": "V1", "type": "modal", "callback_id": "rb-form:word"}

    ack = await deliver(bot, interaction(bot, kind, callback_id="unheard_of", view=view, action_id="unheard_of"))

    assert ack.status == 200


async def test_an_event_that_nobody_asked_for_is_answered_200(bot: Bot) -> None:
    assert (await bot.slack.event(type="pin_added", user=RITA)).status == 200
    assert len(bot.slack.acks) == 1  # and is not sent again


async def test_the_address_is_verified_when_slack_asks(bot: Bot) -> None:
    ack = await signed(bot, json.dumps({"type": "url_verification", "challenge": "word"}).encode(), "application/json")

    assert (ack.status, ack.data.get("challenge", ack.body)) == (200, "word")


@pytest.mark.parametrize(
    "content",
    [b"payload=%7Bnot-json", b"payload=[]", b"payload=null", b"payload=7", b"", b"a=1", b"payload=%FF%FE", b"command="],
)
async def test_signed_nonsense_is_no_fault_of_ours(bot: Bot, content: bytes) -> None:
    ack = await signed(bot, content)

    assert ack.status == 200
    assert await bot.trail("request:resume:requested") == []


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"null", b"[[[[", b'{"type":"event_callback"}', b'{"event":7}', b'{"event":{"type":7}}']
)
async def test_signed_nonsense_in_json_is_no_fault_of_ours(bot: Bot, content: bytes) -> None:
    assert (await signed(bot, content, "application/json")).status == 200


# ---- signatures and replays --------------------------------------------------------------------


async def test_without_the_signature_nothing_is_read_or_written(bot: Bot) -> None:
    before = await bot.everything()
    content = urlencode({"command": "/resume", "text": "list", "user_id": RITA, "team_id": "T0PLAY"}).encode()

    for headers in (
        {},
        sign("another secret", content),
        sign(SECRET, content + b"x"),
        sign(SECRET, content, time.time() - 600),
    ):
        assert (await bot.slack.send(content, {"Content-Type": FORM, **headers})).status == 401

    assert await bot.everything() == before


async def test_no_request_asks_slack_who_we_are_and_the_first_is_as_quick_as_the_next(bot: Bot) -> None:
    asked = len([call for call in bot.slack.calls if call.method == "auth.test"])
    bot.slack.down = True

    first = await bot.slack.command(RITA, DEPLOYS, "/resume", "help")

    assert first.status == 200
    assert first.seconds < 0.5
    assert len([call for call in bot.slack.calls if call.method == "auth.test"]) == asked


# ---- Slack does not take our call --------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", 500, 429, "slow", "fatal_error"])
async def test_a_form_that_cannot_be_opened_is_said_in_the_answer_to_the_command(bot: Bot, fault: int | str) -> None:
    bot.slack.fail("views.open", fault, seconds=5)

    ack = await bot.slack.command(RITA, DEPLOYS, "/resume")

    assert ack.status == 200
    assert ack.seconds < SLACKS_PATIENCE
    assert "/resume" in ack.data["text"]


async def test_a_button_whose_form_cannot_be_opened_is_answered_and_can_be_pressed_again(bot: Bot) -> None:
    async with bot.working():
        card = await bot.card()
        question = await bot.asked(card)
        bot.slack.fail("views.open", "fatal_error")

        ack = await bot.press(ARNO, question, "Reject")

        assert ack.status == 200
        assert "again" in await bot.told(ARNO)
        assert (await bot.press(ARNO, question, "Reject")).status == 200
        assert bot.slack.views[ARNO]


# ---- the database does not answer --------------------------------------------------------------


@pytest.fixture
async def frail(base: Path) -> AsyncIterator[Embedded]:
    """A server that the test may take away."""
    with own_server(base) as server:
        await migrate(url_on(server, "postgres"))
        yield server


async def presses(bot: Bot, card: Any, user: str = RITA) -> list[Ack]:
    """One of each kind of request that needs the database, at once."""
    block, action = place_of(card, "Retry")
    return list(
        await asyncio.gather(
            bot.slack.press(user, DEPLOYS, card.ts, block, action),
            bot.slack.command(user, DEPLOYS, "/resume", "list"),
            bot.slack.command(ARNO, DEPLOYS, "/resume"),
            bot.slack.open_home(user),
        )
    )


@pytest.mark.parametrize("way", ["frozen", "down"])
async def test_without_its_database_every_press_is_answered_in_time_with_try_again_and_nothing_is_lost(
    frail: Embedded, tmp_path: Path, way: str
) -> None:
    async with opened(url_on(frail, "postgres"), tmp_path) as bot:
        async with bot.working():
            card = await bot.card()
        told = len(bot.slack.private(RITA))
        if way == "frozen":
            freeze(frail)
        else:
            await take_down(frail)

        acks = await presses(bot, card)

        assert [ack.status for ack in acks] == [200] * 4
        assert max(ack.seconds for ack in acks) < SLACKS_PATIENCE
        assert "again" in await bot.told(RITA, told)
        assert all("again" in ack.data["text"] for ack in acks[1:3])

        if way == "frozen":
            thaw(frail)
        else:
            await bring_back(frail)
        async with bot.working():
            ack = await bot.press(RITA, card, "Retry")
            assert ack.status == 200
            question = await seen(lambda: bot.find("", "Approve", thread=card.ts), "approval message")
        assert "Retry" not in words_of(question)
        assert len(await bot.trail("request:resume:requested")) == 1
        assert bot.slack.broken == []
