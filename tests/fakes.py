"""Engine, chat, people and clock as the ports promise them: they enforce what the real ones enforce, and do as told."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.domain.errors import ChatError, ChatRefused
from bot.domain.messages import Home, Modal, PickFailure, PickPoint, RejectReason, Shown, StartForm, Word
from bot.domain.policy import PersonKind
from bot.domain.ports import Clock
from bot.slack.views import render, render_home, render_modal
from bot.store.unit_of_work import SqlStore, open_engine
from tests.fake_engine import FakeEngine, Faults

__all__ = ["BEGIN", "FakeChat", "FakeClock", "FakeEngine", "FakePeople", "Post", "Whisper", "open_store", "words_of"]

BEGIN = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
MOST_BLOCKS, MOST_TEXT, URL_USES = 50, 10_000, 5


class FakeClock:
    """Time stands still until a test lets it pass."""

    def __init__(self, now: datetime = BEGIN) -> None:
        self._now, self._boot = now, 5000.0

    def now(self) -> datetime:
        """The wall clock."""
        return self._now

    def boot(self) -> float:
        """The boot-time clock."""
        return self._boot

    def let_pass(self, seconds: float) -> None:
        """Both clocks go on."""
        self._now += timedelta(seconds=seconds)
        self._boot += seconds


@asynccontextmanager
async def open_store(url: str, clock: Clock, pool_size: int = 8) -> AsyncIterator[SqlStore]:
    """The real store on a database."""
    store = SqlStore(open_engine(url, pool_size), clock)
    try:
        yield store
    finally:
        await store.close()


@dataclass
class Post:
    """A message that stands in a channel, with all it has shown."""

    channel: str
    ts: str
    thread_ts: str | None
    versions: list[Shown]

    @property
    def shown(self) -> Shown:
        """What it shows now."""
        return self.versions[-1]

    @property
    def text(self) -> str:
        """All words of it, as the chat gets them."""
        return words_of(self.shown)


@dataclass(frozen=True)
class Whisper:
    """What one person alone was told."""

    user: str
    shown: Shown | Modal
    channel: str | None = None
    thread_ts: str | None = None
    via: str = ""

    @property
    def text(self) -> str:
        """All words of it."""
        return words_of(self.shown)


def words_of(shown: Shown | Modal) -> str:
    """What a message or form says, rendered as the chat gets it."""
    if isinstance(shown, PickFailure | PickPoint | RejectReason | StartForm | Word):
        return json.dumps(render_modal(shown, "x"), ensure_ascii=False)
    made = render(shown)
    assert len(made.blocks) <= MOST_BLOCKS
    assert sum(len(text) for text in _texts(made.blocks)) <= MOST_TEXT
    return "\n".join([made.text, *_texts(made.blocks)])


def _texts(part: object) -> list[str]:
    if isinstance(part, list):
        return [text for each in part for text in _texts(each)]
    if isinstance(part, dict):
        return [
            text
            for key, value in part.items()
            for text in ([value] if key == "text" and isinstance(value, str) else _texts(value))
        ]
    return []


@dataclass
class FakeChat:
    """One workspace: knows its channels, its own messages, open forms, and response_urls with their five uses."""

    channels: set[str] = field(default_factory=lambda: {"C0DEPLOYS", "C0OTHER", "C0AUDIT"})
    posts: list[Post] = field(default_factory=list)
    whispers: list[Whisper] = field(default_factory=list)
    homes: dict[str, Home] = field(default_factory=dict)
    views: dict[str, list[Modal]] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)  # response_url -> user
    refusals: dict[str, str] = field(default_factory=dict)  # channel -> why
    down: ChatError | None = None
    unanswered: ChatError | None = None  # the next post stands there and this is raised
    calls: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    _uses: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def in_channel(self, channel: str) -> list[Post]:
        """Messages outside threads, oldest first."""
        return [post for post in self.posts if post.channel == channel and post.thread_ts is None]

    def in_thread(self, parent: Post) -> list[Post]:
        """Messages of a thread, oldest first."""
        return [post for post in self.posts if post.thread_ts == parent.ts]

    async def post(self, channel: str, shown: Shown, thread_ts: str | None = None) -> str:
        """Post; the thread's parent must stand there."""
        self._admit("post", channel)
        words_of(shown)
        assert thread_ts is None or self._find(channel, thread_ts), "a thread on a message that is not there"
        made = Post(channel, f"{len(self.posts) + 1}.000100", thread_ts, [shown])
        self.posts.append(made)
        if self.unanswered is not None:
            lost, self.unanswered = self.unanswered, None
            raise lost
        return made.ts

    async def update(self, channel: str, ts: str, shown: Shown) -> None:
        """Change a message that stands there."""
        self._admit("update", channel)
        words_of(shown)
        found = self._find(channel, ts)
        if found is None:
            raise ChatRefused("message_not_found")
        found.versions.append(shown)

    async def delete(self, channel: str, ts: str) -> None:
        """Take a message away."""
        self._admit("delete", channel)
        self.posts = [post for post in self.posts if (post.channel, post.ts) != (channel, ts)]

    async def whisper(self, channel: str, user: str, shown: Shown, thread_ts: str | None = None) -> None:
        """Tell one person."""
        self._admit("whisper", channel)
        words_of(shown)
        self.whispers.append(Whisper(user, shown, channel, thread_ts, "ephemeral"))

    async def answer(self, response_url: str, shown: Shown) -> None:
        """Tell the person of a response_url, five times at most."""
        self._admit("answer", "")
        words_of(shown)
        self._uses[response_url] += 1
        if response_url not in self.urls or self._uses[response_url] > URL_USES:
            raise ChatRefused("used_url")
        self.whispers.append(Whisper(self.urls[response_url], shown, via=response_url))

    async def update_view(self, external_id: str, modal: Modal) -> None:
        """Change an open form."""
        self._admit("update_view", "")
        render_modal(modal, external_id)
        if external_id not in self.views:
            raise ChatRefused("not_found")
        self.views[external_id].append(modal)

    async def publish_home(self, user: str, home: Home) -> None:
        """Show a person their Home."""
        self._admit("publish_home", "")
        render_home(home)
        self.homes[user] = home

    def _find(self, channel: str, ts: str) -> Post | None:
        return next((post for post in self.posts if (post.channel, post.ts) == (channel, ts)), None)

    def _admit(self, method: str, channel: str) -> None:
        self.calls.append(method)
        if self.down is not None:
            raise self.down
        self.faults.strike(method)
        if channel in self.refusals:
            raise ChatRefused(self.refusals[channel])
        if channel and channel not in self.channels and not channel.startswith(("U", "W")):
            raise ChatRefused("channel_not_found")


@dataclass
class FakePeople:
    """Who is what, and who is in which group or channel."""

    kinds: dict[str, PersonKind] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    channels: dict[str, set[str]] = field(default_factory=dict)
    down: ChatError | None = None
    asked: list[str] = field(default_factory=list)

    async def kind_of(self, user: str) -> PersonKind:
        """What a person is."""
        self._admit(user)
        if user not in self.kinds:
            raise ChatRefused("user_not_found")
        return self.kinds[user]

    async def all_kinds(self) -> Mapping[str, PersonKind]:
        """Everybody."""
        self._admit("everybody")
        return dict(self.kinds)

    async def members_of_group(self, group: str) -> frozenset[str]:
        """Members of a user group."""
        self._admit(group)
        if group not in self.groups:
            raise ChatRefused("no_such_subteam")
        return frozenset(self.groups[group])

    async def members_of_channel(self, channel: str) -> frozenset[str]:
        """Members of a channel."""
        self._admit(channel)
        if channel not in self.channels:
            raise ChatRefused("channel_not_found")
        return frozenset(self.channels[channel])

    def _admit(self, asked: str) -> None:
        self.asked.append(asked)
        if self.down is not None:
            raise self.down
