"""Everything a journey runs on: a Slack, a Restate server, a database, and processes of the bot between them."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from bot.simulators.serving import serve
from bot.store.embedded import attach
from tests.journeys import bots
from tests.journeys.bots import Bot
from tests.journeys.engines import END, EngineSide
from tests.journeys.history import History, Press, Shown
from tests.journeys.ledger import Ledger
from tests.journeys.people import AUDIT, DEPLOYS, RELEASE, RITA, SECRET, TOKEN, People, has_button, workspace
from tests.journeys.points import Arming
from tests.journeys.waiting import seen, until

CONFIGURATION = f"""
[slack]
audit_channel = "{AUDIT}"

[[connections]]
name = "orders"
engine = "restate"
admin_url = "%s"
poll_seconds = 1

[[routes]]
match = {{ connection = "orders", name = "Pipeline*" }}
channel = "{DEPLOYS}"

[[policies]]
name = "journeys"
requesters = ["anyone"]
approvers = ["{RITA}", "{RELEASE}"]
"""
ENDS = frozenset({"succeeded", "failed", "refused", "superseded"})
LEFT_OVER = "left over from a fault"


@dataclass(frozen=True)
class Run:
    """One execution that is made to fail at `deploy`; the key says how it goes on."""

    id: str
    key: str


class Stand:
    """One installation; a journey starts the processes it wants and looks at all sides."""

    def __init__(self, folder: Path, people: People, engine: EngineSide, settings: dict[str, str], database: str = "") -> None:
        self.people, self.engine = people, engine
        self.settings = {**settings, **({"DATABASE_URL": database} if database else {})}
        self.ledger = Ledger(database)
        self.points = folder / "points"
        self.points.mkdir()
        self.arming = Arming(self.points)
        self.bots: list[Bot] = []
        self._folder, self._started = folder, 0
        engine.counter.intents = self._intents

    async def _intents(self, execution: str, verb: str) -> int:
        return await self.ledger.intents(execution, "request:preparation:begun" if verb == END else "request:call:sent")

    # ---- processes -----------------------------------------------------------------------

    async def start(self, role: str, *options: str) -> Bot:
        """Start a process of the bot; one that serves is waited for until it is ready."""
        self._started += 1
        bot = await bots.start(role, options, self.settings, self._folder / f"{self._started}-{role}.log")
        self.bots.append(bot)
        if role != "worker":
            await self.is_ready(bot)
        if "DATABASE_URL" not in self.settings:
            self.ledger.url = await asyncio.to_thread(_address, Path(self.settings["RESUMEBOT_DATA"]))
        return bot

    async def program(self, *words: str) -> str:
        """What a command of the program says."""
        return await bots.call(words, self.settings)

    async def start_with_points(self, role: str, *options: str) -> Bot:
        """The same, hurried and with fail points that can be armed."""
        return await self.start(role, "--hurried", "--points", str(self.points), *options)

    async def start_again(self, bot: Bot) -> Bot:
        """A new process in the place of one that has ended."""
        await bot.ended()
        self.bots.remove(bot)
        return await self.start(bot.role, *bot.options)

    async def is_ready(self, bot: Bot, limit: float = 60.0) -> None:
        """Wait until it serves and reaches its database."""
        async with httpx.AsyncClient() as http:

            async def ready() -> bool:
                assert bot.is_running, bot.log.read_text(encoding="utf-8")[-3000:]
                try:
                    return (await http.get(f"{self.people.slack.bot_url}/readyz", timeout=3)).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "ready bot", limit)

    def bot(self, pid: int) -> Bot:
        """The process with this id."""
        return next(bot for bot in self.bots if bot.pid == pid)

    async def close(self) -> None:
        """End all processes; those that own a database are given time to stop it."""
        for bot in [bot for bot in self.bots if bot.is_running]:
            if "DATABASE_URL" in self.settings:
                bot.kill()
            else:
                bot.thaw()
                bot.terminate()
            await bot.ended()

    # ---- what happens --------------------------------------------------------------------

    async def begin(self) -> Run:
        """An execution begins that will fail at deploy."""
        await until(self.ledger.is_watched, "first look at the engine")
        made = await self.engine.world.start(deploy="fail")
        return Run(made["id"], made["key"])

    async def failed(self) -> Run:
        """The same, once it has failed: it can be repaired from now on."""
        run = await self.begin()
        await self.engine.world.wait_status(run.id, "paused")
        return run

    async def repair(self, run: Run) -> None:
        """From now on its deploy passes."""
        await self.engine.world.plan(run.key)

    async def is_over(self, run: Run, limit: float = 30.0, *, among: frozenset[str] = ENDS) -> str:
        """The state of its newest request, once that is at its end and shown."""

        async def ended() -> str | None:
            states = list((await self.ledger.requests(run.id)).values())
            return states[-1] if states and states[-1] in among else None

        return await until(ended, f"end of {run.id}", limit)

    async def is_reached(self, point: str, run: Run, limit: float = 30.0) -> Bot:
        """The process that has just ended or frozen itself there."""
        pid = await seen(lambda: self.arming.reached(point, run.id), f"process at {point}", limit)
        return self.bot(pid)

    async def thaw(self, bot: Bot, point: str, run: Run) -> None:
        """Let a frozen process go on, until it has left what it was frozen in."""
        bot.thaw()
        await seen(lambda: self.arming.ended(point, run.id), f"end of {point} in the thawed process")

    async def insist(self, user: str, label: str, run: Run, wanted: str) -> None:
        """Press until the run's request is where it should be: a message that was left over from a fault is pressed in vain."""
        told = len(self.people.all_told(user, LEFT_OVER))

        async def has_come() -> bool:
            states = list((await self.ledger.requests(run.id)).values())
            return states[-1:] == [wanted] or len(self.people.all_told(user, LEFT_OVER)) > told

        await self.people.press(user, label, run.id)
        await until(has_come, f"answer to {label} on {run.id}")
        if len(self.people.all_told(user, LEFT_OVER)) > told:
            await self.insist(user, label, run, wanted)

    async def stands(self, surface: str, run: Run) -> None:
        """Wait until the bot has stored that such a message stands."""

        async def stored() -> bool:
            messages = await self.ledger.messages(run.id)
            return any(
                message.surface.partition("-")[0] == surface and message.ts and not message.is_due for message in messages
            )

        await until(stored, f"{surface} of {run.id}")

    # ---- what is to be seen --------------------------------------------------------------

    async def history(self, run: Run, *, may_give_up_jobs: bool = False) -> History:
        """What can be seen of an execution from outside the bot at this moment."""
        verdict = await self.ledger.verdict()
        jobs = [] if may_give_up_jobs else await self.ledger.failed_jobs()
        tries = (await self.engine.world.attempts(run.key)).count("deploy")
        restarted = await self.engine.world.query(f"SELECT id, status FROM sys_invocation WHERE restarted_from = '{run.id}'")
        own = await self.engine.world.query(f"SELECT status FROM sys_invocation WHERE id = '{run.id}'")
        status = restarted or own
        return History(
            presses=[
                Press(f"slack:T0PLAY/{pressed.user}", pressed.label)
                for pressed in self.people.presses
                if pressed.execution == run.id and self.people.counts(pressed)
            ],
            entries=await self.ledger.entries(run.id),
            requests=await self.ledger.requests(run.id),
            calls=[call for call in self.engine.counter.calls if call.execution == run.id],
            ends=[call for call in self.engine.counter.ends if call.execution == run.id],
            restarted=[row["id"] for row in restarted],
            engine_status=status[0]["status"] if status else None,
            tries=tries,
            cards=[Shown(m.ts, m.text, has_button(m, "Retry")) for m in self.people.cards(run.id)],
            messages=await self.ledger.messages(run.id),
            faults=[*([verdict.fault] if verdict.fault else []), *[f"{job} was given up" for job in jobs]],
        )

    async def complaints(self, run: Run, limit: float = 15.0, *, may_give_up_jobs: bool = False) -> list[str]:
        """What the checker has to say once the bot had time to finish what it has begun.

        Where the database went away under a job, the job may be given up: what it was for must be done all the same.
        """
        found: list[str] = []

        async def none_left() -> bool:
            found[:] = (await self.history(run, may_give_up_jobs=may_give_up_jobs)).complaints()
            return not found

        with suppress(AssertionError):
            await until(none_left, "history without complaints", limit)
        return found


@asynccontextmanager
async def opened(base: Path, engine: EngineSide, *, database: str = "", pace: bool = False) -> AsyncIterator[Stand]:
    """An installation without any process yet; without a database it brings its own, below the folder."""
    with _folder(base) as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        slack = workspace(f"http://127.0.0.1:{port}", pace=pace)
        async with serve(slack.app) as slack.public_url:
            (folder / "resumebot.toml").write_text(CONFIGURATION % engine.url, encoding="utf-8")
            settings = {
                "RESUMEBOT_CONFIG": str(folder / "resumebot.toml"),
                "RESUMEBOT_DATA": str(folder / "data"),
                "SLACK_BOT_TOKEN": TOKEN,
                "SLACK_SIGNING_SECRET": SECRET,
                "SLACK_API_URL": f"{slack.public_url}/api/",
                "PORT": str(port),
            }
            stand = Stand(folder, People(slack), engine, settings, database)
            try:
                yield stand
            finally:
                await stand.close()
                await slack.close()


def _address(data: Path) -> str:
    return attach(data) or ""


@contextmanager
def _folder(base: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="resumebot-journey-", dir=base))
    folder.chmod(0o711)  # as root the database is another account
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
