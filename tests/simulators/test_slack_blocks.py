"""Each limit of Block Kit: the last value that passes, and the first that does not."""

from typing import Any

import pytest

from bot.simulators.slack_blocks import (
    faults_in_blocks,
    faults_in_suggestions,
    faults_in_view,
    is_too_large,
    remarks_on_message,
)
from tests.simulators.slack_kit import actions, button, modal, mrkdwn, option, plain, question, select

WRITTEN = {"type": "plain_text_input", "action_id": "reason"}


def section(**fields: Any) -> dict[str, Any]:
    return {"type": "section", **fields}


def options(count: int) -> list[dict[str, Any]]:
    return [option(str(number)) for number in range(count)]


def confirm(**texts: str) -> dict[str, Any]:
    parts = {"title": "Sure?", "text": "Really", "confirm": "Yes", "deny": "No"} | texts
    return {key: plain(text) for key, text in parts.items()}


def groups(count: int, size: int = 1) -> list[dict[str, Any]]:
    made = [[option(f"{group}.{number}") for number in range(size)] for group in range(count)]
    return [{"label": plain("group"), "options": each} for each in made]


def rich(*inline: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(inline)}]}


LIMITS: dict[str, tuple[Any, Any]] = {
    "blocks of a message": ([{"type": "divider"}] * 50, [{"type": "divider"}] * 51),
    "section text": ([section(text=mrkdwn("x" * 3000))], [section(text=mrkdwn("x" * 3001))]),
    "section text is there": ([section(text=mrkdwn("x"))], [section(text=mrkdwn(""))]),
    "section has text or fields": ([section(fields=[plain("x")])], [section()]),
    "section fields": ([section(fields=[plain("x")] * 10)], [section(fields=[plain("x")] * 11)]),
    "section field text": ([section(fields=[plain("x" * 2000)])], [section(fields=[plain("x" * 2001)])]),
    "header text": ([{"type": "header", "text": plain("x" * 150)}], [{"type": "header", "text": plain("x" * 151)}]),
    "header is plain text": ([{"type": "header", "text": plain("x")}], [{"type": "header", "text": mrkdwn("x")}]),
    "context elements": (
        [{"type": "context", "elements": [mrkdwn("x")] * 10}],
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
    ),
    "context is not empty": ([{"type": "context", "elements": [plain("x")]}], [{"type": "context", "elements": []}]),
    "actions elements": (
        [actions(*(button(str(n)) for n in range(25)))],
        [actions(*(button(str(n)) for n in range(26)))],
    ),
    "actions is not empty": ([actions(button())], [actions()]),
    "action_id length": ([actions(button("x" * 255))], [actions(button("x" * 256))]),
    "action_id is unique in its block": ([actions(button("a"), button("b"))], [actions(button("a"), button("a"))]),
    "block_id length": ([actions(button(), block_id="x" * 255)], [actions(button(), block_id="x" * 256)]),
    "block_id is unique": (
        [actions(button(), block_id="a"), actions(button(), block_id="b")],
        [actions(button(), block_id="a"), actions(button(), block_id="a")],
    ),
    "button text": ([actions(button(text=plain("x" * 75)))], [actions(button(text=plain("x" * 76)))]),
    "button text is plain": ([actions(button(text=plain("x")))], [actions(button(text=mrkdwn("x")))]),
    "button value": ([actions(button(value="x" * 2000))], [actions(button(value="x" * 2001))]),
    "button url": ([actions(button(url="https://a.example/b"))], [actions(button(url="javascript:alert(1)"))]),
    "button url length": (
        [actions(button(url="https://a.example/" + "x" * 2982))],
        [actions(button(url="https://a.example/" + "x" * 2983))],
    ),
    "button style": ([actions(button(style="danger"))], [actions(button(style="warning"))]),
    "button knows its fields": ([actions(button())], [actions(button(colour="red"))]),
    "accessibility label": (
        [actions(button(accessibility_label="x" * 75))],
        [actions(button(accessibility_label="x" * 76))],
    ),
    "confirm title": (
        [actions(button(confirm=confirm(title="x" * 100)))],
        [actions(button(confirm=confirm(title="x" * 101)))],
    ),
    "confirm text": ([actions(button(confirm=confirm(text="x" * 300)))], [actions(button(confirm=confirm(text="x" * 301)))]),
    "confirm text is plain": (
        [actions(button(confirm=confirm()))],
        [actions(button(confirm=confirm() | {"text": mrkdwn("x")}))],
    ),
    "confirm button": (
        [actions(button(confirm=confirm(confirm="x" * 30)))],
        [actions(button(confirm=confirm(confirm="x" * 31)))],
    ),
    "deny button": ([actions(button(confirm=confirm(deny="x" * 30)))], [actions(button(confirm=confirm(deny="x" * 31)))]),
    "select options": ([actions(select(options=options(100)))], [actions(select(options=options(101)))]),
    "select is not empty": ([actions(select(options=options(1)))], [actions(select(options=[]))]),
    "select has options": ([actions(select())], [actions({"type": "static_select", "action_id": "a"})]),
    "select has options or groups": (
        [actions({"type": "static_select", "option_groups": groups(100)})],
        [actions(select(option_groups=groups(1)))],
    ),
    "option groups": (
        [actions({"type": "static_select", "option_groups": groups(100)})],
        [actions({"type": "static_select", "option_groups": groups(101)})],
    ),
    "options of a group": (
        [actions({"type": "static_select", "option_groups": groups(1, 100)})],
        [actions({"type": "static_select", "option_groups": groups(1, 101)})],
    ),
    "option text": ([actions(select(options=[option("v", "x" * 75)]))], [actions(select(options=[option("v", "x" * 76)]))]),
    "option text is plain": (
        [actions(select(options=[option("v")]))],
        [actions(select(options=[option("v") | {"text": mrkdwn("v")}]))],
    ),
    "option value": ([actions(select(options=[option("x" * 150, "t")]))], [actions(select(options=[option("x" * 151, "t")]))]),
    "option values differ": (
        [actions(select(options=[option("a"), option("b")]))],
        [actions(select(options=[option("a", "one"), option("a", "two")]))],
    ),
    "option description": (
        [actions(select(options=[option("a") | {"description": plain("x" * 75)}]))],
        [actions(select(options=[option("a") | {"description": plain("x" * 76)}]))],
    ),
    "initial option is an option": (
        [actions(select(initial_option=option("two")))],
        [actions(select(initial_option=option("two", "other words")))],
    ),
    "placeholder": ([actions(select(placeholder=plain("x" * 150)))], [actions(select(placeholder=plain("x" * 151)))]),
    "placeholder is plain": ([actions(select(placeholder=plain("x")))], [actions(select(placeholder=mrkdwn("x")))]),
    "overflow options": (
        [actions({"type": "overflow", "options": options(5)})],
        [actions({"type": "overflow", "options": options(6)})],
    ),
    "radio buttons": (
        [actions({"type": "radio_buttons", "options": options(10)})],
        [actions({"type": "radio_buttons", "options": options(11)})],
    ),
    "checkboxes": (
        [actions({"type": "checkboxes", "options": options(10)})],
        [actions({"type": "checkboxes", "options": options(11)})],
    ),
    "initial options are options": (
        [actions({"type": "checkboxes", "options": options(2), "initial_options": options(1)})],
        [actions({"type": "checkboxes", "options": options(2), "initial_options": [option("9")]})],
    ),
    "min_query_length": (
        [actions({"type": "external_select", "min_query_length": 0})],
        [actions({"type": "external_select", "min_query_length": -1})],
    ),
    "select in a section": (
        [section(text=plain("x"), accessory=select(options=options(100)))],
        [section(text=plain("x"), accessory=select(options=options(101)))],
    ),
    "multi select is for sections": (
        [section(text=plain("x"), accessory=select() | {"type": "multi_static_select"})],
        [actions(select() | {"type": "multi_static_select"})],
    ),
    "text input is for inputs": ([question(WRITTEN)], [actions(WRITTEN)]),
    "input label": ([question(WRITTEN, label=plain("x" * 2000))], [question(WRITTEN, label=plain("x" * 2001))]),
    "input hint": ([question(WRITTEN, hint=plain("x" * 2000))], [question(WRITTEN, hint=plain("x" * 2001))]),
    "input length": ([question(WRITTEN | {"max_length": 3000})], [question(WRITTEN | {"max_length": 3001})]),
    "input lengths agree": (
        [question(WRITTEN | {"min_length": 2, "max_length": 3})],
        [question(WRITTEN | {"min_length": 4, "max_length": 3})],
    ),
    "image url": (
        [{"type": "image", "image_url": "https://a.example/i", "alt_text": "x"}],
        [{"type": "image", "image_url": "i.png", "alt_text": "x"}],
    ),
    "image alt text": (
        [{"type": "image", "image_url": "https://a.example/i", "alt_text": "x" * 2000}],
        [{"type": "image", "image_url": "https://a.example/i", "alt_text": "x" * 2001}],
    ),
    "markdown together": (
        [{"type": "markdown", "text": "x" * 6000}] * 2,
        [{"type": "markdown", "text": "x" * 6000}, {"type": "markdown", "text": "x" * 6001}],
    ),
    "rich text knows its parts": ([rich({"type": "text", "text": "x"})], [rich({"type": "mrkdwn", "text": "x"})]),
    "table rows": (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * 100}],
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * 101}],
    ),
    "table cells": (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 20]}],
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 21]}],
    ),
    "one table": (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}],
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}] * 2,
    ),
    "texts are strings": ([section(text=plain("x"))], [section(text=plain("x") | {"text": 7})]),
    "flags are booleans": ([section(text=plain("x"), expand=True)], [section(text=plain("x"), expand="yes")]),
    "lengths are numbers": ([question(WRITTEN | {"max_length": 9})], [question(WRITTEN | {"max_length": "9"})]),
    "required fields are there": ([{"type": "header", "text": plain("x")}], [{"type": "header"}]),
    "fields are objects": ([section(fields=[plain("x")])], [section(fields=["x"])]),
    "initial value keeps to the length": (
        [question(WRITTEN | {"max_length": 3, "initial_value": "xxx"})],
        [question(WRITTEN | {"max_length": 3, "initial_value": "xxxx"})],
    ),
    "alert is for modals": ([{"type": "divider"}], [{"type": "alert", "text": plain("x")}]),
    "block type is known": ([{"type": "divider"}], [{"type": "marquee"}]),
    "block knows its fields": ([{"type": "divider"}], [{"type": "divider", "colour": "red"}]),
    "blocks are objects": ([{"type": "divider"}], ["divider"]),
    "blocks are a list": ([], {"type": "divider"}),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_message_up_to_the_limit_is_taken_and_above_it_refused(limit: str) -> None:
    sound, unsound = LIMITS[limit]

    assert [str(fault) for fault in faults_in_blocks(sound)] == []
    assert faults_in_blocks(unsound)


