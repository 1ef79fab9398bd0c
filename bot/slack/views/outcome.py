"""Lines in the thread on how a request went, and the message of a start, which has no card."""

from bot.domain.execution import Action
from bot.domain.messages import Note, NoteKind, StartCard
from bot.domain.request import Request, RequestState
from bot.domain.text import shorten
from bot.slack.blocks import (
    Block,
    Element,
    Rendered,
    date_token,
    escape,
    fallback,
    header,
    lines,
    mrkdwn,
    person,
    preformatted,
    rich,
    section,
    words,
)
from bot.slack.views.approval import decided, inputs_of
from bot.slack.views.incident import unknown_controls
from bot.slack.views.phrases import VERBS, execution, is_doubtful, progress, subject_of, title_of, who

S = RequestState
ENDED = frozenset({S.SUCCEEDED, S.FAILED})


def note(shown: Note) -> Rendered:
    """One line in the thread; what no longer holds of the request is not said."""
    match shown.kind:
        case NoteKind.DECIDED:
            return _decided(shown.request)
        case NoteKind.HELD_BACK if shown.request.state is S.APPROVED:
            return _held_back(shown.request)
        case NoteKind.UNKNOWN if shown.request.state is S.UNKNOWN:
            return _unknown(shown.request)
        case NoteKind.RESULT if shown.request.state in ENDED:
            return _result(shown)
        case NoteKind.REMINDER if shown.request.state is S.PENDING:
            return _reminder(shown.request)
        case _:
            return _now(shown.request)


def start_card(shown: StartCard) -> Rendered:
    """What was asked to be started, by whom, and how it stands."""
    request = shown.request
    at = f"{request.label}-v{request.version}"
    asked = [person(request.requester), words(f" asked to {VERBS[request.action]} this ({request.label}): {progress(request)}")]
    rows: list[list[Element]] = [asked, [words(f"On {request.connection}")]]
    if request.new_execution or request.execution_id:
        rows.append([words("Execution "), execution(request.new_execution or request.execution_id, shown.link)])
    rows += inputs_of(request)
    parts = [lines(*rows)]
    if request.state is S.FAILED and request.outcome:
        parts.append(preformatted(request.outcome))
    blocks = [header(f"{title_of(request)}: {subject_of(request)}", f"{at}-head"), rich(parts, f"{at}-facts")]
    if request.state is S.UNKNOWN:
        blocks.append(unknown_controls(request, at))
    name = escape(shorten(subject_of(request), 300))
    said = f"{title_of(request)}: {name}, asked for by {who(request.requester)} ({request.label})."
    return Rendered(fallback(said), blocks)


def _decided(request: Request) -> Rendered:
    if not request.decisions:
        return _now(request)
    last = request.decisions[-1]
    said = f"{decided(last)} ({request.label})."
    if last.is_approval and request.state is S.PENDING:
        said += " More approvals are wanted."
    if not last.is_approval and request.has_ended_it:
        said += f" {escape(request.execution_id)} has been ended already."
    blocks = [section(mrkdwn(said), _at(request, "decided"))]
    if last.reason:
        blocks.append(rich([lines([words(last.reason, limit=1000)])], _at(request, "reason")))
    return Rendered(fallback(said, escape(shorten(last.reason, 1000))), blocks)


def _held_back(request: Request) -> Rendered:
    said = f"⏳ {request.label} is approved and cannot be sent yet. It is tried again by itself"
    said += f" until {date_token(request.expires_at)}."
    return _with_quote(request, said, request.outcome, "held")


def _unknown(request: Request) -> Rendered:
    said = (
        f"❔ *Unknown*: {request.label} left for the engine and no clear answer came, so it may have run. I keep looking."
        " Look at the engine yourself: if it did not run, *Press again* asks anew or *Close as not run* ends the request."
    )
    made = _with_quote(request, said, request.outcome, "unknown-said")
    plain_said = (
        f"❔ Unknown: {request.label} of {escape(shorten(subject_of(request), 300))} may have run."
        " Look at the engine, then press again or close it as not run."
    )
    return Rendered(fallback(plain_said), [*made.blocks, unknown_controls(request, f"{request.label}-v{request.version}")])


def _result(shown: Note) -> Rendered:
    request = shown.request
    is_success = request.state is S.SUCCEEDED
    again = "" if request.action is Action.START else " again"
    verdict = " succeeded" if is_success else f" failed{again}"
    if is_doubtful(request):
        verdict = f" probably{verdict}"
    seen = shown.incident.seen if shown.incident else None
    url = seen.link if seen and seen.ref == request.watched else ""
    rows = [
        [words("✅ " if is_success else "❌ "), words(subject_of(request), limit=300, bold=True), words(f"{verdict}.")],
        [words("Execution "), execution(request.watched.id, url), words(f" ({request.label})")],
    ]
    if request.doubt:
        rows.append([words(request.doubt, limit=1000)])
    parts = [lines(*rows)]
    if request.outcome:
        parts.append(preformatted(request.outcome))
    name = escape(shorten(subject_of(request), 300))
    said = f"{'✅' if is_success else '❌'} {name}{verdict} ({request.label})."
    quoted = [escape(shorten(text, 500)) for text in (request.doubt, request.outcome) if text]
    return Rendered(fallback(said, *quoted), [rich(parts, _at(request, "result"))])


def _reminder(request: Request) -> Rendered:
    said = f"⏰ {request.label} still waits for approval. It expires {date_token(request.expires_at)}."
    return Rendered(fallback(said), [section(mrkdwn(said), _at(request, "reminder"))])


def _now(request: Request) -> Rendered:
    said = f"{title_of(request)} ({request.label})."
    return _with_quote(request, said, request.outcome, "now")


def _with_quote(request: Request, said: str, foreign: str, name: str) -> Rendered:
    blocks: list[Block] = [section(mrkdwn(said), _at(request, name))]
    if foreign:
        blocks.append(rich([lines([words(foreign, limit=1000)])], _at(request, f"{name}-why")))
    return Rendered(fallback(said, escape(shorten(foreign, 1000))), blocks)


def _at(request: Request, name: str) -> str:
    return f"{request.label}-v{request.version}-{name}"
