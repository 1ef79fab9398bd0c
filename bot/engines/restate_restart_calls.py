"""The two calls that begin a Restate invocation anew, and what shows that they happened.

prepare   look ─> does the point hold? ─> PATCH /invocations/{id}/kill (may be repeated) ─> look until it has ended
send      look ─> does the point hold? ─> PATCH /invocations/{id}/restart-as-new?from=N&deployment=keep, once ─> the new id
evidence  an invocation whose `restarted_from` is ours: it happened; none: unclear, for a late call may still come
"""

import asyncio
import re

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.domain.execution import Evidence, ExecutionRef, ExecutionStatus, Finding, Receipt, ResumePoint
from bot.engines._http import Answer, EngineClient
from bot.engines.restate_picture import Picture, status_of
from bot.engines.restate_restart import last_kept, why_not
from bot.engines.restate_rows import Begun, InvocationRow, RestartRow
from bot.engines.restate_wire import LONGEST_CHAIN, RestateReader, checked, is_acceptance, not_known_here, said_in, unknown

_OLDEST_SERVER = (1, 6)
_VERSION = re.compile(r"(\d+)\.(\d+)\b")
_END_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
# To end it again does no harm, so a server that is starting or routes elsewhere may be asked again. Not so to begin it
# anew: [src] the same 503 also comes when a server lost its lead after it had taken the call.
_HARMLESS_TO_END = frozenset({503})


