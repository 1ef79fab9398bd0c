"""What executions continue one another on engines that do not tell: only what our own calls began is known of them.

our call ─▶ (a notice of what it began may be here first: held back) ─▶ receipt or evidence names it ─▶ one incident
"""

from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.errors import Refusal
from bot.domain.execution import Execution, ExecutionRef
from bot.domain.incident import Incident
from bot.domain.ports import ForgetsChains
from bot.domain.text import literal
from bot.service.core import Core
from bot.service.unit import Unit

SKEW = timedelta(seconds=60)  # between the engine's clock and ours
PATIENCE = timedelta(seconds=60)  # for evidence to be looked for once it may be concluded from


def forgets(core: Core, connection: str) -> bool:
    """Whether the engine does not tell which execution continues which."""
    return isinstance(core.engines.get(connection), ForgetsChains)


def in_chain(core: Core, incident: Incident, execution: Execution) -> Execution:
    """The execution under the root that we know its chain by."""
    known = incident.root if forgets(core, incident.connection) else ""
    return replace(execution, root=known) if known else execution


async def elder_by_call(core: Core, unit: Unit, incident: Incident, ref: ExecutionRef) -> Incident | None:
    """The other incident of an execution that a call of ours began, locked."""
    if not forgets(core, ref.connection):
        return None
    linked = await unit.incidents.lock_linked(ref.connection, ref.id)
    if linked is not None and linked.id != incident.id:
        return linked
    begun_by = await unit.requests.begun_by(ref.connection, ref.id)
    return await unit.incidents.lock(begun_by) if begun_by not in {None, incident.id} else None


async def is_held_back(core: Core, unit: Unit, incident: Incident, now: datetime) -> bool:
    """Whether what failed may be what a call began whose receipt is not here yet; for as long as evidence takes, no longer."""
    if incident.channel is not None or not forgets(core, incident.connection):
        return False
    seen = incident.seen
    began_at = (seen.started_at if seen else None) or incident.failed_at or now
    for request in await unit.requests.in_doubt(incident.connection):
        sent_at = request.sent_at
        if sent_at is None or request.incident_id == incident.id:
            continue
        is_of_it = not incident.name or not request.name or incident.name == request.name
        ends_at = sent_at + core.setup.timings.conclude_after + PATIENCE
        if is_of_it and began_at > sent_at - SKEW and now < ends_at:
            return True
    return False


async def check_newest(core: Core, execution: Execution) -> None:
    """Raises Refusal for an execution that was resumed as another one already, as far as our own calls tell."""
    ref = execution.ref
    if not forgets(core, ref.connection):
        return
    async with core.store.unit() as unit:
        newest = await unit.requests.newest_of(ref.connection, ref.id)
    if newest != ref.id:
        named = literal(f"{ref.connection}:{newest}", 200)
        said = f"`{literal(str(ref), 200)}` was resumed as `{named}` already: `/resume {named}` goes on from there."
        raise Refusal("resumed_already", said)
