"""The product's own groups: each job that is enqueued has a worker, no lock waits, no group goes deaf, connections suffice."""

import ast
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot import bootstrap
from bot.jobs import LOCKED, Group, worker_app
from bot.parts import groups_of
from bot.service import unit
from tests.in_process import ARNO, CONFIGURATION, RITA, Bot, opened, seen, until

pytestmark = pytest.mark.anyio
BOT = Path(bootstrap.__file__).parent
ENGINE = "engine:orders"
MOST_CONNECTIONS = 150
QUEUES = {name: value for name, value in vars(unit).items() if name.endswith("_QUEUE")}
SIX = CONFIGURATION + "".join(
    f"""
[[connections]]
name = "more-{number}"
engine = "restate"
admin_url = "{{orders}}"
"""
    for number in range(4)
)


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path) as made:
        yield made


def groups(bot: Bot) -> list[Group]:
    return groups_of(bot.parts, bootstrap.conninfo_of(bot.url))


# ---- every way a job is enqueued ---------------------------------------------------------------


def enqueued() -> Iterator[tuple[str, str, str]]:
    """Where the source makes a Job, its task, and its queue; the engines' queues stand for that of orders."""
    for path in sorted(BOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Job":
                task, queue = node.args[:2]
                assert isinstance(task, ast.Constant), f"{path.name}: a task that is no plain word"
                yield f"{path.name}:{node.lineno}", str(task.value), queue_of(queue)


def queue_of(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as word):
            return word
        case ast.Name(id=name) if name in QUEUES:
            return str(QUEUES[name])
        case ast.Call(func=ast.Name(id="engine_queue")):
            return ENGINE
    raise AssertionError(f"a queue that cannot be told: {ast.unparse(node)}")


async def test_every_job_the_source_enqueues_goes_to_a_queue_whose_group_knows_its_task(bot: Bot) -> None:
    known = {(task, each.queue) for each in groups(bot) for task in each.tasks}

    made = list(enqueued())

    assert len(made) > 10
    assert [where for where, task, queue in made if (task, queue) not in known] == []


async def test_every_task_of_a_group_is_enqueued_by_somebody_or_comes_by_itself(bot: Bot) -> None:
    used = {(task, queue) for _, task, queue in enqueued()}
    used |= {(each.task, group.queue) for group in groups(bot) for each in group.periodic}

    unused = {(task, each.queue) for each in groups(bot) for task in each.tasks} - used

    assert {task for task, queue in unused if "billing" not in queue} == set()


async def test_every_group_has_a_periodic_task_and_one_without_is_refused(bot: Bot) -> None:
    conninfo = bootstrap.conninfo_of(bot.url)

    for each in groups(bot):
        assert worker_app(each, conninfo).periodic_registry.periodic_tasks, each.name
    with pytest.raises(ValueError, match="would go deaf"):
        worker_app(Group("bare", "bare", 1, 1.0, {}), conninfo)


async def test_no_two_groups_share_a_queue_so_that_a_slow_engine_holds_up_no_other(bot: Bot) -> None:
    queues = [each.queue for each in groups(bot)]

    assert len(queues) == len(set(queues))
    assert {"slack", "timer", "lookup", ENGINE, "engine:billing"} == set(queues)


async def test_tasks_behind_a_lock_are_never_retried_by_the_job_engine_and_others_are(bot: Bot) -> None:
    for each in groups(bot):
        for task in worker_app(each, bootstrap.conninfo_of(bot.url)).tasks.values():
            if task.name in each.tasks:
                assert (task.retry_strategy is None) == (task.name in LOCKED), task.name


# ---- what is enqueued while the bot works ------------------------------------------------------

RECORD = """
CREATE TABLE public.every_job AS
    SELECT task_name, queue_name, lock, queueing_lock, scheduled_at, attempts FROM jobs.procrastinate_jobs WITH NO DATA;
CREATE FUNCTION public.note_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.every_job VALUES
        (NEW.task_name, NEW.queue_name, NEW.lock, NEW.queueing_lock, NEW.scheduled_at, NEW.attempts);
    RETURN NULL; END $$;
CREATE TRIGGER note_job AFTER INSERT OR UPDATE ON jobs.procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status = 'todo') EXECUTE FUNCTION public.note_job();
"""


async def test_while_the_bot_works_no_job_with_a_lock_is_scheduled_or_retried_and_each_has_its_worker(bot: Bot) -> None:
    await bot.ask(RECORD)
    bot.slack.fail("chat.postMessage", 429, times=2)
    bot.slack.fail("chat.update", 503, times=2)
    async with bot.working():
        card = await bot.card()
        question = await bot.asked(card)
        bot.orders.fail("PATCH */resume", 429)
        bot.orders.fail("POST /query", "cut")
        await bot.press(ARNO, question, "Approve")
        await seen(lambda: bot.orders.count("PATCH */resume"), "call", 30)
        await bot.says(RITA, "list")
        await bot.slack.open_home(RITA)
        await bot.slack.join("U0NORA", "C0DEPLOYS")

        async def is_quiet() -> bool:
            return not await bot.ask("SELECT 1 FROM jobs.procrastinate_jobs WHERE status = 'doing' LIMIT 1")

        await until(is_quiet, "rest")

    known = {(task, each.queue) for each in groups(bot) for task in each.tasks}
    assert set(await bot.ask("SELECT DISTINCT task_name, queue_name FROM every_job")) <= known
    assert set(await bot.ask("SELECT DISTINCT task_name FROM every_job WHERE lock IS NOT NULL")) == LOCKED
    assert await bot.ask("SELECT task_name FROM every_job WHERE lock IS NOT NULL AND scheduled_at IS NOT NULL") == []
    assert await bot.ask("SELECT task_name FROM every_job WHERE lock IS NOT NULL AND attempts > 0") == []
    assert await bot.ask("SELECT task_name FROM every_job WHERE queueing_lock IS NOT NULL") == []
    assert bot.slack.broken == []


# ---- connections -------------------------------------------------------------------------------


async def test_a_process_with_six_engines_holds_at_most_150_connections(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path, configuration=SIX) as bot:
        made = groups(bot)
        assert len([each for each in made if each.queue.startswith("engine:")]) == 6
        conninfo = bootstrap.conninfo_of(bot.url)
        listeners, rescue = len(made), 4
        pools = sum(worker_app(each, conninfo).connector._pool_args["max_size"] for each in made)  # type: ignore[attr-defined]
        store = bot.parts.store.engine.pool
        ours = store.size() + store._max_overflow  # type: ignore[attr-defined]

        assert pools + listeners + rescue + ours <= MOST_CONNECTIONS
