"""Private answers: a sentence with what can be chosen next, a list, an audit trail."""

from bot.domain.incident import Incident
from bot.domain.messages import Answer, Choice, Line, Listing, Tone, Trail, TrailEntry
from bot.domain.request import Request
from bot.domain.text import shorten
from bot.slack.blocks import (
    MESSAGE_TEXT,
    Block,
    Element,
    Rendered,
    actions,
    button,
    context,
    escape,
    fallback,
    header,
    lines,
    link,
    moment,
    mrkdwn,
    person,
    plain,
    preformatted,
    rich,
    section,
    select,
    text_length,
    words,
)
from bot.slack.views.controls import Control, handle_of, points_mark
from bot.slack.views.incident import stage_options, stages_need_form
from bot.slack.views.phrases import VERBS, at_point, name_of, standing, subject_of, title_of

ROWS = 40
MARKS = {Tone.INFO: "", Tone.REFUSED: "🚫 ", Tone.TROUBLE: "⚠️ ", Tone.DONE: "✅ "}


def answer(shown: Answer) -> Rendered:
    """Our sentence, the text of others literally below it, and what can be pressed next."""
    blocks = said(MARKS[shown.tone] + shown.text, shown.foreign)
    if shown.incident and shown.points:
        blocks += _stages(shown.incident, shown)
    blocks += choices_of(shown.choices)
    foreign = escape(shorten(shown.foreign, 1000))
    return Rendered(fallback(MARKS[shown.tone] + shown.text[:2500], foreign), blocks)


def choices_of(choices: tuple[Choice, ...]) -> list[Block]:
    """A button for each of several things a person may have meant."""
    made = [button(choice.label, f"{Control.CHOOSE}:{number}", choice.argument) for number, choice in enumerate(choices)]
    return [actions(made, "choices")] if made else []


def said(text: str, foreign: str) -> list[Block]:
    """Our own mrkdwn, cut at line ends where it is longer than a section holds, and literal text below."""
    parts = _paragraphs(text[:6000])
    blocks = [section(mrkdwn(part), f"text-{number}") for number, part in enumerate(parts)]
    return [*blocks, rich([preformatted(foreign)], "foreign")] if foreign else blocks


def _paragraphs(text: str) -> list[str]:
    parts = [""]
    for row in text.split("\n"):
        if parts[-1] and len(parts[-1]) + len(row) > 2800:
            parts.append(row)
        else:
            parts[-1] = f"{parts[-1]}\n{row}" if parts[-1] else row
    return [part for part in parts if part.strip()] or [text.strip()]


def _stages(incident: Incident, shown: Answer) -> list[Block]:
    retry = button("Retry", Control.RETRY, str(handle_of(incident)), style="primary")
    mark = points_mark(shown.points, incident.seen.baseline if incident.seen else "")
    if stages_need_form(shown.points):
        return [actions([retry], f"{incident.label}-{mark}-stage")]
    options = stage_options(shown.points)
    choice = select(options, Control.STAGE, options[0], "Stage to resume from")
    return [actions([choice, retry], f"{incident.label}-{mark}-stage")]


def listing(shown: Listing) -> Rendered:
    """A heading and a line each; what does not fit is counted."""
    rows = [row(line, f"row-{number}", 200) for number, line in enumerate(shown.lines[:ROWS])]
    blocks: list[Block] = [header(shown.heading, "head"), *rows]
    if not rows and not shown.foreign:
        blocks.append(section(plain(shown.empty), "empty"))
    if shown.foreign:
        room = MESSAGE_TEXT - 400 - text_length(blocks)
        blocks.append(rich([preformatted("\n".join(shorten(text, 300) for text in shown.foreign), max(room, 1))], "foreign"))
    if missing := shown.more + len(shown.lines) - len(rows):
        blocks.append(context([plain(f"and {missing} more")], "more"))
    texts = [summary(line, 150) for line in shown.lines[:ROWS]]
    rest = [shorten(text, 150) for text in shown.foreign[:ROWS]]
    told = "; ".join(escape(text) for text in [*texts, *rest]) or escape(shown.empty)
    return Rendered(fallback(f"{escape(shown.heading)}:", told), blocks)


def row(line: Line, block_id: str, limit: int) -> Block:
    """A line of a list: linked to its message, or with a button that shows the card again."""
    text = summary(line, limit)
    if line.link:
        asked = [words(", asked for by "), person(line.request.requester)] if line.request else []
        return rich([lines([link(line.link, text), *asked])], block_id)
    if line.incident and not line.request:
        return section(plain(text), block_id, button("Show card", Control.SHOW_CARD, str(handle_of(line.incident))))
    return section(plain(text), block_id)


def summary(line: Line, limit: int) -> str:
    """The incident or request in one line of raw text: its id and its execution whole, the rest in the room left."""
    if line.request:
        return _request_summary(line.request, limit)
    if line.incident is None:
        return "–"
    incident = line.incident
    start, end = f"{standing(incident, None)}: ", f" · {incident.execution_id} on {incident.connection} ({incident.label})"
    stage = f" · at {shorten(incident.stage, 40)}" if incident.stage else ""
    return start + shorten(name_of(incident), max(limit - len(start) - len(stage) - len(end), 10)) + stage + end


def _request_summary(request: Request, limit: int) -> str:
    start = f"{title_of(request)}: {request.label}, {VERBS[request.action]} "
    end = f" {at_point(request, 60)}".rstrip()
    if request.execution_id:
        end += f" · {request.execution_id} on {request.connection}"
    return start + shorten(subject_of(request), max(limit - len(start) - len(end), 10)) + end


def trail(shown: Trail) -> Rendered:
    """The entries in their order, as many as one message holds; the rest is counted."""
    rows: list[list[Element]] = []
    room = MESSAGE_TEXT - 500
    for entry in shown.entries:
        made = _entry(entry)
        room -= text_length(made) + 1
        if room < 0:
            break
        rows.append(made)
    blocks: list[Block] = [header(shown.heading, "head")]
    blocks.append(rich([lines(*rows)], "entries") if rows else section(plain("No entries."), "empty"))
    if missing := shown.more + len(shown.entries) - len(rows):
        blocks.append(context([plain(f"and {missing} more; resumebot audit query shows all")], "more"))
    told = "; ".join(escape(f"{entry.action} by {entry.actor}") for entry in shown.entries[:40]) or "No entries."
    return Rendered(fallback(f"{escape(shown.heading)}:", told), blocks)


def _entry(entry: TrailEntry) -> list[Element]:
    made = [moment(entry.at), words(" "), words(entry.action, code=True, limit=100), words(" "), person(entry.actor)]
    return [*made, words(f" {shorten(entry.detail, 300)}")] if entry.detail else made
