"""A data folder for servers of a test's own, and another process that owns one."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store.embedded import Embedded
from tests.store.servers import Owner, owning


@pytest.fixture(scope="session")
def cluster(base: Path) -> Iterator[Path]:
    """A cluster that nobody runs, to be copied: making one takes longer than most tests."""
    path = Path(tempfile.mkdtemp(prefix="resumebot-test-", dir=base))
    path.chmod(0o711)
    with Embedded(path / "db"):
        pass
    yield path / "db" / "pg"
    shutil.rmtree(path)


@pytest.fixture
def folder(base: Path, cluster: Path) -> Iterator[Path]:
    """Ours, and open to the server's account, unlike pytest's own tmp_path; below it `db`, used once and closed."""
    path = Path(tempfile.mkdtemp(prefix="resumebot-test-", dir=base))
    for each in (path, path / "db"):
        each.mkdir(exist_ok=True)
        each.chmod(0o711)
    subprocess.run(["cp", "-a", cluster, path / "db"], check=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def owner(folder: Path) -> Iterator[Owner]:
    """Another process that owns a running server on folder/db."""
    with owning(folder / "db") as running:
        yield running
