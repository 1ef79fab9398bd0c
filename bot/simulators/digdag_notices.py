"""The calls that the simulated server makes itself: its failure notification, and the http operator."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from bot.simulators.digdag_records import Attempt, Config, Task
from bot.simulators.digdag_wire import instant

Sleep = Callable[[float], Awaitable[None]]

ATTEMPT_FAILED = "Workflow session attempt failed"
_NOTIFIER_AGENT = "Apache-HttpClient/4.5.13 (Java/11.0.13)"
_OPERATOR_AGENT = "Digdag/0.10.5.1 Jetty/9.3.11.v20160721"


@dataclass
class Notification:
    """The server's `notification.*` settings; `copies` delivers each notice that often."""

    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retries: int = 10
    min_retry_wait: float = 1.0
    max_retry_wait: float = 30.0
    copies: int = 1


def notice_of(attempt: Attempt, task: Task, message: str, now: datetime) -> Config:
    """The notice of an attempt: here ids are numbers."""
    workflow, session = attempt.workflow, attempt.session
    return {
        "timestamp": instant(now),
        "message": message,
        "site_id": 0,
        "project_id": session.project.id,
        "project_name": session.project.name,
        "workflow_name": session.workflow_name,
        "revision": workflow.revision.name,
        "attempt_id": attempt.id,
        "session_id": session.id,
        "task_name": task.full_name,
        "timezone": workflow.timezone,
        "session_uuid": session.uuid,
        "session_time": session.time.isoformat(),
        "workflow_definition_id": workflow.id,
    }


class Caller:
    """Sends notices and the http operator's requests."""

    def __init__(self, notification: Notification, http: httpx.AsyncClient, sleep: Sleep) -> None:
        self.notification = notification
        self._http = http
        self._sleep = sleep

    async def notify(self, notice: Config) -> bool:
        """Delivers a notice; false when every try was answered with something else than 2xx."""
        settings = self.notification
        if settings.url is None:
            return True
        headers = {"Content-Type": "application/json", "User-Agent": _NOTIFIER_AGENT, **settings.headers}
        delivered = True
        for _ in range(settings.copies):
            wait = settings.min_retry_wait
            for tries_left in range(settings.retries, -1, -1):
                delivered = await self._post(settings.url, headers, notice)
                if delivered or not tries_left:
                    break
                await self._sleep(wait)
                wait = min(wait * 2, settings.max_retry_wait)
        return delivered

    async def call(self, config: Config) -> int | None:
        """What `http>` does: the status answered, or none when nobody answered."""
        headers = {"User-Agent": _OPERATOR_AGENT, "Content-Type": "application/json"}
        for one in config.get("headers", []):
            headers |= one
        method, content = config.get("method", "GET"), config.get("content")
        try:
            answer = await self._http.request(method, str(config["http>"]), headers=headers, json=content)
        except httpx.TransportError:
            return None
        return answer.status_code

    async def _post(self, url: str, headers: Mapping[str, str], body: Config) -> bool:
        try:
            answer = await self._http.post(url, headers=headers, json=body)
        except httpx.TransportError:
            return False
        return answer.is_success
