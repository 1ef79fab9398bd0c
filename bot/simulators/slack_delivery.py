"""Carries what people do to the bot: signed as Slack signs, with three seconds to answer, events more than once if need be."""

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from bot.simulators.slack_state import APP_ID, SlackState

DEADLINE_SECONDS: Final = 3.0
RETRIES: Final = 3


@dataclass(frozen=True)
class Sent:
    """The exact bytes of one delivery, so that it can be sent again."""

    content: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Ack:
    """The bot's answer to one delivery; status 0 and an error when there was none, or when Slack did not even ask."""

    status: int = 0
    seconds: float = 0.0
    body: str = ""
    sent: Sent = Sent(b"", {})
    error: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """The answer as an object; plain text counts as the text of a message."""
        if not self.body.strip():
            return {}
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {"text": self.body}
        return parsed if isinstance(parsed, dict) else {"text": self.body}


def sign(secret: str, content: bytes, at: float | None = None) -> dict[str, str]:
    """The two headers by which the bot knows that a request is Slack's."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + content, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


class Deliveries:
    """The way from Slack to the bot."""

    def __init__(self, state: SlackState, secret: str, bot_url: str, http: httpx.AsyncClient | None) -> None:
        self.bot_url = bot_url
        self.deadline_s = DEADLINE_SECONDS
        self.acks: list[Ack] = []
        self._state = state
        self._secret = secret
        self._http = http
        self._own: httpx.AsyncClient | None = None
        self._undelivered: list[tuple[Sent, int, str]] = []

    async def close(self) -> None:
        """Ends the client, if it is our own."""
        if self._own:
            await self._own.aclose()
            self._own = None

    def _client(self) -> httpx.AsyncClient:
        if self._http:
            return self._http
        if self._own is None:
            # A connection per delivery: none is left over when the bot or the test ends.
            self._own = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))
        return self._own

    async def form(self, fields: dict[str, str]) -> Ack:
        """Delivers a slash command."""
        return await self.send(self._signed(urlencode(fields).encode(), "application/x-www-form-urlencoded"))

    async def payload(self, payload: dict[str, Any]) -> Ack:
        """Delivers an interaction."""
        return await self.form({"payload": json.dumps(payload)})

    async def event(self, event: dict[str, Any]) -> Ack:
        """Delivers an event, and once more at once if that fails; further tries come with `redeliver`."""
        cast = self._state.cast
        body = {
            "token": "unused",
            "team_id": cast.team_id,
            "context_team_id": cast.team_id,
            "context_enterprise_id": None,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": self._state.new_id("Ev"),
            "event_time": int(self._state.clock()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": cast.team_id,
                    "user_id": cast.bot.id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
            "event_context": self._state.new_id("ec"),
        }
        sent = self._signed(json.dumps(body).encode(), "application/json")
        ack = await self.send(sent)
        if not _wants_again(ack):
            return ack
        return await self._retry(sent, 1, _reason(ack))

    async def redeliver(self) -> list[Ack]:
        """The next try, minutes later with Slack, of every event that was not taken yet."""
        waiting, self._undelivered = self._undelivered, []
        return [await self._retry(*each) for each in waiting]

    async def _retry(self, sent: Sent, number: int, reason: str) -> Ack:
        fresh = self._signed(sent.content, sent.headers["Content-Type"])
        fresh.headers.update({"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason})
        ack = await self.send(fresh)
        if _wants_again(ack) and number < RETRIES:
            self._undelivered.append((sent, number + 1, _reason(ack)))
        return ack

    def _signed(self, content: bytes, kind: str) -> Sent:
        return Sent(content, {"Content-Type": kind, **sign(self._secret, content)})

    async def send(self, sent: Sent) -> Ack:
        """Delivers these bytes as they are."""
        since = time.monotonic()
        try:
            async with asyncio.timeout(self.deadline_s):
                got = await self._client().post(
                    self.bot_url + "/slack/events", content=sent.content, headers=sent.headers, timeout=None
                )
        except TimeoutError:
            ack = Ack(0, time.monotonic() - since, "", sent, "operation_timeout")
        except httpx.TransportError:
            ack = Ack(0, time.monotonic() - since, "", sent, "dispatch_failed")
        else:
            error = "" if got.is_success else "http_client_error" if got.status_code < 500 else "http_service_error"
            ack = Ack(got.status_code, time.monotonic() - since, got.text, sent, error, dict(got.headers))
        self.acks.append(ack)
        return ack


def _wants_again(ack: Ack) -> bool:
    return bool(ack.error) and ack.headers.get("x-slack-no-retry") != "1"


def _reason(ack: Ack) -> str:
    return {"operation_timeout": "http_timeout", "dispatch_failed": "connection_failed"}.get(ack.error, "http_error")
