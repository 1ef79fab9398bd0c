"""The verbs of `resumebot`. Exit status: 0; 1 a fault was found; 2 wrong use. A fault is one sentence on stderr."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import DBAPIError

from bot import config
from bot.domain.errors import BotError, ConfigError
from bot.domain.text import shorten

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The Slack bot that gets a failed deployment or workflow going again.",
)
audit = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Read, export and verify the audit trail.")
app.add_typer(audit, name="audit")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest.")]


def main() -> None:
    """The program `resumebot`."""
    try:
        app()
    except BotError as error:
        _fail(str(error))
    except DBAPIError as error:
        _fail(f"The database does not answer as it should: {shorten(str(error.orig), 300)}")
    except BrokenPipeError:
        # whoever read the output has seen enough; Python must not find the broken pipe again when it flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    sys.exit(1)


def _do(work: Coroutine[Any, Any, Any]) -> Any:
    """Its result; told to stop before it serves, it tidies up what it has begun, an embedded database for one."""
    try:
        return asyncio.run(_until_told(work))
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None


def _serve(work: Coroutine[Any, Any, Any]) -> None:
    """The same for what only ends when it is told to: that is no fault."""
    with contextlib.suppress(typer.Exit):
        _do(work)


async def _until_told(work: Coroutine[Any, Any, Any]) -> Any:
    doing = asyncio.ensure_future(work)
    if threading.current_thread() is threading.main_thread():  # only that one hears signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, doing.cancel)
    return await doing


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


# ---- processes ---------------------------------------------------------------------------------


@app.command()
def play() -> None:
    """Try it in a browser: bot, database, engines and a Slack of our own, nothing to set up."""
    try:
        from bot.play import play as start  # noqa: PLC0415 — its simulators are installed by an extra
    except ModuleNotFoundError as error:
        raise ConfigError(f"play needs the package {error.name}: pip install 'resumebot[play]'") from None

    _do(start(config.from_process(with_file=False)))


@app.command()
def run() -> None:
    """Serve Slack and hooks and do all the work, in one process; brings its own database without DATABASE_URL."""
    from bot import bootstrap  # noqa: PLC0415 — --help starts without it

    _serve(bootstrap.run(config.from_process()))


@app.command()
def web() -> None:
    """Serve Slack and hooks only; wants DATABASE_URL and a worker beside it."""
    from bot import bootstrap  # noqa: PLC0415

    _serve(bootstrap.web(config.from_process()))


@app.command()
def worker() -> None:
    """Do the work only; start as many as you like on one DATABASE_URL."""
    from bot import bootstrap  # noqa: PLC0415

    _serve(bootstrap.worker(config.from_process()))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date; doing it again changes nothing."""
    from bot import bootstrap  # noqa: PLC0415

    _do(bootstrap.migrate(config.from_process()))
    _say(["The schema is up to date."])


# ---- looking -----------------------------------------------------------------------------------


@app.command()
def check(live: Annotated[bool, typer.Option("--live", help="Also call Slack and every engine.")] = False) -> None:
    """Say what is configured, what is missing, and what is wrong."""
    from bot import cli_check  # noqa: PLC0415

    settings = config.from_process()
    if settings.is_empty:
        _say([cli_check.first_steps()])
        sys.exit(1)
    found = _do(cli_check.findings(settings, live=live))
    _say([*settings.printed(), "", *[f"{'ok   ' if each.ok else 'FAULT'}  {each.subject}: {each.sentence}" for each in found]])
    sys.exit(any(not each.ok for each in found))


@app.command()
def incidents(limit: Limit = 50, as_json: AsJson = False) -> None:
    """The failures that need a human, newest first."""
    from bot import cli_data  # noqa: PLC0415

    _say(_do(cli_data.incidents(config.from_process(), limit)).lines(as_json=as_json))


@app.command()
def requests(
    limit: Limit = 50,
    every: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """The requests that may still have an effect, newest first."""
    from bot import cli_data  # noqa: PLC0415

    _say(_do(cli_data.requests(config.from_process(), limit, all_states=every)).lines(as_json=as_json))


@app.command()
def stuck(as_json: AsJson = False) -> None:
    """What stands still and may need a human; exit status 1 when something does."""
    from bot import cli_data  # noqa: PLC0415

    table = _do(cli_data.stuck(config.from_process()))
    _say(table.lines(as_json=as_json))
    sys.exit(bool(table.records))


# ---- the audit trail ---------------------------------------------------------------------------


def _moment(text: str) -> datetime:
    from bot import cli_data  # noqa: PLC0415

    try:
        return cli_data.moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _label(kind: str) -> Callable[[str | None], str | None]:
    """What takes `req-17`, or the number alone; silence about a name that is none would read as “nothing happened”."""

    def checked(text: str | None) -> str | None:
        if text is None:
            return None
        number = text.strip().removeprefix(f"{kind}-")
        if not (number.isascii() and number.isdecimal()):
            raise typer.BadParameter(f"write “{kind}-17”")
        return f"{kind}-{number}"

    return checked


Moment = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="WHEN", help="“2h” ago, or a date with or without time.")
]
File = Annotated[Path, typer.Argument(dir_okay=False)]


@audit.command("query")
def query(
    *,
    since: Moment = None,
    until: Moment = None,
    actor: Annotated[str | None, typer.Option(help="“slack:T…/U…”, “engine:…”, “bot”; may hold * and ?.")] = None,
    action: Annotated[str | None, typer.Option(help="A tag such as “request:decision:*”.")] = None,
    execution: Annotated[str | None, typer.Option(help="As the engine gives it.")] = None,
    request: Annotated[str | None, typer.Option(help="“req-17”.", callback=_label("req"))] = None,
    incident: Annotated[str | None, typer.Option(help="“inc-42”.", callback=_label("inc"))] = None,
    limit: Limit = 1000,
) -> None:
    """The newest entries that fit, oldest first, one JSON object a line."""
    from bot import cli_audit  # noqa: PLC0415
    from bot.store.trail import Selection  # noqa: PLC0415

    selection = Selection(since, until, actor, action, execution, request, incident)
    _say(_do(cli_audit.query(config.from_process(), selection, limit)))


@audit.command("export")
def export(after: Annotated[int, typer.Option(min=0, help="Begin above this id: the last one you have.")] = 0) -> None:
    """All entries by ascending id, one JSON object a line; the same bytes every time."""
    from bot import cli_audit  # noqa: PLC0415

    _do(cli_audit.export(config.from_process(), after, _say))


@audit.command("verify")
def verify(
    anchors: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Text with seals that was kept elsewhere: a log, a channel."),
    ] = None,
) -> None:
    """Recompute all seals; exit status 1 and the first bad row when something was changed, removed, inserted or moved."""
    from bot import cli_audit  # noqa: PLC0415

    verdict = _do(cli_audit.verify(config.from_process(), anchors))
    _say([str(verdict)])
    sys.exit(verdict.fault is not None)


# ---- backup ------------------------------------------------------------------------------------


@app.command()
def backup(file: File) -> None:
    """Dump the database into a new file, also while the bot runs."""
    from bot import cli_audit  # noqa: PLC0415

    _do(cli_audit.backup(config.from_process(), file))
    _say([f"{file} holds the whole database; keep it as secret as the database itself."])


@app.command()
def restore(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Put a dump into an empty database and bring its schema up to date."""
    from bot import cli_audit  # noqa: PLC0415

    _do(cli_audit.restore(config.from_process(), file))
    _say(["The database was restored: `resumebot audit verify` says whether the trail is whole."])
