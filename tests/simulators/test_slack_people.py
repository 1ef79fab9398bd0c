"""People act, a stock Bolt app answers, and Slack shows what came of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_bolt.async_app import AsyncApp

from bot.simulators.slack import ImpossibleActError, SlackSimulator, sign
from tests.simulators.slack_kit import (
    ARNO,
    BOT,
    GINA,
    GONE,
    OLGA,
    OPEN,
    PRIVATE,
    RITA,
    SECRET,
    Stage,
    actions,
    bolt,
    button,
    modal,
    option,
    plain,
    question,
    select,
    simulator,
    staged,
)

pytestmark = pytest.mark.anyio
REASON = {"type": "plain_text_input", "action_id": "reason"}


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


def hear(app: AsyncApp, *, answer: Any = None) -> list[dict[str, Any]]:
    """Lets the app take every interaction, and keeps what it was told."""
    heard: list[dict[str, Any]] = []

    async def listener(ack: Any, body: dict[str, Any]) -> None:
        heard.append(body)
        await ack(**(answer or {}))

    app.action({"type": "block_actions", "action_id": "go"})(listener)
    app.action({"type": "block_actions", "action_id": "stage"})(listener)
    app.action({"type": "block_actions", "action_id": "more"})(listener)
    app.view("asked")(listener)
    app.view_closed("asked")(listener)
    app.shortcut("resume")(listener)
    app.options("stage")(listener)
    return heard


async def card(app: AsyncApp, *elements: dict[str, Any], channel: str = OPEN) -> str:
    posted = await app.client.chat_postMessage(channel=channel, text="card", blocks=[actions(*elements)])
    return str(posted["ts"])


async def show(app: AsyncApp, slack: SlackSimulator, view: dict[str, Any], user: str = RITA) -> dict[str, Any]:
    """Opens a modal of the app's in front of a person."""
    await app.client.views_open(trigger_id=slack._state.issue_trigger(user), view=view)
    return slack.views[user][-1]


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


# ---- modals ----


async def test_a_modal_goes_from_a_press_to_its_submission(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)

    @app.action("ask")
    async def listener(ack: Any, body: dict[str, Any], client: Any) -> None:
        view = modal(question(REASON), callback_id="asked", private_metadata="req-7")
        await client.views_open(trigger_id=body["trigger_id"], view=view)
        await ack()

    ts = await card(app, button("ask"))
    await slack.press(RITA, OPEN, ts, "row", "ask")
    ack = await slack.submit(RITA, {"why": {"reason": {"type": "plain_text_input", "value": "because"}}})

    [body] = heard
    assert ack.status == 200
    assert (body["type"], body["view"]["private_metadata"]) == ("view_submission", "req-7")
    assert body["view"]["state"] == {"values": {"why": {"reason": {"type": "plain_text_input", "value": "because"}}}}
    assert slack.views[RITA] == []
    assert slack.broken == []


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({}, ["first"]),
        ({"response_action": "clear"}, []),
        ({"response_action": "update", "view": modal(callback_id="new")}, ["first", "new"]),
        ({"response_action": "push", "view": modal(callback_id="new")}, ["first", "asked", "new"]),
        ({"response_action": "errors", "errors": {"why": "Longer, please."}}, ["first", "asked"]),
    ],
)
async def test_a_modal_does_what_the_answer_says(
    app: AsyncApp, slack: SlackSimulator, answer: dict[str, Any], left: list[str]
) -> None:
    hear(app, answer=answer)
    await show(app, slack, modal(callback_id="first"))
    trigger = slack._state.issue_trigger(RITA, in_view=True)
    view = modal(question(REASON, optional=True), callback_id="asked")
    await app.client.views_push(trigger_id=trigger, view=view)

    ack = await slack.submit(RITA)

    assert (ack.error, [each["callback_id"] for each in slack.views[RITA]]) == ("", left)
    assert slack.broken == []


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"other": "Not an input."}},
        {"response_action": "errors", "errors": {}},
        {"response_action": "update", "view": {"type": "modal"}},
        {"response_action": "explode"},
    ],
)
async def test_an_answer_slack_cannot_read_leaves_the_modal_open(
    app: AsyncApp, slack: SlackSimulator, answer: dict[str, Any]
) -> None:
    @app.view("asked")
    async def listener() -> Any:
        raise AssertionError("answered below")

    @app.error
    async def answered(error: Exception) -> Any:
        from slack_bolt.response import BoltResponse  # noqa: PLC0415 — the only place that needs it

        return BoltResponse(status=200, body=json.dumps(answer), headers={"content-type": ["application/json"]})

    await show(app, slack, modal(question(REASON, optional=True), callback_id="asked"))

    ack = await slack.submit(RITA)

    assert (bool(ack.error), len(slack.views[RITA])) == (True, 1)
    assert slack.broken
    assert slack.notices[0].text == "We had some trouble connecting. Try again?"


async def test_a_failed_submission_leaves_the_modal_open(app: AsyncApp, slack: SlackSimulator) -> None:
    await show(app, slack, modal(callback_id="unheard"))

    ack = await slack.submit(RITA)

    assert (ack.status, len(slack.views[RITA])) == (404, 1)
    assert slack.notices[0].text == "We had some trouble connecting. Try again?"


@pytest.mark.parametrize("entered", [None, "", "x" * 11])
async def test_an_incomplete_modal_is_not_sent(app: AsyncApp, slack: SlackSimulator, entered: str | None) -> None:
    view = await show(app, slack, modal(question(REASON | {"max_length": 10}), callback_id="asked"))

    ack = await slack.submit(RITA, {"why": {"reason": {"type": "plain_text_input", "value": entered}}})

    assert (ack.status, ack.error != "") == (0, True)
    assert slack.acks == []
    assert slack._state.errors[view["id"]] == {"why": ack.error}


