"""Digdag and Treasure Data Workflow: resuming makes a new attempt of the session, under a name that makes the call repeatable.

describe   attempt + retries + tasks (+ newest revision) → points
resume     retries → guards → PUT /api/attempts → 200, or 409 with our own name
evidence   retries → is there an attempt of our name?
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.domain.errors import ContractViolation, EngineError, Forbidden, NotFound, NotSent, Unsupported
from bot.domain.execution import Evidence, Execution, ExecutionRef, FailureNotice, Finding, Receipt, ResumePoint, StartTarget
from bot.domain.ports import Throttle
from bot.engines._address import BaseAddress
from bot.engines._http import DEFAULT_LIMITS, EngineClient
from bot.engines.digdag_api import DigdagApi, retry_name
from bot.engines.digdag_links import Links
from bot.engines.digdag_points import PointKey
from bot.engines.digdag_poll import FailurePoll, failure_key
from bot.engines.digdag_start import Starts
from bot.engines.digdag_tree import TaskTree
from bot.engines.digdag_view import Revision, describe_attempt, guard
from bot.engines.digdag_wire import AttemptBody, NoticeBody

# A thousand tasks come in one answer, each with its part of the workflow's text.
_LIMITS = replace(DEFAULT_LIMITS, body=32_000_000)
_SESSION = "session:"
_NOTICE_LOOK_SECONDS = 2.0


class DigdagSettings(BaseModel):
    """`token`: a Treasure Data key, or `user:password` for Basic, or none. `revision`: which one a resume runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseAddress
    token: SecretStr | None = None
    revision: Literal["same", "latest"] = "same"
    console_url: BaseAddress | None = None

    @property
    def is_treasure_data(self) -> bool:
        """Basic credentials have a colon, a key has none."""
        return self.token is not None and ":" not in self.token.get_secret_value()

    @property
    def headers(self) -> dict[str, str]:
        """The credential as a header."""
        if self.token is None:
            return {}
        secret = self.token.get_secret_value()
        return {"Authorization": f"TD1 {secret}" if self.is_treasure_data else f"Basic {b64encode(secret.encode()).decode()}"}


