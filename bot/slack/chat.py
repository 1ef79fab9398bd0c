"""The Chat port over Slack's Web API: each method is one call, told apart into done, wait, try later and never."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ChatRateLimited, ChatRefused, ChatUnavailable
from bot.domain.messages import Home, Modal, Shown
from bot.slack.api import TIMEOUT, answer_of, unreachable, wait_of
from bot.slack.views import render, render_home, render_modal

SLACK_HOOKS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
_NOT_THERE = frozenset({"user_not_in_channel", "channel_not_found", "not_in_channel", "is_archived"})
_PORTS = {"http": 80, "https": 443}


class SlackChat:
    """The chat of one workspace through one client, which must have no retry handlers: our own rows say what is due."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession, timeout: float = TIMEOUT) -> None:
        self._client = client
        self._session = session
        self._timeout = timeout

    async def post(self, channel: str, shown: Shown, thread_ts: str | None = None) -> str:
        """Post a message and return its ts."""
        made = render(shown)
        call = self._client.chat_postMessage(
            channel=channel, text=made.text, blocks=made.blocks, thread_ts=thread_ts, unfurl_links=False, unfurl_media=False
        )
        return _text(await answer_of("chat.postMessage", call, self._timeout), "ts")

    async def update(self, channel: str, ts: str, shown: Shown) -> None:
        """Change a message of ours in place."""
        made = render(shown)
        call = self._client.chat_update(channel=channel, ts=ts, text=made.text, blocks=made.blocks)
        await answer_of("chat.update", call, self._timeout)

    async def delete(self, channel: str, ts: str) -> None:
        """Take a message of ours away; one that is gone already is done."""
        try:
            await answer_of("chat.delete", self._client.chat_delete(channel=channel, ts=ts), self._timeout)
        except ChatRefused as refused:
            if refused.code != "message_not_found":
                raise

    async def whisper(self, channel: str, user: str, shown: Shown, thread_ts: str | None = None) -> None:
        """Tell one person alone: ephemeral in the channel, a direct message where that is impossible."""
        made = render(shown)
        call = self._client.chat_postEphemeral(
            channel=channel, user=user, text=made.text, blocks=made.blocks, thread_ts=thread_ts
        )
        try:
            await answer_of("chat.postEphemeral", call, self._timeout)
        except ChatRefused as refused:
            if refused.code not in _NOT_THERE:
                raise
            await self.post(user, shown)

    async def answer(self, response_url: str, shown: Shown) -> None:
        """Tell the person of a command or press; raises ChatRefused for an address that is not Slack's own, or used up."""
        if not self.may_follow(response_url):
            raise ChatRefused("foreign_response_url", "The response_url is not of Slack's own host, so it is not followed.")
        made = render(shown)
        body = {"response_type": "ephemeral", "replace_original": False, "text": made.text, "blocks": made.blocks}
        limit = aiohttp.ClientTimeout(total=self._timeout)
        try:
            async with self._session.post(response_url, json=body, timeout=limit, allow_redirects=False) as response:
                _check(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise unreachable("response_url", error) from None

    def may_follow(self, response_url: str) -> bool:
        """Whether the address is of Slack's own host, or of scheme, host and port of the Web API we are told to use."""
        try:
            asked, own = urlsplit(response_url), urlsplit(self._client.base_url)
            if asked.username is not None or asked.password is not None:
                return False
            return _origin(asked) == _origin(own) or (asked.hostname in SLACK_HOOKS and _origin(asked)[::2] == ("https", 443))
        except ValueError:
            return False

    async def update_view(self, external_id: str, modal: Modal) -> None:
        """Change an open modal; one that was closed meanwhile raises ChatRefused."""
        call = self._client.views_update(external_id=external_id, view=render_modal(modal, external_id))
        await answer_of("views.update", call, self._timeout)

    async def publish_home(self, user: str, home: Home) -> None:
        """Show a person their App Home."""
        call = self._client.views_publish(user_id=user, view=render_home(home))
        await answer_of("views.publish", call, self._timeout)


def _origin(address: SplitResult) -> tuple[str, str, int]:
    return address.scheme, address.hostname or "", address.port or _PORTS.get(address.scheme, 0)


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status == 429:
        raise ChatRateLimited(wait_of(response.headers))
    if response.status >= 500:
        raise ChatUnavailable(f"http_{response.status}", "Slack cannot take an answer to its response_url now.")
    if response.status != 200:
        raise ChatRefused(f"http_{response.status}", "Slack does not take this response_url any more.")


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise ChatUnavailable("unreadable_answer", f"Slack's answer has no {name}.")
    return value
