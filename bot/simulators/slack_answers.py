"""What Slack does with the bot's answers: shows them, changes the modal, or tells the person that something went wrong."""

from dataclasses import replace
from typing import Any

from bot.simulators.slack_blocks import faults_in_suggestions
from bot.simulators.slack_chat import Chat
from bot.simulators.slack_delivery import Ack
from bot.simulators.slack_elements import options_of
from bot.simulators.slack_state import ApiError, SlackState
from bot.simulators.slack_views import Views

TROUBLE = "We had some trouble connecting. Try again?"
_ANSWERED = frozenset({"text", "blocks", "response_type", "mrkdwn", "unfurl_links", "unfurl_media"})


class Answers:
    """Applies the bot's answers to the acts of people."""

    def __init__(self, state: SlackState, chat: Chat, views: Views) -> None:
        self._state = state
        self._chat = chat
        self._views = views

    def to_command(self, user: str, channel: str, command: str, ack: Ack) -> None:
        """Shows the text in the answer to a slash command, privately unless it says otherwise."""
        if ack.status != 200:
            self._state.notify(user, f'{command} failed with the error "{ack.error or "http_client_error"}"')
            return
        answer = ack.data
        if not answer:
            return
        if unknown := sorted(set(answer) - _ANSWERED):
            self._state.break_rule(f"answer to {command}: cannot read {unknown}")
        try:
            self._chat.check_content(answer)
        except ApiError as refused:
            self._state.notify(user, f'{command} failed with the error "{refused.error}"')
        else:
            self._chat.answer(user, self._state.cast.channels[channel], answer)

    def to_press(self, user: str, ack: Ack) -> Ack:
        """Warns the person when a press got no good answer; otherwise there is nothing to show."""
        if ack.status != 200:
            self._state.notify(user, f"That did not work ({ack.error or ack.status})")
        return ack

    def to_submission(self, user: str, view: dict[str, Any], ack: Ack) -> Ack:
        """Closes the modal, or does what the answer asks for instead."""
        if ack.status != 200:
            self._state.notify(user, TROUBLE)
            return ack
        # The bot may have updated or closed the view by a method before it answered.
        now = self._views.find(user, view["id"])
        if now is None:
            return ack
        try:
            self._apply(user, now, ack.data)
        except ApiError as refused:
            self._state.break_rule(f"answer to a submission: {refused.error}")
            self._state.notify(user, TROUBLE)
            return replace(ack, error=refused.error)
        return ack

    def _apply(self, user: str, view: dict[str, Any], answer: dict[str, Any]) -> None:
        fields = {"errors": {"errors"}, "update": {"view"}, "push": {"view"}, "clear": set(), None: set()}
        action = answer.get("response_action")
        if action not in fields or set(answer) - {"response_action"} != fields[action]:
            raise ApiError("invalid_response_action")
        match action:
            case "errors":
                self.show_errors(view, self._checked_errors(view, answer["errors"]))
            case "update":
                self._views.replace(user, view, answer["view"])
            case "push":
                self._views.push(user, answer["view"])
            case "clear":
                self._views.close_all(user)
            case _:
                self._views.close(user, view)

    def _checked_errors(self, view: dict[str, Any], errors: Any) -> dict[str, str]:
        inputs = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
            raise ApiError("errors_not_on_input_blocks")
        if not all(isinstance(words, str) and words for words in errors.values()):
            raise ApiError("errors_without_words")
        return errors

    def show_errors(self, view: dict[str, Any], errors: dict[str, str]) -> None:
        """Shows a sentence under each of these inputs."""
        self._state.errors[view["id"]] = errors
        self._state.touch()

    def to_suggestion(self, place: tuple[str, str, str], ack: Ack) -> Ack:
        """Keeps the options a bot offers in an external select; unsound ones show nothing, as with Slack."""
        self._state.suggested[place] = []
        if ack.status != 200:
            return ack
        if faults := faults_in_suggestions(ack.data):
            self._state.broken += [f"suggestion: {fault}" for fault in faults]
            return replace(ack, error="invalid_options")
        self._state.suggested[place] = self._state.completed(options_of(ack.data))
        return ack

    def close_modal(self, user: str, view: dict[str, Any]) -> None:
        """Closes this modal."""
        self._views.close(user, view)

    def close_modals(self, user: str) -> None:
        """Closes all modals of this person."""
        self._views.close_all(user)