class Digdag:
    """One Digdag server, or one account of Treasure Data Workflow."""

    kind = "digdag"
    title = "Digdag"
    Settings = DigdagSettings
    features: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "resume at the failed stage": "yes: the failed tasks, by the mode `failed`",
            "resume from an earlier stage": "yes: from a task, by the mode `from`",
            "resume everything": "yes: as a new attempt of the same session",
            "choose the revision": "yes: the one that failed or the newest, by the setting `revision`",
            "find failures by asking": "yes",
            "notices by hook": "yes: the server's own notification, or an `_error` block with `http>`",
            "prove a lost call": "yes: by the retry name, which also makes repeating it harmless",
            "start": "yes: a new session, with its time and params",
            "kill": "yes",
            "environments": "no: Digdag knows none; the connection may set one",
        }
    )

    def __init__(self, connection: str, settings: DigdagSettings, throttle: Throttle) -> None:
        """An engine for one connection."""
        self._connection = connection
        self._settings = settings
        secrets = [settings.token.get_secret_value()] if settings.token is not None else []
        client = EngineClient(
            connection, settings.base_url, throttle, headers=settings.headers, secrets=secrets, limits=_LIMITS
        )
        self._api = DigdagApi(client)
        self._links = Links(settings.base_url, settings.console_url)
        # Treasure Data fails at once when the pool is full unless it is allowed to queue; others ignore the field.
        self._extra: dict[str, Any] = {"allowQueueing": True} if settings.is_treasure_data else {}
        self._poll = FailurePoll(connection, self._api)
        self._starts = Starts(connection, self._api, self._links, self._extra)

    # ---- describe ---------------------------------------------------------------------------

    async def describe(self, ref: ExecutionRef) -> Execution:
        """The attempt as it stands now, with its points; of a session its last attempt."""
        session_id = _session_of(ref)
        if session_id is not None:
            ref = ExecutionRef(self._connection, await self._last_attempt(session_id))
        attempt = await self._api.attempt(ref.id)
        attempts, tasks, revision = await asyncio.gather(
            self._api.retries(ref.id), self._api.tasks(ref.id), self._revision(attempt)
        )
        link = self._links.to_attempt(attempt.id, attempt.session_id)
        # Of two readings of this attempt the later one counts, so that status and points speak of the same moment.
        now = next((one for one in attempts if one.id == attempt.id), attempt)
        return describe_attempt(ref, now, attempts, TaskTree(tasks), revision=revision, link=link)

    async def _revision(self, attempt: AttemptBody) -> Revision:
        failed_in = attempt.workflow.id
        if self._settings.revision == "same" and failed_in is not None:
            sentence = "The revision that failed runs, with the same params."
            return Revision(failed_in, sentence, f"the one that failed (workflow {failed_in})")
        try:
            newest = await self._api.newest_workflow(attempt.project.id, attempt.workflow.name)
        except NotFound:
            return Revision(trouble=f"The newest revision of {attempt.project.name} has no workflow {attempt.workflow.name}.")
        if newest.id == failed_in:
            return Revision(
                newest.id, "The newest revision runs, the one that failed, with the same params.", "the newest, which failed"
            )
        before = failed_in or "one that is gone"
        sentence = (
            f"The newest revision runs (workflow {newest.id}, it failed in {before}), with the same params; "
            "a task that succeeded is not run again though its code may have changed."
        )
        return Revision(newest.id, sentence, f"the newest (workflow {newest.id})")

    # ---- resume -----------------------------------------------------------------------------

    async def resume(self, ref: ExecutionRef, point: ResumePoint, key: str, send_before: float) -> Receipt:
        """Starts the new attempt, or finds the one that an earlier call of the same request started."""
        asked = PointKey.read(point.key)
        if asked is None:
            raise Unsupported("This resume point is not one of Digdag's.")
        name = retry_name(key, f"a{ref.id}")
        try:
            attempts = await self._api.retries(ref.id)
        except ContractViolation as error:
            raise NotSent(f"Nothing was sent: {error}") from None
        ours = _named(attempts, name)
        if ours is None:
            body = self._body(guard(attempts, ref.id), asked, name)
            ours = await self._api.put_attempt(body, send_before)
        return Receipt(ExecutionRef(self._connection, ours.id))

    def _body(self, old: AttemptBody, asked: PointKey, name: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "workflowId": asked.workflow_id,
            "sessionTime": old.session_time,
            "params": old.params,
            "retryAttemptName": name,
            **self._extra,
        }
        if asked.mode == "failed":
            body["resume"] = {"mode": "failed", "attemptId": old.id}
        elif asked.mode == "from":
            body["resume"] = {"mode": "from", "attemptId": old.id, "from": asked.task}
        return body

    async def evidence(self, ref: ExecutionRef, baseline: str, key: str) -> Evidence:
        """Whether the session has an attempt of our name; if not, the same call can be made again without harm."""
        name = retry_name(key, f"a{ref.id}")
        try:
            ours = _named(await self._api.retries(ref.id), name)
        except NotFound:
            return Evidence(Finding.UNCLEAR, f"Digdag does not know attempt {ref.id} any more.")
        if ours is None:
            return Evidence(Finding.HARMLESS, "No attempt carries the name of this request, so it can be sent again.")
        found = ExecutionRef(self._connection, ours.id)
        return Evidence(Finding.HAPPENED, f"Attempt {ours.id} carries the name of this request.", found)

    async def kill(self, ref: ExecutionRef, send_before: float) -> None:
        """Asks the server to end the attempt; a task that waits notices at its next poll."""
        await self._api.kill(ref.id, send_before)

    # ---- start ------------------------------------------------------------------------------

    async def find_targets(self, application: str | None, name: str) -> Sequence[StartTarget]:
        """Workflows of this name; the application is a project."""
        return await self._starts.find(application, name)

    def check_inputs(self, target: StartTarget, inputs: Mapping[str, str]) -> None:
        """Whether session time and params can be sent."""
        self._starts.check(target, inputs)

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Starts an attempt of the session time given."""
        return await self._starts.start(target, inputs, key, send_before)

    async def start_evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """Whether an attempt of our name began since then."""
        return await self._starts.evidence(target, key, since)

    # ---- notices ----------------------------------------------------------------------------

    async def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Sequence[FailureNotice]:
        """The failure that the server's notification or an `_error` block tells of."""
        try:
            notice = NoticeBody.model_validate_json(body)
        except ValidationError:
            raise ContractViolation("This is no notice of Digdag's, nor one that the documentation gives.") from None
        if not notice.is_failure:
            return []
        execution_id, key = await self._named_by(notice, body)
        ref = ExecutionRef(self._connection, execution_id)
        return [FailureNotice(ref, key, notice.name, message=notice.message, at=notice.timestamp)]

    async def _named_by(self, notice: NoticeBody, body: bytes) -> tuple[str, str]:
        """The attempt and the key of its failure; while the server is away the session, to be resolved when it is read."""
        attempt_id = notice.attempt_id
        if attempt_id is None:
            if notice.session_id is None:
                raise ContractViolation("The notice names neither an attempt nor a session.")
            try:
                async with asyncio.timeout(_NOTICE_LOOK_SECONDS):
                    attempt_id = await self._last_attempt(notice.session_id)
            except NotFound:
                raise
            except (EngineError, TimeoutError):
                session = f"{_SESSION}{notice.session_id}"
                return session, f"{session}:{hashlib.sha256(body).hexdigest()[:16]}"
        return attempt_id, failure_key(attempt_id)

    async def find_failures(self, since: datetime | None, limit: int = 200) -> Sequence[FailureNotice]:
        """Failed attempts that are the newest of their session."""
        return await self._poll.find(since, limit)

    # ---- the rest ---------------------------------------------------------------------------

    def read_argument(self, text: str) -> str | None:
        """An attempt's id, `attempt:<id>`, or a link to an attempt's page."""
        return self._links.attempt_of(text)

    async def resolve_argument(self, text: str) -> str | None:
        """The last attempt of the session that a console link or `session:<id>` names."""
        session_id = self._links.session_of(text)
        return None if session_id is None else await self._last_attempt(session_id)

    async def _last_attempt(self, session_id: str) -> str:
        last = (await self._api.session(session_id)).last_attempt
        if last is None:
            raise NotFound(f"Session {session_id} has no attempt.")
        return last.id

    async def check(self) -> str:
        """Reads attempts with our credential, as the poll does."""
        host = urlsplit(self._settings.base_url).netloc
        answer = await self._api.probe(expect=(500,))
        if answer.status == 500:
            # The open-source server has this instead of a refusal for a credential of another kind.
            raise Forbidden(f"Digdag at {host} answers with a fault (HTTP 500), as it does to a credential of the wrong kind.")
        if self._settings.is_treasure_data:
            return f"Treasure Data Workflow at {host}, with a key."
        secret = self._settings.token
        user = f"as {secret.get_secret_value().partition(':')[0]}" if secret is not None else "without a credential"
        return f"Digdag at {host}, {user}."

    async def aclose(self) -> None:
        """Closes the kept connections."""
        await self._api.client.aclose()


def _session_of(ref: ExecutionRef) -> str | None:
    """The session that stands for an attempt nobody could ask for."""
    return ref.id.removeprefix(_SESSION) if ref.id.startswith(_SESSION) else None


def _named(attempts: Sequence[AttemptBody], name: str) -> AttemptBody | None:
    return next((attempt for attempt in attempts if attempt.retry_name == name), None)
