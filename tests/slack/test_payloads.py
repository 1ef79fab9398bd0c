"""What Slack sends becomes our own objects, and what our views write comes back whole."""

import json
from typing import Any

import pytest

from bot.domain.choices import choice_value, find_chosen
from bot.domain.errors import Refusal
from bot.domain.messages import Card, PickFailure, PickPoint, RejectReason, StartForm
from bot.slack.payloads import (
    Caller,
    ChannelChanged,
    GroupChanged,
    HomeOpened,
    OtherEvent,
    PickedFailure,
    PickedPoint,
    Place,
    Rejected,
    StartFilled,
    read_command,
    read_event,
    read_press,
    read_shortcut,
    read_submission,
)
from bot.slack.views import render, render_modal
from bot.slack.views.controls import (
    Control,
    Handle,
    HandleKind,
    More,
    control_of,
    handle_of,
    read_handle,
)
from tests.slack.cases import MODALS
from tests.slack.objects import POINTS, incident, points, request

INCIDENT, REQUEST = Handle(HandleKind.INCIDENT, 42, 3), Handle(HandleKind.REQUEST, 17, 2)
USER = {"id": "U0RITA", "username": "rita", "team_id": "T0HOME"}


def press(action: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A block_actions payload of a message."""
    body = {
        "type": "block_actions",
        "user": USER,
        "team": {"id": "T0HOME"},
        "container": {"type": "message", "message_ts": "17.01", "channel_id": "C0DEPLOYS", "is_ephemeral": False},
        "channel": {"id": "C0DEPLOYS", "name": "deploys"},
        "trigger_id": "t1",
        "response_url": "https://hooks.slack.com/actions/1",
        "actions": [{"type": "button", "block_id": "b", "action_ts": "1.5"} | action],
    }
    return body | more


def submitted(view: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """A view_submission payload of a view as we made it."""
    sent = json.loads(json.dumps(view)) | {"id": "V1", "hash": "h1", "state": {"values": values}}
    return {"type": "view_submission", "user": USER, "view": sent}


def state_of(view: dict[str, Any], typed: dict[str, str]) -> dict[str, Any]:
    """What Slack reports of a view's fields: what is preselected, and what is typed by block id."""
    values: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            element = block["element"]
            value = typed.get(block["block_id"], element.get("initial_value"))
            given = {"selected_option": element.get("initial_option")} if "select" in element["type"] else {"value": value}
            values[block["block_id"]] = {str(element["action_id"]): {"type": element["type"]} | given}
    return values


def test_a_press_of_retry_carries_the_incident_and_the_chosen_stage() -> None:
    card = render(Card(incident(), None, may_retry=True))
    row = next(block for block in card.blocks if block["type"] == "actions")
    select, retry = row["elements"][:2]
    chosen = {row["block_id"]: {"rb:stage": {"type": "static_select", "selected_option": select["options"][1]}}}

    read = read_press(press({"action_id": retry["action_id"], "value": retry["value"]}, state={"values": chosen}))

    assert (read.control, read.handle) == (Control.RETRY, INCIDENT)
    assert find_chosen(POINTS, read.choice) is POINTS[1]
    assert read.caller == Caller("U0RITA", "T0HOME")
    assert read.caller.actor == "slack:T0HOME/U0RITA"
    assert read.place == Place("C0DEPLOYS", "17.01")
    assert (read.trigger_id, read.response_url, read.at) == ("t1", "https://hooks.slack.com/actions/1", "1.5")


@pytest.mark.parametrize("state", [None, {}, {"values": {}}, {"values": {"b": {"rb:stage": {"selected_option": None}}}}])
def test_a_press_without_a_state_is_no_choice_and_means_the_preselected_stage(state: Any) -> None:
    read = read_press(press({"action_id": "rb:retry", "value": "inc-42:3"}, state=state))

    assert read.choice == ""
    assert find_chosen(POINTS, read.choice) is POINTS[0]


def test_a_choice_from_an_older_list_is_recognised() -> None:
    old = choice_value(1, points(3)[2])

    with pytest.raises(Refusal) as refused:
        find_chosen(POINTS, old)

    assert refused.value.reason == "stale_choice"


def test_a_choice_follows_its_stage_when_the_list_moves() -> None:
    assert find_chosen((POINTS[1], POINTS[0]), choice_value(0, POINTS[0])) is POINTS[0]


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(Refusal):
        find_chosen((), "")


def test_an_overflow_entry_carries_what_to_do_and_to_which_incident() -> None:
    action = {"action_id": "rb:more", "type": "overflow", "selected_option": {"value": "snooze:inc-42:3"}}

    read = read_press(press(action))

    assert (read.control, read.more, read.handle) == (Control.MORE, More.SNOOZE, INCIDENT)


def test_one_of_several_executions_is_named_by_its_argument() -> None:
    read = read_press(press({"action_id": "rb:choose:1", "value": "orders:inv_1"}))

    assert (read.control, read.argument, read.handle) == (Control.CHOOSE, "orders:inv_1", None)


def test_a_press_in_a_thread_and_in_a_private_message_says_so() -> None:
    container = {"type": "message", "message_ts": "17.02", "channel_id": "C1", "thread_ts": "17.01", "is_ephemeral": True}

    read = read_press(press({"action_id": "rb:approve", "value": "req-17:2"}, container=container))

    assert read.place == Place("C1", "17.02", "17.01", is_private=True)
    assert read.handle == REQUEST


def test_a_press_on_the_home_tab_has_a_view_and_no_place() -> None:
    body = press({"action_id": "rb:resume"}, container={"type": "view", "view_id": "V1"}, view={"id": "V1", "type": "home"})

    read = read_press(body)

    assert read.place is None
    assert read.view is not None
    assert read.view.is_home


@pytest.mark.parametrize(
    "body",
    [
        {},
        press({"action_id": "somebody_elses"}),
        press({"action_id": "rb:unheard_of"}),
        press({"action_id": "rb:retry"}, actions=[]),
        press({"action_id": 7}),
        press({"action_id": "rb:retry"}, user=None),
        press({"action_id": "rb:retry"}, state="none"),
    ],
)
def test_an_unreadable_press_is_refused_with_a_sentence_and_without_what_was_sent(body: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        read_press(body | {"token": "secret-token"})

    assert "please" in str(refused.value)
    assert "secret-token" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("value", ["", "inc-42", "inc-x:1", "run-1:2", "inc-42:3 ", "inc-" + "9" * 40 + ":1"])
def test_a_value_that_is_no_handle_points_to_nothing(value: str) -> None:
    assert read_handle(value) is None


def test_handles_come_back_as_they_were_written() -> None:
    assert read_handle(str(handle_of(incident()))) == INCIDENT
    assert read_handle(str(handle_of(request()))) == REQUEST


@pytest.mark.parametrize(
    ("action_id", "control"), [("rb:retry", Control.RETRY), ("rb:choose:12", Control.CHOOSE), ("x:retry", None)]
)
def test_an_action_id_names_its_control(action_id: str, control: Control | None) -> None:
    assert control_of(action_id) is control


@pytest.mark.parametrize(("user", "is_ours"), [(USER, True), (USER | {"team_id": "T0ELSE"}, False), ({"id": "U0RITA"}, False)])
def test_only_people_slack_names_our_team_for_are_ours(user: dict[str, Any], is_ours: bool) -> None:
    read = read_press(press({"action_id": "rb:approve", "value": "req-17:2"}, user=user))

    assert read.caller.is_of("T0HOME") is is_ours


def test_the_form_of_failures_gives_the_choice_and_what_was_typed() -> None:
    view = render_modal(PickFailure((incident(),), "C0DEPLOYS"), "x")

    read = read_submission(submitted(view, state_of(view, {"execution": " orders:inv_9 "})))

    assert read.form == PickedFailure("C0DEPLOYS", INCIDENT, "orders:inv_9")
    assert read.view.external_id == "x"


def test_the_form_of_stages_gives_incident_stage_and_reason() -> None:
    view = render_modal(PickPoint(incident(), POINTS, POINTS[1].key, wants_reason=True, again_of=16), "x")

    read = read_submission(submitted(view, state_of(view, {"reason": "repaired"})))

    assert read.form == PickedPoint(INCIDENT, choice_value(1, POINTS[1]), "repaired", 16)


def test_the_form_of_a_rejection_gives_request_and_reason() -> None:
    view = render_modal(RejectReason(request()), "x")

    read = read_submission(submitted(view, state_of(view, {"reason": "not today"})))

    assert read.form == Rejected(REQUEST, "not today")


def test_the_form_of_a_start_gives_its_inputs_by_the_engines_keys() -> None:
    shown = MODALS["modal-start"]
    assert isinstance(shown, StartForm)
    view = render_modal(shown, "x")

    read = read_submission(submitted(view, state_of(view, {"input-0-tag": "v2", "reason": "why not"})))

    inputs = {"tag": "v2", "region": "eu", "note": "none", "count": "3"}
    assert read.form == StartFilled("C0DEPLOYS", "prod", "pipe-1", "Deploy Shop", inputs, "why not")


@pytest.mark.parametrize(
    "view",
    [
        {"callback_id": "somebody_elses"},
        {"callback_id": "rb-form:pick_point", "private_metadata": "{}"},
        {"callback_id": "rb-form:reject", "private_metadata": "no json"},
        {"callback_id": "rb-form:reject", "private_metadata": "[1]"},
    ],
)
def test_a_form_that_is_not_ours_is_refused(view: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        read_submission({"user": USER, "view": view})


def test_a_command_is_read_with_whom_and_where() -> None:
    body = {
        "user_id": "U0RITA",
        "team_id": "T0HOME",
        "channel_id": "C0DEPLOYS",
        "command": "/resume",
        "text": "list\ud800",
        "trigger_id": "t1",
        "response_url": "https://hooks.slack.com/commands/1",
    }

    read = read_command(body)

    assert read.caller == Caller("U0RITA", "T0HOME")
    assert (read.channel, read.command, read.text) == ("C0DEPLOYS", "/resume", "list\N{REPLACEMENT CHARACTER}")


def test_a_message_shortcut_tells_the_place_and_what_the_message_may_mean() -> None:
    body = {
        "callback_id": "resume_this",
        "user": USER,
        "channel": {"id": "C1"},
        "message_ts": "17.02",
        "message": {"ts": "17.02", "thread_ts": "17.01", "text": "look at orders:inv_1"},
        "trigger_id": "t1",
    }

    read = read_shortcut(body)

    assert read.place == Place("C1", "17.02", "17.01")
    assert read.arguments == ("orders:inv_1",)


def test_a_global_shortcut_has_no_place() -> None:
    read = read_shortcut({"callback_id": "resume_any", "user": USER, "trigger_id": "t1"})

    assert (read.place, read.arguments) == (None, ())


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "app_home_opened", "user": "U1", "tab": "home"}, HomeOpened("Ev1", "U1")),
        ({"type": "app_home_opened", "user": "U1", "tab": "messages"}, OtherEvent("Ev1", "app_home_opened")),
        ({"type": "subteam_members_changed", "subteam_id": "S1"}, GroupChanged("Ev1", "S1")),
        ({"type": "member_joined_channel", "user": "U1", "channel": "C1"}, ChannelChanged("Ev1", "C1", "U1")),
        ({"type": "member_left_channel", "user": "U1", "channel": "C1"}, ChannelChanged("Ev1", "C1", "U1")),
        ({"type": "app_mention", "user": "U1"}, OtherEvent("Ev1", "app_mention")),
    ],
)
def test_events_are_told_apart(event: dict[str, Any], expected: object) -> None:
    assert read_event({"type": "event_callback", "event_id": "Ev1", "event": event}) == expected
