"""The program, called in this process: in an empty folder, or on a migrated database."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli import main
from bot.store.data_folder import url_of
from bot.store.embedded import Embedded
from tests.cli.calls import Call, Ended
from tests.conftest import execute


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the program with these words in an empty folder, and with these variables only."""

    def call(*words: str, **environ: str) -> Ended:
        with monkeypatch.context() as patch:
            for name in ("DATABASE_URL", "RESUMEBOT_CONFIG", "RESUMEBOT_DATA", "KUBERNETES_SERVICE_HOST"):
                patch.delenv(name, raising=False)
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["resumebot", *words])
            with pytest.raises(SystemExit) as exit_:
                main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ended(int(exit_.value.code or 0), out, err)

    return call


@pytest.fixture
def on(call: Call, database: str) -> Call:
    """The same, on a migrated database."""
    return lambda *words, **environ: call(*words, DATABASE_URL=database, **environ)


@pytest.fixture
def empty_database(server: Embedded) -> Iterator[str]:
    """A database without a schema."""
    execute(server, "CREATE DATABASE restored")
    yield url_of(server.socket, "restored")
    execute(server, "DROP DATABASE restored WITH (FORCE)")
