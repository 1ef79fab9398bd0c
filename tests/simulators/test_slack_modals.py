"""People fill in modals, and the modal does what the bot answers."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.simulators.slack import SlackSimulator
from tests.simulators.slack_kit import (
    ARNO,
    OPEN,
    RITA,
    Stage,
    actions,
    bolt,
    button,
    card,
    hear,
    modal,
    option,
    plain,
    question,
    select,
    show,
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
