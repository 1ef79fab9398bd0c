"""Words that several views share: how a request or an incident stands, whom a policy names, which execution is meant."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from bot.domain.execution import Action, ExecutionStatus
from bot.domain.incident import Incident, IncidentState
from bot.domain.policy import describe_principal
from bot.domain.request import CLOSED_AS_NOT_RUN, Request, RequestState, mention
from bot.domain.text import listed, shorten
from bot.slack.blocks import Element, escape, link, words

S = RequestState

VERBS: Mapping[Action, str] = MappingProxyType(
    {Action.RESUME: "resume", Action.RESTART: "restart", Action.START: "start", Action.KILL: "end"}
)

TITLES: Mapping[RequestState, str] = MappingProxyType(
    {
        S.PENDING: "🟡 Waiting for approval",
        S.APPROVED: "🟡 Approved, about to be sent",
        S.RESUMING: "🔵 Being sent",
        S.RUNNING: "🔵 Running",
        S.UNKNOWN: "❔ Unknown",
        S.SUCCEEDED: "🟢 Succeeded",
        S.FAILED: "🔴 Failed again",
        S.REJECTED: "🚫 Rejected",
        S.REFUSED: "🚫 Refused",
        S.EXPIRED: "⌛ Expired",
        S.CANCELLED: "⚪ Withdrawn",
        S.SUPERSEDED: "⚪ Overtaken",
    }
)

_SEEN: Mapping[ExecutionStatus, str] = MappingProxyType(
    {
        ExecutionStatus.WAITING: "🔵 Waiting to begin",
        ExecutionStatus.RUNNING: "🔵 Running",
        ExecutionStatus.RETRYING: "🟠 Failing, the engine tries again by itself",
        ExecutionStatus.SUSPENDED: "🟠 Suspended",
        ExecutionStatus.FAILED: "🔴 Failed",
        ExecutionStatus.SUCCEEDED: "🟢 Succeeded",
        ExecutionStatus.CANCELLED: "⚪ Cancelled",
        ExecutionStatus.UNKNOWN: "🟠 In a state I have no word for",
    }
)


def title_of(request: Request) -> str:
    """Emoji and words for how the request stands."""
    if request.state is S.FAILED and request.action is Action.START:
        return _doubted(request, "🔴 Failed")
    if request.state is S.CANCELLED and request.outcome.startswith(CLOSED_AS_NOT_RUN):
        return "⚪ Closed as not run"
    return _doubted(request, TITLES[request.state])


def _doubted(request: Request, title: str) -> str:
    mark, _, said = title.partition(" ")
    return f"{mark} Probably {said[:1].lower()}{said[1:]}" if is_doubtful(request) else title


def is_doubtful(request: Request) -> bool:
    """Whether the execution that is watched is only probably the request's own."""
    return bool(request.doubt) and request.state in {S.RUNNING, S.SUCCEEDED, S.FAILED}


def standing(incident: Incident, request: Request | None) -> str:
    """Emoji and words for how the incident stands, a live request going before what was last seen of the execution."""
    if incident.state is not IncidentState.OPEN:
        if incident.state is IncidentState.RESOLVED:
            return _doubted(request, "🟢 Succeeded") if request else "🟢 Succeeded"
        return "⚪ Closed"
    if request and request.state.is_live:
        return _doubted(request, TITLES[request.state])
    status = incident.seen.status if incident.seen else ExecutionStatus.FAILED
    if status is ExecutionStatus.FAILED and request and request.state is S.FAILED:
        return _doubted(request, TITLES[S.FAILED])
    if status is ExecutionStatus.RUNNING and incident.seen and incident.seen.pending_points:
        return "🔴 Failed, still running"
    return _SEEN[status]


_PROGRESS: Mapping[RequestState, tuple[str, str]] = MappingProxyType(
    {
        S.PENDING: ("waiting for approval in the thread", ""),
        S.APPROVED: ("approved, about to be sent", "approved, and cannot be sent yet"),
        S.RESUMING: ("being sent to the engine", ""),
        S.RUNNING: ("accepted by the engine and running", "accepted by the engine and running"),
        S.UNKNOWN: ("the engine gave no clear answer, so it is unknown whether it ran", ""),
        S.SUCCEEDED: ("it succeeded", ""),
        S.FAILED: ("it ran and failed again", ""),
        S.REJECTED: ("rejected", "rejected"),
        S.REFUSED: ("refused", "refused"),
        S.EXPIRED: ("expired", "expired"),
        S.CANCELLED: ("withdrawn", "ended"),
        S.SUPERSEDED: ("overtaken by something newer", "overtaken"),
    }
)


def at_point(request: Request, limit: int) -> str:
    """The chosen point as it is called where one chooses; nothing where there was no choice. Raw text."""
    return f"“{shorten(request.point.label, limit)}”" if request.action in {Action.RESUME, Action.RESTART} else ""


def progress(request: Request) -> str:
    """How the request stands, as the rest of a sentence that begins with who asked; raw text."""
    alone, before_reason = _PROGRESS[request.state]
    if is_doubtful(request):
        return with_reason(f"probably {alone}", request.doubt)
    if request.state is S.FAILED and request.action is Action.START:
        alone = "it ran and failed"
    return with_reason(before_reason, request.outcome) if before_reason and request.outcome else alone


def with_reason(sentence: str, reason: str) -> str:
    """`sentence: reason`, or the sentence alone."""
    return f"{sentence}: {shorten(reason, 1000)}" if reason else sentence


def name_of(incident: Incident) -> str:
    """The incident's name, or its execution where nothing told a name."""
    return incident.name or incident.execution_id


def subject_of(request: Request) -> str:
    """The name of what the request is about."""
    return request.name or request.execution_id or request.label


def execution(identity: str, url: str = "") -> Element:
    """An execution's id, as a link where there is one; always the id itself, whole."""
    return link(url, identity) if url else words(identity, code=True)


def who(actor: str) -> str:
    """An actor in our own mrkdwn or fallback."""
    shown = mention(actor)
    return shown if re.fullmatch(r"<@[UW][A-Z0-9]+>", shown) else escape(actor)


def mentions(principals: tuple[str, ...]) -> str:
    """All of them in our own mrkdwn, so that Slack notifies them."""
    shown = [describe_principal(word) for word in principals]
    known = [word if re.fullmatch(r"<(@[UW]|!subteam\^S)[A-Z0-9]+>", word) else escape(word) for word in shown]
    return listed(known, "or")
