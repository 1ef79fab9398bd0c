"""Connections come and go, Slack refuses or is silent: deliveries are taken as soon as there is a way, and from Slack alone."""

import asyncio

import pytest

from bot import bootstrap
from bot.domain.errors import ConfigError
from bot.slack.socket import Pace, SocketMode
from bot.slack.socket_line import may_connect
from tests.in_process import Bot
from tests.socket_mode.double import APP_TOKEN, SlackSockets, Wire, envelope
from tests.socket_mode.stand import QUICK, Stand, answered, client_of, command, connected, holding

pytestmark = pytest.mark.anyio


# ---- connections come and go -------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_connection_that_is_taken_away_is_read_until_its_end(stand: Stand, reason: str) -> None:
    old = await stand.sockets.connected()

    await old.disconnect(reason)
    new = await stand.sockets.connected(2)
    answers = [await stand.help(wire) for wire in (old, new, old)]
    await old.close()

    assert all("payload" in answer for answer in answers)
    await stand.sockets.seen(lambda: stand.sockets.wires == [new], "single connection")
    assert "payload" in await stand.help(new)


async def test_a_connection_that_slack_leaves_open_is_closed_after_a_while(bot: Bot, sockets: SlackSockets) -> None:
    async with connected(bot, sockets, Pace(first_wait=0.05, overlap=0.2)):
        old = await sockets.connected()

        await old.disconnect("refresh_requested")

        async with asyncio.timeout(5):
            await old.ended.wait()
        assert old.close_code == 1000
        await sockets.connected()


@pytest.mark.parametrize("how", ["close", "cut", "link_disabled"])
async def test_a_lost_connection_is_replaced(stand: Stand, how: str) -> None:
    wire = await stand.sockets.connected()

    if how == "cut":
        wire.cut()
    elif how == "close":
        await wire.close()
    else:
        await wire.disconnect(how)

    await stand.sockets.seen(lambda: stand.sockets.wires and stand.sockets.wires[-1] is not wire, "new connection")
    assert "payload" in await stand.help()


async def test_an_answer_whose_connection_is_gone_goes_over_the_new_one(stand: Stand) -> None:
    old = await stand.sockets.connected()
    async with holding(stand.bot, "lookups"):
        answer = await stand.sockets.deliver(envelope("slash_commands", command("list")), old)
        await old.disconnect("refresh_requested")
        await stand.sockets.connected(2)
        await old.close()

    assert "Looking it up" in (await answered(answer))["payload"]["text"]


async def test_a_quiet_connection_stays(stand: Stand) -> None:
    wire = await stand.sockets.connected()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.ended.wait(), 6 * QUICK.ping)  # one without answers would be given up

    assert stand.sockets.wires == [wire]
    assert "payload" in await stand.help(wire)


async def test_a_connection_without_a_hello_is_given_up(bot: Bot, sockets: SlackSockets) -> None:
    sockets.greets = False
    async with connected(bot, sockets, Pace(connect=0.1, first_wait=0.05)):
        await sockets.seen(lambda: len(sockets.tickets) >= 2, "second try")

        sockets.greets = True
        await sockets.connected()


async def test_with_too_many_connections_it_waits_for_its_turn(bot: Bot, sockets: SlackSockets) -> None:
    others = [Wire("", None) for _ in range(10)]  # type: ignore[arg-type]  # only counted
    sockets.wires += others
    async with connected(bot, sockets) as stand:
        await sockets.seen(lambda: len(sockets.tickets) >= 2, "second try")

        sockets.wires.clear()

        await sockets.connected()
        assert "payload" in await stand.help()


async def test_an_address_that_is_no_longer_good_is_not_tried_twice(bot: Bot, sockets: SlackSockets) -> None:
    line = SocketMode(bootstrap.slack_app(bot.parts).bolt, client_of(sockets, bot), APP_TOKEN, QUICK)
    await line.prepare()
    sockets.expire()

    running = asyncio.create_task(line.run())

    await sockets.connected()
    assert len(sockets.tickets) == 2
    line.stop()
    await running


# ---- Slack refuses, or is silent ---------------------------------------------------------------


