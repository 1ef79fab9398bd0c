"""Each step of a request's life, with the audit entries it writes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain import lifecycle
from bot.domain.errors import NotResumable, NotSent, RateLimited, Refusal
from bot.domain.execution import Action, Evidence, ExecutionRef, Finding, Receipt
from bot.domain.policy import FRESH, Person, Policy
from bot.domain.request import Request, RequestState, describe_state
from tests.domain.things import ARNO, LEA, MINUTE, NOW, OTHER_POINT, RITA, approved_by, person, request, rules

LATER = NOW + MINUTE
TWO = rules(Policy("two", approvals=2))
OUTSIDER = person("U0OUT")
S = RequestState


def tags(step: lifecycle.Step) -> list[tuple[str, str]]:
    return [(entry.action.value, entry.actor) for entry in step[1]]


def refusal(step: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        step()
    return refused.value.reason


# ---- asking ----------------------------------------------------------------------------------


def test_a_request_is_recorded_with_what_was_shown() -> None:
    asked = request(reason="hotfix is in", warning="it may have run")

    after, (entry,) = lifecycle.requested(asked, NOW, via="slack")

    assert after.state is S.PENDING
    assert (entry.action.value, entry.actor, entry.subject, entry.request) == (
        "request:resume:requested",
        RITA.actor,
        "req-17",
        "req-17",
    )
    assert (entry.incident, entry.connection, entry.execution, entry.at) == ("inc-42", "orders", "run-1", NOW)
    assert entry.data == {
        "via": "slack",
        "point": "deploy",
        "digest": "d1",
        "policy": "default",
        "approvals": 1,
        "expires_at": asked.expires_at.isoformat(),
        "reason": "hotfix is in",
        "warning": "it may have run",
    }


@pytest.mark.parametrize("action", Action)
def test_each_action_is_recorded_under_its_own_tag(action: Action) -> None:
    assert tags(lifecycle.requested(request(action=action), NOW, "slack")) == [(f"request:{action}:requested", RITA.actor)]


def test_a_request_that_wants_no_approval_is_approved_at_once() -> None:
    after, entries = lifecycle.requested(request(rules=rules(Policy("free", approvals=0))), NOW, "slack")

    assert after.state is S.APPROVED
    assert len(entries) == 1


def test_inputs_are_never_recorded() -> None:
    asked = request(action=Action.START, inputs={"password": "hunter2"})

    assert "hunter2" not in repr(lifecycle.requested(asked, NOW, "slack")[1])


# ---- deciding --------------------------------------------------------------------------------


def test_the_last_approval_approves_and_each_is_recorded() -> None:
    first, (entry,) = lifecycle.approve(request(rules=TWO), ARNO, [], LATER)
    second, (last,) = lifecycle.approve(first, LEA, [ARNO], LATER)

    assert (first.state, first.approvers, entry.data) == (S.PENDING, (ARNO.actor,), {"digest": "d1", "missing": {"two": 1}})
    assert (second.state, second.approvers, last.data) == (S.APPROVED, (ARNO.actor, LEA.actor), {"digest": "d1"})
    assert (last.action.value, last.actor) == ("request:decision:approved", LEA.actor)


def test_an_earlier_approval_counts_while_what_is_known_of_the_person_only_grew_old() -> None:
    arno_once = person("U0ARNO", "C0DEPLOYS", read=NOW)
    first, _ = lifecycle.approve(request(rules=TWO), arno_once, [], NOW)
    late = NOW + FRESH + MINUTE
    lea_now = person("U0LEA", "C0DEPLOYS", read=late)

    second, _ = lifecycle.approve(first, lea_now, [arno_once], late)

    assert second.state is S.APPROVED


def test_an_earlier_approval_of_somebody_who_has_left_does_not_count() -> None:
    first, _ = lifecycle.approve(request(rules=TWO), ARNO, [], NOW)

    second, (entry,) = lifecycle.approve(first, LEA, [person("U0ARNO")], LATER)

    assert second.state is S.PENDING
    assert entry.data["missing"] == {"two": 1}


@pytest.mark.parametrize(
    ("who", "asked", "reason"),
    [
        (RITA, request(), "own_request"),
        (OUTSIDER, request(), "not_an_approver"),
        (ARNO, request(rules=TWO, decisions=approved_by(ARNO)), "twice"),
        (ARNO, request(expires_at=NOW), "expired"),
        *[(ARNO, request(state), "too_late") for state in S if state not in {S.PENDING, S.APPROVED}],
    ],
)
def test_a_decision_that_may_not_be_made_is_refused(who: Person, asked: Request, reason: str) -> None:
    assert refusal(lambda: lifecycle.approve(asked, who, [], NOW)) == reason
    assert refusal(lambda: lifecycle.reject(asked, who, "no", NOW)) == reason


def test_an_approved_request_takes_no_further_approval() -> None:
    assert refusal(lambda: lifecycle.approve(request(S.APPROVED), LEA, [ARNO], NOW)) == "too_late"


@pytest.mark.parametrize("state", [S.PENDING, S.APPROVED])
def test_one_allowed_reject_ends_a_request_that_was_not_sent(state: RequestState) -> None:
    asked = request(state, rules=TWO, decisions=approved_by(ARNO))

    after, (entry,) = lifecycle.reject(asked, LEA, "disk\x00 still full", LATER)

    assert (after.state, after.ended_at, after.outcome) == (S.REJECTED, LATER, "disk\ufffd still full")
    assert (entry.action.value, entry.actor, entry.data) == (
        "request:decision:rejected",
        LEA.actor,
        {"digest": "d1", "reason": "disk\ufffd still full"},
    )
    assert [decision.is_approval for decision in after.decisions] == [True, False]


def test_only_the_requester_withdraws_and_only_until_it_is_sent() -> None:
    after, entries = lifecycle.withdraw(request(S.APPROVED), RITA, LATER)

    assert (after.state, after.ended_at) == (S.CANCELLED, LATER)
    assert [entry.action.value for entry in entries] == ["request:life:cancelled"]
    assert refusal(lambda: lifecycle.withdraw(request(), ARNO, LATER)) == "not_the_requester"
    assert refusal(lambda: lifecycle.withdraw(request(S.RESUMING), RITA, LATER)) == "too_late"


@pytest.mark.parametrize(("state", "why"), [(S.PENDING, "nobody decided"), (S.APPROVED, "could not be sent")])
def test_an_expired_request_says_what_did_not_happen_in_time(state: RequestState, why: str) -> None:
    after, (entry,) = lifecycle.expire(request(state), LATER)

    assert (after.state, after.ended_at) == (S.EXPIRED, LATER)
    assert entry.action.value == "request:life:expired"
    assert why in str(entry.data["reason"])


# ---- sending ---------------------------------------------------------------------------------


def test_the_intent_names_its_call_the_digest_and_who_approved() -> None:
    ready = request(S.APPROVED, decisions=approved_by(ARNO, LEA), not_before=NOW, outcome="held back")

    after, (entry,) = lifecycle.send(ready, LATER)

    assert (after.state, after.calls, after.sent_at, after.not_before, after.outcome) == (S.RESUMING, 1, LATER, None, "")
    assert (entry.action.value, entry.actor) == ("request:call:sent", "bot")
    assert entry.data == {"call": "req-17-1", "point": "deploy", "digest": "d1", "approvers": [ARNO.actor, LEA.actor]}


def test_a_receipt_names_the_execution_to_watch_and_who_gave_it() -> None:
    sent = request(S.RESUMING, calls=1)

    same, _ = lifecycle.accepted(sent, Receipt(ExecutionRef("orders", "run-1")), LATER)
    new, (entry,) = lifecycle.accepted(sent, Receipt(ExecutionRef("orders", "run-2"), "by its number"), LATER)

    assert (same.state, same.new_execution) == (S.RUNNING, None)
    assert (new.new_execution, new.watched.id) == ("run-2", "run-2")
    assert (entry.action.value, entry.actor, entry.execution) == ("request:receipt:running", "engine:orders", "run-1")
    assert entry.data == {"new_execution": "run-2", "note": "by its number"}


def test_a_receipt_that_comes_late_still_counts_for_an_unknown_request() -> None:
    after, _ = lifecycle.accepted(request(S.UNKNOWN, calls=1), Receipt(ExecutionRef("orders", "run-2")), LATER)

    assert (after.state, after.tries, after.not_before) == (S.RUNNING, 0, None)


def test_the_engines_refusal_is_final_and_its_own() -> None:
    after, (entry,) = lifecycle.declined(request(S.RESUMING, calls=1), NotResumable("it is not paused"), LATER)

    assert (after.state, after.ended_at, after.outcome) == (S.REFUSED, LATER, "it is not paused")
    assert (entry.action.value, entry.actor) == ("request:receipt:refused", "engine:orders")


def test_a_refusal_before_the_call_is_ours_and_says_so() -> None:
    after, (entry,) = lifecycle.refuse(request(S.APPROVED), "approval lost", LATER)

    assert after.state is S.REFUSED
    assert (entry.action.value, entry.actor) == ("request:receipt:refused", "bot")
    assert entry.data == {"reason": "approval lost", "before_the_call": True}


def test_a_call_that_was_not_sent_is_tried_again_after_5_to_60_seconds() -> None:
    waits = []
    current = request(S.RESUMING, calls=1, sent_at=NOW)
    for _ in range(7):
        back, (entry,) = lifecycle.not_sent(current, NotSent("connection refused"), NOW)
        assert (back.state, back.sent_at, entry.action.value) == (S.APPROVED, None, "request:receipt:not_sent")
        assert back.not_before
        waits.append((back.not_before - NOW).total_seconds())
        current = replace(back, state=S.RESUMING)

    assert waits == [5, 10, 20, 40, 60, 60, 60]


@pytest.mark.parametrize(("asked", "waited"), [(90.0, 90), (0.0, 1), (None, 5)])
def test_an_engine_that_asks_to_wait_is_given_that_long(asked: float | None, waited: int) -> None:
    back, _ = lifecycle.not_sent(request(S.RESUMING, calls=1), RateLimited("slow down", asked), NOW)

    assert back.not_before == NOW + timedelta(seconds=waited)


def test_being_held_back_is_recorded_once() -> None:
    first = lifecycle.put_off(request(S.APPROVED), "no answer", NOW)
    second = lifecycle.put_off(first[0], "no answer", NOW)

    assert [tags(step) for step in (first, second)] == [[("request:life:held_back", "bot")], []]
    assert (second[0].state, second[0].version, second[0].tries) == (S.APPROVED, 3, 2)


# ---- not knowing -----------------------------------------------------------------------------


def test_a_lost_answer_is_unknown_and_looked_into() -> None:
    after, (entry,) = lifecycle.lost(request(S.RESUMING, calls=1, tries=3), "no answer in 20 s", NOW, look_at=LATER)

    assert (after.state, after.not_before, after.tries, after.outcome) == (S.UNKNOWN, LATER, 0, "no answer in 20 s")
    assert (entry.action.value, entry.data) == (
        "request:receipt:unknown",
        {"reason": "no answer in 20 s", "call": "req-17-1"},
    )


def test_an_execution_that_vanished_is_unknown() -> None:
    after, (entry,) = lifecycle.vanished(request(S.RUNNING, calls=1), "gone", NOW, look_at=LATER)

    assert (after.state, after.is_gone, entry.action.value) == (S.UNKNOWN, True, "request:receipt:unknown")


def test_nothing_proves_that_what_was_answered_and_vanished_did_nothing() -> None:
    gone, _ = lifecycle.vanished(request(S.RUNNING, calls=1, sent_at=NOW), "gone", NOW, look_at=LATER)

    after, (entry,) = lifecycle.weighed(gone, evidence(Finding.HARMLESS, "No such attempt."), NOW, LATER)
    found, _ = lifecycle.weighed(after, evidence(Finding.HAPPENED, ref="run-2"), NOW, LATER)

    assert (after.state, after.is_gone, entry.action.value) == (S.UNKNOWN, True, "request:evidence:unclear")
    assert after.outcome == "The engine accepted the call, so it may have run. Nothing is to be seen of it now."
    assert found.state is S.RUNNING


def test_an_end_that_was_answered_and_vanished_may_be_asked_for_again() -> None:
    gone = request(S.UNKNOWN, calls=1, action=Action.KILL)

    assert lifecycle.weighed(gone, evidence(Finding.HARMLESS), NOW, LATER)[0].state is S.APPROVED


def evidence(finding: Finding, sentence: str = "seen", ref: str | None = None, *, probable: bool = False) -> Evidence:
    return Evidence(finding, sentence, ExecutionRef("orders", ref) if ref else None, is_probable=probable)


def test_evidence_that_it_happened_makes_it_running() -> None:
    unknown = request(S.UNKNOWN, calls=1)

    after, (entry,) = lifecycle.weighed(unknown, evidence(Finding.HAPPENED, ref="run-2", probable=True), NOW, LATER)

    assert (after.state, after.watched.id) == (S.RUNNING, "run-2")
    assert (entry.action.value, entry.actor) == ("request:evidence:happened", "engine:orders")
    assert entry.data == {"seen": "seen", "new_execution": "run-2", "probable": True}


def test_evidence_that_it_did_no_harm_sends_the_same_decision_again() -> None:
    unknown = request(S.UNKNOWN, calls=1, decisions=approved_by(ARNO), sent_at=NOW, tries=4, not_before=LATER)

    after, (entry,) = lifecycle.weighed(unknown, evidence(Finding.HARMLESS), NOW, LATER)

    assert (after.state, after.approvers, after.sent_at, after.not_before, after.tries) == (
        S.APPROVED,
        (ARNO.actor,),
        None,
        None,
        0,
    )
    assert entry.action.value == "request:evidence:harmless"


def test_unclear_evidence_changes_nothing_and_is_recorded_when_it_says_something_new() -> None:
    unknown = request(S.UNKNOWN, calls=1, sent_at=NOW, outcome="no answer in 20 s", tries=3)

    first, said = lifecycle.weighed(unknown, evidence(Finding.UNCLEAR, "nothing newer"), NOW, LATER)
    second, again = lifecycle.weighed(first, evidence(Finding.UNCLEAR, "nothing newer"), NOW, LATER)
    third, other = lifecycle.weighed(second, evidence(Finding.UNCLEAR, "two newer ones"), NOW, LATER)

    assert [made.state for made in (first, second, third)] == [S.UNKNOWN] * 3
    assert [len(entries) for entries in (said, again, other)] == [1, 0, 1]
    assert (third.outcome, third.not_before, third.tries) == ("two newer ones", LATER, 6)


def test_an_unknown_request_ends_by_a_new_one_or_by_being_closed() -> None:
    unknown = request(S.UNKNOWN, calls=1)

    pressed, (by_press,) = lifecycle.pressed_again(unknown, ARNO, "req-18", LATER)
    closed, (by_close,) = lifecycle.closed_as_not_run(unknown, ARNO, LATER)

    assert (pressed.state, by_press.action.value, by_press.data) == (
        S.SUPERSEDED,
        "request:unknown:pressed_again",
        {"new_request": "req-18"},
    )
    assert (closed.state, by_close.action.value, by_close.actor) == (S.CANCELLED, "request:unknown:closed", ARNO.actor)


# ---- ending ----------------------------------------------------------------------------------


def test_the_outcome_names_the_new_execution() -> None:
    running = request(S.RUNNING, new_execution="run-2", calls=1)

    good, (success,) = lifecycle.succeeded(running, LATER)
    bad, (failure,) = lifecycle.failed(running, "failed again at deploy: disk full", LATER)

    assert (good.state, good.ended_at, success.action.value, success.data) == (
        S.SUCCEEDED,
        LATER,
        "request:outcome:succeeded",
        {"new_execution": "run-2"},
    )
    assert (bad.state, failure.action.value, failure.actor) == (S.FAILED, "request:outcome:failed", "engine:orders")
    assert failure.data == {"new_execution": "run-2", "error": "failed again at deploy: disk full"}


def test_a_first_call_that_had_its_effect_is_recorded() -> None:
    after, (entry,) = lifecycle.prepared(request(S.APPROVED, point=OTHER_POINT), LATER)

    assert (after.prepared_at, after.state, entry.action.value) == (LATER, S.APPROVED, "request:preparation:ended")


def test_nobody_takes_back_a_request_whose_execution_is_being_ended() -> None:
    begun, (entry,) = lifecycle.preparing(request(S.APPROVED, not_before=NOW), NOW)

    withdrawn = refusal(lambda: lifecycle.withdraw(begun, RITA, NOW))
    rejected = refusal(lambda: lifecycle.reject(begun, ARNO, "", NOW))
    expired = refusal(lambda: lifecycle.expire(begun, NOW))

    assert {withdrawn, rejected, expired} == {"too_late"}
    assert "its execution is being ended right now" in describe_state(begun)
    assert (begun.is_being_ended, begun.not_before, entry.action.value) == (True, None, "request:preparation:begun")
    free, _ = lifecycle.not_prepared(begun, "connection refused", NOW)
    assert lifecycle.withdraw(free, RITA, NOW)[0].state is S.CANCELLED


def test_an_end_that_had_its_effect_is_said_with_the_end_of_the_request() -> None:
    done, _ = lifecycle.prepared(lifecycle.preparing(request(S.APPROVED), NOW)[0], NOW)
    nothing, _ = lifecycle.prepared(lifecycle.preparing(request(S.APPROVED), NOW)[0], NOW, had_to_end=False)

    assert lifecycle.withdraw(done, RITA, NOW)[0].outcome == "withdrawn by the requester; run-1 has been ended already"
    assert lifecycle.reject(done, ARNO, "", NOW)[0].outcome == "run-1 has been ended already"
    assert lifecycle.withdraw(nothing, RITA, NOW)[0].outcome == "withdrawn by the requester"


def test_every_change_of_state_has_an_entry() -> None:
    sent, unknown, running = request(S.RESUMING, calls=1), request(S.UNKNOWN, calls=1), request(S.RUNNING, calls=1)
    steps = [
        lifecycle.requested(request(), NOW, "slack"),
        lifecycle.approve(request(), ARNO, [], NOW),
        lifecycle.reject(request(), ARNO, "", NOW),
        lifecycle.withdraw(request(), RITA, NOW),
        lifecycle.expire(request(), NOW),
        lifecycle.supersede(request(), "moved", NOW),
        lifecycle.refuse(request(S.APPROVED), "no", NOW),
        lifecycle.send(request(S.APPROVED), NOW),
        lifecycle.accepted(sent, Receipt(sent.ref), NOW),
        lifecycle.declined(sent, NotResumable("no"), NOW),
        lifecycle.not_sent(sent, NotSent("no"), NOW),
        lifecycle.lost(sent, "no", NOW, LATER),
        lifecycle.weighed(unknown, evidence(Finding.HAPPENED), NOW, LATER),
        lifecycle.weighed(replace(unknown, sent_at=NOW), evidence(Finding.HARMLESS), NOW, LATER),
        lifecycle.pressed_again(unknown, RITA, "req-18", NOW),
        lifecycle.closed_as_not_run(unknown, RITA, NOW),
        lifecycle.succeeded(running, NOW),
        lifecycle.failed(running, "", NOW),
        lifecycle.vanished(running, "", NOW, LATER),
    ]

    for _, (entry,) in steps:
        assert (entry.request, entry.incident, entry.execution, entry.connection) == ("req-17", "inc-42", "run-1", "orders")
        assert entry.action.value.startswith("request:")
