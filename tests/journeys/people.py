"""What people do in the simulated Slack: they find the card of a failure, press, and read what is said to them."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bot.simulators.slack import Ack, Channel, Group, Message, Person, SlackSimulator, default_cast
from tests.journeys.waiting import seen

RITA, ARNO, PIA, GINA = "U0RITA", "U0ARNO", "U0PIA", "U0GINA"
DEPLOYS, AUDIT, RELEASE = "C0DEPLOYS", "C0AUDIT", "S0RELEASE"
TOKEN, SECRET = "xoxb-of-a-journey", "secret-of-a-journey"
NOT_CONFIRMED = "could not confirm"

Place = tuple[Message, str, str]


@dataclass(frozen=True)
class Pressed:
    """One press and what was answered; `told_before` counts what the person could read in private until then."""

    user: str
    label: str
    execution: str
    ack: Ack
    told_before: int


class People:
    """Everybody in the workspace."""

    def __init__(self, slack: SlackSimulator) -> None:
        self.slack = slack
        self.presses: list[Pressed] = []

    def cards(self, execution: str) -> list[Message]:
        """The messages outside threads that show the execution, oldest first."""
        return [m for m in self.slack.messages if not m.thread_ts and m.to is None and execution in str(m.blocks)]

    def thread(self, execution: str) -> list[Message]:
        """What stands in the threads of its cards, oldest first."""
        stands = {card.ts for card in self.cards(execution)}
        return [m for m in self.slack.messages if m.thread_ts in stands]

    def all_told(self, user: str, words: str) -> list[Message]:
        """The private messages to a person with these words in them, oldest first."""
        return [m for m in self.slack.private(user) if words in m.text]

    def buttons(self, execution: str, label: str) -> list[Place]:
        """Where a button stands on the execution's card or in its thread: message, block and action; the newest last."""
        messages = [*self.cards(execution), *self.thread(execution)]
        return [(m, *place) for m in messages for place in _places(m, label)]

    async def sees_button(self, execution: str, label: str, limit: float = 20.0) -> Place:
        """The newest such button, once it stands there."""
        found = await seen(lambda: self.buttons(execution, label), f"button {label} for {execution}", limit)
        return found[-1]

    async def press(self, user: str, label: str, execution: str, limit: float = 20.0) -> Pressed:
        """Press the newest such button."""
        return await self.press_at(user, label, execution, await self.sees_button(execution, label, limit))

    async def choose(self, user: str, stage: str, execution: str) -> None:
        """Choose a stage on the execution's newest card: it is what this person's next Retry asks for."""
        card, _, _ = await self.sees_button(execution, "Retry")
        block, select = next((block, each) for block, each in _elements(card) if each["type"] == "static_select")
        (value,) = [each["value"] for each in select["options"] if each["text"]["text"].startswith(stage)]
        await self.slack.choose(user, card.channel, card.ts, block, select["action_id"], value=value)

    async def press_together(self, users: Iterable[str], label: str, execution: str) -> list[Pressed]:
        """All of them press the same button at the same moment."""
        place = await self.sees_button(execution, label)
        return await asyncio.gather(*(self.press_at(user, label, execution, place) for user in users))

    async def press_at(self, user: str, label: str, execution: str, place: Place) -> Pressed:
        """Press a button that was seen."""
        message, block, action = place
        told_before = len(self.slack.private(user))
        ack = await self.slack.press(user, message.channel, message.ts, block, action)
        pressed = Pressed(user, label, execution, ack, told_before)
        self.presses.append(pressed)
        return pressed

    def counts(self, pressed: Pressed) -> bool:
        """Whether it was acknowledged, and the bot did not take that back in words."""
        since = self.slack.private(pressed.user)[pressed.told_before :]
        return pressed.ack.status == 200 and not any(NOT_CONFIRMED in message.text for message in since)

    async def is_told(self, user: str, words: str, limit: float = 20.0) -> Message:
        """The private message, once it is there."""
        return (await seen(lambda: self.all_told(user, words), f"word to {user}: {words}", limit))[-1]

    async def reads(self, execution: str, words: str, limit: float = 20.0) -> Message:
        """The line in the thread with these words, once it is there."""
        return await seen(
            lambda: next((m for m in self.thread(execution) if words in m.text), None), f"“{words}” in the thread", limit
        )

    async def card_says(self, execution: str, words: str, limit: float = 20.0) -> Message:
        """The newest card, once its text has these words."""

        def newest() -> Message | None:
            cards = self.cards(execution)
            return cards[-1] if cards and words in cards[-1].text else None

        return await seen(newest, f"“{words}” on the card of {execution}", limit)


def has_button(message: Message, label: str) -> bool:
    """Whether the message has such a button."""
    return any(_places(message, label))


def _places(message: Message, label: str) -> Iterator[tuple[str, str]]:
    for block, element in _elements(message):
        if element["type"] == "button" and element["text"]["text"] == label:
            yield block, element["action_id"]


def _elements(message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    for block in message.blocks:
        for element in [*block.get("elements", []), block.get("accessory", {})]:
            if "type" in element:
                yield block["block_id"], element


def workspace(bot_url: str, *, pace: bool) -> SlackSimulator:
    """A Slack with one who asks, two who approve, and a guest; `pace` lets Slack count calls as it does."""
    cast = default_cast()
    people = [*cast.people.values(), Person(PIA, "pia", "Pia Park", "T0PLAY", role="Approver")]
    channels = [Channel(c.id, c.name, [*c.members, PIA]) for c in cast.channels.values()]
    return SlackSimulator(
        signing_secret=SECRET,
        bot_token=TOKEN,
        bot_url=bot_url,
        people=people,
        channels=channels,
        groups=[Group(RELEASE, "release", [ARNO, PIA])],
        pace=pace,
    )
