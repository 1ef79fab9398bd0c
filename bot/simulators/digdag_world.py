"""The simulated server's state and rules: pushing projects, starting, resuming and killing attempts."""

import asyncio
import itertools
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bot.simulators.digdag_files import read_dig
from bot.simulators.digdag_plan import plan, refuse_double_success, skipped_by_failed, skipped_by_from
from bot.simulators.digdag_records import Attempt, Config, Conflict, Project, Refused, Revision, Session, Task, Workflow
from bot.simulators.digdag_run import AttemptRun, Means


@dataclass(frozen=True)
class StartOrder:
    """A start call that could be read."""

    workflow_id: int
    session_time: datetime
    params: Config
    retry_name: str | None
    mode: str | None = None
    resumed_id: int = 0
    pattern: str = ""
    may_queue: bool = False


@dataclass
class Limits:
    """The server's limits, and the status of the one on running attempts."""

    attempts: int = 100
    tasks: int = 1000
    page: int = 100
    full_status: int = 400


class World:
    """Everything the server knows, and the attempts that are on their way."""

    def __init__(self, means: Callable[["World"], Means], limits: Limits, clock: Callable[[], datetime]) -> None:
        self.limits = limits
        self.clock = clock
        self.projects: dict[int, Project] = {}
        self.workflows: dict[int, Workflow] = {}
        self.sessions: dict[int, Session] = {}
        self.attempts: dict[int, Attempt] = {}
        self._revision_ids = itertools.count(1)
        self._attempt_ids = itertools.count(1)
        self._task_ids = itertools.count(1)
        self._runs: dict[Attempt, AttemptRun] = {}
        self._running: dict[Attempt, asyncio.Task[None]] = {}
        self._means = means(self)

    def next_task_id(self) -> int:
        """A number no task had before."""
        return next(self._task_ids)

    # ---- projects -----------------------------------------------------------------------

    def push(self, name: str, workflows: Mapping[str, str]) -> Project:
        """Makes a new revision of the project from the texts of its workflows."""
        found = next((one for one in self.projects.values() if one.name == name and one.deleted_at is None), None)
        project = found or Project(len(self.projects) + 1, name, self.clock())
        self.projects[project.id] = project
        revision = Revision(next(self._revision_ids), secrets.token_hex(16))
        for workflow_name, text in workflows.items():
            config = read_dig(text)
            timezone = str(config.pop("timezone", "UTC"))
            workflow = Workflow(len(self.workflows) + 1, workflow_name, project, revision, timezone, config)
            self.workflows[workflow.id] = revision.workflows[workflow_name] = workflow
        project.revisions.append(revision)
        return project

    def project(self, project_id: int) -> Project:
        """The project, unless it is unknown or deleted."""
        project = self.projects.get(project_id)
        if project is None:
            raise Refused(404, f"Resource does not exist: project id={project_id}")
        if project.deleted_at is not None:
            at = project.deleted_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            raise Refused(404, f"Project id={project_id} is already deleted at {at}")
        return project

    def workflow(self, workflow_id: int) -> Workflow:
        """One revision of a workflow."""
        if workflow_id not in self.workflows:
            raise Refused(404, f"Resource does not exist: workflow id={workflow_id}")
        return self.workflows[workflow_id]

    def workflow_by_name(self, project: Project, name: str, revision_name: str | None = None) -> Workflow:
        """The workflow in the newest revision, or in the named one."""
        revision = project.revisions[-1]
        if revision_name is not None:
            named = [one for one in project.revisions if one.name == revision_name]
            if not named:
                raise Refused(404, f"Resource does not exist: revision name={revision_name} in project id={project.id}")
            revision = named[0]
        if name not in revision.workflows:
            raise Refused(404, f"Resource does not exist: workflow name={name} in revision id={revision.id}")
        return revision.workflows[name]

    # ---- attempts -----------------------------------------------------------------------

    def attempt(self, attempt_id: int) -> Attempt:
        """The attempt, if there is one."""
        if attempt_id not in self.attempts:
            raise Refused(404, f"Resource does not exist: session attempt id={attempt_id}")
        return self.attempts[attempt_id]

    def session(self, session_id: int) -> Session:
        """The session, if there is one."""
        if session_id not in self.sessions:
            raise Refused(404, f"Resource does not exist: session id={session_id}")
        return self.sessions[session_id]

    def start(self, order: StartOrder) -> Attempt:
        """Starts an attempt, after the server's own checks in the server's own order."""
        workflow = self.workflow(order.workflow_id)
        old_tasks, skips = self._skips(order)
        _refuse_name(order.retry_name)
        must_queue = self._refuse_full(order)
        project = workflow.project
        if project.deleted_at is not None:
            raise Refused(404, "Project id={} name={} is already deleted")
        attempt_id = next(self._attempt_ids)
        session = self._session_of(workflow, order.session_time)
        _refuse_conflict(session, order.retry_name)
        self._refuse_size(workflow)
        if order.mode == "failed":
            refuse_double_success(old_tasks)
        self.sessions[session.id] = session
        attempt = Attempt(
            attempt_id, len(session.attempts) + 1, session, workflow, order.retry_name, order.params, self.clock(),
            skips, is_queued=must_queue,
        )  # fmt: skip
        session.attempts.append(attempt)
        self.attempts[attempt.id] = attempt
        self._runs[attempt] = AttemptRun(attempt, self._means)
        if not must_queue:
            self._launch(attempt)
        return attempt

    def kill(self, attempt_id: int) -> None:
        """Asks the attempt to stop; what waits notices at its next poll."""
        attempt = self.attempt(attempt_id)
        if attempt.is_done:
            raise Refused(409, "Session attempt already killed or finished")
        self._runs[attempt].cancel()

    def forget(self, attempt_id: int) -> None:
        """What a crash of the server can do to a young attempt: nobody ever heard of it."""
        attempt = self.attempts.pop(attempt_id)
        attempt.session.attempts.remove(attempt)
        self._stop(attempt)

    async def close(self) -> None:
        """Stops everything that is on its way."""
        running = list(self._running.values())
        for attempt in list(self._running):
            self._stop(attempt)
        await asyncio.gather(*running, return_exceptions=True)

    # ---- the checks of a start call -----------------------------------------------------

    def _skips(self, order: StartOrder) -> tuple[list[Task], dict[str, Task]]:
        resumed = self.attempts.get(order.resumed_id)
        tasks = list(resumed.tasks) if resumed is not None else []
        if order.mode == "failed":
            return tasks, skipped_by_failed(tasks)
        if order.mode == "from":
            return tasks, skipped_by_from(tasks, order.pattern)
        return tasks, {}

    def _refuse_full(self, order: StartOrder) -> bool:
        current = len(self._running)
        if current < self.limits.attempts:
            return False
        if order.may_queue:
            return True
        message = f"Too many attempts running. Limit: {self.limits.attempts}, Current: {current}"
        raise Refused(self.limits.full_status, message)

    def _session_of(self, workflow: Workflow, time: datetime) -> Session:
        project = workflow.project
        for session in self.sessions.values():
            if session.project is project and session.workflow_name == workflow.name and session.time == time:
                return session
        local = time.astimezone(ZoneInfo(workflow.timezone))
        return Session(len(self.sessions) + 1, str(uuid.uuid4()), project, workflow.name, local)

    def _refuse_size(self, workflow: Workflow) -> None:
        adding = len(plan(f"+{workflow.name}", workflow.config))
        if adding > self.limits.tasks:
            raise Refused(400, f"Too many tasks. Limit: {self.limits.tasks}, Current: 0, Adding: {adding}")

    # ---- running ------------------------------------------------------------------------

    def _launch(self, attempt: Attempt) -> None:
        attempt.is_queued = False
        self._running[attempt] = asyncio.create_task(self._run(attempt))

    async def _run(self, attempt: Attempt) -> None:
        try:
            await self._runs[attempt].run()
        finally:
            self._running.pop(attempt, None)
        for waiting in list(self._queued()):
            if len(self._running) < self.limits.attempts:
                self._launch(waiting)

    def _queued(self) -> Iterator[Attempt]:
        return (one for one in self.attempts.values() if one.is_queued and not one.is_done)

    def _stop(self, attempt: Attempt) -> None:
        running = self._running.pop(attempt, None)
        if running is not None:
            running.cancel()


def _refuse_name(name: str | None) -> None:
    problem = None
    if name is not None and not name:
        problem = "must not be blank"
    elif name is not None and len(name) > 255:
        problem = "must not be longer than 255 characters"
    if problem is not None:
        raise Refused(400, f'Validating attempt request failed\nretry attempt name {problem}: "{name}"')


def _refuse_conflict(session: Session, name: str | None) -> None:
    if name is None and session.attempts:
        raise Conflict(session.attempts[-1])
    for attempt in session.attempts:
        if attempt.retry_name == name:
            raise Conflict(attempt)


def now_utc() -> datetime:
    """The time of day, aware."""
    return datetime.now(UTC)