@pytest.mark.parametrize("error", ["invalid_auth", "not_allowed_token_type", "missing_scope", "account_inactive"])
async def test_a_refused_token_ends_the_start_with_what_to_do(bot: Bot, sockets: SlackSockets, error: str) -> None:
    sockets.refusals = [error]
    line = SocketMode(bootstrap.slack_app(bot.parts).bolt, client_of(sockets, bot), APP_TOKEN, QUICK)

    with pytest.raises(ConfigError, match=rf"SLACK_APP_TOKEN \({error}\).*connections:write.*App-Level Tokens"):
        await line.prepare()


async def test_a_token_that_a_silent_slack_refuses_in_the_end_ends_the_process(bot: Bot, sockets: SlackSockets) -> None:
    sockets.down = True
    line = SocketMode(bootstrap.slack_app(bot.parts).bolt, client_of(sockets, bot), APP_TOKEN, QUICK)
    await line.prepare()
    sockets.refusals, sockets.down = ["invalid_auth"], False

    with pytest.raises(ConfigError, match="SLACK_APP_TOKEN"):
        await line.run()


async def test_a_silent_slack_is_asked_until_it_is_back(bot: Bot, sockets: SlackSockets) -> None:
    sockets.down = True
    async with connected(bot, sockets) as stand:
        assert not sockets.tickets

        sockets.down = False

        await sockets.connected()
        assert "payload" in await stand.help()


async def test_a_token_that_was_good_once_is_tried_again_when_it_is_refused(stand: Stand) -> None:
    stand.sockets.refusals = ["token_revoked", "token_revoked"]

    await (await stand.sockets.connected()).close()

    await stand.sockets.seen(lambda: len(stand.sockets.tickets) == 2 and stand.sockets.wires, "new connection")
    assert "payload" in await stand.help()


# ---- where it connects to ----------------------------------------------------------------------

SLACK, DOUBLE = "https://slack.com/api/", "http://127.0.0.1:5000/api/"


@pytest.mark.parametrize(
    ("address", "api", "may"),
    [
        ("wss://wss-primary.slack.com/link/?ticket=1", SLACK, True),
        ("wss://slack.com/link", SLACK, True),
        ("wss://wss.slack-gov.com/link", "https://slack-gov.com/api/", True),
        ("ws://wss-primary.slack.com/link", SLACK, False),
        ("ws://slack.com/link", SLACK, False),
        ("https://wss-primary.slack.com/link", SLACK, False),
        ("wss://evilslack.com/link", SLACK, False),
        ("wss://slack.com.example.com/link", SLACK, False),
        ("wss://slack.com@example.com/link", SLACK, False),
        ("wss://user:word@wss.slack.com/link", SLACK, False),
        ("wss://wss.slack.com:8443/link", SLACK, False),
        ("wss://wss.slack.com:nonsense/link", SLACK, False),
        ("wss://[::1/link", SLACK, False),
        ("wss://127.0.0.1/link", SLACK, False),
        ("", SLACK, False),
        ("ws://127.0.0.1:5001/link", DOUBLE, True),
        ("wss://127.0.0.1/link", DOUBLE, True),
        ("ws://127.0.0.2:5000/link", DOUBLE, False),
        ("ws://double.example.com/link", "https://double.example.com/api/", False),
    ],
)
def test_an_address_leads_to_slack_itself_or_to_the_double_we_are_told_to_use(address: str, api: str, may: bool) -> None:
    assert may_connect(address, api) is may


@pytest.mark.parametrize(("host", "path"), [("localhost", "link"), ("127.0.0.1", "elsewhere")], ids=["host", "redirect"])
async def test_no_other_address_is_followed_though_it_would_answer(
    bot: Bot, sockets: SlackSockets, host: str, path: str
) -> None:
    sockets.address = f"{sockets.url.replace('http', 'ws', 1).replace('127.0.0.1', host)}/{path}/?ticket={{ticket}}"
    async with connected(bot, sockets) as stand:
        await sockets.seen(lambda: len(sockets.tickets) >= 2, "second try")
        assert not sockets.wires

        sockets.address = ""

        await sockets.connected()
        assert "payload" in await stand.help()
