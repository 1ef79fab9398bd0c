"""What is read and checked right before a call: people afresh, policy once more."""

from bot.domain.errors import Refusal
from bot.domain.policy import approvals_missing, may_request
from bot.domain.request import Request
from bot.service import people
from bot.service.core import Core
from bot.service.unit import Unit

PEOPLE_UNREAD = "Slack does not say who may do this now, so nothing is sent"


async def people_read(core: Core, request: Request) -> bool:
    """Whether all that the decision hangs on could be read afresh."""
    users = [actor.rsplit("/", 1)[-1] for actor in (request.requester, *request.approvers)]
    return await people.refresh_for(core, users, request.rules.principals, request.channel)


async def still_allowed(core: Core, unit: Unit, request: Request) -> None:
    """Raises Refusal when requester or approvers are not allowed any more, by today's facts."""
    now = core.now()
    found = await unit.directory.people([request.requester, *request.approvers])
    known = {person.actor: person for person in found}
    if requester := known.get(request.requester):
        may_request(request.rules, requester, request.channel, now)
    approvers = [known[actor] for actor in request.approvers if actor in known]
    missing = approvals_missing(request.rules, approvers, request.requester, request.channel, now)
    if missing:
        lacking = ", ".join(f"{count} for “{name}”" for name, count in missing.items())
        raise Refusal(
            "approval_lost", f"Approvals no longer suffice, because somebody may not approve any more: {lacking} missing."
        )
