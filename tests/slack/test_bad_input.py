"""Bad input and bad luck, through Slack: each is answered with a sentence that helps, and nothing is broken on the way."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.simulators.restate_model import ServiceSpec
from bot.simulators.slack import Message
from tests.in_process import ARNO, AUDIT, DEPLOYS, ELSEWHERE, HOOK_SECRET, RITA, Bot, opened, seen, words_of

pytestmark = pytest.mark.anyio
HOSTILE = "<!channel> <@U0ARNO> <https://evil.example|click> `rm` ```x``` *b* " * 60


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path) as made, made.working():
        yield made
        assert made.slack.broken == []


# ---- what was typed ----------------------------------------------------------------------------


async def test_an_id_that_no_engine_knows(bot: Bot) -> None:
    made = bot.orders.start()
    del bot.orders.world.invocations[made["id"]]

    said = await bot.says(RITA, made["id"])

    assert "No execution" in said
    assert "orders" in said
    assert "billing" in said


@pytest.mark.parametrize("typed", ["inv_", "what?", "orders:nonsense", "17", "https://", "<script>", "`ls`", "a" * 2000, "😀"])
async def test_what_is_no_id(bot: Bot, typed: str) -> None:
    said = await bot.says(RITA, typed)

    assert "orders" in said or "billing" in said
    assert len(said) < 1500


async def test_an_id_of_another_connection(bot: Bot) -> None:
    execution = await bot.failed()

    assert "is known to billing" in await bot.says(RITA, f"billing:{execution}")


async def test_a_connection_that_does_not_exist_with_the_nearest_name(bot: Bot) -> None:
    execution = await bot.failed()

    said = await bot.says(RITA, f"ordrs:{execution}")

    assert "no connection" in said
    assert "orders" in said


async def test_an_execution_that_has_completed(bot: Bot) -> None:
    made = bot.orders.start()
    await bot.orders.wait_status(made["id"], "completed")

    said = await bot.says(RITA, made["id"])

    assert "completed" in said or "succeeded" in said
    assert await bot.trail("request:resume:requested") == []


async def test_an_execution_that_runs(bot: Bot) -> None:
    made = bot.orders.start(deploy="slow")
    await bot.orders.wait_status(made["id"], "running")

    assert "runs" in await bot.says(RITA, made["id"]) or "running" in await bot.says(RITA, made["id"])


@pytest.mark.parametrize(("typed", "near"), [("deply", "deploy"), ("DEPLOYMENT", "deploy"), ("zzz", "On offer")])
async def test_a_stage_that_does_not_exist_with_the_nearest_names(bot: Bot, typed: str, near: str) -> None:
    execution = await bot.failed()

    said = await bot.says(RITA, f"{execution} {typed}")

    assert typed in said
    assert near in said
    assert await bot.trail("request:resume:requested") == []


@pytest.mark.parametrize("typed", ["deploy", "Deploy", '"deploy"', "“deploy”", "DEPLOY"])
async def test_a_stage_however_it_is_written(bot: Bot, typed: str) -> None:
    execution = await bot.failed()

    assert "Asked" in await bot.says(RITA, f"{execution} {typed}")


@pytest.mark.parametrize("host", ["https://evil.example", "http://127.0.0.1:1", "http://169.254.169.254", "file://"])
async def test_a_link_of_an_unknown_host_is_not_followed(bot: Bot, host: str) -> None:
    said = await bot.says(RITA, f"<{host}/ui/invocations/inv_1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|look here>")

    assert "configured engines" in said or "no execution id" in said
    assert not [call for call in [*bot.orders.calls, *bot.billing.calls] if "aaaa" in call.path + call.body]


@pytest.mark.parametrize(
    "text", ["status", "audit", "why", "status req-99", "why inc-99", "audit nonsense", "list all", "mine too"]
)
async def test_a_question_about_nothing(bot: Bot, text: str) -> None:
    assert len(await bot.says(RITA, text)) > 20


async def test_help_needs_no_worker_and_no_engine(bot: Bot) -> None:
    ack = await bot.slack.command(RITA, DEPLOYS, "/resume", "help")

    assert "/resume list" in ack.body


# ---- engines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", 503, "html", "strange", 401])
async def test_an_engine_that_is_down(bot: Bot, fault: int) -> None:
    execution = await bot.failed()
    bot.orders.fail("*", fault, times=100)
    bot.billing.fail("*", fault, times=100)

    said = await bot.says(RITA, f"orders:{execution} deploy")

    assert "orders" in said
    assert "again" in said
    assert await bot.trail("request:resume:requested") == []
    bot.orders.heal()
    bot.billing.heal()


async def test_an_engine_that_takes_ten_seconds_is_looked_up_at_once_and_given_up_on_in_time(bot: Bot) -> None:
    execution = await bot.failed()
    bot.orders.fail("*", "slow", times=100, seconds=10)

    ack = await bot.slack.command(RITA, DEPLOYS, "/resume", f"orders:{execution} deploy")

    assert ack.seconds < 1
    assert "Looking it up" in ack.body
    said = await seen(lambda: next((m for m in bot.slack.private(RITA) if "again" in m.text), None), "word in the end", 12)
    assert "Nothing was done" in said.text
    assert await bot.trail("request:resume:requested") == []
    bot.orders.heal()


# ---- Slack -------------------------------------------------------------------------------------


async def test_while_slack_is_down_everything_is_kept_and_said_afterwards(bot: Bot) -> None:
    card = await bot.card()
    bot.slack.down = True
    execution = await bot.failed()
    assert (await bot.hook(execution)).status_code == 202
    assert (await bot.press(RITA, card, "Retry")).status == 200
    ack = await bot.slack.command(RITA, DEPLOYS, "/resume", "list")
    assert ack.status == 200
    assert len(await bot.trail("request:resume:requested")) == 1

    bot.slack.down = False

    await seen(lambda: bot.find(execution, "Retry"), "card", 15)
    await seen(lambda: bot.find("", "Approve", thread=card.ts), "approval message", 15)
    assert "inc-1" in await bot.told(RITA, words="inc-1")


async def test_a_channel_the_bot_is_not_in(bot: Bot) -> None:
    channel = bot.slack.cast.channels[ELSEWHERE]
    channel.members.remove("U0BOT")
    channel.is_private = True
    made = bot.billing.start(deploy="fail")
    await bot.billing.wait_status(made["id"], "paused")

    await bot.hook(made["id"], "billing")

    said = await seen(lambda: bot.find("could not be delivered"), "word in the audit channel")
    assert said.channel == AUDIT
    assert "invite me" in words_of(said) or "I am not in it" in words_of(said)
    assert len(await bot.trail("bot:message:undeliverable")) == 1


async def test_a_channel_that_was_archived(bot: Bot) -> None:
    bot.slack.cast.channels[DEPLOYS].is_archived = True

    await bot.hook(await bot.failed())

    said = await seen(lambda: bot.find("could not be delivered"), "word in the audit channel")
    assert "archived" in words_of(said)


async def test_a_message_that_people_deleted_is_posted_anew(bot: Bot) -> None:
    card = await bot.card()
    bot.slack._state.remove_message(card)

    execution = (await bot.ask("SELECT execution_id FROM incidents"))[0]
    assert "Asked" in await bot.says(RITA, f"{execution} deploy")

    await seen(lambda: bot.find(execution, thread=None), "card posted anew")


# ---- what engines tell -------------------------------------------------------------------------


def shown(bot: Bot, execution: str) -> Message | None:
    """The card of an execution."""
    return bot.find(execution, "Retry")


def active_texts(part: object) -> Iterator[str]:
    """The texts in which Slack looks for mentions and links."""
    if isinstance(part, list):
        for each in part:
            yield from active_texts(each)
    elif isinstance(part, dict):
        if part.get("type") == "mrkdwn":
            yield part["text"]
        for value in part.values():
            yield from active_texts(value)


async def test_sixty_steps(bot: Bot) -> None:
    steps = tuple(f"step {number:02d}" for number in range(60))
    bot.orders.deploy([ServiceSpec("Pipeline", steps)])
    made = bot.orders.start(None, **{"step 59": "fail"})  # type: ignore[arg-type]  # the names of steps are its keywords
    await bot.orders.wait_status(made["id"], "paused")

    await bot.hook(made["id"])

    card = await seen(lambda: shown(bot, made["id"]), "card")
    assert "step 59" in words_of(card)
    assert "Asked" in await bot.says(RITA, f"{made['id']} step 59")
    question = await seen(lambda: bot.find("", "Approve", thread=card.ts), "approval message")
    await bot.press(ARNO, question, "Approve")
    await seen(lambda: bot.orders.count("PATCH */resume"), "call")


async def test_an_error_of_4000_characters_with_a_mention_and_backticks_mentions_nobody(bot: Bot) -> None:
    bot.orders.world.reasons["deploy"] = HOSTILE[:4000]
    execution = await bot.failed()

    await bot.hook(execution)

    card = await seen(lambda: shown(bot, execution), "card")
    assert "evil.example" in words_of(card)
    active = [card.text, *active_texts(card.blocks)]
    assert not [text for text in active if "<!channel>" in text or "<https://evil" in text or "<@U0ARNO>" in text]
    assert len(words_of(card)) < 10_000


async def test_a_notice_with_nul_and_lone_surrogates(bot: Bot) -> None:
    execution = await bot.failed()
    body = b'{"invocation_id": "%b", "message": "a\\u0000b \\ud800 c"}' % execution.encode()

    answer = await bot.http.post("/hooks/orders", content=body, headers={"X-Resumebot-Secret": HOOK_SECRET})

    assert answer.status_code == 202
    await seen(lambda: shown(bot, execution), "card")
