"""Routes, environments, and what an installation follows."""

from typing import Any

import pytest

from bot.domain.execution import Action
from bot.domain.policy import Policy, Subject
from bot.domain.setup import ConnectionInfo, Route, Setup, Timings
from tests.domain.things import execution


def route(channel: str, viewers: tuple[str, ...] = (), **keys: str) -> Route:
    return Route({key: (glob,) for key, glob in keys.items()}, channel, viewers)


def setup(*routes: Route, policies: tuple[Policy, ...] = (), **info: Any) -> Setup:
    connections = {"orders": ConnectionInfo("orders", "fake", "Fake", **info), "billing": ConnectionInfo("billing", "fake", "")}
    return Setup("T0HOME", connections, routes, policies)


def channel_of(made: Setup, connection: str, name: str, environment: str | None) -> str | None:
    found = made.route(connection, name, environment)
    return found.channel if found else None


def test_the_first_route_whose_keys_all_fit_wins() -> None:
    made = setup(route("C1", connection="orders", name="Check*"), route("C2", connection="orders"), route("C3"))

    assert [
        channel_of(made, *each) for each in [("orders", "Checkout", None), ("orders", "X", None), ("billing", "", None)]
    ] == [
        "C1",
        "C2",
        "C3",
    ]


def test_where_no_route_fits_there_is_none() -> None:
    assert setup(route("C1", connection="billing")).route("orders", "Checkout", None) is None


def test_what_is_unknown_fits_only_the_star() -> None:
    made = setup(route("C1", environment="prod*"), route("C2", name="?*"), route("C3", environment="*", name="*"))

    assert channel_of(made, "orders", "", None) == "C3"
    assert channel_of(made, "orders", "Checkout", "production") == "C1"


@pytest.mark.parametrize(
    ("info", "engines_own", "word"),
    [
        ({"environment": "production"}, "proj-stage", "production"),
        ({"environment": "production"}, None, "production"),
        ({"environments": {"proj-prod*": "production"}}, "proj-prod-eu", "production"),
        ({"environments": {"*": "any"}}, "proj-stage", "any"),
        ({"environments": {"*": "any"}}, None, None),
        ({}, "Prod", "Prod"),
    ],
)
def test_an_environment_is_the_connections_or_mapped_or_the_engines_own(
    info: dict[str, Any], engines_own: str | None, word: str | None
) -> None:
    assert setup(**info).connections["orders"].environment_of(engines_own) == word


@pytest.mark.parametrize(
    ("info", "engines_own"),
    [
        ({"environments": {"proj-prod*": "production"}}, "proj-stage"),
        ({"environments": {"env-1": "production"}, "environments_are_opaque": True}, "env-2"),
        ({"environments_are_opaque": True}, "env-1"),
    ],
)
def test_an_environment_that_the_connection_does_not_map_is_unknown(info: dict[str, Any], engines_own: str) -> None:
    assert setup(**info).connections["orders"].environment_of(engines_own) is None


def test_a_route_hangs_on_the_description_only_where_what_is_unknown_may_decide_it() -> None:
    by_name = setup(route("C1", connection="orders", name="Check*"), route("C2"))
    by_environment = setup(route("C1", environment="production"), route("C2"))
    by_connection = setup(route("C1", connection="orders"), route("C2", name="x"))

    assert by_name.needs_description("orders", "")
    assert not by_name.needs_description("orders", "Checkout")
    assert not by_name.needs_description("billing", "")
    assert by_environment.needs_description("orders", "Checkout")
    assert not by_connection.needs_description("orders", "")


def test_the_description_is_not_needed_for_what_the_connection_says_itself() -> None:
    fixed = setup(route("C1", environment="staging"), route("C2", environment="production"), environment="production")

    assert not fixed.needs_description("orders", "Checkout")


def test_a_star_asks_for_nothing() -> None:
    assert not setup(route("C1", name="*", environment="*")).needs_description("orders", "")


def test_without_a_name_every_route_down_to_the_first_certain_one_is_possible() -> None:
    made = setup(route("C1", connection="billing"), route("C2", connection="ord*", name="Checkout"), route("C3"))

    assert made.possible_channels("orders", "") == ("C2", "C3")
    assert setup(route("C1", connection="billing")).possible_channels("orders", "") == ()


def test_a_route_for_other_names_is_not_possible() -> None:
    made = setup(route("C1", name="Other", environment="production"), route("C2", environment="production"))

    assert made.possible_channels("orders", "Checkout") == ("C2",)


def test_the_route_of_a_channel_is_its_first() -> None:
    made = setup(route("C1", viewers=("U0A",), name="x"), route("C1", viewers=("U0B",)))

    assert [made.route_of_channel(channel) for channel in ("C1", "C9")] == [made.routes[0], None]


def test_the_subject_of_policies_is_what_the_engine_says_in_our_words() -> None:
    made = setup(environments={"p-*": "production"})

    known = made.subject(execution(environment="p-1"), Action.RESTART, ("deploy",))
    unknown = made.subject(execution(name="", environment=None), Action.RESUME, ())

    assert known == Subject("orders", Action.RESTART, "Checkout", "production", ("deploy",))
    assert unknown == Subject("orders", Action.RESUME)


def test_groups_and_channels_that_policies_and_routes_name_are_followed() -> None:
    policy = Policy("p", requesters=("S0DEVS", "U0A", "anyone"), approvers=("S0RELEASE", "C0LEADS", "channel"))
    made = setup(route("C1", viewers=("S0VIEW", "U0B")), route("C2"), policies=(policy,))

    assert made.followed_groups == {"S0DEVS", "S0RELEASE", "S0VIEW"}
    assert made.followed_channels == {"C1", "C2", "C0LEADS"}


def test_the_digest_of_the_policies_changes_with_each_of_them() -> None:
    digests = {
        setup(policies=policies).policies_digest
        for policies in [(), (Policy("p"),), (Policy("p", approvals=2),), (Policy("p", match={"name": ("x",)}),)]
    }

    assert len(digests) == 4


def test_nobody_concludes_before_window_timeout_and_a_minute_have_passed() -> None:
    assert Timings().conclude_after.total_seconds() == 5 + 20 + 60
    assert Timings().surely_ended.total_seconds() > 5 + 20
