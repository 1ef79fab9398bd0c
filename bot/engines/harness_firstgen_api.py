"""One account's GraphQL: queries that may be repeated, mutations that may not, and both of the server's envelopes.

401 400 429   {"responseMessages": […]} of the filter, or {"errors": […]} of the API; sometimes JSON within a string
200           data and errors side by side; a null without an error is an answer nobody can trust
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    OutcomeUnknown,
    Unsupported,
)
from bot.domain.ports import Throttle
from bot.engines._harness_bodies import Body, Shape, part
from bot.engines._harness_links import host_of
from bot.engines._http import Answer, EngineClient

PATH = "/gateway/api/graphql"
EARLY = (400, 401, 403, 404)
NEVER_EXECUTED = frozenset({"ValidationError", "InvalidSyntax", "ExecutionAborted"})
# First hit wins. What is not listed may have been thrown after the execution was made.
REFUSALS: tuple[tuple[re.Pattern[str], type[EngineError]], ...] = (
    (re.compile("User not authorized"), Forbidden),
    (re.compile("does not exist or access is denied"), NotFound),
    (re.compile(r"^Execution \["), NotFound),
    (re.compile("Deployment Freeze"), NotResumable),
    (re.compile("^Invalid request: "), NotResumable),
)


class _Extensions(Body):
    """Where a complaint says what kind it is."""

    classification: str | None = None


class Complaint(Body):
    """One element of `errors`."""

    message: str = ""
    path: list[str | int] | None = None
    extensions: _Extensions | None = None

    @property
    def field(self) -> str:
        """The field of the root that it is about, empty when it is about the whole query."""
        return str(self.path[0]) if self.path else ""

    @property
    def text(self) -> str:
        """What it says, without what the server puts before it."""
        return self.message.partition(" : ")[2] if self.message.startswith("Exception while fetching") else self.message


class _Said(Body):
    """One message of the old form."""

    code: str | None = None
    message: str | None = None


class _Envelope(Body):
    """Both envelopes in one."""

    data: dict[str, Any] | None = None
    errors: list[Complaint] | None = None
    said: list[_Said] | None = Field(None, alias="responseMessages")


@dataclass(frozen=True)
class Reply:
    """Data and complaints of one query."""

    data: Mapping[str, Any]
    complaints: tuple[Complaint, ...]

    def complaint(self, field: str) -> Complaint | None:
        """What is said of a field of the root, or of the whole."""
        return next((one for one in self.complaints if one.field in {"", field}), None)


class GraphQL:
    """The calls of one account."""

    def __init__(self, connection: str, base_url: str, account: str, token: str, throttle: Throttle) -> None:
        self._connection = connection
        self._account = {"accountId": account}
        self._client = EngineClient(connection, host_of(base_url), throttle, headers={"x-api-key": token}, secrets=[token])

    async def ask(self, query: str, variables: Mapping[str, object]) -> Reply:
        """Read; complaints of single fields stand in the reply. Raises as `describe` does."""
        answer = await self._client.read(
            "POST", PATH, params=self._account, json={"query": query, "variables": variables}, expect=EARLY
        )
        if answer.status in EARLY:
            raise self._early(answer, ContractViolation)
        reply = self._reply(answer)
        whole = next((one for one in reply.complaints if not one.path), None)
        if whole is not None:
            raise ContractViolation(self.sentence("does not understand what it was asked", whole.text))
        return reply

    async def send(self, query: str, variables: Mapping[str, object], send_before: float) -> Reply:
        """Call a mutation once. Raises as `resume` does, for what concerns the whole call."""
        answer = await self._client.send_once(
            "POST", PATH, send_before=send_before, params=self._account, json={"query": query, "variables": variables}
        )
        if answer.status in EARLY:
            raise self._early(answer, Unsupported)
        if (refusal := self._client.refusal(answer)) is not None:
            raise refusal
        return self._reply(answer)

    def read(self, shape: type[Shape], data: object) -> Shape:
        """A part of a reply as an object; ContractViolation when it is something else."""
        return part(self._connection, shape, data)

    def refused(self, complaint: Complaint) -> EngineError:
        """What a complaint about a mutation means; OutcomeUnknown for all that the contract does not list."""
        classification = complaint.extensions.classification if complaint.extensions else None
        if classification in NEVER_EXECUTED:
            return Unsupported(self.sentence("does not understand the call", complaint.text))
        for pattern, error in REFUSALS:
            if pattern.search(complaint.text):
                return error(self.sentence("refuses", complaint.text.removeprefix("Invalid request: ")))
        return OutcomeUnknown(self.sentence("complains, and the call may have taken effect", complaint.text))

    def sentence(self, what: str, detail: str) -> str:
        """One sentence with a foreign detail, without our secrets."""
        return f"{self._connection} {what}: {self._client.redact(detail)}"

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    def _reply(self, answer: Answer) -> Reply:
        envelope = self._envelope(answer)
        if envelope is None or (envelope.data is None and not envelope.errors and not envelope.said):
            raise ContractViolation(f"{self._connection} gave an answer that is not GraphQL's (HTTP {answer.status}).")
        if envelope.said:
            raise self._by_code(answer, envelope)
        return Reply(envelope.data or {}, tuple(envelope.errors or ()))

    def _envelope(self, answer: Answer) -> _Envelope | None:
        try:
            read = json.loads(answer.body)
            return _Envelope.model_validate(json.loads(read) if isinstance(read, str) else read)
        except (ValueError, RecursionError):
            return None

    def _early(self, answer: Answer, otherwise: type[EngineError]) -> EngineError:
        # These answers come from before the API: whatever was called has not begun.
        envelope = self._envelope(answer) or _Envelope(responseMessages=None)
        said = [one.message or one.code or "" for one in envelope.said or ()] + [one.message for one in envelope.errors or ()]
        code = answer.headers.get("x-harness-error", "")
        detail = "; ".join(dict.fromkeys(part for part in (code, *said) if part)) or f"HTTP {answer.status}"
        if answer.status in {401, 403} or "Feature not enabled" in detail:
            return Forbidden(self.sentence("refuses our credential or the use of its API", detail))
        return otherwise(self.sentence("has no GraphQL API that takes the call", detail))

    def _by_code(self, answer: Answer, envelope: _Envelope) -> EngineError:
        codes = {one.code for one in envelope.said or ()}
        if codes & {"INVALID_TOKEN", "EXPIRED_TOKEN", "ACCESS_DENIED", "USER_NOT_AUTHORIZED"}:
            return self._early(Answer(401, answer.headers, answer.body), ContractViolation)
        return ContractViolation(self.sentence("answers in its old form", ", ".join(str(code) for code in codes)))