async def test_a_choice_in_a_modal_is_reported_with_what_else_was_entered(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    view = await show(app, slack, modal(actions(select()), question(REASON), callback_id="asked"))

    await slack.view_action(RITA, "row", "stage", {"why": {"reason": {"value": "half"}}}, "two")
    await slack.submit(RITA)

    action, submission = heard
    assert action["container"] == {"type": "view", "view_id": view["id"]}
    assert action["actions"][0]["selected_option"]["value"] == "two"
    assert "response_url" not in action
    values = submission["view"]["state"]["values"]
    assert (values["row"]["stage"]["selected_option"]["value"], values["why"]["reason"]["value"]) == ("two", "half")


async def test_a_closed_modal_is_told_only_if_it_asked(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    await show(app, slack, modal(callback_id="asked", notify_on_close=True))
    await slack.close_view(RITA)
    await show(app, slack, modal(callback_id="asked"))
    await slack.close_view(RITA)

    assert [body["type"] for body in heard] == ["view_closed"]
    assert slack.views[RITA] == []


async def test_closing_clears_the_stack_if_the_view_says_so(app: AsyncApp, slack: SlackSimulator) -> None:
    await show(app, slack, modal())
    trigger = slack._state.issue_trigger(RITA, in_view=True)
    await app.client.views_push(trigger_id=trigger, view=modal(clear_on_close=True))

    await slack.close_view(RITA)

    assert slack.views[RITA] == []


async def test_a_button_of_the_home_tab_opens_no_pushed_view(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    await app.client.views_publish(user_id=RITA, view={"type": "home", "blocks": [actions(button())]})

    await slack.view_action(RITA, "row", "go")

    assert heard[0]["view"]["type"] == "home"
    assert slack._state.triggers[heard[0]["trigger_id"]].in_view is False


async def test_a_modal_changed_by_a_method_meanwhile_closes_all_the_same(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.view("asked")
    async def listener(ack: Any, body: dict[str, Any], client: Any) -> None:
        await client.views_update(view_id=body["view"]["id"], view=modal(callback_id="busy"))
        await ack()

    await show(app, slack, modal(callback_id="asked"))

    await slack.submit(RITA)

    assert slack.views[RITA] == []


async def test_a_modal_closed_meanwhile_stays_closed(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.view("asked")
    async def listener(ack: Any) -> None:
        await slack.close_view(RITA)
        await ack(response_action="update", view=modal())

    await show(app, slack, modal(callback_id="asked"))

    ack = await slack.submit(RITA)

    assert (ack.error, slack.views[RITA]) == ("", [])


async def test_several_choices_in_a_modal_are_reported(app: AsyncApp, slack: SlackSimulator) -> None:
    heard = hear(app)
    boxes = {"type": "checkboxes", "action_id": "boxes", "options": [option("a"), option("b"), option("c")]}
    people = {"type": "multi_users_select", "action_id": "people"}
    await show(app, slack, modal(question(boxes, "x"), question(people, "y"), callback_id="asked"))

    chosen: dict[str, Any] = {
        "x": {"boxes": {"selected_options": [option("a"), option("c")]}},
        "y": {"people": {"selected_users": [ARNO]}},
    }
    await slack.submit(RITA, chosen)

    values = heard[0]["view"]["state"]["values"]
    assert [each["value"] for each in values["x"]["boxes"]["selected_options"]] == ["a", "c"]
    assert values["y"]["people"] == {"type": "multi_users_select", "selected_users": [ARNO]}


async def test_suggestions_in_a_modal_can_be_submitted(app: AsyncApp, slack: SlackSimulator) -> None:
    hear(app, answer={"option_groups": [{"label": plain("all"), "options": [option("found")]}]})
    element = {"type": "external_select", "action_id": "stage"}
    await show(app, slack, modal(question(element), callback_id="other"))

    await slack.suggest(RITA, "why", "stage", "fo")
    await slack.submit(RITA, {"why": {"stage": {"selected_option": option("found")}}})

    [suggested, submitted] = [json.loads(parse_qs(ack.sent.content.decode())["payload"][0]) for ack in slack.acks]
    assert suggested["container"]["type"] == "view"
    assert submitted["view"]["state"]["values"]["why"]["stage"]["selected_option"]["value"] == "found"


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
        from slack_bolt.response import BoltResponse  # noqa: PLC0415 — see above

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
    import time  # noqa: PLC0415 — Bolt reads the real time

    content = b'{"type": "url_verification", "challenge": "c"}'
    headers = {"Content-Type": "application/json", **sign(SECRET, content, time.time() - age)}

    assert (await slack.send(content, headers)).status == status


async def test_bolt_refuses_another_secret(slack: SlackSimulator) -> None:
    content = b'{"type": "url_verification", "challenge": "c"}'

    ack = await slack.send(content, {"Content-Type": "application/json", **sign("another", content)})

    assert ack.status == 401


async def test_a_plain_answer_is_a_text(app: AsyncApp, slack: SlackSimulator) -> None:
    @app.command("/resume")
    async def listener(ack: Any) -> None:
        await ack(text="x", blocks=[{"type": "section", "text": plain("y")}], response_type="in_channel")

    await slack.command(RITA, OPEN, "/resume")

    assert slack.messages[0].to is None
