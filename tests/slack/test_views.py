"""What people see in Slack, compared exactly, and the rules that hold for all of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.domain.execution import ExecutionStatus
from bot.domain.incident import IncidentState
from bot.domain.messages import Approval, Card, Note, NoteKind, Shown
from bot.domain.policy import Policy, Rules
from bot.domain.request import RequestState as S
from bot.simulators.slack_blocks import faults_in_blocks, faults_in_view, is_too_large, remarks_on_message
from bot.slack.blocks import Rendered
from bot.slack.views import render, render_home, render_modal
from bot.slack.views.controls import ANY_ACTION, Control, control_of
from tests.slack.cases import CARDS, HOMES, MESSAGES, MODALS, NOTES
from tests.slack.objects import HOSTILE, INVOCATION, approved, execution, incident, request

GOLDEN = Path(__file__).parent / "golden"
NAMES = [*MESSAGES, *MODALS, *HOMES]
BUTTONS = {"button", "overflow", "static_select", "plain_text_input", "number_input"}


def made(name: str) -> dict[str, Any]:
    """What the views make of a case, as Slack gets it."""
    if name in MESSAGES:
        rendered = render(MESSAGES[name])
        shown: dict[str, Any] = {"text": rendered.text, "blocks": rendered.blocks}
    else:
        shown = render_modal(MODALS[name], "bot-view-1") if name in MODALS else render_home(HOMES[name])
    plain: dict[str, Any] = json.loads(json.dumps(shown))
    return plain


def parts(shown: Any) -> Iterator[dict[str, Any]]:
    """Every object in it, at whatever depth."""
    if isinstance(shown, list):
        for each in shown:
            yield from parts(each)
    elif isinstance(shown, dict):
        yield shown
        for value in shown.values():
            yield from parts(value)


def words(rendered: Rendered) -> str:
    """All a person can read of a message's blocks."""
    return "\n".join(part["text"] for part in parts(rendered.blocks) if isinstance(part.get("text"), str))


def labels(rendered: Rendered) -> list[str]:
    """The buttons of a message."""
    return [part["text"]["text"] for part in parts(rendered.blocks) if part.get("type") == "button"]


def selects(rendered: Rendered) -> list[dict[str, Any]]:
    """The selects of a message."""
    return [part for part in parts(rendered.blocks) if part.get("type") == "static_select"]


@pytest.mark.parametrize("name", NAMES)
def test_views_are_as_their_golden_file_says(name: str, update_goldens: bool) -> None:
    path = GOLDEN / f"{name}.json"
    text = json.dumps(made(name), indent=1, ensure_ascii=False) + "\n"
    is_new = not path.exists()

    if is_new or update_goldens:
        path.write_text(text, encoding="utf-8")

    assert not is_new or update_goldens, f"{path.name} was missing and is written now; look at it and commit it"
    assert path.read_text(encoding="utf-8") == text


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_keep_slacks_limits_and_our_own(name: str) -> None:
    message = made(name)

    assert faults_in_blocks(message["blocks"]) == []
    assert remarks_on_message(message) == []


@pytest.mark.parametrize("name", [*MODALS, *HOMES])
def test_modals_and_the_home_tab_keep_slacks_limits(name: str) -> None:
    view = made(name)

    assert faults_in_view(view, "home" if name in HOMES else "modal") == []
    assert not is_too_large(view)


@pytest.mark.parametrize("name", NAMES)
def test_option_values_stay_within_the_smaller_of_slacks_two_published_limits(name: str) -> None:
    options = [part for part in parts(made(name)) if {"text", "value"} <= set(part) and "type" not in part]

    assert [option["value"] for option in options if len(option["value"]) > 75] == []


def test_every_action_id_is_known_and_every_control_appears() -> None:
    ids = {part["action_id"] for name in NAMES for part in parts(made(name)) if "action_id" in part}

    assert [action_id for action_id in ids if control_of(action_id) is None or not ANY_ACTION.match(action_id)] == []
    assert {control_of(action_id) for action_id in ids} | {Control.OPEN} == set(Control)


