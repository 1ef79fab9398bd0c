"""A choice of a point, sent through other people's clients and back."""

import pytest

from bot.domain.choices import choice_value, find_chosen
from bot.domain.errors import Refusal
from bot.domain.execution import ResumePoint
from tests.domain.things import OTHER_POINT, POINT

POINTS = (POINT, OTHER_POINT)


def test_a_choice_finds_its_point_again() -> None:
    assert [find_chosen(POINTS, choice_value(index, point)) for index, point in enumerate(POINTS)] == list(POINTS)


def test_without_a_choice_the_preselected_point_is_taken() -> None:
    assert find_chosen(POINTS, "") == POINT


def test_a_choice_finds_its_point_where_the_list_was_reordered() -> None:
    assert find_chosen((OTHER_POINT, POINT), choice_value(0, POINT)) == POINT


@pytest.mark.parametrize("choice", ["7-00000000", "0-00000000", "0", "-", "x-y", "٣-00000000", "9" * 75])
def test_a_choice_that_is_no_longer_on_offer_is_refused(choice: str) -> None:
    with pytest.raises(Refusal, match="choose again") as refused:
        find_chosen(POINTS, choice)

    assert refused.value.reason == "stale_choice"


@pytest.mark.parametrize("choice", ["", choice_value(0, POINT)])
def test_where_nothing_is_on_offer_nothing_is_found(choice: str) -> None:
    with pytest.raises(Refusal) as refused:
        find_chosen((), choice)

    assert refused.value.reason == "no_points"


def test_points_of_equal_labels_are_told_apart() -> None:
    twins = (ResumePoint("a", "deploy", "One."), ResumePoint("b", "deploy", "The other."))

    assert find_chosen(twins, choice_value(1, twins[1])) == twins[1]


def test_a_value_fits_in_an_option_whatever_the_key() -> None:
    assert len(choice_value(99, ResumePoint("\ud800" + "k" * 9000, "l", "s"))) <= 75
