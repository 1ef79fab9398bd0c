"""One Socket Mode connection: the library's client, kept from opening or writing down any address but the one it was given."""

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ChatUnavailable
from bot.domain.text import clean
from bot.slack.api import answer_of, unreachable
from bot.slack.gate import BODY_LIMIT

log = logging.getLogger(__name__)
HOSTS = ("slack.com", "slack-gov.com")
ANNOUNCED = frozenset({"warning", "refresh_requested"})  # the line carries deliveries for some seconds more
SWITCHED_OFF = "link_disabled"
LOST = "lost"
_CLOSE_WAIT = 1.0  # seconds for Slack's half of the farewell
_METHOD = "apps.connections.open"


async def ask_address(client: AsyncWebClient, app_token: str, timeout: float) -> str:
    """An address for one connection, a secret for as long as it is good. Raises as `answer_of` does."""
    answer = await answer_of(_METHOD, client.apps_connections_open(app_token=app_token), timeout)
    address = answer.get("url")
    if not isinstance(address, str) or not may_connect(address, client.base_url):
        raise ChatUnavailable("foreign_address", f"Slack's answer to {_METHOD} does not lead to Slack's own hosts.")
    return address


def may_connect(address: str, api: str) -> bool:
    """Whether the address is of Slack's own hosts, or of the host of the Web API we are told to use, not less encrypted."""
    try:
        asked, own = urlsplit(address), urlsplit(api)
        host, port = asked.hostname or "", asked.port
    except ValueError:
        return False
    if asked.username is not None or asked.password is not None:
        return False
    if asked.scheme == "wss" and port in {None, 443} and any(host == each or host.endswith(f".{each}") for each in HOSTS):
        return True
    return host == own.hostname and asked.scheme in ({"wss"} if own.scheme == "https" else {"ws", "wss"})


class Line(SocketModeClient):
    """One connection: `spent` when it wants to be replaced, `gone` when nothing comes over it any more."""

    def __init__(self, address: str, client: AsyncWebClient, ping: float) -> None:
        super().__init__(app_token="", web_client=client, ping_interval=ping)
        self.proxy = client.proxy  # the library would take the environment's also for an address of this machine
        self.wss_uri = address
        self.spent, self.gone = asyncio.Event(), asyncio.Event()
        self._settled = asyncio.Event()  # greeted, or gone
        self.reason = ""
        self.connections: int | None = None
        self.aiohttp_client_session.trace_configs.append(_no_redirects())
        self.on_error_listeners.append(self._broken)

    async def open(self, limit: float) -> None:
        """Connect and wait for Slack's hello. Raises ChatUnavailable."""
        try:
            async with asyncio.timeout(limit):
                await self.connect()
                await self._settled.wait()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as fault:
            raise unreachable("Socket Mode", fault) from None  # its own words repeat the address
        finally:
            self.wss_uri = None
        if self.gone.is_set():
            raise ChatUnavailable(self.reason, "Slack ended a Socket Mode connection before it began.")

    async def connect(self) -> None:
        """Connect once: the library's own tries one address for ever, and logs it."""
        self.current_session = await self.aiohttp_client_session.ws_connect(
            self.wss_uri or "",
            autoping=False,
            proxy=self.proxy,
            ssl=self.web_client.ssl if self.web_client.ssl is not None else True,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_WAIT),
            max_msg_size=4 * BODY_LIMIT,  # above it aiohttp ends the connection
        )
        self.current_session_monitor = asyncio.ensure_future(self.monitor_current_session())
        self.message_receiver = asyncio.ensure_future(self.receive_messages())

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        """What the library calls when the connection was closed or does not answer: say so."""
        self._end(LOST, is_gone=True)

    async def enqueue_message(self, message: str) -> None:
        """Pass over what the gate would refuse over HTTP."""
        if len(message) > BODY_LIMIT:
            log.warning("a delivery is too large and was passed over", extra={"size": len(message)})
            return
        await super().enqueue_message(message)

    async def process_message(self) -> None:
        """Pass over what is no JSON object, or too deep."""
        try:
            await super().process_message()  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError) as fault:
            log.warning("a delivery cannot be read and was passed over", extra={"fault": type(fault).__name__})

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        """Read what concerns the connection itself; hand on the rest."""
        match message.get("type"):
            case "hello":
                number = message.get("num_connections")
                self.connections = number if isinstance(number, int) else None
                self._settled.set()
            case "disconnect":
                reason = clean(str(message.get("reason")), 100)
                self._end(reason, is_gone=reason not in ANNOUNCED)
            case _:
                await super().run_message_listeners(message, raw_message)

    async def send_message(self, message: str) -> None:
        """Send over this very connection. Raises ConnectionError when it is gone."""
        assert self.current_session is not None  # noqa: S101 — what is answered came over it
        await self.current_session.send_str(message)

    async def close(self) -> None:
        """End it and all that belongs to it."""
        await super().close()  # type: ignore[no-untyped-call]
        tasks = [self.message_processor, self.current_session_monitor, self.message_receiver]
        await asyncio.gather(*[task for task in tasks if task is not None], return_exceptions=True)

    async def _broken(self, _: aiohttp.WSMessage) -> None:
        self._end(LOST, is_gone=True)

    def _end(self, reason: str, *, is_gone: bool) -> None:
        self.reason = self.reason or reason
        self.spent.set()
        if is_gone:
            self.gone.set()
            self._settled.set()


class _Redirected(aiohttp.ClientError):
    """Slack's host sends us elsewhere."""


def _no_redirects() -> aiohttp.TraceConfig:
    """What keeps a session from following them: aiohttp's websockets have no such switch."""

    async def refuse(*_: object) -> None:
        raise _Redirected

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(refuse)
    config.freeze()
    return config