@pytest.mark.parametrize("name", NAMES)
def test_text_of_others_makes_no_mention_link_or_emoji(name: str) -> None:
    shown = made(name)
    marked = [part["text"] for part in parts(shown) if part.get("type") == "mrkdwn"] + [shown.get("text", "")]

    assert [text for text in marked if re.search(r"<!(channel|here|everyone)|<@U0EVIL|<https?://evil|\u202e", text)] == []
    assert all(part["emoji"] is False for part in parts(shown) if part.get("type") == "plain_text")
    assert all(part["verbatim"] is True for part in parts(shown) if part.get("type") == "mrkdwn")
    assert all(part["url"].startswith("http") for part in parts(shown) if "url" in part)
    assert not [part for part in parts(shown) if part.get("user_id") == "U0EVIL" or part.get("type") == "broadcast"]


@pytest.mark.parametrize("name", CARDS)
def test_a_card_always_shows_the_whole_id_of_its_execution(name: str) -> None:
    shown = CARDS[name]
    assert isinstance(shown, Card)

    assert shown.incident.execution_id in words(render(shown))


def test_a_card_names_stage_error_and_state_and_offers_retry() -> None:
    rendered = render(Card(incident(), None, may_retry=True, engine_title="Restate"))

    read = words(rendered)
    assert "🔴 Failed: Checkout/run" in read
    assert "deploy" in read
    assert "ECONNREFUSED" in read
    assert "Retry" in labels(rendered)


def test_a_card_preselects_the_first_point_and_labels_hold_the_stages_names() -> None:
    (select,) = selects(render(Card(incident(), None, may_retry=True)))

    assert select["initial_option"] == select["options"][0]
    assert all("deploy" in each["text"]["text"] for each in select["options"])


def test_labels_that_look_the_same_are_told_apart() -> None:
    (select,) = selects(render(CARDS["card-same-labels"]))

    assert [each["text"]["text"] for each in select["options"]] == ["deploy", "deploy (2)", "deploy (3)", "deploy (4)"]


def test_more_than_a_hundred_stages_leave_the_choice_to_the_form() -> None:
    rendered = render(CARDS["card-120-stages"])

    assert selects(rendered) == []
    assert labels(rendered) == ["Retry"]
    (select,) = [part for part in parts(made("modal-120-points")) if part.get("type") == "static_select"]
    assert sum(len(group["options"]) for group in select["option_groups"]) == 120


@pytest.mark.parametrize("name", ["card-waiting", "card-running", "card-succeeded", "card-closed", "card-no-points"])
def test_a_card_offers_no_retry_where_there_is_nothing_to_press(name: str) -> None:
    assert "Retry" not in labels(render(CARDS[name]))


def test_a_card_never_offers_retry_once_the_execution_succeeded() -> None:
    seen = execution(status=ExecutionStatus.SUCCEEDED)

    rendered = render(Card(incident(seen), None, may_retry=True))

    assert labels(rendered) == []
    assert "Succeeded" in words(rendered)


def test_a_choice_is_forgotten_when_the_points_change_and_kept_when_they_do_not() -> None:
    def place(shown: Card) -> str:
        return next(str(block["block_id"]) for block in render(shown).blocks if block["type"] == "actions")

    before = Card(incident(), None, may_retry=True)
    touched = Card(incident(version=4, failures=2), None, may_retry=True)
    moved = Card(incident(execution(baseline="paused 09:40:00"), version=5), None, may_retry=True)

    assert place(before) == place(touched)
    assert place(before) != place(moved)


