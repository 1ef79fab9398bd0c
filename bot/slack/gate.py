"""The gate before Bolt: what is too large, malformed, stale or not signed by Slack goes no further. Pure ASGI.

request ──▶ POST? ──▶ ≤ 1 MB? ──▶ headers well-formed? ──▶ within 5 min? ──▶ signature over the raw bytes? ──▶ Bolt
            405        413         401                      401              401
"""

import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias
from urllib.parse import parse_qs

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 1_000_000
WINDOW = 300
SIGNATURE = "slack_signature"  # key in the scope's state: the sha256 of the signature, one per request Slack made
_FORM = b"application/x-www-form-urlencoded"


class _Refused(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Gate:
    """Lets only Slack's own fresh requests through to `app`, their body untouched; any of `secrets` may have signed."""

    def __init__(self, app: App, secrets: Sequence[str], now: Callable[[], float] = time.time) -> None:
        if not secrets or not all(secrets):
            raise ValueError("the gate needs a signing secret")
        self._app = app
        self._secrets = [secret.encode() for secret in secrets]
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request; what is no HTTP (lifespan) passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._admit(scope, receive)
        except _Refused as refused:
            await _answer(send, refused.status, refused.words)
            return
        if body is None:
            await _answer(send, 200, "")
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _admit(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body of a request that is Slack's; None for its check of our certificate, which it does not sign."""
        if scope["method"] != "POST":
            raise _Refused(405, "Slack posts here.")
        headers = _headers(scope)
        body = await _read(headers, receive)
        if _is_ssl_check(headers, body):
            return None
        signature = self._verified(headers, body)
        scope.setdefault("state", {})[SIGNATURE] = sha256(signature).hexdigest()
        return body

    def _verified(self, headers: dict[bytes, list[bytes]], body: bytes) -> bytes:
        stamps, signatures = headers.get(b"x-slack-request-timestamp", []), headers.get(b"x-slack-signature", [])
        if len(stamps) != 1 or len(signatures) != 1:
            raise _Refused(401, "This is not signed.")
        stamp, signature = stamps[0], signatures[0]
        if not (stamp.isdigit() and len(stamp) <= 12) or abs(self._now() - int(stamp)) > WINDOW:
            raise _Refused(401, "This is not of the last five minutes.")
        # every secret is compared, so that the time taken does not tell which one fits
        fits = [hmac.compare_digest(_sign(secret, stamp, body), signature) for secret in self._secrets]
        if not any(fits):
            raise _Refused(401, "The signature is wrong.")
        return signature


def _sign(secret: bytes, stamp: bytes, body: bytes) -> bytes:
    return b"v0=" + hmac.new(secret, b"v0:" + stamp + b":" + body, sha256).hexdigest().encode()


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(bytes(name).lower(), []).append(bytes(value).strip())
    return headers


async def _read(headers: dict[bytes, list[bytes]], receive: Receive) -> bytes:
    for length in headers.get(b"content-length", []):
        if not length.isdigit() or len(length) > 12:
            raise _Refused(400, "The length is no number.")
        if int(length) > BODY_LIMIT:
            raise _Refused(413, "This is too large.")
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, "The request broke off.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BODY_LIMIT:
            raise _Refused(413, "This is too large.")
        if not message.get("more_body", False):
            return b"".join(chunks)


def _is_ssl_check(headers: dict[bytes, list[bytes]], body: bytes) -> bool:
    kinds = headers.get(b"content-type", [])
    if len(body) > 1000 or not kinds or not kinds[0].lower().startswith(_FORM):
        return False
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=20)
    except ValueError:
        return False
    return fields.get("ssl_check") == ["1"] and "payload" not in fields and "command" not in fields


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more for whoever comes next, and then what the server really says."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
