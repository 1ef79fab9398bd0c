"""The one way engines speak HTTP: reads that are repeated, calls that are not, answers with a limit, errors without secrets.

read       admit → kept connections → again after a refused connection, a time-out or a 5xx → Answer
send_once  admit → fresh connection → send_before? → bytes leave → Answer
                    NotSent           │ NotSent      │ OutcomeUnknown from here on
"""

import asyncio
import random
import re
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.domain.ports import Throttle

# Four calls in flight keep p99 at 5 ms where sixteen give 171 ms; one of them is kept for sends, which must not queue
# behind slow reads until their time has passed.
_READS_IN_FLIGHT = 3
_SENDS_IN_FLIGHT = 1
_LONGEST_WAIT = 3600.0
_LONGEST_TEXT = 500
_SHORTEST_SECRET = 4
_REDACTED = "[redacted]"
_CREDENTIAL = re.compile(r"\b(Bearer|Basic|TD1)\s+[^\s\"',;]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_NOTHING: Mapping[str, str] = MappingProxyType({})

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class CallLimits:
    """How long a call may take, in seconds, how often a read is tried, and how large an answer may be, in bytes."""

    connect: float = 5.0
    read: float = 10.0
    all_tries: float = 25.0
    send: float = 20.0
    tries: int = 3
    pause: float = 0.1
    body: int = 4_000_000


DEFAULT_LIMITS = CallLimits()


class AnswerTooLarge(ContractViolation):
    """The answer is larger than is read; a smaller page may fit."""


@dataclass(frozen=True)
class Answer:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def wait(self) -> float | None:
        """The seconds that Retry-After asks for, None when it asks for nothing that can be read."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdecimal():
            return min(float(value), _LONGEST_WAIT)
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        return min(max((until.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)


def boot_time() -> float:
    """Seconds on the boot-time clock, which goes on while the machine sleeps; monotonic where there is none."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def path_segment(value: str) -> str:
    """A foreign value as one segment of a path, whatever it contains."""
    if value in {"", ".", ".."}:
        raise ContractViolation("an empty name cannot be part of an address")
    return quote(value, safe="")


class EngineClient:
    """The calls of one connection. Addresses are paths below `base_url`; no redirect, no proxy, no environment."""

    def __init__(
        self,
        connection: str,
        base_url: str,
        throttle: Throttle,
        *,
        headers: Mapping[str, str] = _NOTHING,
        secrets: Iterable[str] = (),
        limits: CallLimits = DEFAULT_LIMITS,
        boot_clock: Callable[[], float] = boot_time,
    ) -> None:
        """`headers` go with every call; `secrets` appear in no error text, nor do their encoded forms."""
        self._connection = connection
        self._base_url = base_url.rstrip("/")
        self._throttle = throttle
        # Accept is exact because Restate answers anything else with a binary stream; identity keeps the size limit honest.
        self._headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "resumebot", **headers}
        self._secrets = _forms(secrets)
        self._limits = limits
        self._boot_clock = boot_clock
        self._reads = asyncio.Semaphore(_READS_IN_FLIGHT)
        self._sends = asyncio.Semaphore(_SENDS_IN_FLIGHT)

    async def read(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] = _NOTHING,
        json: object = None,
        headers: Mapping[str, str] = _NOTHING,
        expect: Collection[int] = (),
    ) -> Answer:
        """A call without effect, repeated where that helps: a 2xx or an expected status.

        Else raises Forbidden, NotFound, RateLimited, NotSent (cannot be reached), ContractViolation or Unsupported.
        """
        request = self._request(self._client, method, path, params=params or None, json=json, headers=headers)
        last = NotSent(f"{self._connection} did not answer in time.")
        try:
            async with self._reads, asyncio.timeout(self._limits.all_tries):
                for tried in range(self._limits.tries):
                    if tried:
                        await asyncio.sleep(self._limits.pause * 3 ** (tried - 1) * random.uniform(0.8, 1.2))  # noqa: S311
                    await self._throttle.admit()
                    try:
                        answer = await self._exchange(self._client, request)
                    except httpx.TransportError as error:
                        last = NotSent(self._unreachable(error))
                        continue
                    if answer.status < 500 or answer.status in expect:
                        return self._accepted(answer, expect)
                    last = NotSent(f"{self._connection} has a fault of its own (HTTP {answer.status}).")
        except TimeoutError:
            pass
        raise last from None

    async def send_once(
        self,
        method: str,
        path: str,
        *,
        send_before: float,
        params: Mapping[str, str] = _NOTHING,
        json: object = None,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """A call with effect, made at most once: whatever was answered.

        Else raises NotSent, OutcomeUnknown, ContractViolation, or Unsupported (what was given cannot be written).
        `send_before` is on the boot-time clock and is looked at when the connection stands, before the first byte leaves.
        """
        await self._throttle.admit()
        try:
            async with self._sends, self._fresh_client() as client, asyncio.timeout(None) as limit:
                guard = _SendGuard(send_before, self._boot_clock, limit, self._limits.send)
                guard.check()
                request = self._request(
                    client,
                    method,
                    path,
                    params=params or None,
                    json=json,
                    headers=headers,
                    extensions={"trace": guard.trace},
                )
                return await self._exchange(client, request)
        except _TooLateError:
            raise NotSent(f"The time to send this call to {self._connection} had passed.") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotSent(self._unreachable(error)) from None
        except (httpx.TransportError, TimeoutError):
            raise OutcomeUnknown(f"{self._connection} gave no answer: the call may or may not have taken effect.") from None

    def refusal(self, answer: Answer, harmless: Collection[int] = ()) -> EngineError | None:
        """What an answer's status means to all engines alike; None for a 2xx and for what only the engine can read.

        A 5xx to `send_once` is OutcomeUnknown unless the engine's contract calls that status `harmless`.
        """
        name, status = self._connection, answer.status
        error: EngineError | None = None
        match status:
            case _ if status in harmless:
                error = NotSent(f"{name} could not take the call (HTTP {status}).")
            case 401 | 403:
                error = Forbidden(f"{name} refuses our credential (HTTP {status}).")
            case 404:
                error = NotFound(f"{name} does not know this.")
            case 429:
                error = RateLimited(f"{name} asks to wait.", answer.wait)
            case _ if 300 <= status < 400:
                error = ContractViolation(f"{name} answered with a redirect, which is not followed.")
            case _ if status >= 500:
                error = OutcomeUnknown(f"{name} answered with a fault (HTTP {status}): the call may have taken effect.")
        return error

    def parse(self, answer: Answer, shape: type[Model]) -> Model:
        """The body as an object; ContractViolation, naming the place and not the content, when it is something else."""
        try:
            return shape.model_validate_json(answer.body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "body"
            sentence = f"{self._connection} gave an answer of an unknown form ({place}: {first['type']})."
            raise ContractViolation(self.redact(sentence)) from None

    def redact(self, text: str) -> str:
        """A foreign text fit for an error: one line, of limited length, without our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _REDACTED)
        text = _CREDENTIAL.sub(rf"\1 {_REDACTED}", text)
        return _CONTROL.sub(" ", text)[:_LONGEST_TEXT].strip()

    @property
    def longest_answer(self) -> int:
        """How many bytes of an answer are read."""
        return self._limits.body

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._client.aclose()

    @cached_property
    def _tls(self) -> SSLContext:
        # Reading the certificates of all authorities takes 20 ms and more; a context without any trusts nobody.
        is_plain = self._base_url.startswith("http:")
        return SSLContext(PROTOCOL_TLS_CLIENT) if is_plain else httpx.create_ssl_context(trust_env=False)

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        return self._new_client(self._limits.read, httpx.Limits(max_connections=_READS_IN_FLIGHT, keepalive_expiry=30))

    def _new_client(self, seconds: float, kept: httpx.Limits) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self._headers,
            timeout=httpx.Timeout(seconds, connect=self._limits.connect),
            limits=kept,
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
        )

    def _fresh_client(self) -> httpx.AsyncClient:
        # A kept connection may be dead without our knowing: the bytes would leave and no answer could come.
        return self._new_client(self._limits.send, httpx.Limits(max_connections=1, max_keepalive_connections=0))

    def _request(self, client: httpx.AsyncClient, method: str, path: str, **parts: Any) -> httpx.Request:
        try:
            return client.build_request(method, self._base_url + path, **parts)
        except (ValueError, RecursionError, httpx.InvalidURL):
            # Half a character, a number that is none, an address without end: no byte of it has left.
            raise Unsupported(
                f"Nothing was sent to {self._connection}: what was given cannot be written as a request."
            ) from None

    async def _exchange(self, client: httpx.AsyncClient, request: httpx.Request) -> Answer:
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ContractViolation(f"{self._connection} gave a compressed answer that was not asked for.")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > self._limits.body:
                    raise AnswerTooLarge(f"{self._connection} gave an answer of more than {self._limits.body} bytes.")
            return Answer(response.status_code, dict(response.headers.items()), bytes(body))
        finally:
            await response.aclose()

    def _accepted(self, answer: Answer, expect: Collection[int]) -> Answer:
        if answer.status in expect or 200 <= answer.status < 300:
            return answer
        raise self.refusal(answer) or ContractViolation(f"{self._connection} gave an unknown answer (HTTP {answer.status}).")

    def _unreachable(self, error: httpx.TransportError) -> str:
        # Only what is known to hold no header may be quoted.
        detail = str(error) if isinstance(error, httpx.ConnectError) else type(error).__name__
        return self.redact(f"{self._connection} cannot be reached: {detail or type(error).__name__}.")


class _TooLateError(Exception):
    """The time to send has passed; no byte of the request has left."""


class _SendGuard:
    """Looks at the clock when the connection stands and the first byte of the request is about to leave.

    Only from there on does the time for the whole answer run, so that its end always means an unknown outcome.
    """

    def __init__(self, send_before: float, clock: Callable[[], float], limit: asyncio.Timeout, seconds: float) -> None:
        self._send_before = send_before
        self._clock = clock
        self._limit = limit
        self._seconds = seconds

    def check(self) -> None:
        """Raise when it is too late."""
        if self._clock() >= self._send_before:
            raise _TooLateError

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """The transport tells of each step before it takes it; an error raised here stops it."""
        if event.endswith(".send_request_headers.started"):
            self._limit.reschedule(asyncio.get_running_loop().time() + self._seconds)
            self.check()


def _forms(secrets: Iterable[str]) -> tuple[str, ...]:
    plain = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
    parts = {part for secret in plain for part in secret.split(":", 1) if len(part) >= _SHORTEST_SECRET}
    coded = {form for secret in plain for form in (quote(secret, safe=""), b64encode(secret.encode()).decode())}
    return tuple(sorted(plain | parts | coded, key=len, reverse=True))
