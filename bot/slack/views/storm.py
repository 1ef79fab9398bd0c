"""Many failures at once in one message, each named on a line of its own."""

from bot.domain.incident import Incident
from bot.domain.messages import Storm
from bot.domain.text import shorten
from bot.slack.blocks import MESSAGE_TEXT, Rendered, button, context, escape, fallback, header, plain, section
from bot.slack.views.controls import Control, handle_of
from bot.slack.views.phrases import name_of

LINES = 45


def storm(shown: Storm) -> Rendered:
    """One line and button per failure; should there be more than one message holds, it says how many are missing."""
    incidents = shown.incidents[:LINES]
    limit = (MESSAGE_TEXT - 1000) // max(len(incidents), 1) - 20
    first, last = (incidents[0].label, incidents[-1].label) if incidents else ("none", "none")
    at = f"storm-{first}-{last}"
    said = f"🔴 {len(shown.incidents)} failures at once"
    blocks = [header(said, f"{at}-head")]
    for number, incident in enumerate(incidents):
        show = button("Show card", Control.SHOW_CARD, str(handle_of(incident)))
        blocks.append(section(plain(_line(incident, limit), limit), f"{at}-{number}", show))
    if missing := len(shown.incidents) - len(incidents):
        blocks.append(context([plain(f"and {missing} more; /resume list shows them")], f"{at}-more"))
    names = "; ".join(f"{escape(shorten(name_of(each), 40))} ({escape(each.execution_id)})" for each in incidents)
    return Rendered(fallback(f"{said}: {names}"), blocks)


def _line(incident: Incident, limit: int) -> str:
    """`inc-42 · name · at stage · id on connection`: the id whole, the rest in what room is left."""
    end = f" · {incident.execution_id} on {incident.connection}"
    stage = f" · at {shorten(incident.stage, 60)}" if incident.stage else ""
    start = f"{incident.label} · "
    return start + shorten(name_of(incident), max(limit - len(start) - len(stage) - len(end), 10)) + stage + end
