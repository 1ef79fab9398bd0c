"""The People port over Slack's Web API: what a person is to our workspace, and who is in groups and channels."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ChatUnavailable
from bot.domain.policy import PersonKind
from bot.slack.api import TIMEOUT, answer_of

M = TypeVar("M", bound=BaseModel)

PAGE = 200
_SLACKBOT = "USLACKBOT"  # Slack does not mark it as a bot


class _Profile(BaseModel):
    id: str
    team_id: str | None = None
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False


class _UserAnswer(BaseModel):
    user: _Profile


class _GroupAnswer(BaseModel):
    users: list[str]


class _Metadata(BaseModel):
    next_cursor: str = ""


class _Page(BaseModel):
    response_metadata: _Metadata | None = None


class _MembersAnswer(_Page):
    members: list[str]


class _UsersAnswer(_Page):
    members: list[_Profile]


P = TypeVar("P", bound=_Page)


class SlackPeople:
    """Reads people of the workspace `team`; nothing is kept here."""

    def __init__(self, client: AsyncWebClient, team: str, timeout: float = TIMEOUT) -> None:
        self._client = client
        self._team = team
        self._timeout = timeout

    async def kind_of(self, user: str) -> PersonKind:
        """What a person is to our workspace; ChatRefused with the code `user_not_found` for nobody."""
        answer = await answer_of("users.info", self._client.users_info(user=user), self._timeout)
        return self._kind(_read(_UserAnswer, answer).user)

    def _kind(self, profile: _Profile) -> PersonKind:
        if profile.is_stranger or profile.team_id != self._team:
            return PersonKind.FOREIGN
        if profile.deleted:
            return PersonKind.DEACTIVATED
        if profile.is_bot or profile.id == _SLACKBOT:
            return PersonKind.BOT
        return PersonKind.GUEST if profile.is_restricted or profile.is_ultra_restricted else PersonKind.MEMBER

    async def all_kinds(self) -> Mapping[str, PersonKind]:
        """What everybody of the workspace is, by user id; all pages or an error, never a part."""
        kinds: dict[str, PersonKind] = {}
        async for page in self._pages("users.list", _UsersAnswer, self._client.users_list):
            kinds |= {profile.id: self._kind(profile) for profile in page.members}
        return kinds

    async def members_of_group(self, group: str) -> frozenset[str]:
        """User ids of a user group."""
        call = self._client.usergroups_users_list(usergroup=group)
        return frozenset(_read(_GroupAnswer, await answer_of("usergroups.users.list", call, self._timeout)).users)

    async def members_of_channel(self, channel: str) -> frozenset[str]:
        """User ids of a channel's members; all pages or an error, never a part."""
        members: set[str] = set()
        list_members = partial(self._client.conversations_members, channel=channel)
        async for page in self._pages("conversations.members", _MembersAnswer, list_members):
            members.update(page.members)
        return frozenset(members)

    async def _pages(self, method: str, shape: type[P], call: Callable[..., Awaitable[Any]]) -> AsyncIterator[P]:
        cursor, cursors = "", {""}
        while True:
            page = _read(shape, await answer_of(method, call(limit=PAGE, cursor=cursor or None), self._timeout))
            yield page
            cursor = page.response_metadata.next_cursor if page.response_metadata else ""
            if not cursor:
                return
            if cursor in cursors:
                raise ChatUnavailable("unreadable_answer", f"Slack's list of {method} has no end.")
            cursors.add(cursor)


def _read(model: type[M], answer: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(answer)
    except ValidationError:
        raise ChatUnavailable("unreadable_answer", "Slack's answer about people cannot be read.") from None
