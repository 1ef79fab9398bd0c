"""The methods that tell who and what there is: users, groups, channels, the workspace, the bot itself."""

from typing import Final

from bot.simulators.slack_cast import Channel
from bot.simulators.slack_limits import SPECIAL, TIER_2, TIER_3, TIER_4
from bot.simulators.slack_methods import Answer, Args, Kind, Method, page_of
from bot.simulators.slack_state import BOT_ID, ApiError, SlackState

_PAGED: Final = {"cursor": Kind.TEXT, "limit": Kind.NUMBER}
_READ: Final = ("channels:read", "groups:read", "im:read")


class Directory:
    """Answers from the cast; lists come in pages of at most `page_size`."""

    def __init__(self, state: SlackState, *, page_size: int, with_email: bool, team_name: str) -> None:
        self._state = state
        self._cast = state.cast
        self._page_size = page_size
        self._with_email = with_email
        self._team_name = team_name

    def methods(self) -> dict[str, Method]:
        """The rows of the table."""
        disabled = {"include_disabled": Kind.FLAG}
        listed = {"types": Kind.TEXT, "exclude_archived": Kind.FLAG}
        counted = {"include_count": Kind.FLAG, "include_users": Kind.FLAG}
        channel, group = {"channel": Kind.TEXT}, {"usergroup": Kind.TEXT}
        return {
            "auth.test": Method(self._auth_test, SPECIAL),
            "team.info": Method(self._team_info, TIER_3, ("team:read",), {}, {"team": Kind.TEXT}),
            "users.info": Method(self._users_info, TIER_4, ("users:read",), {"user": Kind.TEXT}, {"include_locale": Kind.FLAG}),
            "users.list": Method(self._users_list, TIER_2, ("users:read",), {}, _PAGED | {"include_locale": Kind.FLAG}),
            "usergroups.list": Method(self._groups_list, TIER_2, ("usergroups:read",), {}, disabled | counted),
            "usergroups.users.list": Method(self._group_users, TIER_2, ("usergroups:read",), group, disabled),
            "conversations.info": Method(
                self._channel_info, TIER_3, _READ, channel, {"include_num_members": Kind.FLAG, "include_locale": Kind.FLAG}
            ),
            "conversations.members": Method(self._channel_members, TIER_4, _READ, channel, _PAGED),
            "conversations.list": Method(self._channels_list, TIER_2, _READ, {}, _PAGED | listed),
            "conversations.open": Method(
                self._channel_open, TIER_3, ("im:write",), {"users": Kind.TEXT}, {"return_im": Kind.FLAG}
            ),
        }

    def _auth_test(self, _: Args) -> Answer:
        return {
            "url": self._state.public_url + "/",
            "team": self._team_name,
            "user": self._cast.bot.name,
            "team_id": self._cast.team_id,
            "user_id": self._cast.bot.id,
            "bot_id": BOT_ID,
            "is_enterprise_install": False,
        }

    def _team_info(self, args: Args) -> Answer:
        if args.get("team", self._cast.team_id) != self._cast.team_id:
            raise ApiError("team_not_found")
        return {"team": {"id": self._cast.team_id, "name": self._team_name, "domain": self._cast.team_id.lower()}}

    def _users_info(self, args: Args) -> Answer:
        person = self._cast.people.get(args["user"])
        if person is None:
            raise ApiError("user_not_found")
        return {"user": self._cast.describe_person(person, with_email=self._with_email)}

    def _users_list(self, args: Args) -> Answer:
        people, following = page_of(list(self._cast.people.values()), args, self._page_size)
        return {"members": [self._cast.describe_person(each, with_email=self._with_email) for each in people]} | following

    def _groups_list(self, args: Args) -> Answer:
        shown = []
        for group in self._cast.groups.values():
            described = self._cast.describe_group(group)
            if args.get("include_users"):
                described["users"] = list(group.members)
            if args.get("include_count"):
                described["user_count"] = len(group.members)
            shown.append(described)
        return {"usergroups": shown}

    def _group_users(self, args: Args) -> Answer:
        group = self._cast.groups.get(args["usergroup"])
        if group is None:
            raise ApiError("no_such_subteam")
        return {"users": list(group.members)}

    def _channel(self, channel_id: str) -> Channel:
        channel = self._cast.channels.get(channel_id)
        if channel is None or (channel.is_private and self._cast.bot.id not in channel.members):
            raise ApiError("channel_not_found")
        return channel

    def _channel_info(self, args: Args) -> Answer:
        described = self._cast.describe_channel(self._channel(args["channel"]))
        if not args.get("include_num_members"):
            described.pop("num_members", None)
        return {"channel": described}

    def _channel_members(self, args: Args) -> Answer:
        members, following = page_of(self._channel(args["channel"]).members, args, self._page_size)
        return {"members": members} | following

    def _channels_list(self, args: Args) -> Answer:
        wanted = set(args.get("types", "public_channel").replace(" ", "").split(","))
        if not wanted <= {"public_channel", "private_channel", "mpim", "im"}:
            raise ApiError("invalid_types")
        listed = [each for each in self._cast.channels.values() if _type_of(each) in wanted and self._knows(each)]
        if args.get("exclude_archived"):
            listed = [each for each in listed if not each.is_archived]
        channels, following = page_of(listed, args, self._page_size)
        return {"channels": [self._cast.describe_channel(each) for each in channels]} | following

    def _knows(self, channel: Channel) -> bool:
        return not channel.is_private or self._cast.bot.id in channel.members

    def _channel_open(self, args: Args) -> Answer:
        person = self._cast.people.get(args["users"])
        if person is None:
            raise ApiError("user_not_found")
        if person.deleted or person.is_bot:
            raise ApiError("user_disabled" if person.deleted else "cannot_dm_bot")
        channel = self._cast.direct(person.id)
        return {"channel": self._cast.describe_channel(channel) if args.get("return_im") else {"id": channel.id}}


def _type_of(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"
