"""What comes over a socket is handled as over HTTP: answered when it is recorded, once, whatever it is."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from bot.slack.gate import BODY_LIMIT
from bot.slack.socket import Pace
from tests.in_process import ARNO, DEPLOYS, RITA, Bot, seen
from tests.socket_mode.double import SlackSockets, envelope
from tests.socket_mode.stand import Stand, answered, command, connected, holding

pytestmark = pytest.mark.anyio


# ---- the same as over HTTP ---------------------------------------------------------------------


async def test_a_command_is_answered_in_its_acknowledgement(stand: Stand) -> None:
    ack = await stand.bot.slack.command(RITA, DEPLOYS, "/resume", "help")

    assert ack.status == 200
    assert "/resume" in str(ack.data["blocks"])
    assert ack.data["response_type"] == "ephemeral"


async def test_presses_forms_and_events_come_over_the_socket(stand: Stand) -> None:
    bot = stand.bot
    async with bot.working():
        card = await bot.card()
        question = await bot.asked(card)
        await bot.press(ARNO, question, "Reject")
        (block,) = [block for block in bot.slack.views[ARNO][-1]["blocks"] if block["type"] == "input"]
        reason = {block["element"]["action_id"]: {"type": "plain_text_input", "value": "not today"}}
        assert (await bot.slack.submit(ARNO, {block["block_id"]: reason})).status == 200
        assert (await bot.slack.open_home(RITA)).status == 200
        await seen(lambda: bot.slack.homes.get(RITA), "Home tab")

    assert len(await bot.trail("request:decision:rejected")) == 1
    assert {each["type"] for each in stand.sockets.envelopes} == {"interactive", "events_api"}


async def test_a_press_is_durable_once_it_is_acknowledged(stand: Stand) -> None:
    async with stand.bot.working():
        card = await stand.bot.card()

    ack = await stand.bot.press(RITA, card, "Retry")

    assert ack.status == 200
    assert len(await stand.bot.trail("request:resume:requested")) == 1


async def test_an_envelope_that_comes_again_changes_nothing(stand: Stand) -> None:
    bot = stand.bot
    async with bot.working():
        await bot.press(RITA, await bot.card(), "Retry")
    (sent,) = stand.sockets.envelopes
    again = envelope("interactive", sent["payload"], retry_attempt=1, retry_reason="timeout")
    before = await bot.everything()

    first = await answered(await stand.sockets.deliver(dict(sent)))
    second = await answered(await stand.sockets.deliver(again))

    assert first == {"envelope_id": sent["envelope_id"]}
    assert second == {"envelope_id": again["envelope_id"]}
    assert await bot.everything() == before


async def test_deliveries_are_handled_side_by_side(stand: Stand) -> None:
    async with holding(stand.bot, "lookups"):
        waiting = await stand.sockets.deliver(envelope("slash_commands", command("list")))

        assert "payload" in await stand.help()
        assert not waiting.done()

    await answered(waiting)


async def test_a_delivery_that_cannot_be_recorded_is_answered_with_a_private_word(stand: Stand) -> None:
    async with holding(stand.bot, "lookups"):
        answer = await answered(await stand.sockets.deliver(envelope("slash_commands", command("list"))))

    assert "again is safe" in answer["payload"]["text"]
    assert answer["payload"]["response_type"] == "ephemeral"


async def test_a_command_that_is_not_ours_is_answered_with_a_private_word(stand: Stand) -> None:
    ack = await stand.bot.slack.command(RITA, DEPLOYS, "/restart", "everything")

    assert (ack.status, ack.data["response_type"]) == (200, "ephemeral")
    assert "/resume" in ack.data["text"]


async def test_what_may_hold_no_answer_is_acknowledged_without_one(stand: Stand) -> None:
    sent = envelope("events_api", command("help"))

    assert await answered(await stand.sockets.deliver(sent)) == {"envelope_id": sent["envelope_id"]}


# ---- what cannot be read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "{",
        "[]",
        "null",
        "{}",
        '{"type":"slash_commands"}',
        '{"type":["disconnect"],"envelope_id":{},"payload":[]}',
        '{"type":"slash_commands","envelope_id":"e","payload":7}',
        '{"type":"hello","num_connections":"many"}',
        '{"n":' + "9" * 5000 + "}",
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        json.dumps(envelope("slash_commands", command("x" * (BODY_LIMIT + 1)))),
    ],
    ids=lambda message: message[:40] or "empty",
)
async def test_a_message_that_cannot_be_read_does_no_harm_to_the_connection(stand: Stand, message: str) -> None:
    wire = await stand.sockets.connected()

    await wire.send(message)

    assert "payload" in await stand.help(wire)
    assert len(stand.sockets.tickets) == 1


@pytest.mark.parametrize(
    "payload",
    [{}, {"type": "block_actions"}, {"team": 7, "type": "block_actions"}, {"event": 7}, {"actions": [None]}, "words"],
    ids=str,
)
async def test_an_envelope_whose_payload_cannot_be_read_is_acknowledged(stand: Stand, payload: Any) -> None:
    sent = envelope("interactive", payload)

    assert await answered(await stand.sockets.deliver(sent)) == {"envelope_id": sent["envelope_id"]}


async def test_after_a_message_beyond_all_measure_there_is_a_new_connection(stand: Stand) -> None:
    first = await stand.sockets.connected()

    with suppress(ConnectionError):
        await first.send("x" * (4 * BODY_LIMIT + 1))

    await stand.sockets.seen(lambda: len(stand.sockets.tickets) == 2 and stand.sockets.wires, "second connection")
    assert "payload" in await stand.help()


# ---- the end -----------------------------------------------------------------------------------


async def test_at_the_end_what_is_being_handled_is_answered_and_nothing_new_is_taken(stand: Stand) -> None:
    wire = await stand.sockets.connected()
    async with holding(stand.bot, "lookups"):
        begun = await stand.sockets.deliver(envelope("slash_commands", command("list")))
        assert "payload" in await stand.help()  # so the one before it is being handled

        stand.line.stop()
        late = await stand.sockets.deliver(envelope("slash_commands", command("help")))

    assert "Looking it up" in (await answered(begun))["payload"]["text"]
    await stand.ends()
    assert wire.close_code == 1000
    assert not late.done()
    assert len(await stand.bot.ask("SELECT id FROM lookups")) == 1


async def test_the_end_does_not_wait_for_a_silent_slack(bot: Bot, sockets: SlackSockets) -> None:
    sockets.down = True
    async with connected(bot, sockets, Pace(first_wait=60.0)) as stand:
        async with asyncio.timeout(1):
            await stand.ends()
