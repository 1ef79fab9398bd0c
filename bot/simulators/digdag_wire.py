"""The JSON that the simulated server speaks, in both flavours and with the oddities of other versions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.simulators.digdag_records import Attempt, Config, Project, Session, Task, Workflow


class Flavour(StrEnum):
    """Whose server it is: the open-source one or Treasure Data's."""

    OSS = "oss"
    TD = "td"


@dataclass
class Oddities:
    """Shapes that other versions of the server send."""

    without_status: bool = False
    without_workflow_id: bool = False
    group_flag: str = "isGroup"
    status_of: str | None = None
    """A word to show as the status of every attempt that is not done."""


@dataclass(frozen=True)
class Wire:
    """Turns what the server remembers into what it answers."""

    flavour: Flavour
    oddities: Oddities

    def attempt(self, attempt: Attempt) -> Config:
        """An attempt, as start, kill and all reads show it."""
        shown: Config = {
            "id": str(attempt.id),
            "index": attempt.index,
            "project": _project_name(attempt.session.project),
            "workflow": {"name": attempt.workflow.name, "id": self._workflow_id(attempt.workflow)},
            "sessionId": str(attempt.session.id),
            "sessionUuid": attempt.session.uuid,
            "sessionTime": attempt.session.time.isoformat(),
            **self._progress(attempt),
        }
        if not self.oddities.without_status:
            shown["status"] = self._status(attempt)
        return shown

    def session(self, session: Session) -> Config:
        """A session with its last attempt."""
        last = session.attempts[-1]
        shown_last = {"id": str(last.id), **self._progress(last)}
        if self.flavour is Flavour.OSS:
            del shown_last["index"]
        else:
            shown_last["status"] = self._status(last)
        return {
            "id": str(session.id),
            "project": _project_name(session.project),
            "workflow": {"name": session.workflow_name, "id": self._workflow_id(last.workflow)},
            "sessionUuid": session.uuid,
            "sessionTime": session.time.isoformat(),
            "lastAttempt": shown_last,
        }

    def task(self, task: Task) -> Config:
        """A task of an attempt."""
        return {
            "id": str(task.id),
            "fullName": task.full_name,
            "parentId": None if task.parent is None else str(task.parent.id),
            "config": task.config,
            "upstreams": [str(upstream.id) for upstream in task.upstreams],
            "state": task.state.value,
            "cancelRequested": task.cancel_requested,
            "exportParams": task.export_params,
            "storeParams": task.store_params,
            "stateParams": task.state_params,
            "updatedAt": instant(task.updated_at),
            "retryAt": _maybe(task.retry_at),
            "startedAt": _maybe(task.started_at),
            "error": task.error,
            self.oddities.group_flag: task.is_group,
        }

    def workflow(self, workflow: Workflow) -> Config:
        """One revision of a workflow, with its whole source tree."""
        return {
            "id": str(workflow.id),
            "name": workflow.name,
            "project": _project_name(workflow.project),
            "revision": workflow.revision.name,
            "timezone": workflow.timezone,
            "config": workflow.config,
        }

    def project(self, project: Project) -> Config:
        """A project."""
        return {
            "id": str(project.id),
            "name": project.name,
            "revision": project.revisions[-1].name,
            "createdAt": instant(project.created_at),
            "updatedAt": instant(project.created_at),
            "deletedAt": _maybe(project.deleted_at),
            "archiveType": "db",
            "archiveMd5": None,
        }

    def _progress(self, attempt: Attempt) -> Config:
        shown: Config = {
            "index": attempt.index,
            "retryAttemptName": attempt.retry_name,
            "done": attempt.is_done,
            "success": attempt.success,
            "cancelRequested": attempt.cancel_requested,
            "params": attempt.params,
            "createdAt": instant(attempt.created_at),
            "finishedAt": _maybe(attempt.finished_at),
        }
        return shown | ({"poolId": "1"} if self.flavour is Flavour.TD else {})

    def _status(self, attempt: Attempt) -> str:
        if attempt.success:
            return "success"
        if attempt.is_done:
            return "killed" if attempt.cancel_requested else "error"
        if self.oddities.status_of is not None:
            return self.oddities.status_of
        if self.flavour is Flavour.TD and attempt.is_queued:
            return "queued"
        return "canceling" if self.flavour is Flavour.TD and attempt.cancel_requested else "running"

    def _workflow_id(self, workflow: Workflow) -> str | None:
        return None if self.oddities.without_workflow_id else str(workflow.id)


def instant(at: datetime) -> str:
    """An instant in whole seconds, as the server writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def envelope(status: int, message: str) -> dict[str, Any]:
    """The server's error envelope."""
    return {"message": message, "status": status}


def _project_name(project: Project) -> Config:
    return {"id": str(project.id), "name": project.name}


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
