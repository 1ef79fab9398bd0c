"""The calls of Digdag's REST API that the engine makes, and what its refusals mean."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from bot.domain.errors import ContractViolation, NotFound, NotResumable, NotSent
from bot.engines._http import Answer, AnswerTooLarge, EngineClient, path_segment
from bot.engines.digdag_pages import PageReader, Walk
from bot.engines.digdag_wire import (
    AttemptBody,
    AttemptsBody,
    ErrorBody,
    ProjectsBody,
    SessionBody,
    TaskBody,
    TasksBody,
    WorkflowBody,
    WorkflowsBody,
    is_id,
)

_WORKFLOWS = 100
_MOST_WORKFLOW_PAGES = 100
_POOL_IS_FULL = "Too many attempts running"


class DigdagApi:
    """One server's API; ids that cannot be ids are unknown without a call."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self._pages = PageReader(client)

    # ---- reads ------------------------------------------------------------------------------

    async def attempt(self, attempt_id: str) -> AttemptBody:
        """One attempt."""
        return self.client.parse(await self._get(f"/api/attempts/{_known(attempt_id)}"), AttemptBody)

    async def retries(self, attempt_id: str) -> list[AttemptBody]:
        """All attempts of the session, this one included, oldest first."""
        try:
            answer = await self._get(f"/api/attempts/{_known(attempt_id)}/retries")
            found = self.client.parse(answer, AttemptsBody).attempts
        except AnswerTooLarge:
            found = await self._retries_by_page(attempt_id)
        return sorted(found, key=lambda attempt: (attempt.index, int(attempt.id)))

    async def _retries_by_page(self, attempt_id: str) -> list[AttemptBody]:
        """The same from the session's list, which has pages; params are kept of the one that was asked for."""
        session_id = (await self.attempt(attempt_id)).session_id
        walk = self._pages.walk(f"/api/sessions/{session_id}/attempts", {})
        found: list[AttemptBody] = []
        while page := await walk.next():
            found += [one if one.id == attempt_id else one.model_copy(update={"params": {}}) for one in page]
        return found

    async def tasks(self, attempt_id: str) -> list[TaskBody]:
        """All tasks of an attempt."""
        return self.client.parse(await self._get(f"/api/attempts/{_known(attempt_id)}/tasks"), TasksBody).tasks

    async def session(self, session_id: str) -> SessionBody:
        """One session."""
        return self.client.parse(await self._get(f"/api/sessions/{_known(session_id)}"), SessionBody)

    def attempts(self, query: Mapping[str, str], below: str = "") -> Walk:
        """Attempts page by page, newest first; those older than `below`."""
        return self._pages.walk("/api/attempts", query, below)

    async def probe(self, expect: Collection[int]) -> Answer:
        """The answer to what the poll asks, with a page of the size it asks for."""
        return (await self._pages.read("/api/attempts", {}, expect))[1]

    async def workflow(self, workflow_id: str) -> WorkflowBody:
        """One revision of a workflow."""
        return self.client.parse(await self._get(f"/api/workflows/{_known(workflow_id)}"), WorkflowBody)

    async def newest_workflow(self, project_id: str, name: str) -> WorkflowBody:
        """The workflow in the newest revision of its project."""
        path = f"/api/projects/{_known(project_id)}/workflows/{path_segment(name)}"
        return self.client.parse(await self._get(path), WorkflowBody)

    async def workflows_named(self, name: str) -> list[WorkflowBody]:
        """Workflows of exactly this name in all projects; the server finds all that have it anywhere in theirs."""
        found: list[WorkflowBody] = []
        query = {"name_pattern": name, "count": str(_WORKFLOWS)}
        for _ in range(_MOST_WORKFLOW_PAGES):
            page = self.client.parse(await self._get("/api/workflows", query), WorkflowsBody).workflows
            found += [workflow for workflow in page if workflow.name == name]
            if len(page) < _WORKFLOWS:
                return found
            query["last_id"] = page[-1].id
        raise NotResumable("So many workflows have this in their name that it cannot be looked up; write its project before it")

    async def project_id(self, name: str) -> str | None:
        """The id of a project, None when there is none of this name."""
        answer = await self._get("/api/projects", {"name": name})
        return next((one.id for one in self.client.parse(answer, ProjectsBody).projects if one.name == name), None)

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        return await self.client.read("GET", path, params=query or {})

    # ---- calls with effect ------------------------------------------------------------------

    async def put_attempt(self, body: Mapping[str, Any], send_before: float) -> AttemptBody:
        """Starts an attempt under the name the body gives it; a conflict with an attempt of that name is a start as well."""
        answer = await self.client.send_once("PUT", "/api/attempts", json=dict(body), send_before=send_before)
        if 200 <= answer.status < 300:
            return self.client.parse(answer, AttemptBody)
        if answer.status == 409:
            return self._conflicting(answer, str(body["retryAttemptName"]))
        if answer.status in {400, 404}:
            raise self._refused(answer)
        raise self.client.refusal(answer) or ContractViolation(f"Digdag gave an unknown answer (HTTP {answer.status}).")

    async def kill(self, attempt_id: str, send_before: float) -> None:
        """Ends an attempt; one that has ended already is fine."""
        path = f"/api/attempts/{_known(attempt_id)}/kill"
        answer = await self.client.send_once("POST", path, json={}, send_before=send_before)
        if not (200 <= answer.status < 300 or answer.status == 409):
            raise self.client.refusal(answer) or self._refused(answer)

    def _conflicting(self, answer: Answer, name: str) -> AttemptBody:
        try:
            attempt = AttemptBody.model_validate_json(answer.body)
        except ValidationError:
            raise self._refused(answer) from None
        if attempt.retry_name != name:
            raise NotResumable(f"The session has another attempt, {attempt.id}, and the server started none for this call.")
        return attempt

    def _refused(self, answer: Answer) -> NotResumable | NotSent:
        """A refusal in the server's words; nothing but its own envelope is quoted."""
        try:
            message = ErrorBody.model_validate_json(answer.body).message
        except ValidationError:
            return NotResumable(f"Digdag refused the call without a reason (HTTP {answer.status}).")
        if message.startswith(_POOL_IS_FULL):
            # Checked before the conflict, so it says nothing of an earlier call; but this one did nothing.
            return NotSent("Digdag runs as many attempts as it may; the call is made again when there is room.")
        return NotResumable(f"Digdag refused the call: {self.client.redact(message)}")


def retry_name(key: str, about: str) -> str:
    """The retry name of a call: the same for all calls of one request, so that a repeated one starts nothing more.

    `key` ends in the number of the call; `about` keeps requests of the same number apart, should there be another bot.
    """
    return f"resumebot-{key.rpartition('-')[0] or key}-{about}"


def _known(given: str) -> str:
    if not is_id(given):
        raise NotFound("Digdag does not know this: its ids are numbers.")
    return given
