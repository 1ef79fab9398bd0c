"""Backup and restore by dump, with the programs of the wheel: the way data go to another machine or major version."""

import asyncio
import contextlib
import os
import re
import subprocess
from asyncio.subprocess import Process
from pathlib import Path

from sqlalchemy import inspect, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from bot.domain.errors import ConfigError
from bot.store.embedded import wheel_install
from bot.store.tables import schema_state

_CHUNK = 65536
_TOO_NEW = b"SET transaction_timeout = 0;\n"  # among the first lines; servers before PostgreSQL 17 do not know it


async def backup(url: str, file: Path) -> None:
    """Dump the whole database, as of one moment and while it is used, into a new file that only this account may read."""
    try:
        target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{file} is there already: name a new file.") from None
    except OSError as fault:
        raise ConfigError(f"{file} cannot be written: {fault.strerror}.") from None
    with contextlib.ExitStack() as undo:
        undo.callback(os.unlink, file)
        undo.callback(os.close, target)
        await _call("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", stdout=target)
        undo.pop_all()
        os.close(target)


async def restore(url: str, file: Path) -> None:
    """Put a dump into an empty database, all of it or nothing; raises ConfigError where there is a schema already."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        if await _is_used(engine):
            raise ConfigError("The database holds data already: restore into an empty one. Nothing was changed.")
    finally:
        await engine.dispose()
    await _replay(url, file)


async def _replay(url: str, file: Path) -> None:
    """The dump as a script, in one transaction; without what servers before PostgreSQL 17 do not know."""
    archive = await _start("pg_restore", "--no-owner", "--no-privileges", "--file=-", str(file), stdout=subprocess.PIPE)
    options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file=-")
    dbname, env = _address(url)
    target = await _start("psql", dbname, *options, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    _, said_archive, said_target = await asyncio.gather(_pour(archive, target), _said(archive), _said(target))
    _check("pg_restore", archive, said_archive)
    _check("psql", target, said_target)


async def _pour(archive: Process, target: Process) -> None:
    """Hand the script on; a script that breaks off must not be taken for a whole one, so its reader is killed."""
    assert archive.stdout is not None  # noqa: S101 — as asked for
    assert target.stdin is not None  # noqa: S101 — as asked for
    chunk = (await archive.stdout.read(_CHUNK)).replace(_TOO_NEW, b"", 1)
    with contextlib.suppress(ConnectionError):  # it has stopped at an error, which it says itself
        while chunk:
            target.stdin.write(chunk)
            await target.stdin.drain()
            chunk = await archive.stdout.read(_CHUNK)
    while await archive.stdout.read(_CHUNK):
        pass  # so that the other program ends too
    if await archive.wait():
        target.kill()
    target.stdin.close()


async def _is_used(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: inspect(sync).has_table(schema_state.name))


async def _call(program: str, url: str, *arguments: str, stdout: int | None = None) -> None:
    dbname, env = _address(url)
    child = await _start(program, dbname, *arguments, env=env, stdout=stdout)
    _check(program, child, await _said(child))


def _address(url: str) -> tuple[str, dict[str, str]]:
    """The argument that names the database, and the environment with its password, which arguments would show everybody."""
    address = make_url(url).set(drivername="postgresql")
    dbname = address.set(password=None).render_as_string(hide_password=False)
    return f"--dbname={dbname}", {"PGPASSWORD": str(address.password)} if address.password else {}


async def _start(
    program: str, *arguments: str, env: dict[str, str] | None = None, stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> Process:
    path = wheel_install() / "bin" / program
    return await asyncio.create_subprocess_exec(
        path, *arguments, env=env or {}, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
    )


async def _said(child: Process) -> str:
    assert child.stderr is not None  # noqa: S101 — as always here
    said = await child.stderr.read()
    await child.wait()
    return said.decode(errors="replace").strip()


def _check(program: str, child: Process, said: str) -> None:
    if child.returncode:
        words = (said or f"{program} ended with {child.returncode}").splitlines()[0]
        raise ConfigError(f"{re.sub(rf'^{program}:( error:|.*ERROR:)? *', '', words).rstrip('.')}.")
