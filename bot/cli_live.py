"""What `resumebot check --live` asks: Slack and every engine, who we are there and whether they let us in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from bot.bootstrap import open_readable
from bot.config import Settings
from bot.config_tables import Connection
from bot.domain.errors import ChatError, ChatRefused, EngineError
from bot.domain.ports import Throttle
from bot.domain.text import listed
from bot.parts import SystemClock, make_engines, shared_throttles, slack_client
from bot.slack.api import TIMEOUT, missing_scopes
from bot.slack.socket import refusal
from bot.slack.socket_line import ask_address


@dataclass(frozen=True)
class Finding:
    """One line of `check`."""

    subject: str
    ok: bool
    sentence: str


class _OwnThrottle:
    """Throttle where no bot can run, for want of its database: there is nobody to share a budget with."""

    async def admit(self) -> None:
        """Let it pass."""


async def live_checks(settings: Settings, *, has_database: bool) -> list[Finding]:
    """Ask Slack and every engine who we are there."""
    findings = []
    async with aiohttp.ClientSession() as session:
        findings.append(await _check_slack(settings, session))
        if settings.slack_app_token is not None:
            findings.append(await _check_socket_mode(settings, session, settings.slack_app_token.get_secret_value()))
    if not has_database:
        return [*findings, *await _check_engines(settings, lambda _: _OwnThrottle())]
    async with open_readable(settings) as database:
        throttles = shared_throttles(database, SystemClock(), settings.connections)
        return [*findings, *await _check_engines(settings, throttles)]


async def _check_engines(settings: Settings, throttle_of: Callable[[Connection], Throttle]) -> list[Finding]:
    findings = []
    for name, each in make_engines(settings, throttle_of).items():
        findings.append(await _check_engine(name, each.check))
        await each.aclose()
    return findings


async def _check_slack(settings: Settings, session: aiohttp.ClientSession) -> Finding:
    if settings.slack_bot_token is None:
        return Finding("slack", ok=False, sentence="SLACK_BOT_TOKEN is not set")
    try:
        answer, missing = await missing_scopes(slack_client(settings, session))
    except ChatError as error:
        return Finding("slack", ok=False, sentence=str(error))
    who = f"workspace {answer.get('team')} ({answer.get('team_id')}) as {answer.get('user')}"
    if missing:
        said = f"{who}, but the token lacks {listed(missing)}: compare with manifest.yml and reinstall the app"
        return Finding("slack", ok=False, sentence=said)
    return Finding("slack", ok=True, sentence=who)


async def _check_socket_mode(settings: Settings, session: aiohttp.ClientSession, app_token: str) -> Finding:
    try:
        await ask_address(slack_client(settings, session), app_token, TIMEOUT)
    except ChatRefused as refused:
        return Finding("socket mode", ok=False, sentence=str(refusal(refused)))
    except ChatError as error:
        return Finding("socket mode", ok=False, sentence=str(error))
    return Finding("socket mode", ok=True, sentence="Slack opens connections for SLACK_APP_TOKEN")


async def _check_engine(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(f"connection {name}", ok=True, sentence=await check())
    except EngineError as error:
        return Finding(f"connection {name}", ok=False, sentence=str(error))
