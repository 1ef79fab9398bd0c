"""What the simulated Slack remembers: messages, views, who may still use which trigger, and what observers ask about."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bot.simulators.slack_cast import Cast, Channel
from bot.simulators.slack_elements import INTERACTIVE

TRIGGER_SECONDS: Final = 3
TICKET_SECONDS: Final = 1800
TICKET_USES: Final = 5
APP_ID: Final = "A0RESUME"
BOT_ID: Final = "B0RESUME"


class ApiError(Exception):
    """An answer of Slack's with `ok: false`."""

    def __init__(self, error: str, *messages: str) -> None:
        super().__init__(error)
        self.error: Final = error
        self.messages: Final = messages


class ImpossibleActError(LookupError):
    """Somebody tries what Slack's clients do not let this person do."""


@dataclass
class Message:
    """A message as it stands now; `to` names the only reader of an ephemeral one."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[dict[str, Any]]
    at: float
    thread_ts: str | None = None
    to: str | None = None
    metadata: dict[str, Any] | None = None
    edited_at: float | None = None


@dataclass(frozen=True)
class Call:
    """One request of the bot's: to a method of the Web API, or to a `response_url`."""

    method: str
    args: dict[str, Any]
    answer: dict[str, Any]
    at: float
    status: int = 200


@dataclass(frozen=True)
class Notice:
    """A sentence that Slack itself shows to one person."""

    user: str
    text: str
    at: float


@dataclass
class Trigger:
    """The right to open one modal, given to the bot by one act of a person."""

    user: str
    at: float
    in_view: bool
    used: bool = False


@dataclass
class Ticket:
    """The right to answer through a `response_url`."""

    user: str
    channel: str
    ts: str | None
    at: float
    left: int = TICKET_USES


@dataclass
class SlackState:
    """The memory of one simulated workspace; `version` grows with everything a person could notice."""

    cast: Cast
    clock: Callable[[], float]
    public_url: str = ""
    messages: list[Message] = field(default_factory=list)
    deleted: list[Message] = field(default_factory=list)
    views: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    homes: dict[str, dict[str, Any]] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    chosen: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    suggested: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    version: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        # A bot may outlive its Slack here and remembers the ids it has seen, so those of two runs must differ.
        self._run = f"{int(self.clock() * 1000) % 36**8:X}"
        self._news = asyncio.Event()

    # ---- observers ----

    def touch(self) -> None:
        """Tells everybody who waits that something changed."""
        self.version += 1
        self._news.set()
        self._news = asyncio.Event()

    async def changed(self, since: int, limit_s: float) -> int:
        """Waits until the version is above `since`, or the time is up, and gives the version."""
        try:
            async with asyncio.timeout(limit_s):
                while self.version <= since:
                    await self._news.wait()
        except TimeoutError:
            pass
        return self.version

    def break_rule(self, rule: str) -> None:
        """Notes that the bot did what Slack refuses or a careful bot avoids."""
        self.broken.append(rule)

    def notify(self, user: str, text: str) -> None:
        """Shows this person a sentence of Slack's own."""
        self.notices.append(Notice(user, text, self.clock()))
        self.touch()

    # ---- names ----

    def new_id(self, prefix: str) -> str:
        """An id that nothing else has."""
        return f"{prefix}{self._run}{next(self._numbers):06d}"

    def new_ts(self) -> str:
        """The timestamp of a message, which is also its id."""
        return f"{int(self.clock())}.{next(self._numbers):06d}"

    def named(self, blocks: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        """The blocks as Slack keeps them: with the names and the text flags that were left out."""
        return [{"block_id": self.new_id("b")} | self.completed(block) for block in blocks or []]

    def completed(self, part: Any) -> Any:
        """A part of blocks with Slack's defaults filled in."""
        if isinstance(part, list):
            return [self.completed(each) for each in part]
        if not isinstance(part, dict):
            return part
        whole = {key: self.completed(value) for key, value in part.items()}
        match whole.get("type"):
            case "plain_text":
                whole.setdefault("emoji", True)
            case "mrkdwn":
                whole.setdefault("verbatim", False)
            case kind if kind in INTERACTIVE:
                whole.setdefault("action_id", self.new_id("a"))
        return whole

    # ---- messages ----

    def find_message(self, channel: str, ts: str) -> Message | None:
        """The message of this channel with this timestamp, if it still stands."""
        return next((m for m in self.messages if m.channel == channel and m.ts == ts), None)

    def add_message(self, channel: Channel, user: str, content: dict[str, Any], *, to: str | None = None) -> Message:
        """Puts a message there and lets everybody know."""
        message = Message(
            channel.id,
            self.new_ts(),
            user,
            str(content.get("text") or "")[:40_000],
            self.named(content.get("blocks")),
            self.clock(),
            content.get("thread_ts"),
            to,
            content.get("metadata"),
        )
        self.messages.append(message)
        self.touch()
        return message

    def edit_message(self, message: Message, content: dict[str, Any]) -> None:
        """Replaces what is given of text, blocks and metadata; the rest stays."""
        if content.get("text") is not None:
            message.text = content["text"][:40_000]
        if content.get("blocks") is not None:
            message.blocks = self.named(content["blocks"])
        if content.get("metadata") is not None:
            message.metadata = content["metadata"]
        message.edited_at = self.clock()
        self.touch()

    def remove_message(self, message: Message) -> None:
        """Takes a message away; observers still find it among the deleted."""
        self.messages.remove(message)
        self.deleted.append(message)
        self.touch()

    def describe_message(self, message: Message) -> dict[str, Any]:
        """The message object of answers and payloads."""
        shown: dict[str, Any] = {
            "type": "message",
            "user": message.user,
            "team": self.cast.people[message.user].team_id,
            "ts": message.ts,
            "text": message.text,
            "blocks": message.blocks,
        }
        if message.user == self.cast.bot.id:
            shown |= {"bot_id": BOT_ID, "app_id": APP_ID}
        if message.thread_ts:
            shown["thread_ts"] = message.thread_ts
        if message.metadata:
            shown["metadata"] = message.metadata
        if message.edited_at:
            shown["edited"] = {"user": message.user, "ts": f"{message.edited_at:.6f}"}
        return shown

    # ---- rights that expire ----

    def issue_trigger(self, user: str, *, in_view: bool = False) -> str:
        """A trigger for the act this person just did."""
        trigger = self.new_id("") + ".trigger"
        self.triggers[trigger] = Trigger(user, self.clock(), in_view)
        return trigger

    def spend_trigger(self, trigger_id: str) -> Trigger:
        """Uses up a trigger: once, within three seconds of the act."""
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise ApiError("invalid_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        trigger.used = True
        if self.clock() - trigger.at > TRIGGER_SECONDS:
            raise ApiError("expired_trigger_id")
        return trigger

    def issue_response_url(self, user: str, channel: str, ts: str | None = None) -> str:
        """An address that takes answers to the act this person just did."""
        ticket = self.new_id("r")
        self.tickets[ticket] = Ticket(user, channel, ts, self.clock())
        return f"{self.public_url}/response/{ticket}"

    def spend_response_url(self, ticket_id: str) -> Ticket:
        """Uses the address once more: five times, within half an hour."""
        ticket = self.tickets.get(ticket_id)
        if ticket is None:
            raise ApiError("invalid_url")
        if self.clock() - ticket.at > TICKET_SECONDS:
            raise ApiError("expired_url")
        if ticket.left < 1:
            raise ApiError("used_url")
        ticket.left -= 1
        return ticket
