"""What `${…}` in a simulated workflow stands for, and the text of an error when it stands for nothing."""

import json
import re
from collections.abc import Mapping
from typing import Any

from bot.simulators.digdag_records import Attempt, Config, Task

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SERVER = "io.digdag.server.metrics.DigdagTimedMethodInterceptor"
_AGENT = "io.digdag.core.agent"
_TIMED = (
    f"{_SERVER}.invokeMain(DigdagTimedMethodInterceptor.java:58)",
    f"{_SERVER}.invoke(DigdagTimedMethodInterceptor.java:31)",
)
_POOL = "java.base/java.util.concurrent"

STACKTRACE = ", ".join((
    f"{_AGENT}.OperatorManager.evalConfig(OperatorManager.java:229)",
    *_TIMED,
    f"{_AGENT}.OperatorManager.runWithWorkspace(OperatorManager.java:240)",
    *_TIMED,
    f"{_AGENT}.OperatorManager.lambda$runWithHeartbeat$2(OperatorManager.java:152)",
    f"{_AGENT}.ExtractArchiveWorkspaceManager.withExtractedArchive(ExtractArchiveWorkspaceManager.java:75)",
    f"{_AGENT}.OperatorManager.runWithHeartbeat(OperatorManager.java:150)",
    *_TIMED,
    f"{_AGENT}.OperatorManager.run(OperatorManager.java:133)",
    *_TIMED,
    f"{_AGENT}.MultiThreadAgent.lambda$run$0(MultiThreadAgent.java:132)",
    f"{_POOL}.Executors$RunnableAdapter.call(Unknown Source)",
    f"{_POOL}.FutureTask.run(Unknown Source)",
    f"{_POOL}.ThreadPoolExecutor.runWorker(Unknown Source)",
    f"{_POOL}.ThreadPoolExecutor$Worker.run(Unknown Source)",
    "java.base/java.lang.Thread.run(Unknown Source)",
))  # fmt: skip


class TaskFailure(Exception):
    """A task's operator failed; `error` is what the task shows."""

    def __init__(self, message: str, stacktrace: str | None = None) -> None:
        super().__init__(message)
        self.error: Config = {"message": message} | ({"stacktrace": stacktrace} if stacktrace else {})


def params_of(attempt: Attempt, task: Task) -> Config:
    """The params in force for a task: the server's own, the attempt's, then the exports from the root down."""
    session = attempt.session
    line: list[Task] = []
    member: Task | None = task
    while member is not None:
        line.insert(0, member)
        member = member.parent
    params: Config = {
        "attempt_id": attempt.id,
        "session_id": session.id,
        "session_uuid": session.uuid,
        "session_time": session.time.isoformat(),
        "project_id": session.project.id,
        "timezone": attempt.workflow.timezone,
        "task_name": task.full_name,
        "retry_attempt_name": attempt.retry_name,
    }
    for layer in (attempt.workflow.config.get("_export", {}), attempt.params, *(one.export_params for one in line)):
        params |= layer
    return params


def evaluate(value: Any, params: Config, secrets: Mapping[str, str]) -> Any:
    """The value with its variables filled in, as text; what begins with `_` is left for later."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _text(found[1].strip(), value, params, secrets), value)
    if isinstance(value, list):
        return [evaluate(one, params, secrets) for one in value]
    if isinstance(value, dict):
        return {key: one if key.startswith("_") else evaluate(one, params, secrets) for key, one in value.items()}
    return value


def _text(expression: str, whole: str, params: Config, secrets: Mapping[str, str]) -> str:
    if expression.startswith("secret:"):
        name = expression.removeprefix("secret:")
        if name not in secrets:
            raise TaskFailure(f"Secret not found for key: '{name}' (config)", STACKTRACE)
        return secrets[name]
    found: Any = params
    for part in expression.split("."):
        if not isinstance(found, dict) or part not in found:
            reason = f"ReferenceError: {part} is not defined"
            raise TaskFailure(f"Failed to evaluate a variable {whole} ({reason}) (config)", STACKTRACE)
        found = found[part]
    return found if isinstance(found, str) else json.dumps(found)
