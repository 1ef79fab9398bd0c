"""One project's pipeline service: reads that may be repeated, calls that may not, and the server's envelopes.

Decide by the code within an envelope, not by the status alone: most refusals are 400, and an unknown route is too.
"""

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from urllib.parse import urlencode

import httpx

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
from bot.engines._budget import Budget
from bot.engines._harness_bodies import Shape, part
from bot.engines._http import Answer, EngineClient
from bot.engines.harness_nextgen_wire import Envelope

ROOT = "/pipeline/api"
REFUSED = (400, 401, 403, 404)
BAD_TOKEN = frozenset({"INVALID_TOKEN", "EXPIRED_TOKEN", "NG_ACCESS_DENIED", "ACCESS_DENIED"})
NO_ROUTE = "RESOURCE_NOT_FOUND_EXCEPTION"


_body: ContextVar[bytes] = ContextVar("harness_yaml", default=b"")


class _YamlClient(EngineClient):
    """A client whose calls have for a body the bytes of `_body`, as they are; EngineClient itself knows JSON only."""

    def _fresh_client(self) -> httpx.AsyncClient:
        client = super()._fresh_client()
        client.event_hooks = {"request": [self._put_body]}
        return client

    @staticmethod
    async def _put_body(request: httpx.Request) -> None:
        request.stream = httpx.ByteStream(_body.get())
        request.headers["content-length"] = str(len(_body.get()))
        request.headers["content-type"] = "application/yaml"


class PipelineApi:
    """The calls of one connection, within its account, organisation and project."""

    def __init__(self, connection: str, base_url: str, scope: Mapping[str, str], token: str, throttle: Throttle) -> None:
        self._connection = connection
        self._scope = scope
        self.budget = Budget(throttle)
        headers = {"x-api-key": token, "harness-account": scope["accountIdentifier"]}
        secrets = [token, token.rpartition(".")[2]]
        self._client = EngineClient(connection, base_url, self.budget, headers=headers, secrets=secrets)
        self._sender = _YamlClient(connection, base_url, self.budget, headers=headers, secrets=secrets)

    async def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None) -> Envelope:
        """A read: the envelope of a success, or of a refusal with 400 that only the caller can judge.

        Raises NotFound for what Harness does not know, and else as `describe` does.
        """
        answer = await self._client.read(
            method, ROOT + path, params={**self._scope, **(params or {})}, json=body, expect=REFUSED
        )
        envelope = self._envelope(answer)
        if answer.status == 404 and (envelope is None or envelope.word != "ENTITY_NOT_FOUND"):
            raise ContractViolation(f"{self._connection} has no pipeline service at its address (HTTP 404).")
        if (answer.status in REFUSED or envelope is None) and (refusal := self._refusal(answer, envelope)) is not None:
            raise refusal
        assert envelope is not None  # noqa: S101 — without one there was a refusal
        return envelope

    async def get(self, shape: type[Shape], path: str, params: Mapping[str, str] | None = None) -> Shape:
        """The data of an answer as an object; ContractViolation when it is refused or something else."""
        return self.data(shape, await self.ask("GET", path, params))

    async def post(self, shape: type[Shape], path: str, body: object, params: Mapping[str, str] | None = None) -> Shape:
        """The same for a read that is a POST."""
        return self.data(shape, await self.ask("POST", path, params, body))

    async def send(self, path: str, query: Sequence[tuple[str, str]], body: str, send_before: float) -> str:
        """Make the one call that begins an execution; returns its id. Raises as `resume` does."""
        _body.set(body.encode("utf-8"))
        address = f"{ROOT}{path}?{urlencode([*self._scope.items(), *query])}"
        answer = await self._sender.send_once("POST", address, send_before=send_before)
        if answer.status not in REFUSED and (error := self._client.refusal(answer)) is not None:
            raise error
        envelope = self._envelope(answer)
        if answer.status in REFUSED:
            raise self._refused_call(answer, envelope)
        if envelope is None:
            raise ContractViolation(f"{self._connection} answered with something that is not its API's.")
        new = _plan_id(envelope)
        if new is None:
            raise OutcomeUnknown(f"{self._connection} accepted the call and named no execution.")
        return new

    def data(self, shape: type[Shape], envelope: Envelope) -> Shape:
        """The data of an envelope as an object."""
        if envelope.status not in {"SUCCESS", None} or envelope.data is None:
            raise ContractViolation(self.sentence("does not give what was asked for", envelope.text or "no data"))
        return part(self._connection, shape, envelope.data)

    def sentence(self, what: str, detail: str) -> str:
        """One sentence with a foreign detail, without our secrets."""
        return f"{self._connection} {what}: {self._client.redact(detail)}"

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()
        await self._sender.aclose()

    def _envelope(self, answer: Answer) -> Envelope | None:
        try:
            return Envelope.model_validate(json.loads(answer.body))
        except (ValueError, RecursionError):
            return None

    def _refusal(self, answer: Answer, envelope: Envelope | None) -> EngineError | None:
        if envelope is None and answer.status not in {401, 403}:
            return ContractViolation(f"{self._connection} gave an answer that is not its API's (HTTP {answer.status}).")
        text = envelope.text if envelope and envelope.text else f"HTTP {answer.status}"
        word = envelope.word if envelope else ""
        # A bad token was 400 once, with the same code.
        if answer.status in {401, 403} or word in BAD_TOKEN:
            return Forbidden(self.sentence("refuses our credential", text))
        if answer.status == 404:
            return NotFound(self.sentence("does not know this", text))
        return ContractViolation(self.sentence("has no such address", text)) if word == NO_ROUTE else None

    def _refused_call(self, answer: Answer, envelope: Envelope | None) -> EngineError:
        word = envelope.word if envelope else ""
        if word == NO_ROUTE or (answer.status == 404 and word != "ENTITY_NOT_FOUND"):
            return Unsupported(f"{self._connection} has no such call at its address.")
        if envelope is None and answer.status == 400:
            return OutcomeUnknown(f"{self._connection} answered 400 without its envelope: nobody knows what took the call.")
        text = envelope.text if envelope else ""
        return self._refusal(answer, envelope) or NotResumable(self.sentence("refuses", text or "no reason given"))


def _plan_id(envelope: Envelope) -> str | None:
    # The code wraps, the published form does not: both are taken.
    if envelope.status not in {"SUCCESS", None}:
        return None
    for holder in (envelope.data, {"planExecution": envelope.plan}):
        plan = holder.get("planExecution") if isinstance(holder, dict) else None
        if isinstance(plan, dict) and isinstance(plan.get("uuid"), str) and plan["uuid"]:
            found: str = plan["uuid"]
            return found
    return None
