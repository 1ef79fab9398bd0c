"""The approval message in the card's thread: who asks for what, with which consequences, and who may decide."""

from bot.domain.messages import Approval
from bot.domain.request import Decision, Request, RequestState
from bot.domain.text import shorten
from bot.slack.blocks import (
    Block,
    Element,
    Rendered,
    actions,
    button,
    context,
    date_token,
    escape,
    fallback,
    header,
    lines,
    mrkdwn,
    plain,
    quoted,
    rich,
    section,
    words,
)
from bot.slack.views.controls import Control, handle_of
from bot.slack.views.phrases import VERBS, at_point, execution, mentions, progress, subject_of, title_of, who, with_reason

INPUTS = 16  # a form asks for fifteen at most


def approval(shown: Approval) -> Rendered:
    """The question while it is open, and afterwards what became of it; Withdraw stays until it is sent."""
    request = shown.request
    at = f"{request.label}-v{request.version}"
    blocks = [
        header(f"{title_of(request)}: {subject_of(request)}", f"{at}-head"),
        section(mrkdwn(f"{who(request.requester)} asks to {VERBS[request.action]}:"), f"{at}-who"),
        rich(_facts(shown), f"{at}-facts"),
        *_decisions(request, at),
    ]
    if request.state is RequestState.PENDING:
        blocks += _question(shown, at)
    else:
        blocks.append(context([plain(f"{request.label}: {progress(request)}", 1200)], f"{at}-state"))
    if controls := _controls(request):
        blocks.append(actions(controls, f"{at}-decide"))
    return Rendered(_fallback(shown), blocks)


def inputs_of(request: Request) -> list[list[Element]]:
    """The inputs of a start as lines, as many as fit."""
    named = [(request.input_labels.get(key, key), value) for key, value in request.inputs.items()]
    rows = [[words(f"{label} = ", limit=100), words(value, limit=300, code=True)] for label, value in named]
    more = [[words(f"and {len(rows) - INPUTS} more inputs")]] if len(rows) > INPUTS else []
    return [*rows[:INPUTS], *more]


def _facts(shown: Approval) -> list[Element]:
    request = shown.request
    rows: list[list[Element]] = [[words(request.point.label, limit=300, bold=True)]]
    if request.point.sentence:
        rows.append([words(request.point.sentence, limit=600)])
    if request.execution_id:
        where = words(f" on {request.connection}")
        rows.append([words("Execution "), execution(request.execution_id, shown.link), where])
    else:
        rows.append([words(f"On {request.connection}")])
    rows += inputs_of(request)
    if request.warning:
        rows.append([words(f"⚠️ {request.warning}", limit=1000)])
    parts = [lines(*rows)]
    return [*parts, quoted(request.reason, 1000)] if request.reason else parts


def _decisions(request: Request, at: str) -> list[Block]:
    return [
        rich([lines([words(decision.reason, limit=1000)])], f"{at}-reason-{number}")
        if is_reason
        else section(mrkdwn(decided(decision)), f"{at}-decision-{number}")
        for number, decision in enumerate(request.decisions[:10])
        for is_reason in ([False, True] if decision.reason else [False])
    ]


def decided(decision: Decision) -> str:
    """`✅ Approved by … at …`, in our own mrkdwn."""
    said = "✅ Approved by" if decision.is_approval else "🚫 Rejected by"
    return f"{said} {who(decision.actor)}, {date_token(decision.at)}"


def _question(shown: Approval, at: str) -> list[Block]:
    request = shown.request
    policies = f"Policy: {request.rules.names}"
    is_one = len(request.rules.policies) == 1
    wanted = ", ".join(f"{count} more" if is_one else f"{name}: {count} more" for name, count in shown.missing.items())
    small = [plain(with_reason(policies, wanted) if not wanted else f"{policies} · still wanted: {wanted}", 600)]
    small.append(mrkdwn(f"⌛ Expires {date_token(request.expires_at)}"))
    blocks = [context(small, f"{at}-policy")]
    if shown.mentions:
        blocks.append(section(mrkdwn(f"May decide: {mentions(shown.mentions)}"), f"{at}-mentions"))
    return blocks


def _controls(request: Request) -> list[Element]:
    value = str(handle_of(request))
    withdraw = button("Withdraw", Control.WITHDRAW, value)
    if request.state is RequestState.APPROVED:
        return [withdraw]
    if request.state is not RequestState.PENDING:
        return []
    return [
        button("Approve", Control.APPROVE, value, style="primary"),
        button("Reject", Control.REJECT, value, style="danger"),
        withdraw,
    ]


def _fallback(shown: Approval) -> str:
    request = shown.request
    name = escape(shorten(subject_of(request), 300))
    what = ", ".join(part for part in (escape(at_point(request, 300)), request.label) if part)
    if request.state is RequestState.PENDING:
        asked = f"{who(request.requester)} asks to {VERBS[request.action]} {name} ({what})."
        to = f"May decide: {mentions(shown.mentions)}." if shown.mentions else ""
        return fallback("Approval wanted:", asked, to)
    return fallback(f"{title_of(request)}: {name} ({what}).")
