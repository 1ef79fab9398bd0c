"""How the engine hears of failures: the server's notices, `_error` blocks, the poll; and what people paste."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.domain.errors import ContractViolation, NotFound
from bot.domain.execution import ExecutionRef
from bot.engines.digdag import Digdag, DigdagSettings
from bot.simulators.digdag_faults import Fault, FaultKind
from bot.simulators.digdag_wire import Flavour
from tests.engines.digdag_stand import CONNECTION, Stand, Unlimited, digdag, switchboard  # noqa: F401 — a fixture

pytestmark = pytest.mark.anyio

SAMPLES = Path(__file__).parent / "samples" / "digdag"


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


# ---- notices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "attempt_id", "workflow"),
    [
        ("attempt_failed", "1", "resume_demo"),
        ("error_block", "23", "handled"),
        ("workflow_timeout", "1", "resume_demo"),
        ("task_timeout", "1", "resume_demo"),
    ],
)
async def test_a_notice_of_a_failure_names_the_attempt_whatever_sent_it(name: str, attempt_id: str, workflow: str) -> None:
    async with digdag() as stand:
        notices = await stand.engine.read_notice(sample(name), {})

    assert [(one.ref, one.key, one.name) for one in notices] == [
        (ExecutionRef(CONNECTION, attempt_id), f"attempt:{attempt_id}", workflow)
    ]


@pytest.mark.parametrize("name", ["sla_violation", "notify_operator"])
async def test_a_notice_of_something_else_is_no_failure(name: str) -> None:
    async with digdag() as stand:
        assert await stand.engine.read_notice(sample(name), {}) == []


async def test_ids_are_taken_as_numbers_and_as_strings() -> None:
    async with digdag() as stand:
        body = json.loads(sample("attempt_failed"))

        as_text = await stand.engine.read_notice(json.dumps({**body, "attempt_id": "27"}).encode(), {})
        as_number = await stand.engine.read_notice(json.dumps({**body, "attempt_id": 27}).encode(), {})

    assert as_text == as_number


async def test_a_notice_without_an_attempt_is_found_by_its_session() -> None:
    async with digdag() as stand:
        failed = await stand.run("release")

        notices = await stand.engine.read_notice(sample("only_a_session"), {})

    assert [one.ref for one in notices] == [failed]


AWAY = [
    Fault(FaultKind.REFUSE, method="GET", status=503, times=9),
    Fault(FaultKind.CUT, method="GET", times=9),
    Fault(FaultKind.SLOW, method="GET", seconds=3, times=9),
    Fault(FaultKind.REFUSE, method="GET", status=401, times=9),
]


@pytest.mark.parametrize("fault", AWAY, ids=["fault", "cut", "slow", "unauthorised"])
async def test_a_notice_of_a_session_is_kept_while_the_server_is_away_and_leads_to_its_attempt_later(fault: Fault) -> None:
    async with digdag() as stand:
        failed = await stand.run("release")
        stand.simulator.script(replace(fault))

        (notice,) = await stand.engine.read_notice(sample("only_a_session"), {})
        stand.simulator.heal()
        execution = await stand.engine.describe(notice.ref)

    assert notice.ref.id == "session:1"
    assert (execution.ref, execution.root) == (failed, failed.id)
    assert execution.points


async def test_such_a_notice_is_told_from_others_by_its_bytes() -> None:
    async with digdag() as stand:
        stand.simulator.script(Fault(FaultKind.REFUSE, method="GET", status=401, times=9))

        keys = [(await stand.engine.read_notice(sample("only_a_session") + end, {}))[0].key for end in (b"", b"", b" ")]

    assert keys[0] == keys[1] != keys[2]


async def test_a_notice_of_a_session_that_nobody_knows_is_refused() -> None:
    async with digdag() as stand:
        with pytest.raises(NotFound):
            await stand.engine.read_notice(sample("only_a_session"), {})
        with pytest.raises(NotFound):
            await stand.engine.describe(ExecutionRef(CONNECTION, "session:../1"))


@pytest.mark.parametrize(
    "body", [b"", b"{nope", b"[]", b"{}", b'{"text": "hello"}', b'{"message": "x", "attempt_id": "../1"}', b"\xff"]
)
async def test_unrelated_json_is_refused_politely(body: bytes) -> None:
    async with digdag() as stand:
        with pytest.raises(ContractViolation, match="no notice of Digdag's"):
            await stand.engine.read_notice(body, {})


async def test_a_notice_that_names_nothing_is_refused() -> None:
    async with digdag() as stand:
        with pytest.raises(ContractViolation, match="neither"):
            await stand.engine.read_notice(b'{"message": "Workflow session attempt failed"}', {})


async def test_the_block_and_the_server_tell_of_the_same_failure_by_one_key() -> None:
    async with digdag() as stand:
        await stand.run("handled", {"hook": "http://hooks.test/block"})

        read = [await stand.engine.read_notice(json.dumps(one["json"]).encode(), one["headers"]) for one in stand.mailbox.taken]
        polled = await stand.engine.find_failures(None)

    assert len(read) == 2
    assert {notice.key for notices in (*read, polled) for notice in notices} == {"attempt:1"}


# ---- the poll ---------------------------------------------------------------------------------------


async def test_the_poll_finds_failures_oldest_first_and_no_kills_or_successes() -> None:
    async with digdag() as stand:
        first = await stand.run("release")
        await stand.run("release", {"target": "prod"})
        second = await stand.run("retried")
        stand.simulator.pace.hold()
        killed = await stand.start("slow", {"pause": "1s"})
        stand.simulator.world.kill(int(killed.id))
        stand.simulator.pace.release()
        await stand.ended(killed)

        found = await stand.engine.find_failures(None)

    assert [one.ref for one in found] == [first, second]


async def test_the_poll_looks_at_the_newest_attempt_of_a_session_only() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        again = (await stand.resume(execution, execution.points[0])).ref
        await stand.ended(again)

        assert [one.ref for one in await stand.engine.find_failures(None)] == [again]


async def test_a_failure_from_before_the_mark_is_old() -> None:
    async with digdag() as stand:
        await stand.run("release")

        assert await stand.engine.find_failures(datetime.now(UTC) + timedelta(minutes=1)) == []


async def test_an_attempt_that_ran_through_several_polls_is_found_when_it_fails() -> None:
    async with digdag(attempts=1000) as stand:
        stand.simulator.pace.hold()
        slow = await stand.start("release")
        assert await stand.engine.find_failures(datetime.now(UTC)) == []
        for _ in range(101):
            await stand.start("slow", {"pause": "1ms"})
        stand.clock.shift = timedelta(hours=1)
        stand.simulator.pace.release()
        await stand.ended(slow)

        found = await stand.engine.find_failures(datetime.now(UTC) + timedelta(minutes=30))

    assert [one.ref for one in found] == [slow]
    assert [call.path for call in stand.simulator.calls if call.method == "GET"][-1] == f"/api/attempts/{slow.id}"


async def test_all_standing_failures_are_read_page_by_page() -> None:
    async with digdag(attempts=1000) as stand:
        await _many(stand, 101)
        oldest = await stand.run("retried")
        await _many(stand, 101)

        found = await stand.engine.find_failures(None, limit=300)

    assert [one.ref for one in found] == [oldest]


async def _many(stand: Stand, number: int) -> None:
    refs = [await stand.start("slow", {"pause": "1ms"}) for _ in range(number)]
    for ref in refs:
        await stand.ended(ref)


# ---- what people paste ---------------------------------------------------------------------------------


def an_engine(base_url: str, **settings: str) -> Digdag:
    return Digdag(CONNECTION, DigdagSettings.model_validate({"base_url": base_url, **settings}), Unlimited())


@pytest.mark.parametrize(
    ("text", "attempt_id"),
    [
        ("27", "27"),
        (" attempt:27 ", "27"),
        ("http://digdag.example:65432/attempts/27", "27"),
        ("<http://digdag.example:65432/attempts/27/?tab=log#x|the attempt>", "27"),
        ("https://digdag.example:65432/attempts/27", None),
        ("http://evil.example/attempts/27", None),
        ("http://digdag.example:65432@evil.example/attempts/27", None),
        ("http://digdag.example:65432/workflows/5", None),
        ("http://digdag.example:65432/sessions/9", None),
        ("session:9", None),
        ("attempt:x", None),
        ("inv_1abc", None),
        ("٢٧", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_only_ids_and_links_of_this_server_are_executions(text: str, attempt_id: str | None) -> None:
    assert an_engine("http://digdag.example:65432").read_argument(text) == attempt_id


@pytest.mark.parametrize(
    ("base", "text", "attempt_id"),
    [
        ("http://digdag.example.com/wf", "http://digdag.example.com/wf/attempts/5", "5"),
        ("http://digdag.example.com/wf/", "http://digdag.example.com/wf//attempts/5/", "5"),
        ("http://digdag.example.com/wf", "http://digdag.example.com:80/wf/attempts/5", "5"),
        ("http://digdag.example.com:80/wf", "HTTP://Digdag.Example.com/wf/attempts/5", "5"),
        ("https://digdag.example.com", "https://digdag.example.com:443/attempts/5", "5"),
        ("http://digdag.example.com/wf", "http://digdag.example.com/wfother/attempts/5", None),
        ("http://digdag.example.com/wf", "http://digdag.example.com/attempts/5", None),
        ("http://digdag.example.com/wf", "http://digdag.example.com/wf/../attempts/5", None),
        ("http://digdag.example.com", "http://digdag.example.com/somebody/else/attempts/5", None),
        ("http://digdag.example.com", "http://digdag.example.com:8080/attempts/5", None),
        ("http://digdag.example.com", "https://digdag.example.com/attempts/5", None),
        ("http://digdag.example.com", "http://digdag.example.com:99999/attempts/5", None),
        ("http://digdag.example.com", "http://eve@digdag.example.com/attempts/5", None),
    ],
)
def test_a_link_is_ours_by_whole_parts_of_its_path_and_by_the_port_it_means(
    base: str, text: str, attempt_id: str | None
) -> None:
    assert an_engine(base).read_argument(text) == attempt_id


@pytest.mark.parametrize("setting", ["base_url", "console_url"])
@pytest.mark.parametrize(
    "address",
    ["https://bot:secret@digdag.example.com", "https://bot@digdag.example.com", "https://@digdag.example.com",
     "ftp://digdag.example.com", "digdag.example.com", "https://digdag.example.com?a=b", "https://digdag.example.com:99999",
     "https:///wf", "https://digdag .example.com", ""],
)  # fmt: skip
def test_an_address_with_a_password_or_of_no_server_is_refused_before_it_stands_in_a_link(setting: str, address: str) -> None:
    with pytest.raises(ValidationError, match=setting):
        DigdagSettings.model_validate({"base_url": "https://digdag.example.com", setting: address})


@pytest.mark.parametrize("text", ["session:1", "{base}/sessions/1"])
async def test_a_session_leads_to_its_last_attempt(text: str) -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        newest = (await stand.resume(execution, execution.points[0])).ref

        assert await stand.engine.resolve_argument(text.format(base=stand.base_url)) == newest.id


async def test_a_console_link_of_treasure_data_leads_to_the_last_attempt() -> None:
    async with digdag(Flavour.TD, console_url="https://console.treasuredata.com") as stand:
        failed = await stand.run("release")

        for host in ("console.treasuredata.com", "console.us01.treasuredata.com"):
            assert await stand.engine.resolve_argument(f"https://{host}/app/workflows/sessions/1?view=tasks") == failed.id
        assert await stand.engine.resolve_argument("https://console.treasuredata.co.jp/app/workflows/sessions/1") is None
        assert (await stand.engine.describe(failed)).link == "https://console.treasuredata.com/app/workflows/sessions/1"


async def test_an_unknown_session_is_not_found_and_anything_else_no_link() -> None:
    async with digdag() as stand:
        with pytest.raises(NotFound):
            await stand.engine.resolve_argument("session:999")
        assert await stand.engine.resolve_argument("27") is None


@pytest.mark.parametrize(
    ("api", "console"),
    [
        ("https://api-workflow.treasuredata.com", "https://console.us01.treasuredata.com"),
        ("https://api-workflow.treasuredata.co.jp", "https://console.treasuredata.co.jp"),
        ("https://api-workflow.eu01.treasuredata.com", "https://console.eu01.treasuredata.com"),
        ("https://api-workflow.ap02.treasuredata.com", "https://console.ap02.treasuredata.com"),
    ],
)
def test_each_site_of_treasure_data_has_its_console(api: str, console: str) -> None:
    links = an_engine(api, token="1/abcdef")._links

    assert links.session_of(f"{console}/app/workflows/sessions/12") == "12"
    assert links.session_of("https://console.example.com/app/workflows/sessions/12") is None
