"""The card: the one message of an incident outside threads."""

from bot.domain.choices import choice_value
from bot.domain.execution import ExecutionStatus, ResumePoint
from bot.domain.incident import Incident, IncidentState
from bot.domain.messages import Card
from bot.domain.request import Request, RequestState
from bot.domain.text import shorten
from bot.slack.blocks import (
    LABEL,
    MESSAGE_TEXT,
    OPTIONS,
    Block,
    Element,
    Rendered,
    actions,
    address,
    button,
    context,
    date_token,
    escape,
    fallback,
    header,
    lines,
    mrkdwn,
    option,
    overflow,
    person,
    plain,
    preformatted,
    rich,
    select,
    text_length,
    words,
)
from bot.slack.views.controls import Control, More, handle_of, points_mark
from bot.slack.views.phrases import VERBS, at_point, execution, name_of, progress, standing, who, with_reason

ERROR, LEAST = 2900, 600  # the longest error, and what it gets however long the rest is
ROOM = 400  # left free of Slack's sum


def card(shown: Card) -> Rendered:
    """The incident as it stands now: what failed where, who does what about it, and what can be pressed."""
    incident, request = shown.incident, shown.request
    at = f"{incident.label}-v{incident.version}-{request.version if request else 0}"
    head = header(f"{standing(incident, request)}: {name_of(incident)}", f"{at}-head")
    rest = [*_small_print(incident, at), *_request(request, at), *_controls(shown, at)]
    parts = [lines(*_facts(shown))]
    room = MESSAGE_TEXT - ROOM - text_length([head, parts, rest])
    below = _below(_remarks(shown), room)
    if error := _error(incident):
        parts.append(preformatted(error, max(min(ERROR, room - text_length(below)), LEAST // 2)))
    parts += below
    return Rendered(_fallback(incident, request), [head, rich(parts, f"{at}-facts"), *rest])


def _below(remarks: list[str], room: int) -> list[Element]:
    if not remarks:
        return []
    limit = max(min(400, (room - LEAST) // len(remarks)), 80)
    return [lines(*[[words(remark, limit=limit)] for remark in remarks])]


def stages_need_form(points: tuple[ResumePoint, ...]) -> bool:
    """More stages than a select on a message holds: Retry opens the form with all of them."""
    return len(points) > OPTIONS


def stage_options(points: tuple[ResumePoint, ...]) -> list[Element]:
    """An option for each point; labels that would look the same are numbered."""
    made: list[Element] = []
    times: dict[str, int] = {}
    for index, point in enumerate(points):
        label = shorten(point.label, LABEL) or shorten(point.key, LABEL)
        times[label] = times.get(label, 0) + 1
        if times[label] > 1:
            suffix = f" ({times[label]})"
            label = shorten(label, LABEL - len(suffix)) + suffix
        made.append(option(label, choice_value(index, point)))
    return made


def _is_over(incident: Incident) -> bool:
    return incident.state is not IncidentState.OPEN or (
        incident.seen is not None and incident.seen.status is ExecutionStatus.SUCCEEDED
    )


def _facts(shown: Card) -> list[list[Element]]:
    incident, seen = shown.incident, shown.incident.seen
    where = f" on {incident.connection}" + (f" ({shown.engine_title})" if shown.engine_title else "")
    rows = [[words("Execution "), execution(incident.execution_id, seen.link if seen else ""), words(where)]]
    if incident.stage:
        said = "Had failed at: " if _is_over(incident) else "Failed stage: "
        rows.append([words(said), words(incident.stage, limit=300, bold=True)])
    if seen:
        rows += [[words("Continues "), execution(identity, url)] for identity, url in list(seen.earlier.items())[:3]]
        rows += [[words(f"{key}: ", limit=100), words(value, limit=200)] for key, value in list(seen.labels.items())[:8]]
    return rows


def _error(incident: Incident) -> str:
    return "" if _is_over(incident) else incident.error


def _remarks(shown: Card) -> list[str]:
    incident, seen = shown.incident, shown.incident.seen
    if _is_over(incident):
        return [f"Ended: {incident.closed_because}"] if incident.closed_because else []
    remarks = list(seen.notes[:5]) if seen else []
    if incident.trouble:
        remarks.append(f"⚠️ {incident.trouble}")
    elif seen is None:
        remarks.append("⏳ Asking the engine which stages it can be resumed from…")
    elif seen.pending_points:
        remarks.append("⏳ It has not come to its end yet; Retry is offered here then.")
    elif not seen.points and seen.no_points:
        remarks.append(seen.no_points)
    return remarks


def _small_print(incident: Incident, at: str) -> list[Block]:
    facts = [incident.label]
    if incident.failed_at:
        said = "failed" if incident.failures == 1 else f"failed {incident.failures} times, last"
        facts.append(f"{said} {date_token(incident.failed_at)}")
    if incident.acknowledged_by:
        facts.append(f"👀 acknowledged by {who(incident.acknowledged_by)}")
    if incident.assigned_to:
        facts.append(f"👤 assigned to {who(incident.assigned_to)}")
    if incident.snoozed_until:
        by = f" by {who(incident.snoozed_by)}" if incident.snoozed_by else ""
        facts.append(f"💤 snoozed until {date_token(incident.snoozed_until)}{by}")
    return [context([mrkdwn("  ·  ".join(facts))], f"{at}-small")]


def _request(request: Request | None, at: str) -> list[Block]:
    if request is None:
        return []
    where = at_point(request, 300)
    asked = [
        person(request.requester),
        words(f" asked to {VERBS[request.action]} "),
        *([words(where, limit=310, bold=True), words(" ")] if where else []),
        words(f"({request.label}): "),
        *_standing(request),
    ]
    return [rich([lines(asked)], f"{at}-request")]


def _standing(request: Request) -> list[Element]:
    if request.state is RequestState.REJECTED and request.decisions:
        return [words("rejected by "), person(request.decisions[-1].actor), words(with_reason("", request.outcome), limit=1000)]
    return [words(progress(request), limit=1200)]


def _controls(shown: Card, at: str) -> list[Block]:
    incident, request = shown.incident, shown.request
    if request and request.state is RequestState.UNKNOWN:
        return [unknown_controls(request, at), *_more_only(shown, at)]
    points = incident.seen.points if incident.seen else ()
    if not shown.may_retry or not points or _is_over(incident):
        return _more_only(shown, at)
    row: list[Element] = []
    if not stages_need_form(points):
        options = stage_options(points)
        row.append(select(options, Control.STAGE, options[0], "Stage to resume from"))
        said = f"Retry “{shorten(points[0].label, LABEL)}”: {points[0].sentence}"
    else:
        said = f"{len(points)} stages are on offer; Retry asks which one."
    row.append(button("Retry", Control.RETRY, str(handle_of(incident)), style="primary"))
    row += _more(shown)
    mark = points_mark(points, incident.seen.baseline if incident.seen else "")
    return [actions(row, f"{incident.label}-{mark}-stage"), context([plain(said, 600)], f"{at}-point")]


def unknown_controls(request: Request, at: str) -> Block:
    """What people can do about a request nobody knows the outcome of."""
    value = str(handle_of(request))
    again = button("Press again", Control.PRESS_AGAIN, value)
    return actions([again, button("Close as not run", Control.CLOSE, value)], f"{at}-unknown")


def _more_only(shown: Card, at: str) -> list[Block]:
    menu = [] if _is_over(shown.incident) else _more(shown)
    return [actions(menu, f"{at}-more")] if menu else []


def _more(shown: Card) -> list[Element]:
    incident = shown.incident
    handle = handle_of(incident)
    entries = []
    if not incident.acknowledged_by:
        entries.append(option("👀 Acknowledge", f"{More.ACKNOWLEDGE}:{handle}"))
    if not incident.snoozed_until:
        entries.append(option("💤 Snooze 1 h", f"{More.SNOOZE}:{handle}"))
    entries.append(option("👤 Assign to me", f"{More.ASSIGN}:{handle}"))
    if incident.seen and address(incident.seen.link):
        title = f"Open in {shown.engine_title or 'the engine'}"
        entries.append(option(title, f"{More.OPEN}:{handle}", incident.seen.link))
    if shown.may_kill:
        entries.append(option("🛑 Kill it", f"{More.KILL}:{handle}"))
    return [overflow(entries, Control.MORE)]


def _fallback(incident: Incident, request: Request | None) -> str:
    said = [f"{standing(incident, request)}: {escape(shorten(name_of(incident), 300))}"]
    if incident.stage and not _is_over(incident):
        said.append(f"at {escape(shorten(incident.stage, 300))}")
    said.append(f"({escape(incident.execution_id)} on {escape(incident.connection)}).")
    if error := _error(incident):
        said.append(escape(shorten(error, 500)))
    if request:
        state = escape(shorten(progress(request), 300)).rstrip(".")
        said.append(f"{who(request.requester)} asked to {VERBS[request.action]} ({request.label}): {state}.")
    return fallback(*said)
