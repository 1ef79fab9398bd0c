"""How what the core shows looks in Slack: pure functions from our objects to blocks."""

from bot.domain.messages import Answer, Approval, Card, Home, Listing, Modal, Note, Shown, StartCard, Storm, Trail
from bot.slack.blocks import Block, Rendered
from bot.slack.views.answers import answer, listing, trail
from bot.slack.views.approval import approval
from bot.slack.views.home import home
from bot.slack.views.incident import card
from bot.slack.views.modal import modal
from bot.slack.views.outcome import note, start_card
from bot.slack.views.storm import storm

__all__ = ["Rendered", "render", "render_home", "render_modal"]


def render(shown: Shown) -> Rendered:
    """A message: its blocks, and its text for notifications and screen readers."""
    match shown:
        case Card():
            return card(shown)
        case Approval():
            return approval(shown)
        case Note():
            return note(shown)
        case Storm():
            return storm(shown)
        case StartCard():
            return start_card(shown)
        case Answer():
            return answer(shown)
        case Listing():
            return listing(shown)
        case Trail():
            return trail(shown)


def render_modal(shown: Modal, external_id: str) -> Block:
    """A modal as views.open and views.update take it."""
    return modal(shown, external_id)


def render_home(shown: Home) -> Block:
    """A Home tab as views.publish takes it."""
    return home(shown)
