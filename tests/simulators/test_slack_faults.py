"""Slack when it is slow, strict about rates, wrong or gone; and addresses that stop working."""

from collections.abc import AsyncIterator

import aiohttp
import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.simulators.slack import SlackSimulator
from tests.simulators.slack_kit import ARNO, OPEN, PRIVATE, RITA, Caller, Clock, Stage, actions, button, simulator, staged

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture
def slack() -> SlackSimulator:
    return simulator()


@pytest.fixture
def client(stage: Stage, slack: SlackSimulator) -> AsyncWebClient:
    stage.put_slack(slack)
    return stage.client()


# ---- rates ----


async def test_posts_come_at_one_a_second_and_channel_after_a_small_burst() -> None:
    clock = Clock()
    call = Caller(simulator(clock=clock))
    burst = [(await call.raw("chat.postMessage", channel=OPEN, text="x")) for _ in range(4)]
    elsewhere = await call.raw("chat.postMessage", channel=PRIVATE, text="x")

    clock.now += 1
    later = [(await call.raw("chat.postMessage", channel=OPEN, text="x")).status_code for _ in range(2)]

    assert [each.status_code for each in burst] == [200, 200, 200, 429]
    assert burst[-1].headers["retry-after"] == "1"
    assert burst[-1].json() == {"ok": False, "error": "ratelimited"}
    assert (elsewhere.status_code, later) == (200, [200, 429])


@pytest.mark.parametrize(
    ("method", "args", "per_minute"),
    [
        ("usergroups.users.list", {"usergroup": "S0RELEASE"}, 20),
        ("conversations.info", {"channel": OPEN}, 50),
        ("users.info", {"user": RITA}, 100),
    ],
)
async def test_each_tier_lets_so_many_calls_through_a_minute(method: str, args: dict[str, str], per_minute: int) -> None:
    clock = Clock()
    call = Caller(simulator(clock=clock))
    first = [(await call.raw(method, **args)).status_code for _ in range(per_minute + 1)]

    clock.now += 60
    second = [(await call.raw(method, **args)).status_code for _ in range(per_minute + 1)]

    assert first == second == [200] * per_minute + [429]


async def test_without_pace_nothing_is_held_back() -> None:
    call = Caller(simulator(pace=False))

    assert {(await call.raw("chat.postMessage", channel=OPEN, text="x")).status_code for _ in range(10)} == {200}


async def test_slack_sdk_waits_as_long_as_it_is_told(client: AsyncWebClient, slack: SlackSimulator) -> None:
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler())
    slack.fail("chat.*", 429, seconds=0)

    await client.chat_postMessage(channel=OPEN, text="x")

    assert [call.status for call in slack.calls] == [429, 200]


# ---- scripted faults ----


async def test_a_status_is_answered_so_many_times(client: AsyncWebClient, slack: SlackSimulator) -> None:
    slack.fail("chat.post*", 503, times=2)

    for _ in range(2):
        with pytest.raises(SlackApiError) as refused:
            await client.chat_postMessage(channel=OPEN, text="x")
        assert refused.value.response.status_code == 503
    await client.chat_postMessage(channel=OPEN, text="x")

    assert len(slack.messages) == 1


async def test_an_error_of_slacks_is_answered(client: AsyncWebClient, slack: SlackSimulator) -> None:
    slack.fail("chat.postMessage", "fatal_error")

    with pytest.raises(SlackApiError, match="fatal_error"):
        await client.chat_postMessage(channel=OPEN, text="x")

    assert slack.messages == []


@pytest.mark.parametrize(("kind", "posted"), [("cut", 0), ("lost", 1)])
async def test_a_dropped_call_did_or_did_not_act(client: AsyncWebClient, slack: SlackSimulator, kind: str, posted: int) -> None:
    slack.fail("chat.postMessage", kind)

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.chat_postMessage(channel=OPEN, text="x")

    assert (len(slack.messages), len(slack.calls)) == (posted, 1)


