"""Backup and restore by dump, with the programs of the wheel: the way data go to another machine or major version."""

import asyncio
import contextlib
import os
from pathlib import Path

from sqlalchemy import inspect, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from bot.domain.errors import ConfigError
from bot.store.embedded import wheel_install
from bot.store.tables import schema_state


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
    await _call("pg_restore", url, "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(file))


async def _is_used(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: inspect(sync).has_table(schema_state.name))


async def _call(program: str, url: str, *arguments: str, stdout: int | None = None) -> None:
    address = make_url(url).set(drivername="postgresql")
    password = str(address.password or "")  # in the environment: arguments can be read by everybody on the machine
    dbname = address.set(password=None).render_as_string(hide_password=False)
    child = await asyncio.create_subprocess_exec(
        wheel_install() / "bin" / program,
        f"--dbname={dbname}",
        *arguments,
        env={"PGPASSWORD": password} if password else {},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate()
    if child.returncode:
        words = said.decode(errors="replace").strip().splitlines() or [f"{program} ended with {child.returncode}"]
        raise ConfigError(f"{words[0].removeprefix(f'{program}: ').removeprefix('error: ')}.")
