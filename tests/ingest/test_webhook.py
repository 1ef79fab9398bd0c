"""Hooks of engines: who may post, how much, what is kept, and that a 202 means kept for good."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.ingest.webhook import DEPTH, KEPT, LIMIT, Hooks
from bot.store.embedded import Embedded
from bot.store.schema import migrate
from tests.in_process import HOOK_SECRET, Bot, opened, seen
from tests.jobs.lab import bring_back, freeze, own_server, take_down, thaw, url_on

pytestmark = pytest.mark.anyio
OLD, NEW = "the-old-secret", "the-new-secret"
ENGINES_PATIENCE = 15.0


@pytest.fixture
async def bot(database: str, tmp_path: Path) -> AsyncIterator[Bot]:
    async with opened(database, tmp_path, environment={"ORDERS_HOOK": f"{OLD},{NEW}"}) as made:
        yield made


async def post(bot: Bot, content: bytes, secret: str = NEW, connection: str = "orders", **headers: str) -> httpx.Response:
    return await bot.http.post(f"/hooks/{connection}", content=content, headers={"X-Resumebot-Secret": secret, **headers})


async def incidents(bot: Bot) -> int:
    return int((await bot.ask("SELECT count(*) FROM incidents"))[0])


# ---- who may post ------------------------------------------------------------------------------


async def test_a_wrong_secret_and_an_unknown_name_get_the_same_401_and_nothing_is_written(bot: Bot) -> None:
    before = await bot.everything()

    answers = [
        await post(bot, b"{}", "wrong"),
        await post(bot, b"{}", ""),
        await post(bot, b"{}", "wrong", "unheard-of"),
        await post(bot, b"{}", NEW, "unheard-of"),
        await post(bot, b"{}", HOOK_SECRET),  # of billing
        await post(bot, b"{}", f"{OLD},{NEW}"),
        await post(bot, b"{}", NEW.upper()),
        await bot.http.post("/hooks/orders", content=b"{}"),
        await bot.http.post("/hooks/orders?secret=" + NEW, content=b"{}", headers={"Authorization": "Basic " + NEW}),
    ]

    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert await bot.everything() == before


@pytest.mark.parametrize("secret", [OLD, NEW])
@pytest.mark.parametrize("form", ["X-Resumebot-Secret: {}", "Authorization: Bearer {}", "authorization: bearer {}"])
async def test_either_of_two_secrets_will_do_in_either_header(bot: Bot, secret: str, form: str) -> None:
    name, _, value = form.format(secret).partition(": ")
    body = json.dumps({"invocation_id": await bot.failed()})

    answer = await bot.http.post("/hooks/orders", content=body, headers={name: value})

    assert answer.status_code == 202
    assert await incidents(bot) == 1


async def test_a_connection_without_a_secret_has_no_hook(bot: Bot) -> None:
    hooks = Hooks(bot.parts.core, {"orders": []})

    for given in ("", "\0", "anything"):
        assert (await hooks.take("orders", {"x-resumebot-secret": given}, chunks([b"{}"]))).status == 401


async def test_a_body_without_its_secret_is_not_read(bot: Bot) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    hooks = Hooks(bot.parts.core, {"orders": [NEW]})

    assert (await hooks.take("orders", {"x-resumebot-secret": "wrong"}, body())).status == 401
    assert read == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_hooks_are_posted(bot: Bot, method: str) -> None:
    assert (await bot.http.request(method, "/hooks/orders", headers={"X-Resumebot-Secret": NEW})).status_code == 405


# ---- how much ----------------------------------------------------------------------------------


async def chunks(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_more_than_four_megabytes_is_refused_without_reading_the_rest(bot: Bot) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 100_000
            yield b"x" * 100_000

    answered = await Hooks(bot.parts.core, {"orders": [NEW]}).take("orders", {"x-resumebot-secret": NEW}, endless())

    assert answered.status == 413
    assert read <= LIMIT + 100_000
    assert (await post(bot, b"x" * (LIMIT + 1))).status_code == 413
    assert await bot.ask("SELECT * FROM rejected_notices") == []


async def test_four_megabytes_are_taken_and_64_kb_of_what_cannot_be_read_are_kept(bot: Bot) -> None:
    assert (await post(bot, b"x" * LIMIT)).status_code == 202

    assert await bot.ask("SELECT length(body) FROM rejected_notices") == [KEPT]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_what_is_nested_too_deeply_is_a_clear_400_and_kept(bot: Bot, opening: bytes) -> None:
    answer = await post(bot, opening * 100_000)

    assert answer.status_code == 400
    assert str(DEPTH) in answer.text
    assert len(await bot.trail("incident:notice:rejected")) == 1


async def test_brackets_in_texts_are_no_depth(bot: Bot) -> None:
    execution = await bot.failed()
    body = json.dumps({"invocation_id": execution, "message": '[{"' * 200 + "\\"})

    assert (await post(bot, body.encode())).status_code == 202
    assert await incidents(bot) == 1


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "gzip, identity", "zstd", "made-up"])
async def test_what_is_compressed_is_a_415(bot: Bot, encoding: str) -> None:
    answer = await post(bot, gzip.compress(b"{}"), **{"Content-Encoding": encoding})

    assert answer.status_code == 415
    assert await bot.ask("SELECT * FROM rejected_notices") == []


async def test_identity_is_no_encoding(bot: Bot) -> None:
    body = json.dumps({"invocation_id": await bot.failed()}).encode()

    assert (await post(bot, body, **{"Content-Encoding": "identity"})).status_code == 202


# ---- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"{}",
        b"[]",
        b"null",
        b'{"invocation_id": 7}',
        b'{"invocation_id": "nonsense"}',
        b"\xff\xfe",
        b'{"a": "\\ud800"}',
    ],
)
async def test_what_cannot_be_read_is_kept_byte_for_byte_audited_and_answered_202(bot: Bot, content: bytes) -> None:
    answer = await post(bot, content)

    assert answer.status_code == 202
    assert await bot.ask("SELECT body FROM rejected_notices") == [content]
    (entry,) = await bot.trail("incident:notice:rejected")
    assert (entry["actor"], entry["connection"]) == ("engine:orders", "orders")


async def test_a_readable_hook_answers_after_its_incident_its_entry_and_its_jobs_are_committed(bot: Bot) -> None:
    execution = await bot.failed()

    answer = await post(bot, json.dumps({"invocation_id": execution}).encode())

    assert answer.status_code == 202
    assert await bot.ask("SELECT execution_id FROM incidents") == [execution]
    assert [entry["execution"] for entry in await bot.trail("incident:notice:received")] == [execution]
    assert "describe" in await bot.ask("SELECT task_name FROM jobs.procrastinate_jobs")


async def test_one_notice_however_often_it_is_delivered_is_one_incident_and_one_card(bot: Bot) -> None:
    execution = await bot.failed()
    body = json.dumps({"invocation_id": execution}).encode()

    async with bot.working():
        answers = await asyncio.gather(*[post(bot, body) for _ in range(12)])
        await seen(lambda: bot.find(execution, "Retry"), "card")
        answers += [await post(bot, body) for _ in range(3)]
        await bot.says("U0RITA", "list")

    assert {answer.status_code for answer in answers} == {202}
    assert await incidents(bot) == 1
    assert len([message for message in bot.slack.messages if message.channel == "C0DEPLOYS" and not message.to]) == 1
    assert len(await bot.trail("incident:notice:received")) == 1
    assert await bot.trail("incident:notice:merged") == []


# ---- when it cannot be kept --------------------------------------------------------------------


@pytest.fixture
async def frail(base: Path) -> AsyncIterator[Embedded]:
    with own_server(base) as server:
        await migrate(url_on(server, "postgres"))
        yield server


@pytest.mark.parametrize("way", ["frozen", "down"])
async def test_without_the_database_a_hook_is_refused_in_time_and_the_same_again_is_taken_once(
    frail: Embedded, tmp_path: Path, way: str
) -> None:
    async with opened(url_on(frail, "postgres"), tmp_path) as bot:
        execution = await bot.failed()
        assert (await bot.hook(await bot.failed())).status_code == 202  # connections stand
        if way == "frozen":
            freeze(frail)
        else:
            await take_down(frail)

        begun = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*[bot.hook(execution) for _ in range(3)])

        assert asyncio.get_running_loop().time() - begun < ENGINES_PATIENCE
        assert {answer.status_code for answer in answers} <= {500, 503}
        if way == "frozen":
            thaw(frail)
        else:
            await bring_back(frail)
        assert {(await bot.hook(execution)).status_code for _ in range(3)} == {202}
        assert await incidents(bot) == 2
