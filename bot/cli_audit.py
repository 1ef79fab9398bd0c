"""What the verbs of the command line do with the audit trail and with dumps of the database."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from bot import bootstrap
from bot.cli_data import readable
from bot.config import Settings
from bot.domain.errors import ConfigError
from bot.store import dump, trail
from bot.store.verify import Anchors, Verdict, read_anchors
from bot.store.verify import verify as verify_trail


async def query(settings: Settings, selection: trail.Selection, limit: int) -> list[str]:
    """The newest entries of a selection, oldest first."""
    async with readable(settings) as engine:
        return await trail.query(engine, selection, limit)


async def export(settings: Settings, after: int, say: Callable[[Iterable[str]], None]) -> None:
    """Say all entries above an id, page by page."""
    async with readable(settings) as engine:
        async for page in trail.export(engine, after):
            say(page)


async def verify(settings: Settings, anchors: Path | None) -> Verdict:
    """Recompute the trail; raises ConfigError when the file with anchors holds none."""
    outside = await asyncio.to_thread(_read, anchors) if anchors else None
    async with readable(settings) as engine:
        return await verify_trail(engine, outside)


def _read(file: Path) -> Anchors:
    with file.open(encoding="utf-8", errors="replace") as lines:
        if found := read_anchors(lines):
            return found
    raise ConfigError(f"{file} holds no seal: give it lines of the log, of the audit channel, or JSON with no and sha256.")


async def backup(settings: Settings, file: Path) -> None:
    """Dump the database, as the owner of its tables where that is known."""
    async with readable(settings):
        if settings.migrate_database_url:
            return await dump.backup(settings.migrate_database_url.get_secret_value(), file)
        async with bootstrap.database(settings, owned=False) as url:
            return await dump.backup(url, file)


async def restore(settings: Settings, file: Path) -> None:
    """Fill an empty database from a dump, and migrate it."""
    if settings.migrate_database_url:
        await dump.restore(settings.migrate_database_url.get_secret_value(), file)
    else:
        async with bootstrap.database(settings, owned=False) as url:
            await dump.restore(url, file)
    await bootstrap.migrate(settings)
