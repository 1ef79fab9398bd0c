"""What budgets of calls promise about accounts: whoever the engine counts together shares one, and no secret is stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.config_tables import Connection, SecretSource, read_connection
from bot.domain.errors import ConfigError
from bot.parts import SystemClock, shared_throttles
from bot.store.throttle import SqlThrottle

TOKEN = "pat.acc1.id.secret"
SOURCE = SecretSource({"ONE": TOKEN, "TWO": "pat.acc1.id2.other"}, Path())
FIRSTGEN = {"engine": "harness_firstgen", "base_url": "https://app.harness.io", "account": "acc1", "token": "env:ONE"}
NEXTGEN = {"engine": "harness_nextgen", "base_url": "https://app.harness.io", "org": "o", "project": "p", "token": "env:ONE"}
RESTATE = {"engine": "restate", "admin_url": "https://restate.example:9070", "token": "env:ONE"}
DIGDAG = {"engine": "digdag", "base_url": "https://digdag.example"}


def connection(given: Mapping[str, Any], **changes: Any) -> Connection:
    """A connection as it is read from the file."""
    return read_connection({"name": "one", **given, **changes}, "connection 1", SOURCE)


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        (FIRSTGEN, {"name": "two"}),
        (FIRSTGEN, {"token": "env:TWO"}),
        (FIRSTGEN, {"base_url": "https://APP.harness.io/gateway"}),
        (NEXTGEN, {"name": "two", "project": "q", "org": "x"}),
        (NEXTGEN, {"base_url": "https://app.harness.io/gateway/"}),
        (NEXTGEN, {"account": "acc1"}),
        (RESTATE, {"admin_url": "https://restate.example:9070/"}),
        (DIGDAG, {"name": "two"}),
    ],
    ids=range(8),
)
def test_what_the_engine_counts_together_has_one_budget(given: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    assert connection(given).budget == connection(given, **changes).budget


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        (FIRSTGEN, {"account": "acc2"}),
        (FIRSTGEN, {"base_url": "https://app3.harness.io"}),
        (NEXTGEN, {"token": "env:TWO"}),
        (RESTATE, {"token": "env:TWO"}),
        (RESTATE, {"admin_url": "https://restate.example:9071"}),
        (DIGDAG, {"token": "env:ONE"}),
    ],
    ids=range(6),
)
def test_what_is_counted_apart_has_budgets_of_its_own(given: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    assert connection(given).budget != connection(given, **changes).budget


def test_both_generations_are_counted_apart() -> None:
    assert connection(FIRSTGEN).budget != connection(NEXTGEN).budget


@pytest.mark.parametrize("given", [FIRSTGEN, NEXTGEN, RESTATE])
def test_no_secret_stands_in_the_name_of_a_budget(given: Mapping[str, Any]) -> None:
    assert not any(part in connection(given).budget for part in (TOKEN, "secret", "pat."))


def test_the_strictest_rate_of_an_account_holds_for_all_of_its_connections() -> None:
    connections = [
        connection(FIRSTGEN, name="strict", rate="30/min"),
        connection(FIRSTGEN, name="loose", rate="1000/h"),
        connection(FIRSTGEN, name="silent"),
        connection(FIRSTGEN, name="other", account="acc2", rate="300/min"),
    ]
    throttle_of = shared_throttles(cast("AsyncEngine", None), SystemClock(), connections)

    strict, loose, silent, other = (cast("SqlThrottle", throttle_of(one)) for one in connections)

    assert strict._rate == loose._rate == silent._rate < other._rate
    assert strict._key == loose._key == silent._key != other._key


@pytest.mark.parametrize(("rate", "least"), [("6/min", 7), ("7/h", 8), ("3/min", 7)])
def test_a_rate_that_lets_no_resume_through_is_refused(rate: str, least: int) -> None:
    with pytest.raises(ConfigError, match=f"connection 1, rate: .*5 calls.*the least is {least}\\."):
        connection(NEXTGEN, rate=rate)


@pytest.mark.parametrize("rate", ["7/min", "30/min", "1/s", "5/s", "8/h", "400/min"])
def test_a_rate_that_lets_one_through_is_taken(rate: str) -> None:
    assert connection(NEXTGEN, rate=rate).rate is not None


def test_engines_of_single_calls_take_any_rate() -> None:
    assert connection(RESTATE, rate="1/h").rate is not None
