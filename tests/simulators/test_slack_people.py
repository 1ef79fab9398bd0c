"""People type commands, press and choose; a stock Bolt app answers, and Slack shows what came of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp

from bot.simulators.slack import ImpossibleActError, SlackSimulator
from tests.simulators.slack_kit import (
    ARNO,
    BOT,
    GINA,
    GONE,
    OLGA,
    OPEN,
    PRIVATE,
    RITA,
    Stage,
    actions,
    bolt,
    button,
    card,
    hear,
    option,
    plain,
    select,
    simulator,
    staged,
)

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


# ---- commands ----


async def test_the_answer_to_a_command_is_private(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.command("/resume")
    async def listener(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"heard {command['text']} of {command['user_id']} in {command['channel_name']}")

    ack = await slack.command(RITA, OPEN, "/resume", "a b & <c>")

    assert (ack.status, ack.error) == (200, "")
    assert [(m.text, m.to) for m in slack.messages] == [(f"heard a b & <c> of {RITA} in open", RITA)]
    assert slack.broken == []


async def test_a_command_is_answered_later_through_its_response_url(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.command("/resume")
    async def listener(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="for all", response_type="in_channel")

    await slack.command(RITA, OPEN, "/resume")

    assert [(m.text, m.to) for m in slack.messages] == [("for all", None)]


async def test_a_command_nobody_handles_is_shown_as_failed(slack: SlackSimulator) -> None:
    ack = await slack.command(RITA, OPEN, "/other")

    assert ack.status == 404
    assert [(n.user, n.text) for n in slack.notices] == [(RITA, '/other failed with the error "http_client_error"')]


async def test_an_answer_to_a_command_with_unknown_fields_breaks_a_rule(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.command("/resume")
    async def listener(ack: Any) -> None:
        await ack({"text": "x", "colour": "red"})

    await slack.command(RITA, OPEN, "/resume")

    assert slack.broken == ["answer to /resume: cannot read ['colour']"]


async def test_an_unsound_answer_to_a_command_is_not_shown(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.command("/resume")
    async def listener(ack: Any) -> None:
        await ack(text="x", blocks=[{"type": "marquee"}])

    await slack.command(RITA, OPEN, "/resume")

    assert slack.messages == []
    assert slack.broken == ["message: unsupported type: marquee [json-pointer:/blocks/0/type]"]
    assert slack.notices[0].text == '/resume failed with the error "invalid_blocks"'


async def test_a_late_answer_times_out(app: AsyncApp, slack: SlackSimulator) -> None:
    slack.deadline_s = 0.05

    @app.command("/resume")
    async def listener(ack: Any) -> None:
        await asyncio.sleep(0.5)
        await ack("late")

    ack = await slack.command(RITA, OPEN, "/resume")

    assert (ack.status, ack.error) == (0, "operation_timeout")
    assert slack.notices[0].text == '/resume failed with the error "operation_timeout"'
    assert slack.messages == []


async def test_a_bot_that_is_gone_is_shown_as_such(slack: SlackSimulator) -> None:
    slack.bot_url = "http://127.0.0.1:9"

    ack = await slack.command(RITA, OPEN, "/resume")

    assert (ack.status, ack.error) == (0, "dispatch_failed")


async def test_an_answer_to_a_command_can_be_for_all(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.command("/resume")
    async def listener(ack: Any) -> None:
        await ack(text="x", blocks=[{"type": "section", "text": plain("y")}], response_type="in_channel")

    await slack.command(RITA, OPEN, "/resume")

    assert slack.messages[0].to is None


# ---- presses and choices ----


async def test_a_press_tells_who_where_and_on_what(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    parent = await card(app, button())
    await app.client.chat_postMessage(
        channel=OPEN, text="below", thread_ts=parent, blocks=[actions(button(value="7", style="primary"))]
    )
    ts = slack.messages[-1].ts

    ack = await slack.press(OLGA, OPEN, ts, "row", "go")

    [body] = heard
    assert ack.status == 200
    assert body["user"] == {"id": OLGA, "username": "olga", "name": "olga", "team_id": "T0ELSE"}
    assert body["team"] == {"id": "T0HOME", "domain": "t0home"}
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": OPEN,
        "is_ephemeral": False,
        "thread_ts": parent,
    }
    assert (body["message"]["ts"], body["message"]["text"], body["message"]["user"]) == (ts, "below", BOT)
    assert body["channel"] == {"id": OPEN, "name": "open"}
    [action] = body["actions"]
    assert (action["type"], action["block_id"], action["action_id"]) == ("button", "row", "go")
    assert (action["value"], action["style"], action["text"]["text"]) == ("7", "primary", "Go")
    assert body["state"] == {"values": {}}
    assert body["trigger_id"]
    assert body["response_url"].startswith(slack.public_url)


async def test_a_choice_goes_with_this_persons_later_presses_only(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    ts = await card(app, select(initial_option=option("one")), button())

    await slack.choose(RITA, OPEN, ts, "row", "stage", value="two")
    await slack.press(RITA, OPEN, ts, "row", "go")
    await slack.press(ARNO, OPEN, ts, "row", "go")

    chosen, with_choice, without = heard
    assert chosen["actions"][0]["selected_option"]["value"] == "two"
    assert with_choice["state"]["values"]["row"]["stage"]["selected_option"]["value"] == "two"
    assert without["state"]["values"]["row"]["stage"] == {
        "type": "static_select",
        "selected_option": {"text": {"type": "plain_text", "text": "one", "emoji": True}, "value": "one"},
    }


async def test_a_choice_that_is_no_longer_offered_is_forgotten(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    ts = await card(app, select(), button())
    await slack.choose(RITA, OPEN, ts, "row", "stage", value="two")
    blocks = [actions(select(options=[option("one")]), button())]
    await app.client.chat_update(channel=OPEN, ts=ts, text="card", blocks=blocks)

    await slack.press(RITA, OPEN, ts, "row", "go")

    assert heard[-1]["state"]["values"]["row"]["stage"]["selected_option"] is None


async def test_an_overflow_menu_reports_its_option(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    ts = await card(app, {"type": "overflow", "action_id": "more", "options": [option("open"), option("snooze")]})

    await slack.overflow(RITA, OPEN, ts, "row", "more", value="snooze")

    assert heard[0]["actions"][0]["selected_option"]["value"] == "snooze"
    assert heard[0]["state"]["values"] == {}


async def test_a_press_on_an_ephemeral_message_carries_no_content_and_can_replace_it(
    app: AsyncApp, slack: SlackSimulator
) -> None:
    bodies = []

    @app.action("go")
    async def listener(ack: Any, body: dict[str, Any], respond: Any) -> None:
        bodies.append(body)
        await ack()
        await respond(text="done", blocks=[], replace_original=True)

    answer = await app.client.chat_postEphemeral(channel=OPEN, user=RITA, text="psst", blocks=[actions(button())])

    await slack.press(RITA, OPEN, answer["message_ts"], "row", "go")

    assert (bodies[0]["container"]["is_ephemeral"], "message" in bodies[0]) == (True, False)
    assert [(m.text, m.to, m.blocks) for m in slack.messages] == [("done", RITA, [])]


async def test_a_press_without_a_good_answer_warns_that_person(slack: SlackSimulator, app: AsyncApp) -> None:
    ts = await card(app, button("unheard"))

    await slack.press(RITA, OPEN, ts, "row", "unheard")

    assert [(n.user, n.text) for n in slack.notices] == [(RITA, "That did not work (http_client_error)")]


@pytest.mark.parametrize(
    ("user", "channel", "block_id", "action_id"),
    [
        (GONE, OPEN, "row", "go"),
        (BOT, OPEN, "row", "go"),
        ("U0NONE", OPEN, "row", "go"),
        (GINA, OPEN, "row", "go"),
        (RITA, PRIVATE, "row", "go"),
        (RITA, OPEN, "row", "other"),
        (RITA, OPEN, "other", "go"),
        (RITA, OPEN, "row", "stage"),
    ],
)
async def test_nobody_presses_what_they_cannot_see(
    app: AsyncApp, slack: SlackSimulator, user: str, channel: str, block_id: str, action_id: str
) -> None:
    ts = await card(app, button(), select(), channel=channel if channel == PRIVATE else OPEN)

    with pytest.raises(ImpossibleActError):
        await slack.press(user, channel, ts, block_id, action_id)

    assert slack.acks == []


async def test_nobody_sees_the_private_messages_of_others(app: AsyncApp, slack: SlackSimulator) -> None:
    answer = await app.client.chat_postEphemeral(channel=OPEN, user=RITA, text="psst", blocks=[actions(button())])

    with pytest.raises(ImpossibleActError):
        await slack.press(ARNO, OPEN, answer["message_ts"], "row", "go")


async def test_only_options_on_offer_can_be_chosen(app: AsyncApp, slack: SlackSimulator) -> None:
    ts = await card(app, select())

    with pytest.raises(ImpossibleActError):
        await slack.choose(RITA, OPEN, ts, "row", "stage", value="three")


# ---- suggestions ----


async def test_suggested_options_can_be_chosen(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app, answer={"options": [option("found")]})
    ts = await card(app, {"type": "external_select", "action_id": "stage"})

    ack = await slack.suggest(RITA, "row", "stage", "fo", channel=OPEN, ts=ts)
    await slack.choose(RITA, OPEN, ts, "row", "stage", value="found")

    assert (heard[0]["type"], heard[0]["value"], heard[0]["action_id"]) == ("block_suggestion", "fo", "stage")
    assert ack.data["options"][0]["value"] == "found"
    assert heard[1]["actions"][0]["selected_option"]["value"] == "found"


async def test_too_many_suggestions_show_nothing(app: AsyncApp, slack: SlackSimulator) -> None:
    hear(app, answer={"options": [option(str(number)) for number in range(101)]})
    ts = await card(app, {"type": "external_select", "action_id": "stage"})

    ack = await slack.suggest(RITA, "row", "stage", "", channel=OPEN, ts=ts)

    assert ack.error == "invalid_options"
    assert slack.broken == ["suggestion: no more than 100 items allowed [json-pointer:/options]"]


async def test_only_an_external_select_asks_for_options(app: AsyncApp, slack: SlackSimulator) -> None:
    ts = await card(app, select())

    with pytest.raises(ImpossibleActError):
        await slack.suggest(RITA, "row", "stage", "", channel=OPEN, ts=ts)


async def test_a_bot_that_does_not_suggest_offers_nothing(app: AsyncApp, slack: SlackSimulator) -> None:
    ts = await card(app, {"type": "external_select", "action_id": "unheard"})

    ack = await slack.suggest(RITA, "row", "unheard", "", channel=OPEN, ts=ts)

    assert ack.status == 404
    with pytest.raises(ImpossibleActError):
        await slack.choose(RITA, OPEN, ts, "row", "unheard", value="any")
