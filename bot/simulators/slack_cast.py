"""The people, channels and groups of a simulated workspace, and how Slack's methods describe them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo


@dataclass
class Person:
    """Somebody with a Slack account; `team_id` tells the own workspace from another organisation."""

    id: str
    name: str
    real_name: str
    team_id: str
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    deleted: bool = False
    tz: str = "Etc/UTC"
    role: str = ""

    @property
    def is_guest(self) -> bool:
        """Whether it is a guest of either kind."""
        return self.is_restricted or self.is_ultra_restricted


@dataclass
class Channel:
    """A place for messages; `is_im` marks the direct messages between one person and the bot."""

    id: str
    name: str
    members: list[str] = field(default_factory=list)
    is_archived: bool = False
    is_private: bool = False
    is_im: bool = False


@dataclass
class Group:
    """A user group."""

    id: str
    handle: str
    members: list[str] = field(default_factory=list)


class Cast:
    """Who is who, by id; the objects may be changed while the simulator runs."""

    def __init__(self, people: Iterable[Person], channels: Iterable[Channel], groups: Iterable[Group]) -> None:
        self.people: Final = {person.id: person for person in people}
        self.channels: Final = {channel.id: channel for channel in channels}
        self.groups: Final = {group.id: group for group in groups}
        bots = [person for person in self.people.values() if person.is_bot]
        if len(bots) != 1:
            raise ValueError(f"a cast has exactly one bot, not {len(bots)}")
        self.bot: Final = bots[0]

    @property
    def team_id(self) -> str:
        """The workspace the bot is installed in."""
        return self.bot.team_id

    def is_foreign(self, user: str) -> bool:
        """Whether this person belongs to another organisation."""
        return self.people[user].team_id != self.team_id

    def sees(self, user: str, channel_id: str) -> bool:
        """Whether this person can read the channel: its members, and every full member of the workspace if it is public."""
        channel, person = self.channels[channel_id], self.people[user]
        if user in channel.members:
            return True
        return not (channel.is_private or channel.is_im or person.is_guest or self.is_foreign(user))

    def direct(self, user: str) -> Channel:
        """The direct messages between the bot and this person, opened if need be."""
        channel_id = "D" + user[1:]
        return self.channels.setdefault(channel_id, Channel(channel_id, "", [self.bot.id, user], is_private=True, is_im=True))

    def channel_name(self, channel_id: str) -> str:
        """The name payloads carry for this channel."""
        channel = self.channels[channel_id]
        if channel.is_im:
            return "directmessage"
        return "privategroup" if channel.is_private else channel.name

    def describe_person(self, person: Person, *, with_email: bool) -> dict[str, Any]:
        """The user object of `users.info`."""
        profile = {"real_name": person.real_name, "display_name": person.name, "team": person.team_id}
        if with_email and not person.is_bot:
            profile["email"] = f"{person.name}@example.com"
        offset = datetime.now(ZoneInfo(person.tz)).utcoffset()
        return {
            "id": person.id,
            "team_id": person.team_id,
            "name": person.name,
            "real_name": person.real_name,
            "deleted": person.deleted,
            "tz": person.tz,
            "tz_label": person.tz,
            "tz_offset": int(offset.total_seconds()) if offset else 0,
            "profile": profile,
            "is_admin": False,
            "is_owner": False,
            "is_bot": person.is_bot,
            "is_app_user": False,
            "is_restricted": person.is_restricted,
            "is_ultra_restricted": person.is_ultra_restricted,
            "is_stranger": self.is_foreign(person.id),
        }

    def describe_channel(self, channel: Channel) -> dict[str, Any]:
        """The channel object of `conversations.info`."""
        shared = any(self.is_foreign(member) for member in channel.members)
        common = {
            "id": channel.id,
            "is_channel": not channel.is_im and not channel.is_private,
            "is_group": channel.is_private and not channel.is_im,
            "is_im": channel.is_im,
            "is_private": channel.is_private,
            "is_archived": channel.is_archived,
            "context_team_id": self.team_id,
        }
        if channel.is_im:
            return common | {"user": next(member for member in channel.members if member != self.bot.id)}
        return common | {
            "name": channel.name,
            "name_normalized": channel.name,
            "is_member": self.bot.id in channel.members,
            "is_shared": shared,
            "is_ext_shared": shared,
            "num_members": len(channel.members),
        }

    def describe_group(self, group: Group) -> dict[str, Any]:
        """The user group object of `usergroups.list`, without its users."""
        return {
            "id": group.id,
            "team_id": self.team_id,
            "is_usergroup": True,
            "name": group.handle,
            "handle": group.handle,
            "description": "",
            "date_delete": 0,
        }


def default_cast() -> Cast:
    """The cast of the playground: who asks, who approves, two who may not, two channels and the approvers' group."""
    rita = Person("U0RITA", "rita", "Rita Reyes", "T0PLAY", role="Requester")
    arno = Person("U0ARNO", "arno", "Arno Abel", "T0PLAY", tz="Europe/Berlin", role="Approver")
    olga = Person("U0OLGA", "olga", "Olga Orlov", "T0ELSE", role="Other organisation")
    gina = Person("U0GINA", "gina", "Gina Gold", "T0PLAY", is_restricted=True, role="Guest")
    bot = Person("U0BOT", "resumebot", "Resumebot", "T0PLAY", is_bot=True, role="The bot")
    everybody = [rita.id, arno.id, olga.id, gina.id, bot.id]
    deploys = Channel("C0DEPLOYS", "deploys", everybody)
    audit = Channel("C0AUDIT", "audit", [rita.id, arno.id, bot.id])
    return Cast([rita, arno, olga, gina, bot], [deploys, audit], [Group("S0RELEASE", "release", [arno.id])])
