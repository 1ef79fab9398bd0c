"""Restate: describes, finds and resumes invocations through the admin API.

describe     one invocation, its newest Paused event, its journal, the deployments it could run on
resume       PATCH /invocations/{id}/resume[?deployment=…], once; from an earlier step: `restate_restart_calls.py`
evidence     the same look again, compared with the baseline
read_notice  {"invocation_id": "inv_…", "message"?: text}: a hint, the rest is read again
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.domain.errors import ContractViolation, EngineError, NotFound, NotResumable, Unsupported
from bot.domain.execution import (
    Action,
    Evidence,
    Execution,
    ExecutionRef,
    ExecutionStatus,
    FailureNotice,
    Finding,
    Receipt,
    ResumePoint,
)
from bot.domain.ports import Throttle
from bot.engines._address import BaseAddress, segments_below
from bot.engines._http import Answer, EngineClient
from bot.engines.restate_picture import (
    Baseline,
    Picture,
    baseline_of,
    error_of,
    evidence_of,
    failed_stage_of,
    is_only_killed,
    status_of,
)
from bot.engines.restate_points import KEEP, LATEST, MOST_DEPLOYMENTS, execution_of
from bot.engines.restate_restart import RESTARTABLE
from bot.engines.restate_restart_calls import RestateRestarts
from bot.engines.restate_rows import (
    DEPLOYMENT_ID,
    INVOCATION_ID,
    DeploymentRow,
    FailureRow,
    IdRow,
    InvocationRow,
    JournalRow,
    PausedRow,
)
from bot.engines.restate_wire import (
    LONGEST_CHAIN,
    RestateReader,
    checked,
    is_acceptance,
    not_known_here,
    said_in,
    unknown,
)

# Measured: a server that is starting or routes elsewhere answers 503 before it looks at the invocation.
_HARMLESS = frozenset({503})
_KNOWN_ADMIN_API = (2, 4)
_MOST_AWAITED = 5
_MOST_BELOW = 100
_NOTICE_LOOK_SECONDS = 2.0


class RestateSettings(BaseModel):
    """The keys of a connection to Restate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    admin_url: BaseAddress
    ui_url: BaseAddress | Literal[""] = ""  # where people see an invocation; empty: {admin_url}/ui
    token: SecretStr | None = None


class HookBody(BaseModel):
    """What a wrapper around a handler posts to the hook."""

    invocation_id: str
    message: str | None = None


