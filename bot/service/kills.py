"""Ending an execution that still runs: offered only where a policy names the action, and decided like any other request."""

from fnmatch import fnmatchcase

from bot.domain.errors import Refusal, Unsupported
from bot.domain.execution import Action, Evidence, Execution, ExecutionRef, Finding, Receipt, ResumePoint
from bot.domain.incident import Incident, IncidentState
from bot.domain.policy import Rules, applicable
from bot.domain.ports import Engine, KillsExecutions
from bot.service.core import Core

POINT = ResumePoint(
    key="kill",
    label="Kill",
    sentence="Asks the engine to end this execution now; what has run stays as it is, what has not begun does not run.",
    action=Action.KILL,
)


def is_offered(core: Core, incident: Incident) -> bool:
    """Whether the execution runs, its engine can end it, and a policy of the file names the action."""
    seen = incident.seen
    if seen is None or incident.state is not IncidentState.OPEN or seen.status.is_terminal:
        return False
    return isinstance(core.engines.get(incident.connection), KillsExecutions) and _is_named(core)


def _is_named(core: Core) -> bool:
    globs = [glob for policy in core.setup.policies for glob in policy.match.get("action", ())]
    return any(glob != "*" and fnmatchcase(Action.KILL.value, glob) for glob in globs)


def rules_for(core: Core, execution: Execution) -> Rules:
    """The policies that hold for ending it. Raises Refusal when none names the action, or none allows it."""
    if not _is_named(core):
        raise Refusal("not_named", "No policy names the action “kill”, so nobody can end executions from here.")
    return applicable(core.setup.policies, core.setup.subject(execution, Action.KILL, ()))


async def kill(engine: Engine, ref: ExecutionRef, send_before: float) -> Receipt:
    """The call; an execution that has ended meanwhile is done. Raises as `resume` does."""
    if not isinstance(engine, KillsExecutions):
        raise Unsupported("the engine of this connection cannot end executions")
    await engine.kill(ref, send_before)
    return Receipt(ref)


async def evidence(engine: Engine, ref: ExecutionRef) -> Evidence:
    """What became of a call whose answer was lost; asking once more does no harm. Raises as `describe` does."""
    execution = await engine.describe(ref)
    if execution.status.is_terminal:
        return Evidence(Finding.HAPPENED, "The execution has come to its end.", ref)
    return Evidence(Finding.HARMLESS, "The execution still runs, and asking once more to end it does no harm.")
