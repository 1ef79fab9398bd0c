"""Socket Mode: Slack's deliveries over a connection that we open, to the same Bolt app as over HTTP.

apps.connections.open ─▶ an address for one connection ─▶ Line ─▶ envelope ─▶ Bolt ─▶ one transaction ─▶ acknowledged
         ▲                                                  │
         └───── lost, silent, or about to be taken away ────┘     the old line is read until it ends
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ChatError, ChatRateLimited, ChatRefused, ConfigError
from bot.slack.socket_line import SWITCHED_OFF, Line, ask_address

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds."""

    ask: float = 5.0  # for an address
    connect: float = 10.0  # until Slack's hello
    ping: float = 3.0  # a line that answers none for four times as long is given up
    first_wait: float = 1.0  # doubled with each miss
    longest_wait: float = 60.0
    steady: float = 30.0  # a line that lasted as long is replaced without waiting
    overlap: float = 30.0  # Slack gives notice about 10 s before it takes a line away
    drain: float = 4.0  # a listener answers within 2.3 s, a form it opens included


class SocketMode:
    """Keeps a connection to Slack while it runs; what comes over it is answered once the listener has committed."""

    def __init__(self, bolt: AsyncApp, client: AsyncWebClient, app_token: str, pace: Pace | None = None) -> None:
        self._bolt, self._client, self._token, self._pace = bolt, client, app_token, pace or Pace()
        self._ending = asyncio.Event()
        self._address: str | None = None
        self._is_known = False  # whether Slack has taken our token once
        self._misses = 0
        self._newest: Line | None = None
        self._lines: set[Line] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[Any]] = set()

    async def prepare(self) -> None:
        """Ask for a first address: ConfigError when Slack refuses our token; a silent Slack is asked again by `run`."""
        try:
            self._address = await self._ask()
        except ChatRefused as refused:
            raise refusal(refused) from None
        except ChatError as error:
            log.warning("Slack opens no connection for Socket Mode yet", extra={"code": error.code})

    async def run(self) -> None:
        """Stay connected until `stop`; then what is being handled is still answered."""
        staying, told = asyncio.create_task(self._stay_connected()), asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({staying, told}, return_when=asyncio.FIRST_COMPLETED)
            if staying.done():  # nothing but a fault ends it by itself
                await staying
        finally:
            self._ending.set()
            for task in (staying, told, *self._retiring):
                task.cancel()
            await asyncio.gather(staying, told, *self._retiring, return_exceptions=True)
            if self._running:
                await asyncio.wait(self._running, timeout=self._pace.drain)
            await asyncio.gather(*[self._drop(line) for line in self._lines])

    def stop(self) -> None:
        """Take no more deliveries; from now on Slack has them for another process, or sends them again."""
        self._ending.set()

    # ---- connections ---------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        while True:
            try:
                line = await self._connected()
            except ChatError as error:
                await self._missed(error)
            else:
                await self._while_it_lasts(line)

    async def _connected(self) -> Line:
        """A line over which Slack has said hello."""
        address, self._address = self._address, None  # good for one connection
        line = Line(address or await self._ask(), self._client, self._pace.ping)
        line.socket_mode_request_listeners.append(self._take)
        self._lines.add(line)
        try:
            await line.open(self._pace.connect)
        except ChatError:
            await self._drop(line)
            raise
        return line

    async def _ask(self) -> str:
        address = await ask_address(self._client, self._token, self._pace.ask)
        self._is_known = True
        return address

    async def _missed(self, error: ChatError) -> None:
        if isinstance(error, ChatRefused) and not self._is_known:
            raise refusal(error)
        self._misses += 1
        wait = error.wait if isinstance(error, ChatRateLimited) else self._backoff()
        level = logging.ERROR if isinstance(error, ChatRefused) else logging.WARNING
        log.log(level, "Socket Mode is not connected", extra={"code": error.code, "again_in": wait})
        await asyncio.sleep(wait)

    def _backoff(self) -> float:
        return min(self._pace.first_wait * 2.0 ** min(self._misses - 1, 10), self._pace.longest_wait)

    async def _while_it_lasts(self, line: Line) -> None:
        """Until it is spent: it is still read for a while then, and if it did not last, the next one has to wait."""
        begun, self._newest = time.monotonic(), line
        log.info("Socket Mode is connected", extra={"connections": line.connections})
        await line.spent.wait()
        level = logging.ERROR if line.reason == SWITCHED_OFF else logging.INFO
        log.log(level, "a Socket Mode connection ends and is replaced", extra={"reason": line.reason})
        retiring = asyncio.create_task(self._retire(line))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        if time.monotonic() - begun >= self._pace.steady:
            self._misses = 0
            return
        self._misses += 1
        await asyncio.sleep(self._backoff())

    async def _retire(self, line: Line) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.overlap):
                await line.gone.wait()
        await self._drop(line)

    async def _drop(self, line: Line) -> None:
        await line.close()
        self._lines.discard(line)

    # ---- deliveries ----------------------------------------------------------------------

    async def _take(self, line: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        task = asyncio.current_task()
        if self._ending.is_set() or task is None:
            return
        self._running.add(task)  # also keeps it alive: the library holds on to none of its tasks
        task.add_done_callback(self._running.discard)
        begun = time.time()
        response = await self._handled(request)
        if not request.accepts_response_payload:
            response.body = ""
        for each in (line, self._newest):  # an answer whose own line is gone may still be taken over the newest one
            if each is not None:
                with suppress(ConnectionError):
                    await send_async_response(each, request, response, begun)
                    return
        log.warning("an answer to Slack could not be sent: its connection is gone")

    async def _handled(self, request: SocketModeRequest) -> BoltResponse:
        try:
            response: BoltResponse = await run_async_bolt_app(self._bolt, request)
        except Exception as fault:  # noqa: BLE001 — a border: what is not acknowledged is sent again, and fails again
            log.warning("a delivery could not be parsed", extra={"fault": type(fault).__name__})
            return BoltResponse(status=200)
        return response


def refusal(refused: ChatRefused) -> ConfigError:
    """What to do about a token that Slack does not take."""
    return ConfigError(
        f"Slack refuses SLACK_APP_TOKEN ({refused.code}): make an app-level token (xapp-…) with the scope connections:write"
        " under “App-Level Tokens” of the app's page “Basic Information”, and switch on “Socket Mode”."
    )
