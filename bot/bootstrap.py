"""Starts and ends processes: finds the database, learns who we are, serves and works until told to stop.

run = embedded database (without DATABASE_URL) + web + workers, in one process tree
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import uvicorn
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import make_url, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from bot import logs
from bot import web as web_process
from bot.config import Settings
from bot.domain.audit import AuditAction
from bot.domain.errors import ChatError, ChatRefused, ConfigError
from bot.domain.setup import Timings
from bot.ingest.webhook import Hooks
from bot.jobs import Workers
from bot.parts import (
    Identity,
    Parts,
    assemble,
    groups_of,
    record_job_failure,
    record_start,
    slack_client,
)
from bot.service import people
from bot.slack.api import answer_of
from bot.slack.app import SlackApp
from bot.slack.listeners import Listeners
from bot.slack.socket import SocketMode
from bot.store import metrics, schema
from bot.store.embedded import DataFolderUnchosen, Embedded, open_database
from bot.store.tables import workspaces
from bot.store.unit_of_work import UNLIMITED, open_engine

log = logging.getLogger(__name__)
T = TypeVar("T")

WEB_DRAIN, WORK_DRAIN = 5, 25
PEOPLE_PATIENCE = 5.0  # seconds to read groups and members before the start goes on without
SLACK_PATIENCE = 20.0  # seconds to learn who we are before a remembered answer is used


# ---- the database ------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def database(settings: Settings, *, owned: bool, play: bool = False) -> AsyncIterator[str]:
    """The URL of the database: the configured one, or an embedded one that is ours (`owned`) or whoever's it is."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if not owned:
        opener = open_database(settings.data)
        async with _opened(opener.__enter__, lambda: opener.__exit__(None, None, None)) as url:
            yield url
        return
    server = Embedded(_own_folder(settings, play=play), play=play)
    async with _opened(server.start, server.close):
        keeper = asyncio.create_task(_keep_alive(server))
        try:
            yield server.url
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


@contextlib.asynccontextmanager
async def _opened(start: Callable[[], T], close: Callable[[], object]) -> AsyncIterator[T]:
    """What `start` gives; closed at the end, also when we are told to stop while it starts."""
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        yield await asyncio.shield(starting)
    finally:
        (outcome,) = await asyncio.gather(starting, return_exceptions=True)
        if not isinstance(outcome, BaseException):
            await asyncio.to_thread(close)


def _own_folder(settings: Settings, *, play: bool) -> Path | None:
    """Where our own database lives; None in the playground, whose data go with it unless a folder was chosen."""
    if play:
        return settings.data if settings.data_is_chosen else None
    if os.geteuid() == 0 and not settings.data_is_chosen:
        raise DataFolderUnchosen
    return settings.data_folder()


async def _keep_alive(server: Embedded) -> None:
    """Start the embedded server anew when it ends by itself."""
    while True:
        await asyncio.sleep(0.5)
        if not server.is_running():
            log.error("the embedded database ended and is started anew")
            await asyncio.to_thread(server.restart)


