"""Which policies hold for a subject, together and with what counts."""

from datetime import timedelta

import pytest

from bot.domain.errors import Refusal
from bot.domain.execution import Action
from bot.domain.policy import BUILT_IN, Match, Policy, Rules, Subject, applicable, is_satisfiable, match

KNOWN = Subject("prod-1", Action.RESUME, "Checkout", "production", ("deploy", "smoke test"))
PASTED = Subject("prod-1", Action.RESUME)


def policy(called: str = "p", /, **keys: str) -> Policy:
    return Policy(called, match={key: (glob,) for key, glob in keys.items()})


def names(policies: list[Policy], subject: Subject) -> list[str]:
    return [each.name for each in applicable(policies, subject).policies]


def test_a_key_left_out_matches_everything() -> None:
    assert match(policy(), KNOWN) is Match.CERTAIN


@pytest.mark.parametrize(
    ("keys", "fit"),
    [
        ({"connection": "prod-*"}, Match.CERTAIN),
        ({"connection": "stage-*"}, Match.NO),
        ({"action": "resume"}, Match.CERTAIN),
        ({"action": "start"}, Match.NO),
        ({"name": "Check*"}, Match.CERTAIN),
        ({"name": "check*"}, Match.NO),
        ({"environment": "production"}, Match.CERTAIN),
        ({"environment": "production", "name": "Other"}, Match.NO),
        ({"stage": "smoke*"}, Match.CERTAIN),
        ({"stage": "build"}, Match.NO),
    ],
)
def test_every_key_is_a_glob_over_what_is_known(keys: dict[str, str], fit: Match) -> None:
    assert match(policy(**keys), KNOWN) is fit


@pytest.mark.parametrize("key", ["name", "environment", "stage"])
def test_a_key_that_is_not_known_of_the_execution_is_uncertain(key: str) -> None:
    assert match(policy(**{key: "*"}), PASTED) is Match.UNCERTAIN


def test_a_known_key_that_does_not_fit_decides_over_an_unknown_one() -> None:
    assert match(policy(environment="production", connection="stage"), PASTED) is Match.NO


def test_any_of_several_globs_suffices() -> None:
    assert match(Policy("p", match={"connection": ("stage", "prod-1")}), KNOWN) is Match.CERTAIN


def test_a_key_that_no_policy_has_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="no policy key"):
        match(policy(colour="red"), KNOWN)


def test_the_first_certain_match_wins() -> None:
    file = [policy("stage", connection="stage"), policy("first", connection="prod-*"), policy("second")]

    assert names(file, KNOWN) == ["first"]


def test_all_uncertain_matches_above_the_first_certain_one_hold_with_it() -> None:
    file = [policy("a", environment="production"), policy("b", name="X*"), policy("c"), policy("d", environment="*")]

    assert names(file, PASTED) == ["a", "b", "c"]


def test_the_built_in_policy_holds_where_the_file_does_not_name_the_connection() -> None:
    assert applicable([policy(connection="stage-*")], KNOWN) == Rules((BUILT_IN,))
    assert applicable([], KNOWN) == Rules((BUILT_IN,))


def test_the_built_in_policy_wants_one_approval_of_the_channel_and_none_by_oneself() -> None:
    assert (
        Policy("built-in", {}, ("channel",), ("channel",), approvals=1, self_approval=False, expires=timedelta(minutes=60))
        == BUILT_IN
    )


def test_where_the_file_names_the_connection_and_nothing_holds_it_is_refused() -> None:
    with pytest.raises(Refusal, match="No policy allows resume on connection prod-1") as refused:
        applicable([policy(connection="prod-*", environment="staging")], KNOWN)

    assert refused.value.reason == "no_policy"


def test_a_policy_without_a_connection_names_every_connection() -> None:
    with pytest.raises(Refusal):
        applicable([policy(action="start")], KNOWN)


def test_what_only_uncertain_policies_match_is_refused_and_they_are_named() -> None:
    with pytest.raises(Refusal, match="“a” and “b” may apply"):
        applicable([policy("a", environment="production"), policy("b", stage="deploy")], PASTED)


def test_together_the_shortest_expiry_and_the_strictest_word_hold() -> None:
    together = Rules(
        (
            Policy("a", self_approval=True, expires=timedelta(minutes=60), wants_reason=True, approvals=0),
            Policy("b", self_approval=False, expires=timedelta(minutes=5), approvals=2),
        )
    )

    assert (together.expires, together.self_approval) == (timedelta(minutes=5), False)
    assert (together.wants_reason, together.approvals, together.names) == (True, 2, "a and b")
    assert together.principals == {"channel"}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Policy("p", approvers=()), "names no approvers"),
        (Policy("p", requesters=()), "names no requesters"),
        (Policy("p", approvers=("U0A",), approvals=2), "wants 2 approvals and names 1"),
        (Policy("p", requesters=("U0A", "U0B"), approvers=("U0A", "U0B"), approvals=2), "nobody approves their own"),
        (Policy("p", requesters=("U0A",), approvers=("U0A",)), "nobody approves their own"),
    ],
)
def test_a_policy_that_can_let_nothing_through_is_found(made: Policy, why: str) -> None:
    assert why in (is_satisfiable(made) or "")


@pytest.mark.parametrize(
    "made",
    [
        Policy("p"),
        Policy("p", approvers=(), approvals=0),
        Policy("p", requesters=("U0A", "U0B"), approvers=("U0A", "U0B")),
        Policy("p", requesters=("U0A",), approvers=("U0A",), self_approval=True),
        Policy("p", approvers=("U0A", "S0RELEASE"), approvals=5),
    ],
)
def test_a_policy_that_may_let_something_through_is_not_complained_about(made: Policy) -> None:
    assert is_satisfiable(made) is None