class RestateRestarts:
    """Begins invocations of one server anew."""

    def __init__(
        self, connection: str, client: EngineClient, reader: RestateReader, *, end_seconds: float = _END_SECONDS
    ) -> None:
        self._connection = connection
        self._client = client
        self._reader = reader
        self._end_seconds = end_seconds
        self._is_able = False

    async def server_refusal(self) -> str:
        """Why this server cannot begin anything anew; empty when it can, which is asked once."""
        if self._is_able:
            return ""
        try:
            version = (await self._reader.version()).version
        except (NotFound, ContractViolation):
            return "The server does not tell its version, and to begin anew takes Restate 1.6 or newer."
        found = _VERSION.match(version)
        self._is_able = found is not None and (int(found[1]), int(found[2])) >= _OLDEST_SERVER
        return "" if self._is_able else f"The server is Restate {version}, and to begin anew takes 1.6 or newer."

    async def descendants(self, row: InvocationRow) -> tuple[RestartRow, ...]:
        """What was begun anew from it, and from those, oldest first; only what has ended can have any."""
        found: dict[str, RestartRow] = {}
        level = [row.id] if row.status == "completed" else []
        for _ in range(LONGEST_CHAIN):
            if not level:
                break
            born = {one.id: one for one in await self._reader.restarts_of(level)}
            level = [each for each in born if each not in found]
            found |= born
        return tuple(sorted(found.values(), key=lambda one: one.created_at))

    async def prepare(self, ref: ExecutionRef, point: ResumePoint, send_before: float) -> bool:
        """End it, unless it has ended; return whether it had not, when its end is seen. Raises as `resume` does."""
        last_kept(point)
        picture = await self._look_before(ref)
        if reason := why_not(picture, point):
            raise NotResumable(reason)
        if picture.row.status == "completed":
            return False
        try:
            answer = await self._client.send_once("PATCH", f"/invocations/{checked(ref.id)}/kill", send_before=send_before)
        except OutcomeUnknown as error:
            if not await self._has_ended(ref, str(error)):
                raise
        else:
            # 409: it came to its end by itself meanwhile; which end that was the next look says.
            if answer.status != 409 and not (answer.status == 200 and is_acceptance(answer)):
                raise self._refusal_to_end(ref, answer)
        await self._wait_for_end(ref)
        return True

    async def send(self, ref: ExecutionRef, point: ResumePoint, send_before: float) -> Receipt:
        """Begin the ended one anew, once; the receipt names the new invocation. Raises as `resume` does."""
        last = last_kept(point)
        picture = await self._look_before(ref)
        if reason := why_not(picture, point) or _not_ended(picture.row):
            raise NotResumable(reason)
        answer = await self._client.send_once(
            "PATCH",
            f"/invocations/{checked(ref.id)}/restart-as-new",
            params={"from": str(last), "deployment": "keep"},
            send_before=send_before,
        )
        if answer.status != 200:
            raise await self._refusal(ref, answer)
        begun = self._client.parse(answer, Begun)
        return Receipt(ExecutionRef(self._connection, begun.new_invocation_id))

    async def evidence(self, ref: ExecutionRef) -> Evidence:
        """What the server shows of a call whose answer was lost; there was no other restart before it was made."""
        begun = await self._reader.restarts_of([checked(ref.id)])
        if not begun:
            sentence = f"Nothing is to be seen that was begun anew from {ref.id}; the call may still reach Restate."
            return Evidence(Finding.UNCLEAR, sentence)
        new = ExecutionRef(ref.connection, begun[-1].id)
        if len(begun) > 1:
            others = ", ".join(one.id for one in begun[:-1])
            return Evidence(Finding.HAPPENED, f"{new.id} was begun anew from it, and so was {others}.", new)
        return Evidence(Finding.HAPPENED, f"{new.id} was begun anew from it.", new)

    async def _look_before(self, ref: ExecutionRef) -> Picture:
        """A look before a call: what cannot be understood of it keeps the call from being made."""
        try:
            return await self._look(ref)
        except ContractViolation as error:
            raise NotSent(f"It could not be read before the call: {error}") from None

    async def _look(self, ref: ExecutionRef) -> Picture:
        row = await self._reader.invocation(ref.id)
        journal, restarts, refusal = await asyncio.gather(
            self._reader.journal(row.id), self._reader.restarts_of([row.id]), self.server_refusal()
        )
        failures = await self._reader.step_failures(row, journal)
        return Picture(row, journal=journal, restarts=restarts, step_failures=failures, server_refusal=refusal)

    async def _wait_for_end(self, ref: ExecutionRef) -> None:
        pause = _FIRST_PAUSE
        try:
            async with asyncio.timeout(self._end_seconds):
                while not await self._has_ended(ref, ""):
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE)
        except TimeoutError:
            raise OutcomeUnknown(f"Restate was asked to end {ref.id}, which is still to be seen.") from None

    async def _has_ended(self, ref: ExecutionRef, reason: str) -> bool:
        """A look after the bytes have left: what it cannot tell is unknown."""
        try:
            row = await self._reader.invocation(ref.id)
        except (NotSent, RateLimited, ContractViolation, Forbidden) as error:
            raise OutcomeUnknown(f"Restate was asked to end {ref.id}: {reason or error}") from None
        if status_of(row) is ExecutionStatus.SUCCEEDED:
            raise NotResumable("It has succeeded meanwhile: there is nothing to begin anew.")
        return row.status == "completed"

    def _refusal_to_end(self, ref: ExecutionRef, answer: Answer) -> EngineError:
        if answer.status == 400:
            return NotResumable(f"Restate refuses to end it: {said_in(self._client, answer) or 'the id will not do'}")
        if answer.status == 404:
            return unknown(ref.id)
        return self._client.refusal(answer, _HARMLESS_TO_END) or not_known_here(answer)

    async def _refusal(self, ref: ExecutionRef, answer: Answer) -> EngineError:
        said = said_in(self._client, answer)
        match answer.status:
            case 400:
                return NotResumable(f"Restate refuses this: {said or 'the step or the deployment will not do'}")
            case 404 if said:
                return unknown(ref.id)
            case 404 | 405:
                return Unsupported("This server cannot begin invocations anew: that takes Restate 1.6 or newer.")
            case 409:
                return NotResumable(await self._reader.conflict(ref.id, said, _not_ended))
            case 410:
                return NotResumable("Its journal is not kept any more: Restate cannot begin it anew.")
            case 422:
                return NotResumable(f"Restate cannot begin this one anew: {said or 'it is a workflow, or of an old protocol'}")
            case 425:
                return NotResumable("It has not begun: there is nothing to begin anew.")
        return self._client.refusal(answer) or not_known_here(answer)


def _not_ended(row: InvocationRow) -> str:
    return "" if row.status == "completed" else f"It is {row.status}: Restate begins anew only what has ended."
