"""Who may ask and who may decide, over facts that may be missing, old, or of somebody who is not one of us."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.domain.errors import Refusal
from bot.domain.policy import (
    FRESH,
    Person,
    PersonKind,
    Policy,
    Rules,
    approvals_missing,
    describe_principals,
    may_decide,
    may_request,
    unread,
    why_not,
)
from tests.domain.things import ARNO, CHANNEL, LEA, NOW, RITA, person, rules

OLD = NOW - FRESH - timedelta(seconds=1)
OUTSIDERS = [PersonKind.GUEST, PersonKind.BOT, PersonKind.DEACTIVATED, PersonKind.FOREIGN]
ReleaseAndLea = Policy("release", approvers=("S0RELEASE", "U0LEA"))


def reason(who: Person, *words: str) -> str | None:
    return why_not(words, who, CHANNEL, NOW)


@pytest.mark.parametrize(
    ("who", "word"),
    [
        (person("U0A"), "U0A"),
        (person("U0A"), "slack:T0HOME/U0A"),
        (person("U0A", "S0DEVS"), "S0DEVS"),
        (person("U0A", CHANNEL), "channel"),
        (person("U0A"), "anyone"),
    ],
)
def test_a_word_names_a_person_by_id_group_channel_or_as_anyone(who: Person, word: str) -> None:
    assert reason(who, "S0OTHER", word) is None


def test_somebody_whom_no_word_names_is_told_who_may() -> None:
    assert reason(person("U0A"), "S0DEVS", "U0LEA") == "only <!subteam^S0DEVS> or <@U0LEA> may"


@pytest.mark.parametrize("kind", OUTSIDERS)
@pytest.mark.parametrize("word", ["channel", "anyone", "S0DEVS"])
def test_whoever_is_not_a_full_member_is_let_in_by_no_group(kind: PersonKind, word: str) -> None:
    assert reason(person("U0A", CHANNEL, "S0DEVS", kind=kind), word)


@pytest.mark.parametrize("kind", [PersonKind.GUEST, PersonKind.BOT, PersonKind.FOREIGN])
def test_whoever_a_policy_names_by_id_is_let_in(kind: PersonKind) -> None:
    assert reason(person("U0A", kind=kind, read=OLD), "U0A") is None


def test_deactivated_people_are_let_in_by_nothing() -> None:
    assert reason(person("U0A", kind=PersonKind.DEACTIVATED), "U0A")


def test_somebody_never_looked_up_is_let_in_by_no_group() -> None:
    assert "looking you up" in (reason(person("U0A", CHANNEL, kind=None), "channel", "anyone") or "")


def test_facts_older_than_ten_minutes_let_nobody_in() -> None:
    fresh_groups = dict.fromkeys((CHANNEL, "S0DEVS"), NOW)
    old_kind = person("U0A", CHANNEL, read=OLD, followed=fresh_groups)
    old_groups = person("U0A", CHANNEL, followed=dict.fromkeys((CHANNEL, "S0DEVS"), OLD))

    assert "older than 10 minutes" in (reason(old_kind, "channel", "anyone") or "")
    assert "older than 10 minutes" in (reason(old_groups, "channel") or "")
    assert reason(old_groups, "anyone") is None


def test_facts_of_ten_minutes_still_count() -> None:
    assert reason(person("U0A", CHANNEL, read=NOW - FRESH), "channel") is None


def test_one_fresh_group_suffices_beside_an_old_one() -> None:
    who = person("U0A", CHANNEL, "S0DEVS", followed={"S0DEVS": OLD, CHANNEL: NOW})

    assert reason(who, "S0DEVS", "channel") is None


def test_a_group_that_is_not_followed_lets_nobody_in() -> None:
    assert reason(person("U0A", "S0OTHER"), "S0OTHER") == "only <!subteam^S0OTHER> may"


def test_membership_of_a_channel_counts_for_that_channel_only() -> None:
    assert why_not(("channel",), RITA, "C0OTHER", NOW)
    assert why_not(("channel",), RITA, None, NOW)


def test_the_requester_must_be_let_in_by_each_policy() -> None:
    both = rules(Policy("wide"), Policy("narrow", requesters=("S0DEVS",)))

    may_request(both, person("U0A", CHANNEL, "S0DEVS"), CHANNEL, NOW)
    with pytest.raises(Refusal, match="You cannot ask for this: only <!subteam") as refused:
        may_request(both, RITA, CHANNEL, NOW)

    assert refused.value.reason == "not_a_requester"
    assert "“narrow”" in str(refused.value)


def test_an_approver_of_any_of_the_policies_may_decide() -> None:
    both = rules(ReleaseAndLea, Policy("qa", approvers=("U0QA",)))

    for who in (LEA, person("U0QA"), person("U0B", "S0RELEASE")):
        may_decide(both, who, RITA.actor, CHANNEL, NOW)
    with pytest.raises(Refusal, match="You cannot decide on this") as refused:
        may_decide(both, ARNO, RITA.actor, CHANNEL, NOW)

    assert refused.value.reason == "not_an_approver"


def test_nobody_decides_on_their_own_request_unless_all_policies_allow_it() -> None:
    lenient = Policy("lenient", self_approval=True)

    may_decide(rules(lenient, lenient), RITA, RITA.actor, CHANNEL, NOW)
    with pytest.raises(Refusal, match="somebody else has to decide") as refused:
        may_decide(rules(lenient, Policy("strict")), RITA, RITA.actor, CHANNEL, NOW)

    assert refused.value.reason == "own_request"


def missing(which: Rules, *people: Person) -> dict[str, int]:
    return approvals_missing(which, people, RITA.actor, CHANNEL, NOW)


def test_each_count_is_met_by_the_policys_own_approvers() -> None:
    both = rules(Policy("release", approvers=("S0RELEASE",), approvals=2), Policy("default"))
    release = person("U0R", "S0RELEASE", CHANNEL)

    assert missing(both) == {"release": 2, "default": 1}
    assert missing(both, ARNO, LEA) == {"release": 2}
    assert missing(both, release) == {"release": 1}
    assert missing(both, release, person("U0S", "S0RELEASE")) == {}


def test_one_person_counts_once_however_often_they_approve() -> None:
    assert missing(rules(Policy("p", approvals=2)), ARNO, ARNO) == {"p": 1}


def test_the_requesters_own_approval_counts_only_where_all_allow_it() -> None:
    assert missing(rules(Policy("p")), RITA) == {"p": 1}
    assert missing(rules(Policy("p", self_approval=True)), RITA) == {}


def test_an_approver_who_has_left_the_group_counts_no_more() -> None:
    assert missing(rules(ReleaseAndLea), person("U0R")) == {"release": 1}


def test_a_request_is_never_an_approval() -> None:
    assert missing(rules(Policy("p", self_approval=True))) == {"p": 1}


NAMED: list[Callable[[Person], bool]] = [
    lambda who: unread(rules(Policy("p")), who, CHANNEL),
    lambda who: unread(rules(Policy("p", approvers=("S0RELEASE",))), who, CHANNEL),
]


@pytest.mark.parametrize("is_unread", NAMED)
def test_somebody_never_looked_up_is_looked_up_first(is_unread: Callable[[Person], bool]) -> None:
    assert is_unread(person("U0A", kind=None))
    assert not is_unread(person("U0A"))


def test_a_group_never_read_is_read_first() -> None:
    never = person("U0A", followed=(CHANNEL,))

    assert unread(rules(ReleaseAndLea), never, CHANNEL)
    assert unread(rules(Policy("p")), never, "C0OTHER")
    assert not unread(rules(Policy("p", requesters=("anyone",), approvers=("U0LEA",))), never, "C0OTHER")


def test_of_whoever_no_group_lets_in_no_group_is_read() -> None:
    stranger = person("U0A", kind=PersonKind.FOREIGN, followed=(), workspace="T0ELSE")

    assert not unread(rules(ReleaseAndLea), stranger, CHANNEL)


def test_a_channel_that_a_policy_names_is_read_first_too() -> None:
    leads = rules(Policy("p", approvers=("C0LEADS", "G0PRIVATE")))

    assert unread(leads, person("U0A", followed=(CHANNEL, "C0LEADS")), CHANNEL)
    assert not unread(leads, person("U0A", followed=(CHANNEL, "C0LEADS", "G0PRIVATE")), CHANNEL)
    may_decide(leads, person("U0A", "C0LEADS", followed=("C0LEADS",)), RITA.actor, CHANNEL, NOW)


def test_principals_are_described_with_the_chats_own_mentions() -> None:
    assert describe_principals(("channel", "anyone", "S0A", "U0B", "shell:ops@host")) == (
        "members of the channel, any full member of the workspace, <!subteam^S0A>, <@U0B> or shell:ops@host"
    )
    assert describe_principals(()) == "nobody"