@pytest.mark.parametrize("state", [S.PENDING, S.APPROVED, S.RESUMING, S.RUNNING])
def test_words_of_the_end_are_not_on_card_or_thread_before_the_end(state: S) -> None:
    asked = request(state, decisions=(approved(),))
    shown: list[Shown] = [
        Card(incident(), asked),
        Approval(asked, {"production": 1}),
        Note(NoteKind.DECIDED, asked),
        Note(NoteKind.RESULT, asked, incident()),
    ]

    read = "\n".join(words(render(each)) for each in shown)

    assert not re.search(r"succe|completed|recovered|unknown|press again|failed again|did not", read, re.IGNORECASE)


@pytest.mark.parametrize(
    ("state", "word"),
    [(S.SUCCEEDED, "succeeded"), (S.FAILED, "failed again"), (S.UNKNOWN, "unknown"), (S.UNKNOWN, "press again")],
)
def test_words_of_the_end_are_new_on_card_and_in_the_thread(state: S, word: str) -> None:
    ended = incident(state=IncidentState.RESOLVED) if state is S.SUCCEEDED else incident()
    kind = NoteKind.UNKNOWN if state is S.UNKNOWN else NoteKind.RESULT
    before = words(render(Card(incident(), request(S.RUNNING)))).splitlines()

    new = [line for line in words(render(Card(ended, request(state)))).splitlines() if line not in before]

    assert word in "\n".join(new).lower()
    assert word in words(render(Note(kind, request(state), ended))).lower()


@pytest.mark.parametrize("name", ["card-unknown", "note-unknown", "start-card-unknown"])
def test_an_unknown_outcome_offers_press_again_and_close(name: str) -> None:
    assert labels(render(MESSAGES[name])) == ["Press again", "Close as not run"]


def test_the_buttons_of_an_unknown_outcome_go_with_it() -> None:
    assert labels(render(NOTES["note-unknown-closed"])) == []


def test_a_single_policy_is_named_once() -> None:
    alone = Rules((Policy("production"),))

    rendered = render(Approval(request(rules=alone), {"production": 1}))

    said = [part["text"] for part in parts(rendered.blocks) if "still wanted" in str(part.get("text", ""))]
    assert said == ["Policy: production · still wanted: 1 more"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (S.PENDING, ["Approve", "Reject", "Withdraw"]),
        (S.APPROVED, ["Withdraw"]),
        (S.RESUMING, []),
        (S.REJECTED, []),
        (S.EXPIRED, []),
    ],
)
def test_an_approval_message_has_only_the_buttons_that_still_do_something(state: S, expected: list[str]) -> None:
    assert labels(render(Approval(request(state)))) == expected


def test_approvers_are_mentioned_in_the_first_version_only() -> None:
    first = render(Approval(request(), {"production": 2}, ("S0RELEASE", "U0LEA")))
    second = render(Approval(request(decisions=(approved(),)), {"production": 1}))

    assert "<!subteam^S0RELEASE> or <@U0LEA>" in words(first)
    assert "S0RELEASE" not in json.dumps(second.blocks)


def test_a_storm_names_every_failure_by_its_id() -> None:
    read = words(render(MESSAGES["storm"]))

    assert [number for number in range(1, 41) if f"inv_{number} on orders" not in read] == []


def test_an_error_of_4000_characters_is_shown_literally_as_far_as_it_fits() -> None:
    rendered = render(CARDS["card-hostile"])

    (shown,) = [part for part in parts(rendered.blocks) if part.get("type") == "rich_text_preformatted"]
    text = shown["elements"][0]["text"]
    assert text.startswith("<!channel> <@U0EVIL>")
    assert len(text) <= 2900
    assert "\u202e" not in text


def test_times_are_shown_in_the_readers_own_zone() -> None:
    read = words(render(Approval(request())))

    assert "<!date^1795602600^{date_short_pretty} {time}|2026-11-25 10:30 UTC>" in read


def test_the_fallback_says_the_state_and_the_execution() -> None:
    text = render(Card(incident(name=HOSTILE), None, may_retry=True)).text

    assert text.startswith("🔴 Failed: &lt;!channel&gt;")
    assert INVOCATION in text
