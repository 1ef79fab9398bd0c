"""Lists on the command line: open incidents, requests under way, and what stands still."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.store.tables import connections, lookups, messages, requests
from tests.cli.calls import LONG_AGO, NOW, Call, Ended, incident, put


def test_incidents_are_listed_for_people_and_for_programs(on: Call, database: str) -> None:
    put(database, incident(), incident(execution_id="run-2"), incident(execution_id="run-3", state="resolved"))

    table, records = on("incidents"), on("incidents", "--json").records

    head, *rows = table.out.splitlines()
    assert head.split() == ["incident", "connection", "execution", "stage", "opened_at", "channel", "error"]
    assert [row.split()[:4] for row in rows] == [["inc-2", "orders", "run-2", "deploy"], ["inc-1", "orders", "run-1", "deploy"]]
    assert [record["incident"] for record in records] == ["inc-2", "inc-1"]
    assert records[0]["error"] == "disk\nfull"


def test_empty_lists_say_so_to_people_and_nothing_to_programs(on: Call) -> None:
    assert on("incidents") == Ended(0, "No failure needs a human.\n", "")
    assert on("requests") == Ended(0, "No request is under way.\n", "")
    assert on("stuck") == Ended(0, "Nothing stands still.\n", "")
    assert on("requests", "--json", "--all") == on("incidents", "--json") == on("stuck", "--json") == Ended(0, "", "")


def test_what_stands_still_is_listed_and_ends_with_1(on: Call, database: str) -> None:
    lost = {"workspace": "T1", "surface": "card", "lane": "T1:C1", "rank": 3, "created_at": LONG_AGO, "channel": "C1"}
    put(
        database,
        incident(channel=None),
        incident(execution_id="run-2"),
        request("resuming", sent_at=LONG_AGO),
        request("resuming", sent_at=datetime.now(UTC)),
        request("unknown", sent_at=LONG_AGO, outcome="no answer"),
        request("approved", not_before=NOW),
        request("approved"),
        request("pending"),
        (messages, {**lost, "subject": "inc-1", "dead_at": LONG_AGO, "dead_because": "channel_not_found"}),
        (messages, {**lost, "subject": "inc-2", "dead_at": NOW - timedelta(days=30), "dead_because": "old"}),
        (messages, {**lost, "subject": "inc-3"}),
        (lookups, {"workspace": "T1", "channel": "C1", "user_id": "U1", "verb": "resume", "argument": "x"} | AT),
        (connections, {"name": "orders", "answered_at": LONG_AGO, "silent_since": LONG_AGO, "silence": "refused"}),
    )

    ended = on("stuck", "--json")

    assert ended.status == 1
    assert [(record["kind"], record["subject"]) for record in ended.records] == [
        ("request", "req-4"),
        ("request", "req-3"),
        ("request", "req-1"),
        ("dead letter", "inc-1"),
        ("unsent", "T1:C1"),
        ("command", "lookup-1"),
        ("incident", "inc-1"),
        ("engine", "orders"),
    ]
    assert on("stuck").out.splitlines()[0].split() == ["kind", "subject", "since", "why"]


AT = {"at": LONG_AGO, "expires_at": NOW + timedelta(minutes=20)}


def request(state: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
    number = next(NUMBERS)
    values = {
        "id": number,
        "workspace": "T1",
        "channel": "C1",
        "action": "resume",
        "connection": "orders",
        "execution_id": f"run-{number}",
        "root": f"run-{number}",
        "point": {},
        "baseline": "",
        "digest": "",
        "rules": [],
        "requester": "slack:T1/U1",
        "requested_at": LONG_AGO,
        "expires_at": NOW,
        "state": state,
        "version": 1,
    }
    return requests, values | changes


NUMBERS = iter(range(1, 1000))
