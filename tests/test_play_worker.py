"""What the playground tells its bot, and the processes it keeps."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from bot import parts
from bot.config import Settings
from bot.domain.errors import ConfigError
from bot.play import play, stage
from bot.play.playground import Playground
from bot.play.worker_process import WorkerProcess
from tests.play_stand import ENGINES, SECRET, SLEEPER, until

pytestmark = pytest.mark.anyio


ROOT = Path(__file__).resolve().parents[1]


# ---- what the bot is told ----------------------------------------------------------------------


def playground() -> Playground:
    """One that nobody serves."""
    facts = tuple(kind("http://127.0.0.1:3000", SECRET).facts for kind in ENGINES)
    return Playground("http://127.0.0.1:3000", SECRET, "postgresql+psycopg://x@/y", "warning", "console", facts)


async def test_the_worker_is_told_on_one_line_all_that_it_needs() -> None:
    told = playground()

    assert "\n" not in told.as_json()
    assert Playground.of_json(told.as_json()) == told
    assert Playground.of_json(told.as_json()).settings == told.settings


async def test_nothing_of_the_playground_is_posted_elsewhere() -> None:
    settings = playground().settings

    assert settings.slack_api_url == "http://127.0.0.1:3000/sim/slack/api/"
    assert json.dumps([json.loads(each.settings.model_dump_json()) for each in settings.connections]).count("https://") == 0


def test_the_simulated_slack_offers_what_the_manifest_names() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))["features"]

    assert {each["command"]: each["usage_hint"] for each in stage.COMMANDS} == {
        each["command"]: each["usage_hint"] for each in manifest["slash_commands"]
    }
    assert list(stage.SHORTCUTS) == [
        {key: each[key] for key in ("callback_id", "name", "type")} for each in manifest["shortcuts"]
    ]


async def test_a_proxy_of_the_environment_is_not_asked_the_way_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")
    async with aiohttp.ClientSession() as session:
        here = parts.slack_client(playground().settings, session)
        there = parts.slack_client(Settings(), session)

    assert (here.proxy, there.proxy) == (None, "http://proxy.example.com:3128")


# ---- processes ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def kept(worker: WorkerProcess) -> AsyncIterator[WorkerProcess]:
    """A worker that is kept alive inside the block."""
    keeping = asyncio.create_task(worker.keep())
    await until(lambda: worker.is_alive, "a worker")
    yield worker
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_killed_worker_is_started_anew() -> None:
    async with kept(WorkerProcess("told", SLEEPER, pause=0.05)) as worker:
        before = worker.facts["pid"]

        assert worker.kill()

        await until(lambda: worker.restarts == 1 and worker.is_alive and worker.facts["pid"] != before, "a second worker")
    assert not worker.is_alive


async def test_a_worker_is_told_by_its_standard_input(tmp_path: Path) -> None:
    written = tmp_path / "told"
    program = (
        sys.executable,
        "-c",
        f"import sys, time; open({str(written)!r}, 'w').write(sys.stdin.readline()); time.sleep(60)",
    )

    async with kept(WorkerProcess("all that it needs", program)):
        await until(lambda: written.exists() and bool(written.read_text()), "a told worker")

    assert written.read_text() == "all that it needs\n"


async def test_a_worker_that_does_not_end_when_asked_is_ended() -> None:
    program = (sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")

    async with kept(WorkerProcess("told", program, drain=0.1)) as worker:
        pid = worker.facts["pid"]

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=rf"Port {port} cannot be used \(.*\): end what uses it, or choose another"):
            await play(Settings(port=port))
