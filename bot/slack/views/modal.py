"""Forms: pick a failure, pick a stage, say why, fill in a start; and the modal that loads or says the last word."""

from bot.domain.execution import Action, InputKind, StartInput
from bot.domain.incident import Incident
from bot.domain.messages import Modal, PickFailure, PickPoint, RejectReason, StartForm, Tone, Word
from bot.domain.text import shorten
from bot.slack.blocks import (
    LABEL,
    OPTIONS,
    Block,
    Element,
    context,
    field_of_form,
    lines,
    mrkdwn,
    option,
    plain,
    rich,
    section,
    select,
    words,
    written,
)
from bot.slack.views.answers import MARKS, choices_of, said
from bot.slack.views.controls import EXECUTION_BLOCK, Control, Form, handle_of, memo, points_mark
from bot.slack.views.incident import stage_options
from bot.slack.views.phrases import VERBS, execution, name_of, subject_of

INPUTS = 16  # fifteen of a pipeline, and its notes
FAILURES = 500
EXPLAINED = 10  # up to so many points the form says of each what it does
TITLES = {Tone.INFO: "Resume", Tone.REFUSED: "Not done", Tone.TROUBLE: "Trouble", Tone.DONE: "Done"}


def modal(shown: Modal, external_id: str) -> Block:
    """The view under our own external id, by which it can be changed later."""
    match shown:
        case PickFailure():
            view = _pick_failure(shown)
        case PickPoint():
            view = _pick_point(shown)
        case RejectReason():
            view = _reject(shown)
        case StartForm():
            view = _start(shown)
        case Word():
            blocks = [*said(MARKS[shown.tone] + shown.text, shown.foreign), *choices_of(shown.choices)]
            view = _view(Form.WORD, TITLES[shown.tone], blocks)
    return view | {"external_id": external_id}


def _view(form: Form, title: str, blocks: list[Block], submit: str = "", remembered: str = "") -> Block:
    made: Block = {
        "type": "modal",
        "callback_id": form.value,
        "title": plain(title, 24),
        "close": plain("Cancel" if submit else "Close", 24),
        "blocks": blocks,
    }
    if submit:
        made["submit"] = plain(submit, 24)
    return made | ({"private_metadata": remembered} if remembered else {})


def _pick_failure(shown: PickFailure) -> Block:
    blocks: list[Block] = []
    if shown.error:
        blocks.append(section(plain(f"🚫 {shown.error}"), "error"))
    options = [_failure(incident) for incident in shown.incidents[:FAILURES]]
    if options:
        choice = select(options, Control.FAILURE, options[0], "An open failure")
        blocks.append(field_of_form("Open failures", choice, "failure", is_optional=True))
    else:
        blocks.append(section(plain("No failure is open."), "none"))
    blocks.append(
        field_of_form(
            "Or an execution: its id or link" if options else "An execution: its id or link",
            written(Control.EXECUTION, limit=1000, placeholder="connection:id, id or link"),
            EXECUTION_BLOCK,
            hint="What is written here goes before the choice above." if options else "",
            is_optional=bool(options),
        )
    )
    return _view(Form.PICK_FAILURE, "Resume", blocks, "Next", memo(channel=shown.channel))


def _failure(incident: Incident) -> Element:
    """A label with the id whole as long as that leaves a word of the name."""
    end = f" · {shorten(incident.execution_id, LABEL - 18)}"
    stage = f" · {incident.stage}" if incident.stage else ""
    start = shorten(name_of(incident) + stage, LABEL - len(end))
    return option(start + end, str(handle_of(incident)))