VIEWS: dict[str, tuple[Any, Any]] = {
    "blocks": (modal(*[{"type": "divider"}] * 100), modal(*[{"type": "divider"}] * 101)),
    "title": (modal(title=plain("x" * 24)), modal(title=plain("x" * 25))),
    "title is plain": (modal(title=plain("x")), modal(title=mrkdwn("x"))),
    "submit": (modal(submit=plain("x" * 24)), modal(submit=plain("x" * 25))),
    "close": (modal(close=plain("x" * 24)), modal(close=plain("x" * 25))),
    "callback_id": (modal(callback_id="x" * 255), modal(callback_id="x" * 256)),
    "external_id": (modal(external_id="x" * 255), modal(external_id="x" * 256)),
    "private_metadata": (modal(private_metadata="x" * 3000), modal(private_metadata="x" * 3001)),
    "fields are known": (modal(), modal(colour="red")),
    "submit beside an input": (
        modal(question(WRITTEN)),
        {key: value for key, value in modal(question(WRITTEN)).items() if key != "submit"},
    ),
    "alert text": (
        modal({"type": "alert", "text": plain("x" * 200)}),
        modal({"type": "alert", "text": plain("x" * 201)}),
    ),
    "no table": (modal(), modal({"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]})),
    "no markdown": (modal(), modal({"type": "markdown", "text": "x"})),
    "one focus": (
        modal(question(WRITTEN | {"focus_on_load": True})),
        modal(question(WRITTEN | {"focus_on_load": True}), question(WRITTEN | {"focus_on_load": True}, "b")),
    ),
    "a modal, not a home": (modal(), {"type": "home", "blocks": []}),
}


@pytest.mark.parametrize("limit", VIEWS)
def test_a_modal_up_to_the_limit_is_taken_and_above_it_refused(limit: str) -> None:
    sound, unsound = VIEWS[limit]

    assert [str(fault) for fault in faults_in_view(sound, "modal")] == []
    assert faults_in_view(unsound, "modal")


def test_a_home_has_no_title_and_no_markdown() -> None:
    assert not faults_in_view({"type": "home", "blocks": [section(text=plain("x"))]}, "home")
    assert faults_in_view({"type": "home", "title": plain("x"), "blocks": []}, "home")
    assert faults_in_view({"type": "home", "blocks": [{"type": "markdown", "text": "x"}]}, "home")


def test_a_view_is_at_most_250_kb() -> None:
    assert not is_too_large(modal(private_metadata="x" * 200_000))
    assert is_too_large(modal(private_metadata="x" * 250_000))


def test_suggestions_are_at_most_a_hundred_sound_options() -> None:
    assert not faults_in_suggestions({"options": options(100)})
    assert not faults_in_suggestions({"option_groups": groups(2, 50)})
    assert faults_in_suggestions({"options": options(101)})
    assert faults_in_suggestions({})


def test_a_fault_names_its_place() -> None:
    faults = faults_in_blocks([actions(button(), button("b", text=plain("x" * 76)))])

    assert [str(fault) for fault in faults] == ["must be less than 76 characters [json-pointer:/blocks/0/elements/1/text/text]"]


@pytest.mark.parametrize(
    ("payload", "remark"),
    [
        ({"blocks": [section(text=plain("x"))]}, "no fallback text"),
        ({"text": "x" * 4001}, "fallback text of 4001"),
        ({"text": "x", "blocks": [section(text=plain("x" * 2600))] * 4}, "10400 characters"),
        ({"text": "<!channel> look"}, "mentions everybody"),
        ({"text": "x", "blocks": [section(text=mrkdwn("<!here|here>"))]}, "mentions everybody"),
        ({"text": "x", "blocks": [rich({"type": "broadcast", "range": "here"})]}, "mentions everybody"),
        ({"text": "x", "blocks": [actions(select(options=[option("v" * 76, "t")]))]}, "option value of 76"),
        (
            {"text": "x", "blocks": [{"type": "image", "image_url": "https://a.example/i", "alt_text": "x" * 256}]},
            "alt_text of 256",
        ),
    ],
)
def test_what_a_careful_bot_leaves_out_is_remarked(payload: dict[str, Any], remark: str) -> None:
    [found] = remarks_on_message(payload)

    assert remark in found