async def test_a_slow_call_acts_late(slack: SlackSimulator) -> None:
    call = Caller(slack)
    slack.fail("chat.postMessage", "slow", seconds=0.05)

    answer = await call.raw("chat.postMessage", channel=OPEN, text="x")

    assert answer.json()["ok"] is True


async def test_a_slack_that_is_down_answers_nobody(client: AsyncWebClient, slack: SlackSimulator) -> None:
    slack.down = True
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.auth_test()
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(slack._state.issue_response_url(RITA, OPEN), json={"text": "x"})

    slack.down = False

    assert (await client.auth_test())["ok"] is True


# ---- response_url ----


async def test_a_response_is_private_unless_it_says_otherwise(slack: SlackSimulator) -> None:
    call, url = Caller(slack), slack._state.issue_response_url(RITA, OPEN)

    await call.http.post(url, json={"text": "for you"})
    await call.http.post(url, json={"text": "for all", "response_type": "in_channel"})

    assert [(m.text, m.to) for m in slack.messages] == [("for you", RITA), ("for all", None)]
    assert [m.text for m in slack.private(RITA)] == ["for you"]
    assert slack.private(ARNO) == []


async def test_a_response_replaces_or_deletes_the_message_it_came_from(slack: SlackSimulator) -> None:
    call = Caller(slack)
    ts = await call.post(blocks=[actions(button())])
    url = slack._state.issue_response_url(RITA, OPEN, ts)

    await call.http.post(url, json={"replace_original": True, "text": "done", "blocks": []})
    replaced = (slack.messages[0].ts, slack.messages[0].text, slack.messages[0].blocks)
    await call.http.post(url, json={"delete_original": True})

    assert replaced == (ts, "done", [])
    assert slack.messages == []


async def test_a_response_url_works_five_times(slack: SlackSimulator) -> None:
    call, url = Caller(slack), slack._state.issue_response_url(RITA, OPEN)

    answers = [await call.http.post(url, json={"text": "x"}) for _ in range(6)]

    assert [each.status_code for each in answers] == [200] * 5 + [404]
    assert (answers[0].text, answers[5].json()) == ("ok", {"ok": False, "error": "used_url"})


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (31, 404)])
async def test_a_response_url_works_half_an_hour(minutes: int, status: int) -> None:
    clock = Clock()
    call = Caller(simulator(clock=clock))
    url = call.slack._state.issue_response_url(RITA, OPEN)
    clock.now += 60 * minutes

    assert (await call.http.post(url, json={"text": "x"})).status_code == status


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "json_not_object"),
        (b"{}", 400, "no_text"),
        (b'{"text": "x", "colour": "red"}', 400, "invalid_payload"),
        (b'{"text": 1}', 400, "invalid_payload"),
        (b'{"text": "x", "response_type": "loud"}', 400, "invalid_payload"),
        (b'{"text": "x", "blocks": [{"type": "marquee"}]}', 400, "invalid_blocks"),
    ],
)
async def test_a_response_that_cannot_be_read_is_refused(
    slack: SlackSimulator, content: bytes, status: int, error: str
) -> None:
    call, url = Caller(slack), slack._state.issue_response_url(RITA, OPEN)

    answer = await call.http.post(url, content=content)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert slack.broken
    assert slack.messages == []


async def test_an_address_nobody_issued_is_refused(slack: SlackSimulator) -> None:
    answer = await Caller(slack).http.post("/response/r0", json={"text": "x"})

    assert (answer.status_code, answer.json()["error"]) == (404, "invalid_url")


async def test_a_response_url_can_fail_too(slack: SlackSimulator) -> None:
    call, url = Caller(slack), slack._state.issue_response_url(RITA, OPEN)
    slack.fail("response_url", 500)

    first, second = await call.http.post(url, json={"text": "x"}), await call.http.post(url, json={"text": "x"})

    assert (first.status_code, second.status_code) == (500, 200)