def _pick_point(shown: PickPoint) -> Block:
    incident = shown.incident
    rows = [
        [words(name_of(incident), limit=300, bold=True)],
        [words("Execution "), execution(incident.execution_id), words(f" on {incident.connection} ({incident.label})")],
    ]
    if incident.stage:
        rows.append([words("Failed stage: "), words(incident.stage, limit=300, bold=True)])
    blocks = [rich([lines(*rows)], "incident")]
    if shown.again_of is not None:
        warning = (
            f"⚠️ An earlier call (req-{shown.again_of}) may have run: its outcome is unknown. Pressing again may run it twice."
        )
        blocks.append(section(plain(warning), "warning"))
    if not shown.points:
        reason = incident.seen.no_points if incident.seen else ""
        blocks.append(section(plain(reason or "There is no stage to resume from at the moment."), "none"))
        return _view(Form.WORD, "Resume", blocks)
    is_kill = shown.points[0].action is Action.KILL
    options = stage_options(shown.points)
    keys = [point.key for point in shown.points]
    initial = options[keys.index(shown.selected)] if shown.selected in keys else options[0]
    mark = points_mark(shown.points, incident.seen.baseline if incident.seen else "")
    choice = select(options, Control.STAGE, initial, "Stage to resume from")
    blocks.append(field_of_form("What to do" if is_kill else "Resume from", choice, f"{incident.label}-{mark}-stage"))
    explained = shown.points if len(shown.points) <= EXPLAINED else (shown.points[options.index(initial)],)
    told = [[words(point.label, limit=100, bold=True), words(f": {point.sentence}", limit=500)] for point in explained]
    blocks.append(rich([lines(*told)], f"{incident.label}-{mark}-points"))
    if shown.wants_reason:
        blocks.append(_reason("Why?", "The approvers and the audit trail see it."))
    remembered = memo(handle=str(handle_of(incident)), again_of=shown.again_of)
    title, submit = ("End", "Kill it") if is_kill else ("Resume", "Retry")
    return _view(Form.PICK_POINT, title, blocks, submit, remembered)


def _reject(shown: RejectReason) -> Block:
    request = shown.request
    rows = [
        [words(f"{request.label}: {VERBS[request.action]} "), words(subject_of(request), limit=300, bold=True)],
        [words(request.point.label, limit=300)],
    ]
    blocks = [rich([lines(*rows)], "request"), _reason("Why is it rejected?", "The requester and the audit trail see it.")]
    return _view(Form.REJECT, "Reject", blocks, "Reject", memo(handle=str(handle_of(request))))


def _reason(label: str, hint: str) -> Block:
    return field_of_form(label, written(Control.REASON, limit=1000, is_long=True), "reason", hint=hint)


def _start(shown: StartForm) -> Block:
    target = shown.target
    where = f" ({target.place}) on {target.connection}" if target.place else f" on {target.connection}"
    blocks = [rich([lines([words(target.name, bold=True), words(where, limit=300)])], "target")]
    if target.refusal:
        return _view(Form.WORD, "Not done", [*blocks, section(plain(f"🚫 {target.refusal}"), "refusal")])
    asked = sorted(
        [each for each in target.inputs if each.kind is not InputKind.SECRET and len(each.key) <= 200],
        key=lambda each: not each.is_required,
    )
    blocks += [_input(number, each) for number, each in enumerate(asked[:INPUTS])]
    if left_out := [each.label or each.key for each in target.inputs if each not in asked[:INPUTS]]:
        names = shorten(", ".join(left_out), 300)
        blocks.append(context([plain(f"Not asked for here, left at what the engine has: {names}", 500)], "left-out"))
    if shown.wants_reason:
        blocks.append(_reason("Why?", "The approvers and the audit trail see it."))
    if not asked and not shown.wants_reason:
        blocks.append(section(mrkdwn("It takes no inputs."), "no-inputs"))
    remembered = memo(channel=shown.channel, connection=target.connection, target=target.key, name=shorten(target.name, 300))
    return _view(Form.START, "Start", blocks, "Start", remembered)


def _input(number: int, asked: StartInput) -> Block:
    element = _input_element(asked)
    is_free = element["type"] == "plain_text_input"
    hint = asked.hint or (f"One of: {', '.join(asked.choices)}" if asked.choices and is_free else "")
    label, block_id = asked.label or asked.key, f"input-{number}-{asked.key}"
    return field_of_form(label, element, block_id, hint=hint, is_optional=not asked.is_required)


def _input_element(asked: StartInput) -> Element:
    choices = list(dict.fromkeys(choice for choice in asked.choices if choice))
    if asked.kind is InputKind.CHOICE and choices and max(map(len, choices)) <= LABEL:
        options = [option(choice, choice) for choice in choices[: OPTIONS * OPTIONS]]
        initial = options[choices.index(asked.default)] if asked.default in choices else None
        return select(options, Control.INPUT, initial, "Choose")
    if asked.kind is InputKind.NUMBER:
        made: Element = {"type": "number_input", "action_id": Control.INPUT.value, "is_decimal_allowed": True}
        return made | ({"initial_value": asked.default} if _is_number(asked.default) else {})
    return written(Control.INPUT, initial=asked.default)


def _is_number(text: str) -> bool:
    whole, _, part = text.removeprefix("-").partition(".")
    return whole.isascii() and whole.isdecimal() and (not part or (part.isascii() and part.isdecimal())) and len(text) <= 64
