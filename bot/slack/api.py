"""One call of Slack's Web API: its answer, or one of our own errors, without anything secret in it."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.errors import ChatError, ChatRateLimited, ChatRefused, ChatUnavailable
from bot.domain.text import clean

TIMEOUT = 10.0
_DEFAULT_WAIT = 30.0
_LONGEST_WAIT = 3600.0
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_PASSING = frozenset(
    {
        "accesslimited",
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "org_login_required",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
        "timeout",
    }
)


NEEDED_SCOPES = frozenset(
    {"channels:read", "chat:write", "commands", "groups:read", "im:write", "usergroups:read", "users:read"}
)


async def missing_scopes(client: AsyncWebClient, timeout: float = TIMEOUT) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Who our token is (as auth.test says), and the scopes it lacks. Raises as `answer_of` does."""
    headers: Mapping[str, Any] = {}

    async def call() -> AsyncSlackResponse:
        nonlocal headers
        response = await client.auth_test()
        headers = response.headers
        return response

    answer = await answer_of("auth.test", call(), timeout)
    given = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), None)
    text = ",".join(given) if isinstance(given, list) else str(given or "")
    has = {scope.strip() for scope in text.split(",")}
    return answer, tuple(sorted(NEEDED_SCOPES - has)) if given else ()


async def answer_of(method: str, call: Awaitable[AsyncSlackResponse], timeout: float = TIMEOUT) -> Mapping[str, Any]:
    """The answer to a call in flight. Raises ChatRateLimited, ChatUnavailable or ChatRefused, nothing else."""
    try:
        # a session of one's own makes slack_sdk forget its time limit
        async with asyncio.timeout(timeout):
            response = await call
    except SlackApiError as error:
        raise translated(method, error) from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise unreachable(method, error) from None
    except (SlackClientError, AttributeError, TypeError, ValueError):
        # slack_sdk stumbles like this over answers that are no JSON object
        raise ChatUnavailable("unreadable_answer", f"Slack's answer to {method} cannot be read.") from None
    if not isinstance(response.data, dict):
        raise ChatUnavailable("unreadable_answer", f"Slack's answer to {method} cannot be read.")
    return response.data


def unreachable(method: str, error: Exception) -> ChatUnavailable:
    """The error for a call without an answer; it names the kind of fault and no address."""
    kind = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return ChatUnavailable("unreachable", f"Slack does not answer {method} ({kind}).")


def translated(method: str, error: SlackApiError) -> ChatError:
    """Slack's refusal as one of our errors."""
    response = error.response
    if not isinstance(response, AsyncSlackResponse):
        return ChatUnavailable("unreadable_answer", f"Slack's answer to {method} cannot be read.")
    data = response.data if isinstance(response.data, dict) else {}
    code = clean(str(data.get("error") or f"http_{response.status_code}"), 100)
    if response.status_code == 429 or code in _LIMITED:
        return ChatRateLimited(wait_of(response.headers))
    if response.status_code >= 500 or code in _PASSING or not data.get("error"):
        return ChatUnavailable(code, f"Slack cannot answer {method} now ({code}).")
    return ChatRefused(code, f"Slack refuses {method}: {code}{_details(data)}.")


def wait_of(headers: Mapping[str, Any]) -> float:
    """The seconds Slack asks to wait, within reason."""
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    text = str(given[0] if isinstance(given, list) and given else given).strip()
    return min(max(float(text), 1.0), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else _DEFAULT_WAIT


def _details(data: Mapping[str, Any]) -> str:
    metadata = data.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    return f" ({clean('; '.join(map(str, messages[:3])), 300)})" if isinstance(messages, list) and messages else ""
