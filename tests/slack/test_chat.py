"""The chat adapter against a wire-true Slack: what is shown, and how each kind of trouble is told apart."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ChatError, ChatRateLimited, ChatRefused, ChatUnavailable
from bot.domain.messages import Answer, Card, Home, Word
from bot.slack.chat import SlackChat
from bot.slack.views import render_modal
from tests.slack.objects import incident
from tests.slack.world import DEPLOYS, QUIET, RITA, TOKEN, Door, World, odd, world

pytestmark = pytest.mark.anyio

CARD = Card(incident(), None, may_retry=True, engine_title="Restate")
WORD = Answer("Looking it up…")


@pytest.fixture
async def slack(door: Door) -> AsyncIterator[World]:
    """A simulated workspace."""
    async with world(door) as made:
        yield made


@pytest.fixture
def chat(slack: World) -> SlackChat:
    """The adapter, speaking to it."""
    return SlackChat(slack.client, slack.session, timeout=2)


async def test_a_posted_card_stands_in_the_channel_with_blocks_and_text(slack: World, chat: SlackChat) -> None:
    ts = await chat.post(DEPLOYS, CARD)

    message = slack.slack.message(DEPLOYS, ts)
    assert message is not None
    assert message.text.startswith("🔴 Failed: Checkout/run")
    assert message.blocks[0]["type"] == "header"
    assert slack.slack.broken == []


async def test_a_reply_stands_in_the_thread_of_its_card(slack: World, chat: SlackChat) -> None:
    parent = await chat.post(DEPLOYS, CARD)

    ts = await chat.post(DEPLOYS, WORD, thread_ts=parent)

    reply = slack.slack.message(DEPLOYS, ts)
    assert reply is not None
    assert reply.thread_ts == parent


async def test_an_update_changes_the_message_in_place(slack: World, chat: SlackChat) -> None:
    ts = await chat.post(DEPLOYS, CARD)

    await chat.update(DEPLOYS, ts, WORD)

    message = slack.slack.message(DEPLOYS, ts)
    assert message is not None
    assert message.text == "Looking it up…"


async def test_a_message_can_be_deleted_twice(slack: World, chat: SlackChat) -> None:
    ts = await chat.post(DEPLOYS, CARD)

    await chat.delete(DEPLOYS, ts)
    await chat.delete(DEPLOYS, ts)

    assert slack.slack.message(DEPLOYS, ts) is None


async def test_a_whisper_is_seen_by_one_person_alone(slack: World, chat: SlackChat) -> None:
    await chat.whisper(DEPLOYS, RITA, WORD)

    (told,) = slack.slack.private(RITA)
    assert (told.to, told.text) == (RITA, "Looking it up…")


async def test_a_whisper_that_cannot_be_shown_in_the_channel_becomes_a_direct_message(slack: World, chat: SlackChat) -> None:
    await chat.whisper(QUIET, RITA, WORD)

    (told,) = slack.slack.private(RITA)
    assert told.to is None
    assert told.text == "Looking it up…"


async def test_an_answer_goes_through_the_response_url(slack: World, chat: SlackChat) -> None:
    await chat.answer(slack.slack._state.issue_response_url(RITA, DEPLOYS), WORD)

    assert [told.text for told in slack.slack.private(RITA)] == ["Looking it up…"]
    assert slack.slack.broken == []


async def test_a_response_url_that_is_used_up_is_refused(slack: World, chat: SlackChat) -> None:
    url = slack.slack._state.issue_response_url(RITA, DEPLOYS)
    for _ in range(5):
        await chat.answer(url, WORD)

    with pytest.raises(ChatRefused):
        await chat.answer(url, WORD)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://hooks.slack.com/actions/T0/1/x", True),
        ("https://hooks.slack.com:443/commands/1", True),
        ("https://hooks.slack-gov.com/actions/1", True),
        ("http://127.0.0.1:7000/response/1", True),
        ("http://127.0.0.1:7001/response/1", False),
        ("https://127.0.0.1:7000/response/1", False),
        ("http://hooks.slack.com/actions/1", False),
        ("https://hooks.slack.com:8443/actions/1", False),
        ("https://hooks.slack.com.evil.example/x", False),
        ("https://evil.example/hooks.slack.com", False),
        ("https://hooks.slack.com@evil.example/x", False),
        ("https://user:word@hooks.slack.com/x", False),
        ("http://127.0.0.1:7000@evil.example/x", False),
        ("http://127.0.0.1:99999/x", False),
        ("http://[::1/x", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
async def test_only_slacks_own_addresses_are_followed(url: str, may: bool) -> None:
    async with aiohttp.ClientSession() as session:
        chat = SlackChat(AsyncWebClient(TOKEN, base_url="http://127.0.0.1:7000/api/", session=session), session)

        assert chat.may_follow(url) is may
        if not may:
            with pytest.raises(ChatRefused):
                await chat.answer(url, WORD)


async def test_an_open_modal_is_changed_by_our_own_id(slack: World, chat: SlackChat) -> None:
    trigger = slack.slack._state.issue_trigger(RITA)
    await slack.client.views_open(trigger_id=trigger, view=render_modal(Word("One moment…"), "ours-1"))

    await chat.update_view("ours-1", Word("Done."))

    (view,) = slack.slack.views[RITA]
    assert view["blocks"][0]["text"]["text"] == "Done."


async def test_a_modal_that_was_closed_is_refused(chat: SlackChat) -> None:
    with pytest.raises(ChatRefused) as refused:
        await chat.update_view("closed", Word("Done."))

    assert refused.value.code == "not_found"


async def test_a_home_tab_is_published(slack: World, chat: SlackChat) -> None:
    await chat.publish_home(RITA, Home())

    assert slack.slack.homes[RITA]["type"] == "home"


@pytest.mark.parametrize(("channel", "code"), [("C0NOWHERE", "channel_not_found"), (QUIET, "channel_not_found")])
async def test_a_channel_that_will_not_do_is_refused_with_slacks_word(chat: SlackChat, channel: str, code: str) -> None:
    with pytest.raises(ChatRefused) as refused:
        await chat.post(channel, CARD)

    assert refused.value.code == code


Act = Callable[[World, SlackChat], Awaitable[object]]
ACTS: dict[str, Act] = {
    "chat.postMessage": lambda _, chat: chat.post(DEPLOYS, WORD),
    "chat.update": lambda _, chat: chat.update(DEPLOYS, "1.1", WORD),
    "chat.delete": lambda _, chat: chat.delete(DEPLOYS, "1.1"),
    "chat.postEphemeral": lambda _, chat: chat.whisper(DEPLOYS, RITA, WORD),
    "views.update": lambda _, chat: chat.update_view("x", Word("x")),
    "views.publish": lambda _, chat: chat.publish_home(RITA, Home()),
    "response_url": lambda slack, chat: chat.answer(slack.slack._state.issue_response_url(RITA, DEPLOYS), WORD),
}


@pytest.mark.parametrize("method", ACTS)
async def test_being_asked_to_wait_says_how_long(slack: World, chat: SlackChat, method: str) -> None:
    slack.slack.fail(method, 429, seconds=7)

    with pytest.raises(ChatRateLimited) as limited:
        await ACTS[method](slack, chat)

    assert limited.value.wait == 7


@pytest.mark.parametrize("method", ACTS)
@pytest.mark.parametrize("kind", [500, 503, "cut"])
async def test_a_fault_on_slacks_side_is_told_from_a_refusal(
    slack: World, chat: SlackChat, method: str, kind: int | str
) -> None:
    slack.slack.fail(method, kind, times=2)  # aiohttp itself repeats a read whose connection broke

    with pytest.raises(ChatUnavailable):
        await ACTS[method](slack, chat)


async def test_a_call_is_made_once_whatever_comes_of_it(slack: World, chat: SlackChat) -> None:
    slack.slack.fail("chat.postMessage", "lost")

    with pytest.raises(ChatUnavailable):
        await chat.post(DEPLOYS, WORD)

    assert len(slack.asked("chat.postMessage")) == 1


@pytest.mark.parametrize("method", ["chat.postMessage", "response_url"])
async def test_a_slow_slack_ends_at_our_own_limit(slack: World, method: str) -> None:
    slack.slack.fail(method, "slow", seconds=5)

    with pytest.raises(ChatUnavailable):
        await ACTS[method](slack, SlackChat(slack.client, slack.session, timeout=0.2))


@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "service_unavailable", "request_timeout"])
async def test_slacks_words_for_a_passing_fault_are_no_refusal(slack: World, chat: SlackChat, code: str) -> None:
    slack.slack.fail("chat.postMessage", code)

    with pytest.raises(ChatUnavailable) as unavailable:
        await chat.post(DEPLOYS, WORD)

    assert unavailable.value.code == code


@pytest.mark.parametrize("code", ["invalid_blocks", "token_revoked", "restricted_action", "msg_too_long"])
async def test_slacks_words_for_never_are_a_refusal(slack: World, chat: SlackChat, code: str) -> None:
    slack.slack.fail("chat.postMessage", code)

    with pytest.raises(ChatRefused) as refused:
        await chat.post(DEPLOYS, WORD)

    assert refused.value.code == code


async def test_no_error_text_holds_a_token_or_a_response_url(slack: World, chat: SlackChat) -> None:
    said = []
    for method, act in ACTS.items():
        for kind in (429, 500, "cut", "invalid_auth"):
            slack.slack.fail(method, kind)
            try:
                await act(slack, chat)
            except ChatError as error:
                said.append(f"{error} {error!r} {error.__cause__!r}")

    assert len(said) > len(ACTS) * 2
    assert [text for text in said if TOKEN in text or "/response/" in text or "127.0.0.1" in text] == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/html", "application/gzip"])
@pytest.mark.parametrize("body", ["null", "[]", '"ok"', "", "<html>", "{", '{"ok": true}'])
async def test_a_strange_answer_is_no_success(body: str, content_type: str, door: Door) -> None:
    client = odd(door, body, content_type=content_type)

    with pytest.raises(ChatUnavailable):
        await SlackChat(client, door.session, timeout=2).post(DEPLOYS, WORD)
