"""Foreign text: what the one cleaner lets through, and small forms of text."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import pytest

from bot.domain.execution import ExecutionStatus, ResumePoint
from bot.domain.text import clean, cleaned, listed, literal, nearest, shorten
from tests.domain.things import execution

DIRECTIONS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C]
CONTROLS = [*range(1, 9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)]


@pytest.mark.parametrize("unstorable", ["\x00", "\udfff"])
def test_what_cannot_be_stored_becomes_the_replacement_character(unstorable: str) -> None:
    assert clean(f"a{unstorable}b") == "a\ufffdb"


def test_characters_that_turn_the_direction_are_taken_out() -> None:
    assert [hex(code) for code in DIRECTIONS if clean(f"a{chr(code)}b") != "a b"] == []


def test_control_characters_are_taken_out() -> None:
    assert [hex(code) for code in CONTROLS if clean(f"a{chr(code)}b") != "a b"] == []


def test_lines_tabs_and_letters_of_all_scripts_stay() -> None:
    text = "línea\n\t二 עברית ‍👩‍🚀 🙂"

    assert clean(text) == text


def test_a_text_is_cut_at_4000_characters_and_says_so() -> None:
    assert clean("x" * 4000) == "x" * 4000
    assert clean("x" * 4001) == "x" * 3999 + "…"


def test_a_literal_text_makes_no_mention_link_or_code() -> None:
    assert literal("<!channel> <@U1> <https://evil.example|x> `y` &lt;") == (
        "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|x&gt; 'y' &amp;lt;"
    )


def test_a_literal_text_is_one_line_cut_before_it_is_escaped() -> None:
    assert literal("a\n b\t\x00 c") == "a b \ufffd c"
    assert literal("<" * 10, 5) == "&lt;" * 4 + "…"


def test_shortened_text_is_one_line_of_at_most_that_length() -> None:
    assert shorten("a  b\nc", 5) == "a b c"
    assert shorten("abcdef", 3) == "ab…"
    assert len(shorten("abcdef", 1)) == 1


def test_words_are_listed_as_people_do() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(("a", "b", "c"), "or")] == ["", "a", "a and b", "a, b or c"]


def test_the_nearest_known_word_is_proposed_as_it_is_written() -> None:
    assert nearest("DEPLY", ["Build", "Deploy"]) == "; did you mean “Deploy”?"
    assert nearest("xyz", ["Build", "Deploy"]) == "."
    assert nearest("<b", ["<b>"]) == "; did you mean “&lt;b&gt;”?"


def test_every_text_of_an_execution_is_cleaned_however_deep() -> None:
    dirty = execution(
        name="a\x00",
        error="e" * 5000,
        points=(ResumePoint("key", "l\u202e", "s\x00", ("t\x07",)),),
        labels=MappingProxyType({"k\x00": "v\ud800"}),
    )

    after = cleaned(dirty)

    assert (after.name, len(after.error)) == ("a\ufffd", 4000)
    assert after.points[0] == ResumePoint("key", "l ", "s\ufffd", ("t ",))
    assert dict(after.labels) == {"k\ufffd": "v\ufffd"}
    assert after.status is ExecutionStatus.FAILED


def test_keys_that_engines_gave_stay_except_what_cannot_be_stored() -> None:
    long, odd = "k" * 5000, "a\u202e\x00\ud800b"

    keys = [point.key for point in cleaned(execution(points=(_point(long), _point(odd)))).points]

    assert keys == [long, "a\u202e\ufffd\ufffdb"]


def _point(key: str) -> ResumePoint:
    return ResumePoint(key, "label", "sentence")


def test_enums_numbers_and_nothing_are_left_as_they_are() -> None:
    class Colour(StrEnum):
        RED = "red\x00"

    @dataclass(frozen=True)
    class Thing:
        colour: Colour
        count: int
        nothing: None = None

    thing = Thing(Colour.RED, 7)

    assert cleaned(thing) == thing
