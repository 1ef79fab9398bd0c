"""What the core needs of engines, chat and clock, said by the core. The store's side is `bot.service.unit`.

Engine is what every engine can do. What only some can is a protocol of its own that a class may also satisfy.

An engine object belongs to one connection. Bootstrap makes it as `Class(connection, settings, throttle)`: the connection's
name, an instance of the class's own pydantic model `Class.Settings` (its own keys and `token`, a SecretStr or None,
secrets already resolved; `extra="forbid"`), and the budget of calls that all processes share. `Class.features` says
for the documentation what it can and cannot do: feature -> "yes" or the reason why not.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from enum import IntEnum
from typing import Protocol, runtime_checkable

from bot.domain.execution import (
    Evidence,
    Execution,
    ExecutionRef,
    FailureNotice,
    Receipt,
    ResumePoint,
    StartTarget,
)
from bot.domain.messages import Home, Modal, Shown
from bot.domain.policy import PersonKind


class Purpose(IntEnum):
    """What a call to an engine is for; where calls are scarce the lower number goes first."""

    CARRY_OUT = 0
    DESCRIBE = 1
    WATCH = 2
    POLL = 3


purpose: ContextVar[Purpose] = ContextVar("purpose", default=Purpose.DESCRIBE)


on_behalf: ContextVar[str] = ContextVar("on_behalf", default="")
"""Who asked for and who approved the call that is being made, for engines that keep notes."""


class Throttle(Protocol):
    """The budget of calls of one connection, shared by all processes."""

    async def admit(self) -> None:
        """Take one call from the budget for the present `purpose`; raises RateLimited with the wait when there is none."""
        ...


@runtime_checkable
class TakesTogether(Protocol):
    """A budget of which several calls can be taken at once, so that nothing is begun that cannot be finished."""

    async def take_together(self, calls: int) -> Sequence[float]:
        """Take so many or none: after how many seconds each may be made, at most LONGEST_PACE. Raises as `admit` does."""
        ...

    async def give_back(self, calls: int) -> None:
        """Return what was taken and not used."""
        ...


LONGEST_PACE = 15.0
"""Seconds within which all calls that were taken together may be made."""


class Engine(Protocol):
    """A connected system that runs executions. All methods raise errors of the tree below EngineError, nothing else."""

    kind: str

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The execution as it stands now, with the resume points on offer. Reads only, may be retried inside.

        Raises NotFound, Forbidden, RateLimited, NotSent (the engine cannot be reached), ContractViolation.
        """
        ...

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Make the one call that resumes; never repeated inside once it may have taken effect.

        `key` (`req-17-1`: request and number of the call) names the call to engines that keep such a name.
        `send_before` is on the boot-time clock in seconds: too late means NotSent. Raises NotSent, RateLimited (nothing
        happened), NotResumable, NotFound, Forbidden, Unsupported (refused), OutcomeUnknown, ContractViolation (unknown).
        """
        ...

    async def evidence(self, ref: ExecutionRef, baseline: str, key: str) -> Evidence:
        """What the engine shows of a call `key` on `ref` whose answer was lost; `baseline` is from before the call."""
        ...

    async def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Sequence[FailureNotice]:
        """The failures that a hook's body tells of; empty when it tells of something else (a success).

        Header names are lower case. Raises ContractViolation when it cannot be read. No call to any address in it.
        """
        ...

    def read_argument(self, text: str) -> str | None:
        """The execution id in what a person typed or pasted (an id, or a link to a configured host); None if neither."""
        ...

    async def check(self) -> str:
        """One sentence of who we are there, for `check --live`; raises EngineError when it cannot be used."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@runtime_checkable
class FindsFailures(Protocol):
    """An engine that can be asked for what has failed."""

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """Failures that still need a human, oldest first; since a moment (with overlap), or all standing ones if None."""
        ...


@runtime_checkable
class ResolvesLinks(Protocol):
    """An engine with links that name something else than an execution (a session): one look-up finds the execution."""

    async def resolve_argument(self, text: str) -> str | None:
        """The execution id a link of ours leads to; None when it is not such a link. Raises as `describe` does."""
        ...


@runtime_checkable
class ForgetsChains(Protocol):
    """An engine that does not tell which execution continues which: `root` and `chain` name the execution alone."""

    @property
    def forgets_chains(self) -> bool:
        """True."""
        ...


