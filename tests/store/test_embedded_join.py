"""How other processes join the embedded server that one process owns, and what happens while it starts or stops."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from bot.store.account import EmbeddedError
from bot.store.data_folder import DataFolderInUse, announce, is_held, wait, withdraw
from bot.store.embedded import Embedded, attach, open_database
from tests.store.servers import Owner, ask, owning


class Thread(threading.Thread):
    """A thread whose value, or error, is handed to the one who joins it."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.value: object = None
        self.start()

    def run(self) -> None:
        self.value = self.work()

    def result(self) -> object:
        self.join(60)
        assert not self.is_alive()
        return self.value


def postmaster(url: str) -> object:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        answer = connection.scalar(sqlalchemy.text("SELECT pg_postmaster_start_time()"))
    engine.dispose()
    return answer


def test_attach_finds_nobody_on_a_folder_that_is_not_there(folder: Path) -> None:
    assert attach(folder / "none") is None


def test_attach_finds_nobody_on_a_folder_whose_owner_has_closed(folder: Path) -> None:
    with Embedded(folder / "db"):
        pass

    assert attach(folder / "db") is None
    assert not (folder / "db" / "server.json").exists()


def test_attach_gives_the_address_of_the_running_server(owner: Owner) -> None:
    url = attach(owner.data)

    assert url
    assert postmaster(url)
    assert str(owner.socket) in url


def test_the_announcement_is_readable_by_its_owner_only(owner: Owner) -> None:
    said = owner.data / "server.json"

    assert said.stat().st_mode & 0o777 == 0o600
    assert json.loads(said.read_text()) == {"socket": str(owner.socket), "pid": owner.process.pid}


def test_attach_waits_for_an_owner_that_is_just_starting(folder: Path) -> None:
    server = Embedded(folder / "new")
    starting = Thread(server.start)
    assert wait(lambda: is_held(folder / "new"))

    url = attach(folder / "new")

    starting.result()
    assert url == server.url
    server.close()


def test_attach_waits_for_an_owner_that_is_just_stopping(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        withdraw(folder / "db", passing=False)
        attaching = Thread(lambda: attach(folder / "db"))
        server.close()

    assert attaching.result() is None


def test_attach_does_not_believe_what_a_killed_owner_announced(folder: Path, owner: Owner) -> None:
    owner.process.kill()
    owner.process.wait()
    announced = (owner.data / "server.json").read_text()

    assert attach(owner.data) is None

    server = Embedded(folder / "db").start()
    (owner.data / "server.json").write_text(announced)  # as in the moment between its lock and its own announcement
    attaching = Thread(lambda: attach(folder / "db"))
    announce(folder / "db", server.socket)
    assert attaching.result() == server.url
    server.close()


def test_a_holder_that_never_offers_a_database_is_named_after_the_wait(folder: Path) -> None:
    with Embedded(folder / "db"):
        withdraw(folder / "db", passing=False)

        with pytest.raises(EmbeddedError, match="offers no database"):
            attach(folder / "db", patience=0.2)
        with pytest.raises(EmbeddedError, match="offers no database"), open_database(folder / "db", patience=0.2):
            pass


def test_open_database_joins_the_running_server_and_leaves_it_running(owner: Owner) -> None:
    with open_database(owner.data) as url:
        assert str(owner.socket) in url
        assert postmaster(url)

    os.kill(owner.postmaster, 0)
    assert owner.process.poll() is None


def test_open_database_starts_a_server_for_its_own_life(folder: Path) -> None:
    with open_database(folder / "new") as url:
        assert postmaster(url)
        assert is_held(folder / "new")

    assert not is_held(folder / "new")


def test_open_database_after_kill_9_of_the_owner_starts_a_server_with_its_rows(folder: Path, owner: Owner) -> None:
    with psycopg.connect(f"host={owner.socket} port=5432 user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    owner.process.kill()
    owner.process.wait()

    with open_database(folder / "db") as url:
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connected:
            assert connected.scalar(sqlalchemy.text("SELECT answer FROM kept")) == 42
        engine.dispose()


def test_many_that_open_a_folder_at_once_share_one_server(folder: Path) -> None:
    gate = threading.Barrier(4)

    def command() -> object:
        with open_database(folder / "db") as url:
            gate.wait(60)  # nobody leaves before all are in
            started = postmaster(url)
            gate.wait(60)
            return started

    answers = {thread.result() for thread in [Thread(command) for _ in range(4)]}

    assert len(answers) == 1
    assert not is_held(folder / "db")


def test_a_passing_owner_waits_for_its_guests(folder: Path) -> None:
    with owning(folder / "db", passing=True) as owner, open_database(folder / "db") as url:
        owner.end()
        assert wait(lambda: not (folder / "db" / "server.json").exists())

        assert postmaster(url)

    assert owner.process.returncode == 0


def test_a_newcomer_waits_until_a_passing_owner_has_gone_and_starts_its_own(folder: Path) -> None:
    with owning(folder / "db", passing=True) as owner, open_database(folder / "db"):
        owner.end()
        assert wait(lambda: not (folder / "db" / "server.json").exists())
        coming = Thread(lambda: next_start(folder / "db"))
        assert coming.is_alive()

    assert coming.result()


def next_start(data: Path) -> object:
    with open_database(data) as url:
        return postmaster(url)


def test_a_start_waits_for_one_command_that_holds_the_folder(folder: Path) -> None:
    with owning(folder / "db", passing=True) as owner:
        server = Embedded(folder / "db")
        starting = Thread(server.start)
        with pytest.raises(DataFolderInUse, match=f"in use by process {owner.process.pid} for one command$"):
            Embedded(folder / "db", passing=True).start()  # which looks as long as the other would without waiting
        assert starting.is_alive()

        owner.end()
        starting.result()

    assert ask(server, "SELECT 1") == 1
    server.close()
