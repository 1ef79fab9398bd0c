"""The Bolt app: registers the listeners, keeps the deadline, and has a last answer for whatever goes wrong.

gate ─▶ Bolt (answers within the request) ─▶ listener ─▶ one transaction ─▶ answer        late or broken ─▶ 200 + "try again"
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ChatError, Refusal
from bot.domain.messages import Answer, Tone, Word
from bot.patience import Patience
from bot.slack.api import answer_of
from bot.slack.chat import SlackChat
from bot.slack.listeners import Listener, Listeners, Reply
from bot.slack.orders import RESUME, START
from bot.slack.payloads import RESUME_ANY, RESUME_THIS
from bot.slack.views import render, render_modal
from bot.slack.views.controls import ANY_ACTION, ANY_FORM

log = logging.getLogger(__name__)
DEADLINE = 2.3  # seconds: Slack waits 3
LAST_WORD = 1.0  # seconds for the best-effort post to a response_url
NOT_CONFIRMED = "I could not confirm that in time. Pressing again is safe: nothing is done twice."
NOT_OPENED = "Slack did not let me open the form. Please try again"
NEEDS_NONE = ", or type `/resume <execution> [stage]`, which needs none"
NOT_KNOWN = "I do not know that. It may be of an older version of me; please use a newer message, or see `/resume help`."

EVENTS = ("app_home_opened", "subteam_members_changed", "member_joined_channel", "member_left_channel")


class SlackApp:
    """Bolt with our listeners; `bolt` is what adapters serve."""

    def __init__(self, listeners: Listeners, chat: SlackChat, opener: AsyncWebClient, identity: AuthorizeResult) -> None:
        self._chat, self._opener = chat, opener
        self._patience = Patience()

        async def authorize(**_: Any) -> AuthorizeResult:
            return identity  # Bolt's own would ask Slack inside the first request

        self.bolt = AsyncApp(
            client=opener,
            authorize=authorize,
            process_before_response=True,
            request_verification_enabled=False,  # the gate has verified
            signing_secret="verified-by-the-gate",  # noqa: S106 — required and not used
            ignoring_self_events_enabled=False,
            raise_error_for_unhandled_request=True,  # so that we answer: Bolt's own answer is a 404
            logger=logging.getLogger("bot.slack.bolt"),
        )
        for command in (RESUME, START):
            self.bolt.command(command)(self._guarded(listeners.command))
        self.bolt.action(ANY_ACTION)(self._guarded(listeners.action))
        self.bolt.view(ANY_FORM)(self._guarded(listeners.submission))
        for callback_id in (RESUME_THIS, RESUME_ANY):
            self.bolt.shortcut(callback_id)(self._guarded(listeners.shortcut))
        for event in EVENTS:
            self.bolt.event(event)(self._guarded(listeners.event))
        self.bolt.error(self._last_resort)

    def _guarded(self, listener: Listener) -> Callable[..., Awaitable[None]]:
        async def guarded(ack: AsyncAck, body: dict[str, Any]) -> None:
            begun = time.monotonic()
            try:
                reply = await self._patience.within(DEADLINE, listener(body))
            except Refusal as refusal:
                await ack(**self._words(body, str(refusal)))
                return
            except Exception as fault:
                log.exception("a delivery could not be handled", extra=_kind(fault), exc_info=_harmless(fault))
                await ack(**self._words(body, NOT_CONFIRMED, Tone.TROUBLE))
                return
            if reply.opens is not None and not await self._open(reply, DEADLINE - (time.monotonic() - begun)):
                await ack(**self._words(body, f"{NOT_OPENED}{NEEDS_NONE if 'command' in body else ''}."))
                return
            await _answer(ack, reply)

        return guarded

    async def _open(self, reply: Reply, left: float) -> bool:
        """Whether Slack has opened the form, as far as it says in time."""
        assert reply.opens is not None  # noqa: S101 — the caller has looked
        view = render_modal(reply.opens, reply.external_id)
        call = self._opener.views_open(trigger_id=reply.trigger_id, view=view)
        try:
            await answer_of("views.open", call, max(left, 0.2))
        except ChatError as error:
            log.warning("a form could not be opened", extra={"code": error.code})
            return False
        return True

    def _words(self, body: Mapping[str, Any], words: str, tone: Tone = Tone.REFUSED) -> dict[str, Any]:
        """The answer that says this to the person alone; where none is shown, they are told through the response_url."""
        if "command" in body:
            made = render(Answer(words, tone))
            return {"text": made.text, "blocks": made.blocks, "response_type": "ephemeral"}
        if body.get("type") == "view_submission":
            return {"response_action": "update", "view": render_modal(Word(words, tone), "")}
        response_url = body.get("response_url")
        if isinstance(response_url, str) and response_url:
            self._tell(response_url, words)
        return {}

    def _tell(self, response_url: str, words: str) -> None:
        """One best-effort private word, after the answer."""

        async def post() -> None:
            with suppress(ChatError, TimeoutError):
                async with asyncio.timeout(LAST_WORD):
                    await self._chat.answer(response_url, Answer(words, Tone.TROUBLE))

        self._patience.start(post())

    async def _last_resort(self, error: Exception, body: Mapping[str, Any]) -> BoltResponse:
        """What nobody listens for, and what Bolt itself stumbles over: 200, a log line, a private word where one is shown."""
        is_unknown = isinstance(error, BoltUnhandledRequestError)
        log.log(logging.WARNING if is_unknown else logging.ERROR, "a delivery was not understood", extra=_kind(error))
        content = self._words(body, *((NOT_KNOWN,) if is_unknown else (NOT_CONFIRMED, Tone.TROUBLE)))
        return BoltResponse(status=200, body=content or "")


async def _answer(ack: AsyncAck, reply: Reply) -> None:
    if reply.becomes is not None:
        await ack(response_action="update", view=render_modal(reply.becomes, reply.external_id))
    elif reply.closes:
        await ack(response_action="clear")
    elif reply.says is not None:
        made = render(reply.says)
        await ack(text=made.text, blocks=made.blocks, response_type="ephemeral")
    elif reply.text:
        await ack(text=reply.text, response_type="ephemeral")
    else:
        await ack()


def _kind(fault: Exception) -> dict[str, str]:
    return {"fault": type(fault).__name__}


def _harmless(fault: Exception) -> Exception | None:
    """The fault for the log's traceback; database faults carry statements and values, so only their kind is logged."""
    return None if type(fault).__module__.startswith(("sqlalchemy", "psycopg")) else fault
