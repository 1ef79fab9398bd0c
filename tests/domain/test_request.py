"""The state machine: every state × every command, and what a digest covers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.errors import Refusal
from bot.domain.execution import Action, ExecutionRef, ResumePoint
from bot.domain.policy import Policy, Rules
from bot.domain.request import LIVE, STATE_WORDS, Command, RequestState, describe_state, digest_of, mention, moved
from tests.domain.things import ARNO, POINT, RITA, approved_by, request, rules

# state × command → the states it may lead to, as DESIGN's section 4 tells it; what is not named is refused
ALLOWED = {
    "pending": {
        "approve": "pending approved",
        "reject": "rejected",
        "withdraw": "cancelled",
        "expire": "expired",
        "supersede": "superseded",
    },
    "approved": {
        "reject": "rejected",
        "withdraw": "cancelled",
        "expire": "expired",
        "supersede": "superseded",
        "refuse": "refused",
        "send": "resuming",
    },
    "resuming": {
        "receive_running": "running",
        "receive_refused": "refused",
        "receive_not_sent": "approved",
        "receive_unknown": "unknown",
    },
    "unknown": {
        "receive_running": "running",
        "find_happened": "running",
        "find_harmless": "approved",
        "press_again": "superseded",
        "close": "cancelled",
    },
    "running": {"succeed": "succeeded", "fail": "failed", "lose": "unknown"},
}
ENDS = {"succeeded", "failed", "rejected", "refused", "expired", "cancelled", "superseded"}
EVERY_MOVE = [(state, command, to) for state in RequestState for command in Command for to in RequestState]


def is_allowed(state: RequestState, command: Command, to: RequestState) -> bool:
    return to.value in ALLOWED.get(state.value, {}).get(command.value, "").split()


def test_every_state_takes_only_the_commands_of_the_table() -> None:
    taken = set()
    for state, command, to in EVERY_MOVE:
        try:
            after = moved(request(state), command, to)
        except Refusal:
            continue
        assert (after.state, after.version) == (to, 2)
        taken.add((state, command, to))

    assert taken == {move for move in EVERY_MOVE if is_allowed(*move)}


def test_every_command_is_of_use_somewhere() -> None:
    assert {command for moves in ALLOWED.values() for command in moves} == {command.value for command in Command}


def test_a_state_is_live_exactly_while_a_command_can_move_it() -> None:
    assert {state.value for state in LIVE} == set(ALLOWED)
    assert {state.value for state in RequestState if not state.is_live} == ENDS


def test_a_refused_move_says_how_the_request_stands_and_who_decided() -> None:
    approved = request(RequestState.RUNNING, decisions=approved_by(ARNO))

    with pytest.raises(Refusal, match=r"req-17 has moved on: the engine accepted it .*approved by <@U0ARNO>") as refused:
        moved(approved, Command.APPROVE, RequestState.APPROVED)

    assert refused.value.reason == "too_late"


def test_every_state_has_words_for_people() -> None:
    assert set(STATE_WORDS) == set(RequestState)
    assert "approved by" not in describe_state(request(decisions=approved_by(ARNO)))


def test_actors_of_the_chat_are_mentioned_and_others_named() -> None:
    assert mention(RITA.actor) == "<@U0RITA>"
    assert mention("engine:orders") == "engine:orders"


def test_each_call_has_a_key_of_its_own() -> None:
    assert [request(calls=calls).call_key for calls in (1, 2)] == ["req-17-1", "req-17-2"]


def test_the_watched_execution_is_the_new_one_where_there_is_one() -> None:
    assert request().watched == ExecutionRef("orders", "run-1")
    assert request(new_execution="run-2").watched == ExecutionRef("orders", "run-2")


SHOWN = {
    "ref": ExecutionRef("orders", "run-1"),
    "point": POINT,
    "rules": rules(),
    "baseline": "b",
    "inputs": "i",
    "warning": "",
}
CHANGED = [
    ("ref", ExecutionRef("orders", "run-2")),
    ("ref", ExecutionRef("billing", "run-1")),
    ("point", replace(POINT, key="from:build")),
    ("point", replace(POINT, label="deploy again")),
    ("point", replace(POINT, sentence="Runs deploy only.")),
    ("point", replace(POINT, stages=("deploy", "smoke test"))),
    ("point", replace(POINT, action=Action.RESTART)),
    ("baseline", "b2"),
    ("inputs", "tag=v2"),
    ("warning", "It may have run."),
    ("rules", rules(Policy("other"))),
    ("rules", rules(Policy("default", requesters=("anyone",)))),
    ("rules", rules(Policy("default", approvers=("U0LEA",)))),
    ("rules", rules(Policy("default", approvals=2))),
    ("rules", rules(Policy("default", self_approval=True))),
    ("rules", rules(Policy("default", expires=timedelta(minutes=5)))),
    ("rules", rules(Policy("default", wants_reason=True))),
    ("rules", rules(Policy("default"), Policy("default"))),
]


def digest(**changes: object) -> str:
    shown = {**SHOWN, **changes}
    return digest_of(shown.pop("ref"), shown.pop("point"), shown.pop("rules"), **shown)  # type: ignore[arg-type]


@pytest.mark.parametrize(("part", "value"), CHANGED, ids=[f"{part}-{number}" for number, (part, _) in enumerate(CHANGED)])
def test_the_digest_changes_with_each_part_that_was_shown(part: str, value: object) -> None:
    assert digest(**{part: value}) != digest()


def test_the_digest_stays_while_nothing_changes() -> None:
    same = Rules((Policy("default", match={"connection": ("or*",)}),))

    assert digest(point=ResumePoint(*POINT.__dict__.values()), rules=same) == digest()


def test_the_order_in_which_a_policy_names_people_does_not_matter_to_the_digest() -> None:
    one, other = Policy("p", approvers=("U0LEA", "S0RELEASE")), Policy("p", approvers=("S0RELEASE", "U0LEA"))

    assert digest(rules=rules(one)) == digest(rules=rules(other))


def test_parts_cannot_flow_into_each_other() -> None:
    assert digest(baseline="ab", inputs="c") != digest(baseline="a", inputs="bc")


def test_a_digest_is_made_of_any_text() -> None:
    assert digest(baseline="\ud800") != digest(baseline="\ud801")
