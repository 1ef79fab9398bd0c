"""The playground's parts, without a browser: its engines, its buttons, what its page sees."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bot.domain.errors import OutcomeUnknown
from bot.domain.execution import Action, ExecutionRef
from bot.domain.ports import Engine, PreparesResume
from bot.engines import engine_class, engine_kinds
from bot.engines._http import boot_time
from bot.play.actions import Actions
from bot.play.digdag import DigdagPlay
from bot.play.engine import PlayEngine
from bot.play.restate import RestatePlay
from bot.play.seen import Seen
from bot.play.site import Site
from bot.play.worker_process import WorkerProcess
from bot.simulators.serving import serve
from tests.play_stand import ENGINES, SECRET, SLEEPER, until

pytestmark = pytest.mark.anyio


QUICK = 0.01  # seconds of a step


class Unlimited:
    """A budget without an end."""

    async def admit(self) -> None:
        """Let every call through."""


@dataclass
class Bot:
    """What stands in the bot's place: it takes hooks and remembers them."""

    hooks: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 202."""
        request = Request(scope, receive)
        given = (request.url.path, request.headers.get("x-resumebot-secret", ""), await request.body())
        self.hooks.append(given)
        await PlainTextResponse("taken", 202)(scope, receive, send)


@dataclass
class Ground:
    """Engines behind one address, and the site that serves them."""

    base: str
    site: Site
    bot: Bot
    first: RestatePlay
    others: tuple[PlayEngine, ...]
    worker: WorkerProcess
    actions: Actions
    http: httpx.AsyncClient

    @property
    def engines(self) -> tuple[PlayEngine, ...]:
        return (self.first, *self.others)

    def of(self, kind: type[PlayEngine]) -> PlayEngine:
        return next(engine for engine in self.engines if isinstance(engine, kind))

    async def press(self, key: str) -> httpx.Response:
        return await self.http.post(f"/play/actions/{key}")


class Door:
    """One server for all tests of this file: a server each would cost a test 0.1 s."""

    base = ""
    site = Site()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the present site answer."""
        await self.site(scope, receive, send)


@pytest.fixture(scope="module")
async def door() -> AsyncIterator[Door]:
    door = Door()
    async with serve(door) as door.base:
        yield door


@pytest.fixture
async def ground(door: Door) -> AsyncIterator[Ground]:
    door.site = site = Site()
    site.bot = bot = Bot()
    first = RestatePlay(door.base, SECRET, QUICK)
    others = tuple(kind(door.base, SECRET, QUICK) for kind in ENGINES[1:])
    worker = WorkerProcess("told", SLEEPER)
    actions = Actions(first, others, worker)
    mounts = {prefix: app for engine in (first, *others) for prefix, app in engine.mounts().items()}
    site.open(mounts, Seen((first, *others), worker, actions, ["A notice."]), actions)
    async with httpx.AsyncClient(base_url=door.base, trust_env=False, timeout=30) as http:
        yield Ground(door.base, site, bot, first, others, worker, actions, http)
    site.close()
    for engine in (first, *others):
        await engine.aclose()


@contextlib.asynccontextmanager
async def connected(to: PlayEngine) -> AsyncIterator[Engine]:
    """The product's engine, as the playground connects it."""
    connection = to.facts.made(SECRET)
    engine = engine_class(to.kind)(to.connection, connection.settings, Unlimited())
    yield engine
    await engine.aclose()


async def broken(engine: PlayEngine) -> ExecutionRef:
    """Let it break: what failed."""
    await engine.break_something()
    await until(lambda: engine.rows()[0].status in {"failed", "paused"}, "a failure")
    return ExecutionRef(engine.connection, engine.rows()[0].id)


# ---- engines -----------------------------------------------------------------------------------


def test_every_engine_that_is_installed_can_be_played_with() -> None:
    assert sorted(kind.kind for kind in ENGINES) == list(engine_kinds())


@pytest.mark.parametrize("kind", ENGINES, ids=lambda kind: kind.kind)
async def test_what_broke_is_resumed_once_it_is_repaired_even_if_the_answer_is_lost(
    ground: Ground, kind: type[PlayEngine]
) -> None:
    playing = ground.of(kind)
    ref = await broken(playing)
    async with connected(playing) as engine:
        seen = await engine.describe(ref)
        assert seen.link == playing.rows()[0].link
        playing.repair()
        playing.lose_answer()

        with pytest.raises(OutcomeUnknown):
            await engine.resume(ref, seen.points[0], "req-1-1", boot_time() + 5)

        await until(lambda: playing.rows()[0].status == "succeeded", "success")
        assert playing.resume_calls == 1


async def test_the_answer_to_a_restart_is_lost_like_that_to_a_resume(ground: Ground) -> None:
    playing = ground.of(RestatePlay)
    ref = await broken(playing)
    async with connected(playing) as engine:
        assert isinstance(engine, PreparesResume)
        point = next(point for point in (await engine.describe(ref)).points if point.action is Action.RESTART)
        playing.lose_answer()

        await engine.prepare(ref, point, boot_time() + 5)
        with pytest.raises(OutcomeUnknown):
            await engine.resume(ref, point, "req-1-1", boot_time() + 5)

        assert playing.resume_calls == 1