@runtime_checkable
class PreparesResume(Protocol):
    """An engine where some points need a first call that may be repeated (end the execution) before the one that counts."""

    def needs_preparation(self, point: ResumePoint) -> bool:
        """Whether `prepare` must have succeeded before `resume` is called for this point."""
        ...

    async def prepare(self, ref: ExecutionRef, point: ResumePoint, send_before: float) -> bool:
        """Make the first call if it is still wanted, and return whether it was, once its effect is seen.

        Raises as `resume` does: NotSent and RateLimited say that nothing happened, OutcomeUnknown that it may have.

        Afterwards `describe` still offers the point under the same key.
        """
        ...

    def is_own_doing(self, before: str, now: str) -> bool:
        """Whether `prepare`, and nothing that anybody else did, explains how one baseline became another."""
        ...

    async def restart_evidence(self, ref: ExecutionRef, point: ResumePoint, key: str) -> Evidence:
        """What the engine shows of a prepared `resume` whose answer was lost: happened, or unclear."""
        ...


@runtime_checkable
class StartsExecutions(Protocol):
    """An engine that can start something new."""

    async def find_targets(self, application: str | None, name: str) -> Sequence[StartTarget]:
        """What goes by this name (or key); empty when nothing does. Raises as `describe` does."""
        ...

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Make the one call that starts; the same rules as `resume`. Invalid inputs raise NotResumable with a sentence."""
        ...

    async def start_evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """What the engine shows of a start call `key` made after `since` whose answer was lost."""
        ...


@runtime_checkable
class ChecksInputs(Protocol):
    """An engine that sees in inputs alone, without asking anybody, that a start would be refused."""

    def check_inputs(self, target: StartTarget, inputs: Mapping[str, str]) -> None:
        """Raises NotResumable with a sentence for who filled in the form."""
        ...


@runtime_checkable
class KillsExecutions(Protocol):
    """An engine that can end a running execution."""

    async def kill(self, ref: ExecutionRef, send_before: float) -> None:
        """Ask the engine to end it; already ended is done. Raises as `resume` does."""
        ...


class Chat(Protocol):
    """The chat of one workspace. Methods raise ChatRateLimited, ChatUnavailable or ChatRefused, nothing else.

    Private answers and changes of messages are not repeated inside; the caller's rows say what is still due.
    """

    async def post(self, channel: str, shown: Shown, thread_ts: str | None = None) -> str:
        """Post a message and return its ts."""
        ...

    async def update(self, channel: str, ts: str, shown: Shown) -> None:
        """Change a message of ours in place."""
        ...

    async def delete(self, channel: str, ts: str) -> None:
        """Take a message of ours away; one that is gone already is done."""
        ...

    async def whisper(self, channel: str, user: str, shown: Shown, thread_ts: str | None = None) -> None:
        """Tell one person alone: ephemeral in the channel, a direct message where that is impossible."""
        ...

    async def answer(self, response_url: str, shown: Shown) -> None:
        """Tell the person of a command or press, through its response_url (only the chat's own hosts are followed)."""
        ...

    async def update_view(self, external_id: str, modal: Modal) -> None:
        """Change an open modal; one that was closed meanwhile raises ChatRefused."""
        ...

    async def publish_home(self, user: str, home: Home) -> None:
        """Show a person their App Home."""
        ...


class People(Protocol):
    """What the chat tells of people, groups and channels of one workspace. Raises as Chat does."""

    async def kind_of(self, user: str) -> PersonKind:
        """What a person is to our workspace; ChatRefused with the code `user_not_found` for nobody."""
        ...

    async def all_kinds(self) -> Mapping[str, PersonKind]:
        """What everybody of the workspace is, by user id; read page by page."""
        ...

    async def members_of_group(self, group: str) -> frozenset[str]:
        """User ids of a user group."""
        ...

    async def members_of_channel(self, channel: str) -> frozenset[str]:
        """User ids of a channel's members."""
        ...


class Clock(Protocol):
    """Time, so that tests can choose it."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        ...

    def boot(self) -> float:
        """Seconds on the boot-time clock, which goes on while a process or the machine sleeps."""
        ...