@contextlib.asynccontextmanager
async def open_readable(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database for a command that reads, whether or not a bot runs on it."""
    async with database(settings, owned=False) as url:
        engine = open_engine(url, pool_size=2, limits=UNLIMITED)
        try:
            await schema.check(engine)
            yield engine
        finally:
            await engine.dispose()


async def migrate(settings: Settings) -> None:
    """Bring the schema up to date, as its owner where MIGRATE_DATABASE_URL names one, and grant what the program needs."""
    if settings.migrate_database_url is not None:
        running = settings.database_url
        role = make_url(running.get_secret_value()).username if running else None
        await schema.migrate(settings.migrate_database_url.get_secret_value(), role)
        return
    if settings.database_url is None:
        _own_folder(settings, play=False)  # refuses where `run` would
    async with database(settings, owned=False) as url:
        await schema.migrate(url)


# ---- who we are --------------------------------------------------------------------------------


async def identify(settings: Settings, client: AsyncWebClient, engine: AsyncEngine) -> Identity:
    """Workspace and user of our token; what was learnt before serves while Slack is silent.

    Raises ConfigError when the token is refused, or belongs to another workspace than the one of the database.
    """
    async with engine.connect() as connection:
        known = (await connection.execute(select(workspaces))).first()
    asked = await _ask_slack(client, patient=known is None)
    if asked is None:
        assert known is not None  # noqa: S101 — without it the asking does not end
        return Identity(known.id, known.bot_user, known.bot_id, known.url)
    if known is not None and known.id != asked.workspace:
        raise ConfigError(
            f"SLACK_BOT_TOKEN is of workspace {asked.workspace}, and this database is of {known.id}:"
            " use the token of that workspace, or another database."
        )
    values = {"bot_user": asked.bot_user, "bot_id": asked.bot_id, "url": asked.url}
    statement = upsert(workspaces).values(id=asked.workspace, **values)
    async with engine.begin() as connection:
        await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    return asked


async def _ask_slack(client: AsyncWebClient, *, patient: bool) -> Identity | None:
    """The answer of auth.test; None when Slack is silent and `patient` is not wanted."""
    begun = asyncio.get_running_loop().time()
    while True:
        try:
            answer = await answer_of("auth.test", client.auth_test(), 5.0)
            about = (str(answer.get(key) or "") for key in ("bot_id", "url"))
            return Identity(str(answer["team_id"]), str(answer["user_id"]), *about)
        except ChatRefused as error:
            raise ConfigError(
                f"Slack refuses SLACK_BOT_TOKEN ({error.code}): copy the bot token (xoxb-…) from “OAuth & Permissions”."
            ) from None
        except ChatError as error:
            waited = asyncio.get_running_loop().time() - begun
            if not patient and waited > SLACK_PATIENCE / 4:
                log.warning("Slack does not say who we are; what was known is used", extra={"code": error.code})
                return None
            log.warning("Slack does not answer auth.test yet", extra={"code": error.code})
            await asyncio.sleep(1.0)


# ---- processes ---------------------------------------------------------------------------------


async def run(settings: Settings) -> None:
    """Web and workers in one process, on the embedded database without DATABASE_URL."""
    settings.demand_slack()
    demand_port(settings)
    async with database(settings, owned=True) as url:
        if settings.database_url is None:
            await schema.migrate(url)
        async with prepared(settings, url) as parts:
            await serve(settings, parts, url, has_web=True, has_workers=True)


async def web(settings: Settings) -> None:
    """The web process alone."""
    await _run_on_given(settings, has_web=True, has_workers=False)


async def worker(settings: Settings) -> None:
    """The workers alone."""
    await _run_on_given(settings, has_web=False, has_workers=True)


async def _run_on_given(settings: Settings, *, has_web: bool, has_workers: bool) -> None:
    settings.demand_slack()
    if settings.database_url is None:
        raise ConfigError(
            "`web` and `worker` share a database: set DATABASE_URL (or use `resumebot run`, which brings its own)."
        )
    url = settings.database_url.get_secret_value()
    async with prepared(settings, url) as parts:
        await serve(settings, parts, url, has_web=has_web, has_workers=has_workers)


def demand_port(settings: Settings) -> None:
    """Raises ConfigError, before anything is started, when somebody else listens where we are to serve."""
    if settings.port == 0:
        return
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise ConfigError(f"Cannot listen on {where} ({error.strerror}): set PORT to a free one, or HOST.") from None


@contextlib.asynccontextmanager
async def prepared(settings: Settings, url: str, *, timings: Timings | None = None) -> AsyncIterator[Parts]:
    """All parts on an open database that fits, for the workspace of our token."""
    logs.set_up(settings.log_level, settings.log_format, settings.secrets())
    engine = open_engine(url)
    try:
        await schema.check(engine)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            client = slack_client(settings, session)
            identity = await identify(settings, client, engine)
            parts = assemble(settings, engine, client, session, identity, timings=timings)
            try:
                yield parts
            finally:
                await parts.close()
    finally:
        await engine.dispose()


async def serve(settings: Settings, parts: Parts, url: str, *, has_web: bool, has_workers: bool) -> None:
    """Serve and work until SIGTERM or SIGINT; then no new call starts and running ones have 25 s."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    roles = [role for role, wanted in (("web", has_web), ("worker", has_workers)) if wanted]
    slack = slack_app(parts)
    line = await _socket_mode(settings, parts, slack) if has_web else None
    await record_start(parts.core, AuditAction.STARTED, version("resumebot"), roles)
    reading = asyncio.create_task(people.refresh_all(parts.core))
    await asyncio.wait({reading}, timeout=PEOPLE_PATIENCE)  # a silent Slack must not keep us from being ready
    workers = make_workers(parts, url) if has_workers else None
    server = make_server(web_app(settings, parts, slack), settings.host, settings.port) if has_web else None
    runs = (workers.run() if workers else None, server.serve() if server else None, line.run() if line else None)
    tasks = [asyncio.create_task(each) for each in runs if each]
    ending = asyncio.create_task(stop.wait())
    await asyncio.wait({ending, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    parts.life.is_ending = True
    log.info("stopping", extra={"roles": roles})
    if workers:
        workers.stop()
    if server:
        server.should_exit = True
    if line:
        line.stop()
    await _drain(tasks, ending, reading)
    await record_start(parts.core, AuditAction.STOPPED, version("resumebot"), roles)
    for task in tasks:
        if not task.cancelled() and (fault := task.exception()):
            raise fault


async def _drain(tasks: Sequence[asyncio.Task[None]], *needless: asyncio.Task[Any]) -> None:
    """Give running work its time, then end what is left."""
    _, late = await asyncio.wait(tasks, timeout=WORK_DRAIN)
    for task in (*late, *needless):
        task.cancel()
    await asyncio.gather(*tasks, *needless, return_exceptions=True)


def make_workers(parts: Parts, url: str) -> Workers:
    """The workers of a process."""
    conninfo = conninfo_of(url)

    async def on_failure(task: str, job: int | None, fault: Exception) -> None:
        with contextlib.suppress(Exception):
            await record_job_failure(parts.core, task, job, fault)

    return Workers(groups_of(parts, conninfo), conninfo, parts.core.setup.timings, on_failure)


def conninfo_of(url: str) -> str:
    """The URL of SQLAlchemy as the driver's own."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def slack_app(parts: Parts) -> SlackApp:
    """The Bolt app with our listeners, for whichever door Slack comes by."""
    identity = AuthorizeResult(
        enterprise_id=None,
        team_id=parts.identity.workspace,
        bot_user_id=parts.identity.bot_user,
        bot_id=parts.identity.bot_id or None,
        bot_token=parts.client.token,
    )
    return SlackApp(Listeners(parts.core, parts.forms, parts.identity.bot_user), parts.chat, parts.client, identity)


async def _socket_mode(settings: Settings, parts: Parts, slack: SlackApp) -> SocketMode | None:
    """The way without a public address, where its token is set; raises ConfigError when Slack refuses that."""
    if settings.slack_app_token is None:
        return None
    line = SocketMode(slack.bolt, parts.client, settings.slack_app_token.get_secret_value())
    await line.prepare()
    return line


def web_app(settings: Settings, parts: Parts, slack: SlackApp | None = None) -> ASGIApp:
    """The ASGI app of the web process; Slack's requests are taken where a signing secret tells them from others."""
    secrets = {each.name: [secret.get_secret_value() for secret in each.hook_secrets] for each in settings.connections}

    return web_process.build(
        web_process.WebParts(
            bolt=(slack or slack_app(parts)).bolt,
            signing_secrets=tuple(secret.get_secret_value() for secret in settings.slack_signing_secrets),
            hooks=Hooks(parts.core, secrets),
            ready=lambda: schema.check(parts.store.engine),
            metrics=lambda: metrics.exposition(parts.store.engine, parts.core.now()),
            metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
        )
    )


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def make_server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    """The server of the web process."""
    return _Server(
        uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=WEB_DRAIN, lifespan="off"
        )
    )