@pytest.mark.parametrize("kind", ENGINES, ids=lambda kind: kind.kind)
async def test_what_is_not_repaired_fails_again(ground: Ground, kind: type[PlayEngine]) -> None:
    playing = ground.of(kind)
    ref = await broken(playing)
    async with connected(playing) as engine:
        points = (await engine.describe(ref)).points

        receipt = await engine.resume(ref, points[0], "req-1-1", boot_time() + 5)

        await until(lambda: playing.rows()[0].id == receipt.ref.id, "the resumed execution")
        await until(lambda: playing.rows()[0].status in {"failed", "paused"}, "a second failure")


@pytest.mark.parametrize("kind", ENGINES[1:], ids=lambda kind: kind.kind)
async def test_engines_that_push_tell_the_bot_in_a_way_it_can_read(ground: Ground, kind: type[PlayEngine]) -> None:
    playing = ground.of(kind)
    ref = await broken(playing)

    await until(lambda: bool(ground.bot.hooks), "a hook")

    path, secret, body = ground.bot.hooks[0]
    assert (path, secret) == (f"/hooks/{playing.connection}", SECRET)
    async with connected(playing) as engine:
        assert [notice.ref for notice in await engine.read_notice(body, {})] == [ref]


@pytest.mark.parametrize("kind", ENGINES, ids=lambda kind: kind.kind)
async def test_a_link_leads_to_a_page_that_shows_the_execution_first(ground: Ground, kind: type[PlayEngine]) -> None:
    playing = ground.of(kind)
    await broken(playing)
    link = playing.rows()[0].link

    answer = await ground.http.get(link.partition("#")[0])

    assert answer.status_code == 200
    assert playing.rows()[0].id in answer.text
    assert playing.rows()[0].name in answer.text


# ---- buttons -----------------------------------------------------------------------------------


async def test_an_answer_is_lost_once_whichever_engine_is_called_first(ground: Ground) -> None:
    playing = ground.of(DigdagPlay)
    ref, other = await broken(playing), await broken(ground.first)
    await ground.press("lose_answer")
    await ground.press("repair")

    async with connected(playing) as engine, connected(ground.first) as second:
        point, later = (await engine.describe(ref)).points[0], (await second.describe(other)).points[0]
        with pytest.raises(OutcomeUnknown):
            await engine.resume(ref, point, "req-1-1", boot_time() + 5)
        await ground.http.get("/play/state")

        receipt = await second.resume(other, later, "req-2-1", boot_time() + 5)

    assert receipt.ref == other


async def test_a_storm_fails_all_at_one_stage(ground: Ground) -> None:
    answer = await ground.press("storm")

    assert answer.json()["ok"]
    await until(lambda: all(row.status == "paused" for row in ground.first.rows()), "a storm")
    assert {step.name for row in ground.first.rows() for step in row.steps if step.status == "failed"} == {"build"}


async def test_a_button_that_does_not_exist_is_refused(ground: Ground) -> None:
    answer = await ground.press("explode")

    assert (answer.status_code, answer.json()["ok"]) == (404, False)


async def test_without_a_worker_none_is_killed(ground: Ground) -> None:
    answer = await ground.press("kill_worker")

    assert answer.json() == {"ok": False, "message": "That cannot be done now."}


# ---- what the page sees ------------------------------------------------------------------------


async def test_the_state_comes_at_once_and_then_when_something_changes(ground: Ground) -> None:
    first = (await ground.http.get("/play/state")).json()
    waiting = asyncio.create_task(ground.http.get("/play/state", params={"since": first["version"]}))
    await ground.http.get("/play/page/main.js")
    assert not waiting.done()

    await ground.press("break")
    second = (await waiting).json()

    assert second["version"] > first["version"]
    assert set(first) == {"version", "title", "engines", "audit", "worker", "repaired", "actions", "notices"}
    assert [engine["connection"] for engine in first["engines"]] == ["orders", "platform", "legacy", "etl"]
    (execution,) = second["engines"][0]["executions"]
    assert (execution["name"], [step["name"] for step in execution["steps"]]) == (
        "Checkout/run",
        ["checkout", "build", "test", "deploy", "verify"],
    )


async def test_the_engine_that_moved_last_comes_first(ground: Ground) -> None:
    await broken(ground.first)
    await broken(ground.of(DigdagPlay))

    shown = (await ground.http.get("/play/state")).json()["engines"]

    assert [engine["connection"] for engine in shown[:2]] == ["etl", "orders"]


async def test_browsers_get_modules_as_modules_and_ask_for_newer_ones(ground: Ground) -> None:
    page, module = await ground.http.get("/"), await ground.http.get("/play/page/main.js")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert module.headers["content-type"] == "text/javascript; charset=utf-8"
    assert {page.headers["cache-control"], module.headers["cache-control"]} == {"no-cache"}


async def test_whoever_waits_for_news_is_told_of_the_end(ground: Ground) -> None:
    version = (await ground.http.get("/play/state")).json()["version"]
    waiting = asyncio.create_task(ground.http.get("/play/state", params={"since": version}))
    await ground.http.get("/play/page/main.js")

    ground.site.close()

    assert (await waiting).status_code == 503
    assert (await ground.http.get("/readyz")).status_code == 503


async def test_before_it_is_open_the_site_says_that_it_starts(door: Door) -> None:
    door.site = Site()
    async with httpx.AsyncClient(base_url=door.base, trust_env=False) as http:
        page, state, bot = await http.get("/"), await http.get("/play/state"), await http.get("/readyz")

    assert (page.status_code, state.status_code, bot.status_code) == (200, 503, 503)
    assert state.text == "The playground is starting.\n"