class Restate:
    """One Restate server, or one environment of its cloud."""

    kind = "restate"
    title = "Restate"
    Settings = RestateSettings
    features: Mapping[str, str] = MappingProxyType(
        {
            "resume at the failed stage": "yes",
            "resume from an earlier stage": "yes: as a restart under a new id, from Restate 1.6 on; no workflows",
            "choose where to run": "yes: the pinned, the latest, or any deployment that serves the handler",
            "retry now": "yes: while Restate waits to try again by itself",
            "find failures by asking": "yes",
            "notices by hook": "yes: posted by a wrapper around your handlers; Restate itself has none",
            "prove a lost call": "yes: by status and the newest Paused event; of a restart only that it happened",
            "start": "no: an invocation is started by your own services",
        }
    )

    def __init__(self, connection: str, settings: RestateSettings, throttle: Throttle) -> None:
        self._connection = connection
        self._ui_url = settings.ui_url or f"{settings.admin_url}/ui"
        token = settings.token.get_secret_value() if settings.token else ""
        self._client = EngineClient(
            connection,
            settings.admin_url,
            throttle,
            headers={"authorization": f"Bearer {token}"} if token else {},
            secrets=[token],
        )
        self._reader = RestateReader(self._client)
        self._restarts = RestateRestarts(connection, self._client, self._reader)

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The invocation as it stands now, with the deployments it can be resumed on."""
        picture = await self._look(await self._reader.invocation(ref.id))
        return execution_of(picture, ref, f"{self._ui_url}/invocations/{checked(ref.id)}")

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Let it go on where it stopped and watch the same, or begin the ended one anew and watch the new one."""
        if point.action is Action.RESTART:
            return await self._restarts.send(ref, point, send_before)
        answer = await self._client.send_once(
            "PATCH",
            f"/invocations/{checked(ref.id)}/resume",
            params=_parameters(point),
            send_before=send_before,
        )
        if answer.status == 200 and is_acceptance(answer):
            return Receipt(ref)
        raise await self._refusal(ref, answer)

    async def evidence(self, ref: ExecutionRef, baseline: str, key: str) -> Evidence:
        """Whether it has moved since the baseline."""
        try:
            before = Baseline.model_validate_json(baseline)
        except ValidationError:
            return Evidence(Finding.UNCLEAR, "What was seen before the call can no longer be read.")
        row = await self._reader.find(ref.id)
        if row is None:
            return Evidence(Finding.UNCLEAR, "Restate no longer knows it.")
        paused, restarts = await self._reader.newest_paused(ref.id), await self._restarts.descendants(row)
        return evidence_of(before, baseline_of(Picture(row, paused, restarts=restarts)), ref)

    def needs_preparation(self, point: ResumePoint) -> bool:
        """Whether it has to have ended before: only what has ended can be begun anew."""
        return point.action is Action.RESTART

    async def prepare(self, ref: ExecutionRef, point: ResumePoint, send_before: float) -> bool:
        """End it, unless it has ended, and return whether it had not, when its end is seen."""
        return await self._restarts.prepare(ref, point, send_before)

    def is_own_doing(self, before: str, now: str) -> bool:
        """Whether it was killed since, and nothing else: not resumed, not paused anew, not begun anew."""
        try:
            return is_only_killed(Baseline.model_validate_json(before), Baseline.model_validate_json(now))
        except ValidationError:
            return False

    async def restart_evidence(self, ref: ExecutionRef, point: ResumePoint, key: str) -> Evidence:
        """Whether something was begun anew from it; that nothing was proves nothing."""
        return await self._restarts.evidence(ref)

    async def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Sequence[FailureNotice]:
        """The failure that a hint is about; empty when the invocation has not failed after all."""
        try:
            hint = HookBody.model_validate_json(body)
        except ValidationError:
            raise ContractViolation('This is no notice for Restate: it looks like {"invocation_id": "inv_…"}.') from None
        if not INVOCATION_ID.fullmatch(hint.invocation_id):
            raise ContractViolation("The notice names no invocation.")
        ref = ExecutionRef(self._connection, hint.invocation_id)
        message = hint.message or ""
        try:
            async with asyncio.timeout(_NOTICE_LOOK_SECONDS):
                notice = await self._notice_after_look(ref, message)
        except NotFound:
            raise ContractViolation(f"The notice names {ref.id}, which Restate does not know.") from None
        except (EngineError, TimeoutError):
            # Restate is away: the hint is kept all the same, and repeats of it are told by their bytes.
            notice = FailureNotice(
                ref, f"{ref.id}:hint:{hashlib.sha256(body).hexdigest()[:16]}", message=message, may_repeat=True
            )
        return [notice] if notice else []

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """Paused and finally failed invocations since a moment; those paused now when there is none."""
        rows = await self._reader.failures(since, limit)
        paused = await self._reader.newest_paused_of([row.id for row in rows if row.status == "paused"])
        return [self._notice_of(row, paused.get(row.id)) for row in rows]

    def read_argument(self, text: str) -> str | None:
        """The invocation id in an id or in a link to this server's pages."""
        wanted = text.strip()
        if INVOCATION_ID.fullmatch(wanted):
            return wanted
        try:
            below = segments_below(urlsplit(f"{self._ui_url}/invocations"), urlsplit(wanted))
        except ValueError:
            return None
        return below[0] if below and INVOCATION_ID.fullmatch(below[0]) else None

    async def check(self) -> str:
        """The server's version, once it has answered a query."""
        version = await self._reader.version()
        low, high = _KNOWN_ADMIN_API
        if version.min_admin_api_version > high or version.max_admin_api_version < low:
            raise ContractViolation(f"Restate {version.version} speaks no admin API between {low} and {high}.")
        await self._reader.can_query()
        return f"Restate {version.version} answers; whoever reaches its admin API may do everything."

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def _look(self, row: InvocationRow) -> Picture:
        is_paused, is_movable = row.status == "paused", row.status in {"paused", "suspended"}
        paused, journal, deployments, ancestors, restarts = await asyncio.gather(
            self._reader.newest_paused(row.id),
            self._reader.journal(row.id),
            self._reader.deployments() if is_movable and row.deployment_id else _nothing(),
            self._ancestors(row),
            self._restarts.descendants(row),
        )
        latest_id = _latest(deployments, row.service)
        return Picture(
            row=row,
            paused=paused,
            journal=journal,
            deployments=await self._usable(row, deployments, latest_id),
            latest_id=latest_id,
            awaited=() if is_paused else await self._awaited(row, journal),
            ancestors=ancestors,
            restarts=restarts,
            step_failures=await self._reader.step_failures(row, journal),
            below=await self._below(row, journal) if status_of(row) in RESTARTABLE else (),
            server_refusal=await self._restarts.server_refusal() if status_of(row) in RESTARTABLE else "",
        )

    async def _usable(
        self, row: InvocationRow, deployments: Sequence[DeploymentRow], latest_id: str
    ) -> tuple[DeploymentRow, ...]:
        """Other deployments that serve the handler and speak the protocol: the server itself would accept any."""
        fitting = [
            one
            for one in deployments
            if one.id != row.deployment_id
            and one.revision(row.service) is not None
            and (row.protocol is None or one.min_protocol <= row.protocol <= one.max_protocol)
        ]
        newest_first = sorted(fitting, key=lambda one: (one.id == latest_id, one.created_at), reverse=True)[:MOST_DEPLOYMENTS]
        served = await asyncio.gather(*(self._reader.serves(one.id, row.service, row.handler) for one in newest_first))
        return tuple(one for one, is_served in zip(newest_first, served, strict=True) if is_served)

    async def _awaited(self, row: InvocationRow, journal: Sequence[JournalRow]) -> tuple[InvocationRow, ...]:
        """The invocations a suspended one called and has no result of."""
        if row.status != "suspended":
            return ()
        done = {one.completion.completion_id for one in journal if one.kind == "Notification: Call"}
        called = [one.completion for one in journal if one.kind == "Command: Call"]
        waiting = [one.called for one in called if one.called and one.completion_id not in done][-_MOST_AWAITED:]
        found = await asyncio.gather(*(self._reader.find(one) for one in waiting))
        return tuple(one for one in found if one is not None)

    async def _below(self, row: InvocationRow, journal: Sequence[JournalRow]) -> tuple[IdRow, ...]:
        """What it called or sent and has not ended: the server ends all of that together with it."""
        called = [one.completion.called for one in journal if one.completion.called] if row.status != "completed" else []
        return await self._reader.unfinished(called[-_MOST_BELOW:])

    async def _ancestors(self, row: InvocationRow) -> tuple[str, ...]:
        """What it was begun anew from, the first one first."""
        ancestors: list[str] = []
        above: InvocationRow | None = row
        while above and above.restarted_from and len(ancestors) < LONGEST_CHAIN:
            ancestors.insert(0, above.restarted_from)
            above = await self._reader.find(above.restarted_from)
        return tuple(ancestors)

    async def _refusal(self, ref: ExecutionRef, answer: Answer) -> EngineError:
        said = said_in(self._client, answer)
        match answer.status:
            case 400:
                return NotResumable(f"Restate refuses this: {said or 'the id or the deployment will not do'}")
            case 404:
                return unknown(ref.id)
            case 409:
                return NotResumable(await self._reader.conflict(ref.id, said, _immovable))
            case 425:
                return NotResumable("It has not begun yet: there is nothing to resume.")
        return self._client.refusal(answer, _HARMLESS) or not_known_here(answer)

    async def _notice_after_look(self, ref: ExecutionRef, message: str) -> FailureNotice | None:
        row = await self._reader.invocation(ref.id)
        if status_of(row) in {ExecutionStatus.SUCCEEDED, ExecutionStatus.CANCELLED}:
            return None
        paused, journal = await asyncio.gather(self._reader.newest_paused(ref.id), self._reader.journal(ref.id))
        picture = Picture(row, paused, journal, step_failures=await self._reader.step_failures(row, journal))
        told = message or error_of(picture)
        return FailureNotice(
            ref, _key(row, paused), row.target, failed_stage_of(picture), told, row.modified_at, may_repeat=True
        )

    def _notice_of(self, row: FailureRow, paused: PausedRow | None) -> FailureNotice:
        failure = paused.body.last_failure if paused and row.status == "paused" else None
        return FailureNotice(
            ref=ExecutionRef(self._connection, row.id),
            key=_key(row, paused),
            name=row.target,
            stage=(failure.name or "") if failure else "",
            message=failure.message if failure else row.completion_failure,
            at=row.modified_at,
            may_repeat=True,
        )


def _key(row: InvocationRow | FailureRow, paused: PausedRow | None) -> str:
    """The same for every notice of one failure, another one when a resumed invocation pauses again."""
    if row.status == "completed":
        return f"{row.id}:completed"
    # Before the pause comes, the next one is told by the one before it.
    since = f"{paused.appended_at.isoformat(timespec='milliseconds')}" if paused else "never"
    return f"{row.id}:{since}" if row.status == "paused" else f"{row.id}:after {since}"


def _immovable(row: InvocationRow) -> str:
    if row.status == "completed":
        return "It is already completed: Restate cannot resume it."
    return f"It is {row.status}: its deployment cannot be changed now."


def _parameters(point: ResumePoint) -> Mapping[str, str]:
    if point.key == KEEP:
        return {}
    if point.key == LATEST or DEPLOYMENT_ID.fullmatch(point.key):
        return {"deployment": point.key}
    raise Unsupported("Restate has no such resume point.")


def _latest(deployments: Sequence[DeploymentRow], service: str) -> str:
    revisions = {one.id: revision for one in deployments if (revision := one.revision(service)) is not None}
    return max(revisions, key=revisions.__getitem__, default="")


async def _nothing() -> tuple[()]:
    return ()
