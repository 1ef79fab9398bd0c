"""Who may read of a failure: members of its channel, and the viewers its route names."""

from bot.domain.errors import Refusal
from bot.domain.policy import Person
from bot.service.core import Core


def may_read(core: Core, person: Person, channel: str | None) -> bool:
    """Whether the person is in the channel, or a viewer of its route by id, group, or as anybody of the workspace."""
    if channel is None:
        return False
    if channel in person.groups:
        return True
    route = core.setup.route_of_channel(channel)
    viewers = set(route.viewers) if route else set()
    return bool(viewers & {person.id, "anyone", *person.groups})


def check_reading(core: Core, person: Person, channel: str | None) -> None:
    """Raises Refusal unless the person may read."""
    if not may_read(core, person, channel):
        where = f"members of <#{channel}>" if channel else "nobody yet, because no route leads it to a channel,"
        raise Refusal("not_a_reader", f"Only {where} can see this.")
