"""Keeps what is known of people fresh: all of it every minute, what a decision hangs on right before it is sent."""

import asyncio
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
    members = await _read_members(core, group)
    async with core.store.unit() as unit:
        _save_members(core, unit, group, members)
    return frozenset() if isinstance(members, ChatError) else members


async def _read_members(core: Core, group: str) -> frozenset[str] | ChatError:
    try:
        return await _members(core, group)
    except ChatError as error:
        return error


def _save_members(core: Core, unit: Unit, group: str, members: frozenset[str] | ChatError) -> None:
    workspace, now = core.setup.workspace, core.now()
    if isinstance(members, ChatError):
        unit.directory.save_trouble(workspace, group, clean(str(members), 300), now)
    else:
        unit.directory.save_members(workspace, group, members, now)


async def _members(core: Core, group: str) -> frozenset[str]:
    if group.startswith("S"):
        return await core.people.members_of_group(group)
    return await core.people.members_of_channel(group)


async def _refresh_kinds(core: Core, users: Iterable[str]) -> None:
    async with core.store.unit() as unit:
        known = await unit.directory.people([f"slack:{core.setup.workspace}/{user}" for user in sorted(users)])
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
            unit.directory.save_kind(core.setup.workspace, user, kind, core.now())


async def refresh_person(core: Core, user: str) -> bool:
    """Read what a person is; False when the chat did not say."""
    kind = await _read_kind(core, user)
    if kind is not None:
        await _save_kinds(core, {user: kind})
    return kind is not None


async def _read_kind(core: Core, user: str) -> PersonKind | None:
    try:
        return await core.people.kind_of(user)
    except ChatRefused as error:
        return PersonKind.FOREIGN if error.code in {"user_not_found", "user_not_visible"} else None
    except ChatError:
        return None


async def refresh_for(core: Core, users: Iterable[str], words: Iterable[str], channel: str) -> bool:
    """Read afresh all that a decision about these people hangs on; False when some of it could not be read."""
    people, groups = await _stale(core, sorted(set(users)), groups_named(words, channel))
    if not people and not groups:
        return True
    kinds, members = await asyncio.gather(
        asyncio.gather(*[_read_kind(core, user) for user in people]),
        asyncio.gather(*[_read_members(core, group) for group in groups]),
    )
    async with core.store.unit() as unit:
        for user, kind in zip(people, kinds, strict=True):
            if kind is not None:
                unit.directory.save_kind(core.setup.workspace, user, kind, core.now())
        for group, found in zip(groups, members, strict=True):
            _save_members(core, unit, group, found)
    return None not in kinds and not any(isinstance(found, ChatError) for found in members)


async def _stale(core: Core, users: list[str], groups: Iterable[str]) -> tuple[list[str], list[str]]:
    edge = core.now() - FRESH_AT_SEND
    async with core.store.unit() as unit:
        people = await unit.directory.people([f"slack:{core.setup.workspace}/{user}" for user in users])
    read_at = people[0].read_at if people else {}
    stale_people = [person.id for person in people if person.kind_read_at is None or person.kind_read_at < edge]
    return stale_people, sorted(group for group in groups if group not in read_at or read_at[group] < edge)
