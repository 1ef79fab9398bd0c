"""Keeps what is known of people fresh: all of it every minute, what a decision hangs on right before it is sent."""

from collections.abc import Iterable

from bot.domain.errors import ChatError, ChatRefused
from bot.domain.policy import PersonKind, groups_named
from bot.domain.setup import seconds
from bot.domain.text import clean
from bot.service.core import Core
from bot.service.unit import Unit

KINDS_A_ROUND = 40  # people looked up one by one in a round; a whole list is read when more are unknown
KIND_AGE = seconds(240)  # read again before the ten minutes that make it useless
FRESH_AT_SEND = seconds(5)


async def refresh_all(core: Core) -> None:
    """Read the members of all groups and channels that count, and what the people in them are."""
    members: set[str] = set()
    for group in sorted(core.setup.followed_groups | core.setup.followed_channels):
        members |= await refresh_group(core, group)
    named = {word for policy in core.setup.policies for word in (*policy.requesters, *policy.approvers)}
    members |= {word for word in named if word.startswith(("U", "W"))}
    await _refresh_kinds(core, members)


async def refresh_group(core: Core, group: str) -> frozenset[str]:
    """Read a user group's or channel's members; trouble is kept with the group, and what was known grows old."""
    try:
        members = await _members(core, group)
    except ChatError as error:
        async with core.store.unit() as unit:
            await unit.directory.save_trouble(core.setup.workspace, group, clean(str(error), 300), core.now())
        return frozenset()
    async with core.store.unit() as unit:
        await unit.directory.save_members(core.setup.workspace, group, members, core.now())
    return members


async def _members(core: Core, group: str) -> frozenset[str]:
    if group.startswith("S"):
        return await core.people.members_of_group(group)
    return await core.people.members_of_channel(group)


async def _refresh_kinds(core: Core, users: Iterable[str]) -> None:
    async with core.store.unit() as unit:
        known = [await unit.directory.person(core.setup.workspace, user) for user in sorted(users)]
        edge = core.now() - KIND_AGE
        wanted = [person.id for person in known if person.kind_read_at is None or person.kind_read_at < edge]
    if len(wanted) > KINDS_A_ROUND:
        try:
            kinds = await core.people.all_kinds()
        except ChatError:
            kinds = {}
        await _save_kinds(core, {user: kinds[user] for user in wanted if user in kinds})
        wanted = [user for user in wanted if user not in kinds]
    for user in wanted[:KINDS_A_ROUND]:
        await refresh_person(core, user)


async def _save_kinds(core: Core, kinds: dict[str, PersonKind]) -> None:
    async with core.store.unit() as unit:
        for user, kind in sorted(kinds.items()):
            await unit.directory.save_kind(core.setup.workspace, user, kind, core.now())


async def refresh_person(core: Core, user: str) -> bool:
    """Read what a person is; False when the chat did not say."""
    try:
        kind = await core.people.kind_of(user)
    except ChatRefused as error:
        if error.code not in {"user_not_found", "user_not_visible"}:
            return False
        kind = PersonKind.FOREIGN
    except ChatError:
        return False
    await _save_kinds(core, {user: kind})
    return True


async def refresh_for(core: Core, users: Iterable[str], words: Iterable[str], channel: str) -> bool:
    """Read afresh all that a decision about these people hangs on; False when some of it could not be read."""
    groups = groups_named(words, channel)
    async with core.store.unit() as unit:
        people = [await unit.directory.person(core.setup.workspace, user) for user in sorted(set(users))]
        edge = core.now() - FRESH_AT_SEND
        stale_groups = await _stale_groups(unit, core, groups, edge.timestamp())
        stale_people = [person.id for person in people if person.kind_read_at is None or person.kind_read_at < edge]
    complete = True
    for user in stale_people:
        complete &= await refresh_person(core, user)
    for group in sorted(stale_groups):
        await refresh_group(core, group)
    async with core.store.unit() as unit:
        return complete and not await _stale_groups(unit, core, groups, edge.timestamp())


async def _stale_groups(unit: Unit, core: Core, groups: Iterable[str], edge: float) -> set[str]:
    someone = await unit.directory.person(core.setup.workspace, "")
    return {group for group in groups if group not in someone.read_at or someone.read_at[group].timestamp() < edge}
