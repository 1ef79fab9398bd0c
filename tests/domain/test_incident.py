"""An incident from its first notice to its end and back."""

from dataclasses import replace

from bot.domain.execution import ExecutionRef, FailureNotice
from bot.domain.incident import IncidentState, described, ended, merged, opened_by, reopened
from tests.domain.things import HOME, MINUTE, NOTICE, NOW, RITA, execution, incident

LATER = NOW + 5 * MINUTE


def test_the_first_notice_opens_an_incident_with_what_it_tells() -> None:
    opened = opened_by(NOTICE, HOME, LATER)

    assert (opened.state, opened.ref, opened.root) == (IncidentState.OPEN, ExecutionRef("orders", "run-1"), "")
    assert (opened.name, opened.stage, opened.error) == ("Checkout", "deploy", "disk full")
    assert (opened.opened_at, opened.failed_at, opened.failures) == (LATER, NOW, 1)


def test_texts_of_a_notice_are_cleaned() -> None:
    opened = opened_by(replace(NOTICE, name="n\x00" * 400, message="m\u202e" * 4000, stage="s\ud800"), HOME, NOW)

    assert (len(opened.name), len(opened.error), opened.stage) == (300, 4000, "s\ufffd")


def test_a_further_notice_of_the_chain_merges() -> None:
    again = FailureNotice(ExecutionRef("orders", "run-2"), "orders run-2 failed", stage="smoke", at=LATER)

    after, entries = merged(incident(), again, LATER)

    assert (after.execution_id, after.name, after.stage, after.error) == ("run-2", "Checkout", "smoke", "disk full")
    assert (after.failures, after.failed_at, after.state) == (2, LATER, IncidentState.OPEN)
    assert [(entry.action.value, entry.actor, entry.execution, entry.incident) for entry in entries] == [
        ("incident:notice:merged", "engine:orders", "run-2", "inc-42")
    ]


def test_a_notice_opens_an_ended_incident_again() -> None:
    closed = incident(state=IncidentState.RESOLVED, closed_at=NOW, closed_because="x", acknowledged_by=RITA.actor)

    after, entries = merged(closed, NOTICE, LATER)

    assert (after.state, after.closed_at, after.closed_because, after.acknowledged_by) == (IncidentState.OPEN, None, "", None)
    assert [entry.action.value for entry in entries] == ["incident:notice:merged", "incident:life:reopened"]


def test_an_end_is_recorded_once_with_its_reason() -> None:
    after, entries = ended(incident(snoozed_until=LATER), IncidentState.RESOLVED, "it succeeded", LATER)

    assert (after.state, after.closed_at, after.closed_because, after.snoozed_until) == (
        IncidentState.RESOLVED,
        LATER,
        "it succeeded",
        None,
    )
    assert [(entry.action.value, entry.data) for entry in entries] == [("incident:life:resolved", {"reason": "it succeeded"})]
    assert ended(after, IncidentState.RESOLVED, "again", LATER) == (after, ())


def test_what_was_closed_can_turn_out_to_be_resolved() -> None:
    closed, _ = ended(incident(), IncidentState.CLOSED, "gone", NOW)

    after, entries = ended(closed, IncidentState.RESOLVED, "it succeeded", LATER)

    assert after.state is IncidentState.RESOLVED
    assert [entry.action.value for entry in entries] == ["incident:life:resolved"]


def test_a_reading_replaces_what_was_seen_and_ends_the_trouble() -> None:
    troubled = incident(seen=None, root="", trouble="no answer", stage="old", error="old")

    after = described(troubled, execution(ref=ExecutionRef("orders", "run-2"), root="run-1"), LATER)

    assert (after.trouble, after.read_at, after.root, after.execution_id) == ("", LATER, "run-1", "run-2")
    assert (after.stage, after.error, after.seen and after.seen.name) == ("deploy", "disk full", "Checkout")


def test_what_the_engine_does_not_say_is_kept_from_the_notice() -> None:
    after = described(incident(), execution(name="", failed_stage="", error=""), LATER)

    assert (after.name, after.stage, after.error) == ("Checkout", "deploy", "disk full")


def test_a_reopened_incident_keeps_its_history() -> None:
    after = reopened(incident(state=IncidentState.CLOSED, failures=3))

    assert (after.state, after.failures, after.label) == (IncidentState.OPEN, 3, "inc-42")
