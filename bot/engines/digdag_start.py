"""Starting a workflow on Digdag: what can be started, with which session time and params, and under which name."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.errors import ContractViolation, NotFound, NotResumable, NotSent
from bot.domain.execution import Evidence, ExecutionRef, Finding, Receipt, StartInput, StartTarget
from bot.engines.digdag_api import DigdagApi, retry_name
from bot.engines.digdag_links import Links
from bot.engines.digdag_wire import AttemptBody, WorkflowBody, is_id

_SESSION_TIME, _PARAMS = "session_time", "params"
_CLOCK_SKEW = timedelta(minutes=2)
_LOOKED_AT = 100


class Starts:
    """Starts attempts of new sessions."""

    def __init__(self, connection: str, api: DigdagApi, links: Links, extra: Mapping[str, Any]) -> None:
        """`extra` goes with every start call."""
        self._connection = connection
        self._api = api
        self._links = links
        self._extra = extra

    async def find(self, application: str | None, name: str) -> Sequence[StartTarget]:
        """Workflows of this name in the project, or in all; a workflow's id finds that revision."""
        if application is not None:
            found = await self._in_project(application, name)
        else:
            found = await self._api.workflows_named(name)
            if not found and is_id(name):
                found = await _or_none(self._api.workflow, name)
        return [self._target(workflow) for workflow in found]

    @staticmethod
    def check(target: StartTarget, inputs: Mapping[str, str]) -> None:
        """Raises NotResumable where a start with these inputs could not be sent."""
        _session_time(target, inputs)
        _params(inputs)

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Starts the workflow; the name makes a repeated call harmless."""
        session_time = _session_time(target, inputs)
        params = _params(inputs)
        name = _name(key, target)
        try:
            attempts = await self._attempts_of(target)
        except NotFound:
            raise NotFound(f"Digdag does not know workflow {target.name} any more, or its project was deleted.") from None
        except ContractViolation as error:
            raise NotSent(f"Nothing was sent: {error}") from None
        ours = [attempt for attempt in attempts if attempt.retry_name == name and _is_time(attempt, session_time)]
        if ours:
            return self._receipt(ours[0])
        running = [attempt for attempt in attempts if not attempt.done and _is_time(attempt, session_time)]
        if running:
            raise NotResumable(f"Attempt {running[0].id} runs the same session time already.")
        body = {
            "workflowId": target.key,
            "sessionTime": session_time.isoformat(),
            "params": params,
            "retryAttemptName": name,
            **self._extra,
        }
        return self._receipt(await self._api.put_attempt(body, send_before))

    async def evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """Whether an attempt of our name began after that time."""
        name = _name(key, target)
        for attempt in await self._attempts_of(target, since - _CLOCK_SKEW):
            is_recent = attempt.created_at is None or attempt.created_at >= since - _CLOCK_SKEW
            if attempt.retry_name == name and is_recent:
                ref = ExecutionRef(self._connection, attempt.id)
                return Evidence(Finding.HAPPENED, f"Attempt {attempt.id} carries the name of this request.", ref)
        return Evidence(Finding.HARMLESS, "No attempt carries the name of this request, so it can be sent again.")

    async def _in_project(self, project: str, name: str) -> list[WorkflowBody]:
        project_id = await self._api.project_id(project)
        if project_id is None:
            return []
        return await _or_none(lambda wanted: self._api.newest_workflow(project_id, wanted), name)

    async def _attempts_of(self, target: StartTarget, since: datetime | None = None) -> list[AttemptBody]:
        """The workflow's newest attempts, and all since a moment."""
        workflow = await self._api.workflow(target.key)
        walk = self._api.attempts({"project": workflow.project.name, "workflow": workflow.name, "include_retried": "true"})
        found: list[AttemptBody] = []
        while page := await walk.next():
            found += page
            oldest = page[-1].created_at
            if len(found) >= _LOOKED_AT and (since is None or oldest is None or oldest < since):
                break
        return found

    def _target(self, workflow: WorkflowBody) -> StartTarget:
        now = datetime.now(UTC).replace(microsecond=0).isoformat()
        return StartTarget(
            connection=self._connection,
            key=workflow.id,
            name=workflow.name,
            inputs=(
                StartInput(
                    _SESSION_TIME,
                    "Session time",
                    is_required=True,
                    default=now,
                    hint="With its offset; a time that ran before is run again as another attempt of that session.",
                ),
                StartInput(_PARAMS, "Params", default="{}", hint='A JSON object, for example {"day": "2026-01-31"}.'),
            ),
            link=self._links.to_workflow(workflow.id),
        )

    def _receipt(self, attempt: AttemptBody) -> Receipt:
        return Receipt(ExecutionRef(self._connection, attempt.id))


async def _or_none(read: Callable[[str], Any], wanted: str) -> list[WorkflowBody]:
    try:
        return [await read(wanted)]
    except NotFound:
        return []


def _name(key: str, target: StartTarget) -> str:
    return retry_name(key, f"w{target.key}")


def _session_time(target: StartTarget, inputs: Mapping[str, str]) -> datetime:
    # The default was made when the form was; a later "now" would make another session of a repeated call.
    default = next((one.default for one in target.inputs if one.key == _SESSION_TIME), "")
    given = inputs.get(_SESSION_TIME, "").strip() or default
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        raise NotResumable("The session time cannot be read; write it as 2026-01-31T00:00:00+00:00.") from None
    if time.tzinfo is None:
        raise NotResumable("The session time needs its offset, for example 2026-01-31T00:00:00+00:00.")
    return time.replace(microsecond=0)


def _params(inputs: Mapping[str, str]) -> dict[str, Any]:
    try:
        params = json.loads(inputs.get(_PARAMS, "").strip() or "{}")
    except (ValueError, RecursionError):
        raise NotResumable("The params are no JSON.") from None
    if not isinstance(params, dict):
        raise NotResumable("The params must be a JSON object.")
    others = {key: value for key, value in inputs.items() if key not in {_SESSION_TIME, _PARAMS}}
    params = {**params, **others}
    try:
        # What reads as JSON here may be none to others: NaN, a number beyond all limits, half a character.
        json.dumps(params, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise NotResumable(
            "The params hold a number or a character that JSON cannot carry (NaN, 1e999, half of one)."
        ) from None
    return params


def _is_time(attempt: AttemptBody, time: datetime) -> bool:
    try:
        return datetime.fromisoformat(attempt.session_time) == time
    except (ValueError, TypeError):
        return False
