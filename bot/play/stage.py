"""Puts the playground together and takes it down again, in one process tree.

site ─▶ database ─▶ bot's web app ─▶ worker ─▶ first failure, as soon as the worker has asked for failures
"""

import asyncio
import secrets
import signal
import sys
import webbrowser
from contextlib import AsyncExitStack

import httpx

from bot import bootstrap
from bot.config import Settings
from bot.domain.errors import ConfigError
from bot.play.actions import Actions
from bot.play.digdag import DigdagPlay
from bot.play.engine import below
from bot.play.harness import HarnessFirstgenPlay, HarnessNextgenPlay
from bot.play.playground import TIMINGS, Playground
from bot.play.restate import RestatePlay
from bot.play.seen import Seen
from bot.play.site import Site
from bot.play.worker_process import WorkerProcess
from bot.simulators.serving import serve
from bot.simulators.slack import SlackSimulator, default_cast
from bot.store import schema

HOST = "127.0.0.1"
COMMANDS = (
    {
        "command": "/resume",
        "usage_hint": "[connection:]<execution or link> [stage] | help | list | mine | status <id> | audit <id> | why <id>",
    },
    {"command": "/start", "usage_hint": "[connection:][application/]<name>"},
)
SHORTCUTS = (
    {"callback_id": "resume_this", "name": "Resume this", "type": "message"},
    {"callback_id": "resume_any", "name": "Resume an execution", "type": "global"},
)

WELCOME = """
  The playground is at {base}/
  1. A checkout is failing right now: its card comes to #deploys. As Rita, choose where to resume and press Retry.
  2. Press “Repair it”, switch to Arno at the top, and press Approve in the thread under the card.
  3. Then lose an answer, kill the worker, break sixteen things at once, or type /resume help.
  {data} Ctrl-C ends everything.

"""


async def run(settings: Settings) -> None:
    """All of it, until SIGINT, SIGTERM or SIGHUP."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        site = Site()
        base = await _served(stack, site, settings.port)
        url = await stack.enter_async_context(bootstrap.database(settings, owned=True, play=True))
        await schema.migrate(url)
        performance = asyncio.create_task(_perform(settings, site, base, url))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({performance, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if performance.done():  # nothing but a fault ends it by itself
            await performance
        await _end(performance)


async def _perform(settings: Settings, site: Site, base: str, url: str) -> None:
    """All on the open database, until it is cancelled."""
    async with AsyncExitStack() as stack:
        first = await _set_up(stack, settings, site, base, url)
        sys.stdout.write(WELCOME.format(base=base, data=_where(settings)))
        sys.stdout.flush()
        if settings.play_open:
            await asyncio.to_thread(_open_browser, base)
        await first.until_asked()  # only what fails from now on is news to the bot
        await first.break_something()
        await asyncio.Event().wait()


async def _served(stack: AsyncExitStack, site: Site, port: int) -> str:
    try:
        return await stack.enter_async_context(serve(site, host=HOST, port=port))
    except OSError as fault:
        raise ConfigError(
            f"Port {port} cannot be used ({fault.strerror}): end what uses it, or choose another, as in PORT=3001."
        ) from None


async def _set_up(stack: AsyncExitStack, settings: Settings, site: Site, base: str, url: str) -> RestatePlay:
    secret = secrets.token_hex(16)
    first = RestatePlay(base, secret)
    engines = (first, HarnessNextgenPlay(base, secret), HarnessFirstgenPlay(base, secret), DigdagPlay(base, secret))
    for engine in engines:
        stack.push_async_callback(engine.aclose)
    level = "warning" if settings.log_level == "info" else settings.log_level  # the page shows what goes on
    playground = Playground(base, secret, url, level, settings.log_format, tuple(engine.facts for engine in engines))
    worker = WorkerProcess(playground.as_json())
    actions = Actions(first, engines[1:], worker)
    seen = Seen(engines, worker, actions, [_where(settings)])
    slack = _slack(playground)
    stack.push_async_callback(slack.close)
    mounts = below("/sim/slack", slack.app)
    for engine in engines:
        mounts |= engine.mounts()
    site.open(mounts, seen, actions)
    parts = await stack.enter_async_context(bootstrap.prepared(playground.settings, url, timings=TIMINGS))
    site.bot, seen.database = bootstrap.web_app(playground.settings, parts), parts.store.engine
    stack.push_async_callback(_end, asyncio.create_task(worker.keep()))
    stack.callback(site.close)
    return first


def _slack(playground: Playground) -> SlackSimulator:
    cast = default_cast()
    simulator = SlackSimulator(
        signing_secret=playground.secret,
        bot_token=playground.bot_token,
        bot_url=playground.base,
        people=cast.people.values(),
        channels=cast.channels.values(),
        groups=cast.groups.values(),
        commands=COMMANDS,
        shortcuts=SHORTCUTS,
        page_url=f"{playground.base}/",
        http=httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)),
    )
    simulator.public_url = f"{playground.base}/sim/slack"
    return simulator


def _where(settings: Settings) -> str:
    if settings.database_url is not None:
        return "What happens here is kept in your database."
    if settings.data_is_chosen:
        return f"What happens here is kept in {settings.data}."
    return "Nothing here outlives the playground."


def _open_browser(address: str) -> None:
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if type(browser) is not webbrowser.GenericBrowser:  # that one would take over the terminal
        browser.open(address)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
