"""Who may read of a failure: members of its channel, and the viewers its route names."""

from bot.domain.errors import Refusal
from bot.domain.policy import Person, PersonKind
from bot.service.core import Core


def may_read(core: Core, person: Person, channel: str | None) -> bool:
    """Whether the person is in the channel, or a viewer of its route by id, group, or as anybody of the workspace."""
    if channel is None:
        return False
    if channel in person.groups:
        return True
    route = core.setup.route_of_channel(channel)
    viewers = set(route.viewers) if route else set()
    is_anyone = "anyone" in viewers and person.kind is PersonKind.MEMBER
    return is_anyone or bool(viewers & {person.id, *person.groups})


def check_reading(core: Core, person: Person, channel: str | None) -> None:
    """Raises Refusal unless the person may read."""
    if not may_read(core, person, channel):
        if channel is None:
            raise Refusal("no_route", "No route leads this to a channel, so nobody can see it. An administrator can add one.")
        raise Refusal("not_a_reader", f"Only members of <#{channel}> can see this.")
