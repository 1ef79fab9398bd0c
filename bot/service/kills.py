"""Ending an execution that still runs: offered only where a policy names the action, and decided like any other request."""

from fnmatch import fnmatchcase

from bot.domain.errors import Refusal, Unsupported
from bot.domain.execution import Action, Evidence, Execution, ExecutionRef, Finding, Receipt, ResumePoint
from bot.domain.incident import Incident, IncidentState
from bot.domain.policy import Policy, Rules, applicable
from bot.domain.ports import Engine, KillsExecutions
from bot.service.core import Core

POINT = ResumePoint(
    key="kill",
    label="Kill",
    sentence="Asks the engine to end this execution now; what has run stays as it is, what has not begun does not run.",
    action=Action.KILL,
)


def is_offered(core: Core, incident: Incident) -> bool:
    """Whether the incident's execution runs and can be ended from here."""
    return incident.state is IncidentState.OPEN and incident.seen is not None and can_be_ended(core, incident.seen)


def can_be_ended(core: Core, execution: Execution) -> bool:
    """Whether it runs, its engine can end it, and a policy that holds for it names the action."""
    if execution.status.is_terminal or not isinstance(core.engines.get(execution.ref.connection), KillsExecutions):
        return False
    try:
        rules_for(core, execution)
    except Refusal:
        return False
    return True


def rules_for(core: Core, execution: Execution) -> Rules:
    """The policies that hold for ending it. Raises Refusal unless one of them names the action, or when none allows it.

    So the built-in policy never does, nor one for all actions.
    """
    rules = applicable(core.setup.policies, core.setup.subject(execution, Action.KILL, ()))
    if not any(_names_it(policy) for policy in rules.policies):
        raise Refusal("not_named", "No policy names the action “kill” for this, so nobody can end it from here.")
    return rules


def _names_it(policy: Policy) -> bool:
    return any(glob != "*" and fnmatchcase(Action.KILL.value, glob) for glob in policy.match.get("action", ()))


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
