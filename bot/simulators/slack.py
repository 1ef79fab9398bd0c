"""A wire-true Slack for tests and for `play`: the Web API with its limits and refusals, and the people who use the bot.

bot ──/api/<method>, /response/…──> HttpSide ──> WebApi, Chat, Views, Directory ──┐
page ──/page/…──> PageApi ──> People ──signed──> the bot's /slack/events          ├── SlackState
                                └── the bot's answer ──> Answers ─────────────────┘
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import httpx
from starlette.applications import Starlette

from bot.simulators.slack_acts import People
from bot.simulators.slack_answers import Answers
from bot.simulators.slack_cast import Cast, Channel, Group, Person, default_cast
from bot.simulators.slack_chat import Chat
from bot.simulators.slack_delivery import Ack, Deliveries, sign
from bot.simulators.slack_directory import Directory
from bot.simulators.slack_http import HttpSide
from bot.simulators.slack_limits import Pace, Trouble, Troubles
from bot.simulators.slack_methods import WebApi
from bot.simulators.slack_page_api import PageApi
from bot.simulators.slack_state import Call, ImpossibleActError, Message, Notice, SlackState
from bot.simulators.slack_views import Views

__all__ = [
    "Ack",
    "Call",
    "Cast",
    "Channel",
    "Group",
    "ImpossibleActError",
    "Message",
    "Notice",
    "Person",
    "SlackSimulator",
    "default_cast",
    "sign",
]

DEFAULT_SCOPES: Final = (
    "chat:write",
    "commands",
    "usergroups:read",
    "users:read",
    "channels:read",
    "groups:read",
    "im:write",
    "team:read",
)


class SlackSimulator(People):
    """One simulated workspace with the bot installed: mount `app`, set `public_url`, let people act, look at the state."""

    def __init__(
        self,
        *,
        signing_secret: str,
        bot_token: str,
        bot_url: str,
        people: Iterable[Person],
        channels: Iterable[Channel],
        groups: Iterable[Group] = (),
        clock: Callable[[], float] = time.time,
        pace: bool = True,
        scopes: Sequence[str] = DEFAULT_SCOPES,
        shortcuts: Sequence[Mapping[str, str]] = (),
        commands: Sequence[Mapping[str, str]] = (),
        page_size: int = 200,
        page_url: str = "",
        team_name: str = "Playground",
        http: httpx.AsyncClient | None = None,
    ) -> None:
        state = SlackState(Cast(people, channels, groups), clock)
        chat = Chat(state, posts_anywhere="chat:write.public" in scopes)
        views = Views(state)
        directory = Directory(state, page_size=page_size, with_email="users:read.email" in scopes, team_name=team_name)
        deliveries = Deliveries(state, signing_secret, bot_url, http)
        super().__init__(state, deliveries, Answers(state, chat, views))
        self._troubles: Final = Troubles()
        methods = chat.methods() | views.methods() | directory.methods()
        api = WebApi(state, Pace(clock, enforced=pace), bot_token, scopes, methods)
        side = HttpSide(state, api, chat, self._troubles, page_url)
        page = PageApi(state, self, shortcuts, commands)
        self.cast: Final = state.cast
        self.messages: Final = state.messages
        self.deleted: Final = state.deleted
        self.views: Final = state.views
        self.homes: Final = state.homes
        self.notices: Final = state.notices
        self.calls: Final = state.calls
        self.broken: Final = state.broken
        self.acks: Final = deliveries.acks
        self.app: Final = Starlette(routes=[*side.routes(), *page.routes()])

    async def close(self) -> None:
        """Ends the client that carries deliveries, unless it was given; no connection outlives its delivery anyway."""
        await self._deliveries.close()

    # ---- addresses ----

    @property
    def public_url(self) -> str:
        """Where the app is reached, without a slash at the end; all addresses it hands out begin with it."""
        return self._state.public_url

    @public_url.setter
    def public_url(self, url: str) -> None:
        self._state.public_url = url.rstrip("/")

    @property
    def bot_url(self) -> str:
        """Where the bot is reached; `/slack/events` is added."""
        return self._deliveries.bot_url

    @bot_url.setter
    def bot_url(self, url: str) -> None:
        self._deliveries.bot_url = url.rstrip("/")

    @property
    def deadline_s(self) -> float:
        """How long the bot has to answer a delivery; three seconds with Slack."""
        return self._deliveries.deadline_s

    @deadline_s.setter
    def deadline_s(self, seconds: float) -> None:
        self._deliveries.deadline_s = seconds

    # ---- faults ----

    def fail(self, method: str, kind: int | str, times: int = 1, seconds: float = 1.0) -> None:
        """Lets the next calls of the methods that match this glob go wrong; `response_url` counts as a method.

        The kind is an HTTP status (429 with `Retry-After`), "slow", "cut" (dropped before it acts), "lost" (acted, the answer
        dropped) or an error of Slack's.
        """
        self._troubles.add(Trouble(method, kind, times, seconds))

    @property
    def down(self) -> bool:
        """Whether every call of the bot's is dropped."""
        return self._troubles.down

    @down.setter
    def down(self, down: bool) -> None:
        self._troubles.down = down

    # ---- observers ----

    @property
    def version(self) -> int:
        """A number that grows with everything a person could notice."""
        return self._state.version

    async def changed(self, since: int, timeout: float = 20.0) -> int:
        """Waits until the version is above `since` or the time is up, and gives the version."""
        return await self._state.changed(since, timeout)

    def message(self, channel: str, ts: str) -> Message | None:
        """The message as it stands now, if it was not deleted."""
        return self._state.find_message(channel, ts)

    def private(self, user: str) -> list[Message]:
        """What only this person can read: ephemeral messages and direct messages, oldest first."""
        direct = {channel.id for channel in self.cast.channels.values() if channel.is_im and user in channel.members}
        return [m for m in self.messages if m.to == user or (m.channel in direct and m.to is None)]
