"""Hooks of engines: authenticate, limit, hand to the engine's reader, commit, 202. What is authenticated is kept.

POST /hooks/<connection> ─▶ ≤ 4 MB? ─▶ secret? ─▶ depth? ─▶ engine.read_notice ─▶ report_failure each ─▶ 202
                             413       401        400        unreadable: kept, audited ─────────────▶ 202
"""

import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.errors import ContractViolation, EngineError
from bot.domain.execution import FailureNotice
from bot.domain.text import storable
from bot.service.core import Core
from bot.service.incidents import reject_notice, report_failure

LIMIT = 4_000_000  # bytes taken
KEPT = 64_000  # bytes kept of what cannot be read
DEPTH = 64


@dataclass(frozen=True)
class Answered:
    """Status and one sentence."""

    status: int
    words: str


UNKNOWN = Answered(401, "unknown hook or wrong secret")


class Hooks:
    """Takes hooks for all connections; `secrets` by connection, two where one is being changed."""

    def __init__(self, core: Core, secrets: Mapping[str, Sequence[str]]) -> None:
        self._core, self._secrets = core, secrets

    async def take(self, connection: str, headers: Mapping[str, str], body: AsyncIterator[bytes]) -> Answered:
        """Answer one hook; a 202 follows the commit."""
        if not self._is_allowed(connection, headers):
            return UNKNOWN
        if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
            return Answered(415, "send it uncompressed")
        content = await _content_of(body)
        if content is None:
            return Answered(413, f"more than {LIMIT} bytes")
        if _depth(content) > DEPTH:
            await reject_notice(self._core, connection, "nested too deeply", content[:KEPT])
            return Answered(400, f"nested more than {DEPTH} deep")
        return await self._report(connection, headers, content)

    def _is_allowed(self, connection: str, headers: Mapping[str, str]) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = headers.get("x-resumebot-secret") or (token if scheme.lower() == "bearer" else "")
        secrets = self._secrets.get(connection, ())
        # an unknown name is compared too, so that the time taken does not tell which names there are
        fits = [hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode()) for secret in secrets or ("\0",)]
        return bool(secrets) and any(fits)

    async def _report(self, connection: str, headers: Mapping[str, str], content: bytes) -> Answered:
        try:
            notices = await self._read(connection, headers, content)
        except EngineError as error:
            await reject_notice(self._core, connection, str(error), content[:KEPT])
            return Answered(202, "kept, but not understood: see the audit trail")
        for notice in notices:
            await report_failure(self._core, notice, via="hook")
        return Answered(202, f"{len(notices)} taken")

    async def _read(self, connection: str, headers: Mapping[str, str], content: bytes) -> Sequence[FailureNotice]:
        """What the engine's reader makes of it; text that no parser takes (half a character) does not hide the rest."""
        engine = self._core.engine(connection)
        try:
            return await engine.read_notice(content, headers)
        except ContractViolation:
            repaired = _repaired(content)
            if repaired is None:
                raise
            return await engine.read_notice(repaired, headers)


def _repaired(content: bytes) -> bytes | None:
    """The same JSON with every string storable; None where all were, or it is no JSON."""
    text = content.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        return None
    made = _cleaned(value)
    return None if made == value and text.encode() == content else json.dumps(made).encode()


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case list():
            return [_cleaned(each) for each in value]
        case dict():
            return {storable(key): _cleaned(each) for key, each in value.items()}
        case _:
            return value


async def _content_of(body: AsyncIterator[bytes]) -> bytes | None:
    chunks, size = [], 0
    async for chunk in body:
        size += len(chunk)
        if size > LIMIT:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NOT_BRACKETS = re.compile(rb"[^\[\]{}]+")


def _depth(content: bytes) -> int:
    """How deep brackets are nested outside strings; a parser's recursion must not be the judge of that."""
    depth = deepest = 0
    for byte in _NOT_BRACKETS.sub(b"", _STRINGS.sub(b"", content)):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
