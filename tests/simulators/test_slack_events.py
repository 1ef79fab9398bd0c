"""Shortcuts and events reach the bot, signed, and again if need be."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.simulators.slack import SlackSimulator, sign
from tests.simulators.slack_kit import ARNO, GINA, OPEN, RITA, SECRET, Stage, bolt, button, card, hear, simulator, staged

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture
def app(stage: Stage) -> AsyncApp:
    app = bolt()
    stage.put_bot(app)
    return app


@pytest.fixture
async def slack(stage: Stage, app: AsyncApp) -> AsyncIterator[SlackSimulator]:
    slack = simulator(pace=False)
    stage.put_slack(slack)
    yield slack
    await slack.close()


# ---- shortcuts ----


async def test_a_message_shortcut_carries_anybodys_message(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    ts = slack.say(ARNO, OPEN, "it broke").ts

    await slack.shortcut(RITA, "resume", OPEN, ts)

    [body] = heard
    assert (body["type"], body["message_ts"]) == ("message_action", ts)
    assert (body["message"]["text"], body["message"]["user"], "bot_id" in body["message"]) == ("it broke", ARNO, False)


async def test_a_global_shortcut_has_no_channel(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)

    await slack.global_shortcut(RITA, "resume")

    assert (heard[0]["type"], "channel" in heard[0], "response_url" in heard[0]) == ("shortcut", False, False)


# ---- events ----


async def test_events_tell_of_homes_members_and_groups(app: AsyncApp, slack: SlackSimulator) -> None:
    events: list[dict[str, Any]] = []

    async def listener(event: dict[str, Any]) -> None:
        events.append(event)

    for kind in ("app_home_opened", "member_joined_channel", "member_left_channel", "subteam_members_changed"):
        app.event(kind)(listener)

    await slack.open_home(RITA)
    await slack.join(GINA, OPEN)
    await slack.leave(GINA, OPEN)
    await slack.change_group("S0RELEASE", [RITA])

    home, joined, left, group = events
    assert (home["user"], home["channel"], home["tab"]) == (RITA, "D0RITA", "home")
    assert (joined["user"], joined["channel"], left["user"]) == (GINA, OPEN, GINA)
    assert (group["added_users"], group["removed_users"]) == ([RITA], [ARNO])
    assert slack.cast.groups["S0RELEASE"].members == [RITA]


async def test_an_event_that_is_not_taken_comes_again_at_once_and_twice_later(slack: SlackSimulator) -> None:
    await slack.event(type="unheard_of")
    await slack.redeliver()
    await slack.redeliver()
    nothing_left = await slack.redeliver()

    numbers = [ack.sent.headers.get("X-Slack-Retry-Num") for ack in slack.acks]
    ids = {json.loads(ack.sent.content)["event_id"] for ack in slack.acks}
    assert (numbers, len(ids), nothing_left) == ([None, "1", "2", "3"], 1, [])
    assert slack.acks[1].sent.headers["X-Slack-Retry-Reason"] == "http_error"


async def test_an_event_is_not_sent_again_when_the_bot_says_so(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.event("unwanted")
    async def listener() -> None:
        raise ValueError

    @app.error
    async def refuse() -> Any:
        return BoltResponse(status=500, headers={"x-slack-no-retry": ["1"]})

    await slack.event(type="unwanted")

    assert len(slack.acks) == 1


# ---- signatures ----


async def test_a_replayed_request_arrives_byte_for_byte(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    ts = await card(app, button())
    first = await slack.press(RITA, OPEN, ts, "row", "go")

    again = await slack.replay(first)

    assert (again.sent, again.status) == (first.sent, 200)
    assert heard[0] == heard[1]


@pytest.mark.parametrize(("age", "status"), [(0, 200), (290, 200), (301, 401)])
async def test_bolt_takes_our_signature_while_it_is_fresh(slack: SlackSimulator, age: int, status: int) -> None:
    content = b'{"type": "url_verification", "challenge": "c"}'
    headers = {"Content-Type": "application/json", **sign(SECRET, content, time.time() - age)}

    assert (await slack.send(content, headers)).status == status


async def test_bolt_refuses_another_secret(slack: SlackSimulator) -> None:
    content = b'{"type": "url_verification", "challenge": "c"}'

    ack = await slack.send(content, {"Content-Type": "application/json", **sign("another", content)})

    assert ack.status == 401
