"""The history checker: what was answered, recorded, sent and shown about one execution, and every promise it breaks.

presses ─┐                        acknowledged ⊆ durable
trail   ─┼─▶ History ─▶ complaints  intent before call, one call a decision, receipt and outcome after it
calls   ─┤                        state = what the trail says, outcome = what the engine says
Slack   ─┘                        card = state
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.journeys.engines import ResumeCall
from tests.journeys.ledger import Entry, Placed

STEPS: Mapping[str, tuple[frozenset[str | None], str]] = {
    "request:resume:requested": (frozenset({None}), "pending"),
    "request:restart:requested": (frozenset({None}), "pending"),
    "request:decision:approved": (frozenset({"pending"}), "approved"),
    "request:decision:rejected": (frozenset({"pending", "approved"}), "rejected"),
    "request:call:sent": (frozenset({"approved"}), "resuming"),
    "request:receipt:running": (frozenset({"resuming", "unknown"}), "running"),
    "request:receipt:not_sent": (frozenset({"resuming"}), "approved"),
    "request:receipt:unknown": (frozenset({"resuming", "running"}), "unknown"),
    "request:receipt:refused": (frozenset({"resuming", "approved"}), "refused"),
    "request:evidence:happened": (frozenset({"unknown"}), "running"),
    "request:evidence:harmless": (frozenset({"unknown"}), "approved"),
    "request:outcome:succeeded": (frozenset({"running"}), "succeeded"),
    "request:outcome:failed": (frozenset({"running"}), "failed"),
    "request:life:superseded": (frozenset({"pending", "approved"}), "superseded"),
    "request:life:expired": (frozenset({"pending", "approved"}), "expired"),
    "request:life:cancelled": (frozenset({"pending", "approved"}), "cancelled"),
    "request:unknown:pressed_again": (frozenset({"unknown"}), "superseded"),
    "request:unknown:closed": (frozenset({"unknown"}), "cancelled"),
}
LIVE = frozenset({"pending", "approved", "resuming", "running", "unknown"})
WRITTEN_BY = {
    "Retry": frozenset({"request:resume:requested", "request:restart:requested", "incident:request:refused"}),
    "Approve": frozenset({"request:decision:approved", "request:decision:refused"}),
    "Close as not run": frozenset({"request:unknown:closed", "request:decision:refused"}),
}
ENDS = {"succeeded": "completed", "failed": "paused"}
WORDS = {"succeeded": "Succeeded", "failed": "Failed again"}
TRIES_A_RUN = 2  # the service tries its step twice before it pauses


@dataclass(frozen=True)
class Press:
    """An acknowledged press; one the bot took back in words is none."""

    actor: str
    label: str


@dataclass(frozen=True)
class Shown:
    """A card as it stands in Slack."""

    ts: str
    text: str
    has_retry: bool


@dataclass(frozen=True)
class History:
    """All that can be seen of one execution from outside the bot."""

    presses: Sequence[Press]
    entries: Sequence[Entry]
    requests: Mapping[str, str]
    calls: Sequence[ResumeCall]
    ends: Sequence[ResumeCall]
    restarted: Sequence[str]
    engine_status: str | None  # of what runs on
    tries: int
    cards: Sequence[Shown]
    messages: Sequence[Placed]
    faults: Sequence[str]  # of the whole installation: verification, jobs given up

    def complaints(self) -> list[str]:
        """Every broken promise in a sentence; empty when all is well and nothing is left to do."""
        return [
            *self._lost_presses(),
            *self._wrong_calls(),
            *self._wrong_trail(),
            *self._wrong_outcome(),
            *self._wrong_messages(),
            *self.faults,
        ]

    @property
    def _last_state(self) -> str:
        return [*self.requests.values(), ""][-2 if self.requests else -1]

    def _lost_presses(self) -> Iterator[str]:
        """Acknowledged ⊆ durable: every press leaves an entry by its person, an act or a refusal."""
        for press, count in Counter(self.presses).items():
            kept = sum(entry.actor == press.actor and entry.action in WRITTEN_BY[press.label] for entry in self.entries)
            if kept < count:
                yield f"{count} presses of {press.label} by {press.actor} were acknowledged and {kept} are durable"

    def _wrong_calls(self) -> Iterator[str]:
        decided = {entry.request for entry in self.entries if entry.action == "request:decision:approved"}
        effective = [call for call in self.calls if call.may_have_had_effect]
        if len(effective) > len(decided):
            yield f"{len(decided)} decisions and {len(effective)} calls that may have had an effect"
        if sum(end.may_have_had_effect for end in self.ends) > len(decided):
            yield f"{len(decided)} decisions and {len(self.ends)} ends"
        if len(self.restarted) > 1:
            yield f"it was begun anew {len(self.restarted)} times"
        for calls, name in ((self.calls, "call"), (self.ends, "end")):
            for number, call in enumerate(calls, 1):
                if call.intents < number:
                    yield f"{name} {number} reached the engine when {call.intents} intents were committed"
        if self.tries > TRIES_A_RUN * (1 + len(decided)):
            yield f"the engine tried the stage {self.tries} times after {len(decided)} decisions"

    def _wrong_trail(self) -> Iterator[str]:
        states: dict[str, str] = {}
        for entry in self.entries:
            if entry.request is None or entry.action not in STEPS:
                continue
            allowed, to = STEPS[entry.action]
            before = states.get(entry.request)
            if before not in allowed:
                yield f"entry {entry.id} says {entry.action} of {entry.request}, which was {before or 'not there'}"
            states[entry.request] = to
        for label, state in self.requests.items():
            if states.get(label) != state:
                yield f"{label} is {state} and the trail says {states.get(label, 'nothing')}"
        for label in states.keys() - self.requests.keys():
            yield f"{label} is in the trail and in no table"

    def _wrong_outcome(self) -> Iterator[str]:
        if not self.requests:
            yield "nothing was asked for"
        for label, state in self.requests.items():
            if state in LIVE:
                yield f"{label} is left {state}: its work is not finished"
        last = self._last_state
        if last in ENDS and self.engine_status != ENDS[last]:
            yield f"the outcome is {last} and the engine says {self.engine_status}"

    def _wrong_messages(self) -> Iterator[str]:
        for message in self.messages:
            name = f"{message.surface} of {message.subject}"
            if message.dead_because:
                yield f"{name} was given up: {message.dead_because}"
            elif message.is_due or not message.ts:
                yield f"{name} does not show the state of now"
        standing = {message.ts for message in self.messages if message.surface == "card"}
        live = [card for card in self.cards if card.ts in standing]
        if len(live) != 1:
            yield f"{len(live)} cards stand where the bot believes there is one"
        last = self._last_state
        for card in live:
            if WORDS.get(last, "") not in card.text:
                yield f"the request is {last} and the card says: {card.text}"
            if card.has_retry != (last in {"failed", "cancelled"}):
                yield f"the request is {last} and the card has {'a' if card.has_retry else 'no'} Retry"
        if last in ENDS and not any(message.surface == "result" for message in self.messages):
            yield "the thread has no line about the end"
