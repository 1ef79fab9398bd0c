"""Which points of a Restate invocation begin it anew, told by what was read of it alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.engines.restate_picture import Picture, baseline_of, failed_stage_of, is_only_killed
from bot.engines.restate_restart import last_kept, restart_offer, restart_refusal, why_not
from bot.engines.restate_rows import JOURNAL_LIMIT, InvocationRow, JournalRow, PausedRow, StepFailureRow

ID = "inv_14fobJAsBXAZ54IAFviPsr23QlyHCuaaaa"
GAVE_UP = "[422] gave up"
ENDED: dict[str, Any] = {"status": "completed", "completion_result": "failure", "completion_failure": GAVE_UP}
KILLED: dict[str, Any] = {"status": "completed", "completion_result": "failure", "completion_failure": "[409] killed"}


def picture(*entries: tuple[str, str, dict[str, Any]], failures: dict[int, str] | None = None, **columns: Any) -> Picture:
    row = {
        "id": ID,
        "target": "Pipeline/run",
        "target_service_name": "Pipeline",
        "status": "paused",
        "modified_at": datetime.now(UTC),
        "pinned_service_protocol_version": 6,
    }
    written = [("Command: Input", "", {"Command": {"Input": {}}}), *entries]
    journal = tuple(
        JournalRow.model_validate({"index": index, "entry_type": kind, "name": name, "entry_lite_json": lite})
        for index, (kind, name, lite) in enumerate(written)
    )
    return Picture(InvocationRow.model_validate({**row, **columns}), journal=journal, step_failures=failures or {})


def step(name: str, number: int, result: str | None = "Success") -> list[tuple[str, str, dict[str, Any]]]:
    run = ("Command: Run", name, {"Command": {"Run": {"completion_id": number, "name": name}}})
    done = {"Notification": {"ty": {"Completion": "Run"}, "id": {"CompletionId": number}, "result": result}}
    return [run, ("Notification: Run", "", done)] if result else [run]


def keys(seen: Picture) -> list[str]:
    return [point.key for point in restart_offer(seen).points]


def test_a_step_after_the_failed_one_would_keep_the_failure() -> None:
    entries = [*step("book", 1), *step("pay", 2, "Failure"), *step("cancel", 3)]
    seen = picture(*entries, failures={4: GAVE_UP}, **ENDED)

    offer = restart_offer(seen)

    assert [point.key for point in offer.points] == ["restart:3:pay", "restart:0:"]
    assert [(point.name, point.reason) for point in offer.refused] == [
        ("cancel", "It comes after pay, whose failure would be kept.")
    ]


def test_a_failure_that_the_code_lived_with_is_kept() -> None:
    entries = [*step("probe", 1, "Failure"), *step("build", 2), *step("deploy", 3, None)]

    assert keys(picture(*entries)) == ["restart:5:deploy", "restart:3:build", "restart:0:"]


def test_a_point_that_holds_before_the_end_holds_after_it() -> None:
    entries = [*step("probe", 1, "Failure"), *step("build", 2), *step("deploy", 3, None)]
    ended = picture(*entries, failures={2: GAVE_UP}, **KILLED)

    points = restart_offer(picture(*entries)).points

    assert [why_not(ended, point) for point in points] == ["", "", ""]
    assert failed_stage_of(ended) == ""


@pytest.mark.parametrize(
    ("results", "failures", "failed"),
    [
        (["Failure", "Success", "Failure"], {2: "[422] no probe", 6: GAVE_UP}, "deploy"),
        (["Failure", "Success", "Success"], {2: "[422] no probe"}, ""),  # the code ended it in words of its own
        (["Failure", "Success", "Success"], {2: GAVE_UP}, "probe"),  # what came after it was the clearing up
        (["Failure", "Success", "Success"], {}, ""),
    ],
)
def test_the_failed_stage_of_an_end_is_the_step_that_failed_in_the_same_words(
    results: list[str], failures: dict[int, str], failed: str
) -> None:
    names = ("probe", "build", "deploy")
    entries = [entry for number, name in enumerate(names, 1) for entry in step(name, number, results[number - 1])]

    assert failed_stage_of(picture(*entries, failures=failures, **ENDED)) == failed


@pytest.mark.parametrize(
    ("full", "words"),
    [
        (
            '{"Notification":{"Completion":{"Run":{"completion_id":1,"result":{"Failure":{"code":422,"message":"no"}}}}}}',
            "[422] no",
        ),
        ('{"Notification":{"Completion":{"Run":{"completion_id":1,"result":{"Success":[34]}}}}}', ""),
        ('{"Command":{"Input":{}}}', ""),
        ({"V2": 1}, ""),
    ],
)
def test_the_words_of_a_step_that_failed_are_those_of_an_end(full: object, words: str) -> None:
    assert StepFailureRow.model_validate({"index": 2, "entry_json": full}).failure == words


def test_a_journal_that_is_not_read_to_its_end_is_not_begun_anew() -> None:
    entries = [entry for number in range(1, JOURNAL_LIMIT // 2 + 1) for entry in step(f"s{number}", number)]
    seen = picture(*entries[: JOURNAL_LIMIT - 1])

    offer = restart_offer(seen)

    assert offer.points == ()
    assert "5,000 entries or more" in restart_refusal(seen)
    assert restart_offer(picture(*entries[: JOURNAL_LIMIT - 2])).points


def test_a_step_called_like_the_beginning_is_told_from_it() -> None:
    nap = ("Command: Sleep", "", {"Command": {"Sleep": {"completion_id": 9}}})
    awake = ("Notification: Sleep", "", {"Notification": {"id": {"CompletionId": 9}, "result": "Success"}})

    points = restart_offer(picture(nap, awake, *step("a", 1), *step("From the beginning", 2), *step("deploy", 3, None))).points

    assert [point.label for point in points[1:]] == [
        "From the beginning [5], restart with a new id",
        "a, restart with a new id",
        "From the beginning, restart with a new id",
    ]


@pytest.mark.parametrize(
    ("entries", "columns", "is_ours"),
    [
        ([], KILLED, True),
        ([], {}, False),  # nothing has happened
        ([], ENDED, False),  # it came to its end by itself
        ([], {**KILLED, "completion_failure": "[409] cancelled"}, False),
        (step("verify", 4, None), KILLED, False),  # it had gone on before
    ],
)
def test_only_a_kill_explains_what_has_moved(
    entries: list[tuple[str, str, dict[str, Any]]], columns: dict[str, Any], is_ours: bool
) -> None:
    steps = [*step("build", 1), *step("deploy", 2, None)]
    before, now = baseline_of(picture(*steps)), baseline_of(picture(*steps, *entries, **columns))

    assert is_only_killed(before, now) is is_ours


def test_a_kill_does_not_explain_a_newer_pause() -> None:
    steps, ended = [*step("deploy", 1, None)], picture(*step("deploy", 1, None), **KILLED)
    event = PausedRow.model_validate({"appended_at": datetime.now(UTC), "event_json": "{}"})

    now = baseline_of(Picture(ended.row, paused=event, journal=ended.journal))

    assert not is_only_killed(baseline_of(picture(*steps)), now)


def test_what_waits_for_a_result_bounds_what_can_be_kept() -> None:
    call = {"invocation_id": ID, "invocation_id_completion_id": 2, "result_completion_id": 3}
    called = ("Command: Call", "", {"Command": {"Call": call}})
    named = ("Notification: CallInvocationId", "", {"Notification": {"id": {"CompletionId": 2}, "result": "InvocationId"}})
    seen = picture(*step("load", 1), called, named, *step("save", 4), **KILLED)

    offer = restart_offer(seen)

    assert [point.key for point in offer.points] == ["restart:0:"]
    assert [point.reason for point in offer.refused] == [
        "It was begun beside or after something, which has no result that could be kept."
    ]


def test_signals_tie_nothing() -> None:
    signal = ("Notification: Signal", "", {"Notification": {"ty": "Signal", "id": {"SignalIndex": 17}, "result": "Void"}})
    state = ("Command: SetState", "", {"Command": {"SetState": {"key": "n"}}})

    assert keys(picture(signal, state, *step("load", 1), *step("save", 2), **KILLED)) == [
        "restart:5:save",
        "restart:3:load",
        "restart:0:",
    ]


def test_steps_of_one_name_and_without_a_name_are_told_apart() -> None:
    points = restart_offer(picture(*step("load", 1), *step("load", 2), *step("", 3), *step("", 4), **KILLED)).points

    assert [(point.key, point.stages) for point in points] == [
        ("restart:7:", ("(unnamed) (#2)",)),
        ("restart:5:", ("(unnamed) (#1)",)),
        ("restart:3:load", ("load (#2)",)),
        ("restart:0:", ("load (#1)",)),
    ]


def test_long_names_keep_labels_short_and_apart() -> None:
    entries = [entry for number in range(1, 4) for entry in step("x" * 200 + str(number), number)]

    points = restart_offer(picture(*entries, **KILLED)).points

    assert all(len(point.label) <= 75 and "restart" in point.label for point in points)
    assert len({point.label for point in points}) == len(points) == 3


def test_the_nearest_of_very_many_steps_are_offered_and_the_beginning() -> None:
    entries = [entry for number in range(1, 301) for entry in step("load", number)]

    offer = restart_offer(picture(*entries, **KILLED))

    assert len(offer.points) == 151
    assert (offer.points[0].stages, offer.points[-1].key) == (("load (#300)",), "restart:0:")
    assert len(offer.refused) == 149
    assert max(len(point.sentence) for point in offer.points) < 500


@pytest.mark.parametrize(("protocol", "offered"), [(6, 2), (5, 1), (4, 1), (3, 0), (None, 1)])
def test_older_protocols_begin_from_the_beginning_or_not_at_all(protocol: int | None, offered: int) -> None:
    seen = picture(*step("load", 1), *step("save", 2, None), pinned_service_protocol_version=protocol, **KILLED)

    offer = restart_offer(seen)

    assert len(offer.points) == offered
    assert all("protocol" in point.reason for point in offer.refused)
    assert bool(offer.refused) is (protocol != 6)


def test_a_journal_of_another_form_is_refused() -> None:
    seen = picture(**KILLED)
    old = tuple(entry.model_copy(update={"kind": "Input"}) for entry in seen.journal)

    assert "too old" in restart_refusal(Picture(seen.row, journal=old))


@pytest.mark.parametrize(
    ("kept", "refusal"),
    [
        ({"journal_retention": "P0D"}, "keeps no journal"),
        ({"completion_retention": "P0D"}, "keeps no journal"),
        ({"journal_retention": "PT60S"}, "for only 60 s"),
        ({"journal_retention": "PT86400S", "completion_retention": "PT300S"}, ""),
        ({"journal_retention": "P106751991167DT7H12M55S"}, ""),
        ({}, ""),
    ],
)
def test_only_a_journal_that_outlives_the_end_is_worth_an_end(kept: dict[str, Any], refusal: str) -> None:
    seen = picture(*step("load", 1), *step("save", 2, None), **kept)

    found = restart_refusal(seen)

    assert refusal in found
    assert bool(found) is bool(refusal)


def test_a_point_holds_for_its_own_step_only() -> None:
    seen = picture(*step("load", 1), *step("save", 2, None))
    (load, *_) = restart_offer(picture(*step("load", 1), *step("save", 2), **KILLED)).points

    assert why_not(seen, load) == ""
    assert last_kept(load) == 2
    assert "not in its journal" in why_not(picture(*step("load", 1), *step("store", 2)), load)


def test_a_retention_is_a_time() -> None:
    assert picture(journal_retention="PT300S").row.journal_retention == timedelta(minutes=5)
