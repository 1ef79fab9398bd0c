"""The Web API as slack_sdk and bare HTTP meet it: what it answers, and what it refuses."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.simulators.slack import SlackSimulator
from tests.simulators.slack_kit import (
    ARNO,
    BOT,
    GINA,
    GONE,
    OLD,
    OLGA,
    OPEN,
    OUTSIDE,
    PRIVATE,
    QUIET,
    RITA,
    TOKEN,
    Caller,
    Clock,
    Stage,
    actions,
    button,
    modal,
    mrkdwn,
    simulator,
    staged,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture
def slack() -> SlackSimulator:
    return simulator(pace=False)


@pytest.fixture
def call(slack: SlackSimulator) -> Caller:
    return Caller(slack)


@pytest.fixture
def client(stage: Stage, slack: SlackSimulator) -> AsyncWebClient:
    stage.put_slack(slack)
    return stage.client()


# ---- slack_sdk ----


async def test_slack_sdk_posts_updates_and_deletes(client: AsyncWebClient, slack: SlackSimulator) -> None:
    posted = await client.chat_postMessage(channel=OPEN, text="one", blocks=[actions(button())])
    reply = await client.chat_postMessage(channel=OPEN, text="below", thread_ts=posted["ts"])
    await client.chat_update(channel=OPEN, ts=posted["ts"], text="two")
    await client.chat_delete(channel=OPEN, ts=reply["ts"])

    [message] = slack.messages
    assert (message.text, message.edited_at is not None) == ("two", True)
    assert message.blocks[0]["elements"][0]["action_id"] == "go"
    assert [(gone.text, gone.thread_ts) for gone in slack.deleted] == [("below", posted["ts"])]


async def test_slack_sdk_reads_who_and_what_there_is(client: AsyncWebClient) -> None:
    who = await client.auth_test()
    team = await client.team_info()
    foreign = await client.users_info(user=OLGA)
    guest = await client.users_info(user=GINA)
    groups = await client.usergroups_list(include_users=True)
    members = await client.usergroups_users_list(usergroup="S0RELEASE")
    channel = await client.conversations_info(channel=OPEN)
    listed = await client.conversations_list(types="public_channel,private_channel", exclude_archived=True)
    direct = await client.conversations_open(users=RITA)

    assert (who["user_id"], who["team_id"], who["url"]) == (BOT, "T0HOME", client.base_url.removesuffix("api/"))
    assert "chat:write" in who.headers["x-oauth-scopes"].split(",")
    assert team["team"]["id"] == "T0HOME"
    assert (foreign["user"]["team_id"], foreign["user"]["is_stranger"]) == ("T0ELSE", True)
    assert guest["user"]["is_restricted"] is True
    assert groups["usergroups"][0]["users"] == members["users"] == [ARNO]
    assert channel["channel"]["is_ext_shared"] is True
    assert [each["id"] for each in listed["channels"]] == [OPEN, QUIET, PRIVATE]
    assert direct["channel"]["id"] == "D0RITA"


async def test_slack_sdk_reads_members_page_by_page(client: AsyncWebClient) -> None:
    pages = [page["members"] async for page in await client.conversations_members(channel=OPEN, limit=3)]

    assert pages == [[RITA, ARNO, OLGA], [BOT]]


async def test_slack_sdk_raises_what_slack_refuses(client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel=OPEN, text="x", blocks=[actions(button(text=mrkdwn("x")))])

    answer = refused.value.response
    assert answer["error"] == "invalid_blocks"
    [words] = answer["response_metadata"]["messages"]
    assert words == "[ERROR] unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]"


async def test_slack_sdk_opens_and_updates_a_modal(client: AsyncWebClient, slack: SlackSimulator) -> None:
    trigger = slack._state.issue_trigger(RITA)
    opened = await client.views_open(trigger_id=trigger, view=modal(external_id="ours"))
    await client.views_update(external_id="ours", hash=opened["view"]["hash"], view=modal(callback_id="later"))
    await client.views_publish(user_id=RITA, view={"type": "home", "blocks": []})

    [view] = slack.views[RITA]
    assert (view["id"], view["callback_id"], view["external_id"]) == (opened["view"]["id"], "later", "ours")
    assert slack.homes[RITA]["type"] == "home"


# ---- refusals ----

REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("chat.postMessage", {"channel": "C0NONE", "text": "x"}, "channel_not_found"),
    ("chat.postMessage", {"channel": OUTSIDE, "text": "x"}, "channel_not_found"),
    ("chat.postMessage", {"channel": QUIET, "text": "x"}, "not_in_channel"),
    ("chat.postMessage", {"channel": OLD, "text": "x"}, "is_archived"),
    ("chat.postMessage", {"channel": BOT, "text": "x"}, "cannot_dm_bot"),
    ("chat.postMessage", {"channel": GONE, "text": "x"}, "channel_not_found"),
    ("chat.postMessage", {"channel": OPEN}, "no_text"),
    ("chat.postMessage", {"channel": OPEN, "text": "x", "blocks": [{"type": "marquee"}]}, "invalid_blocks"),
    (
        "chat.postMessage",
        {"channel": OPEN, "text": "x", "blocks": [{"type": "section", "text": mrkdwn("x" * 2700)}] * 5},
        "msg_blocks_too_long",
    ),
    ("chat.postMessage", {"channel": OPEN, "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
    ("chat.postMessage", {"channel": OPEN, "text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
    ("chat.postMessage", {"channel": OPEN, "text": "x", "reply_broadcast": True}, "invalid_arguments"),
    ("chat.postMessage", {"channel": OPEN, "text": "x", "attachments": []}, "invalid_arguments"),
    ("chat.postMessage", {"channel": OPEN, "text": 1}, "invalid_arguments"),
    ("chat.postMessage", {"channel": OPEN, "text": "x", "blocks": "{"}, "invalid_arguments"),
    ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
    ("chat.postEphemeral", {"channel": OPEN, "user": GINA, "text": "x"}, "user_not_in_channel"),
    ("chat.postEphemeral", {"channel": QUIET, "user": RITA, "text": "x"}, "not_in_channel"),
    ("chat.update", {"channel": OPEN, "ts": "1.000001", "text": "x"}, "message_not_found"),
    ("chat.update", {"channel": "C0NONE", "ts": "1.000001", "text": "x"}, "channel_not_found"),
    ("chat.delete", {"channel": OPEN, "ts": "1.000001"}, "message_not_found"),
    ("chat.getPermalink", {"channel": OPEN, "message_ts": "1.000001"}, "message_not_found"),
    ("views.open", {"trigger_id": "never-issued", "view": modal()}, "invalid_trigger_id"),
    ("views.update", {"view_id": "V0NONE", "view": modal()}, "not_found"),
    ("views.update", {"view": modal()}, "invalid_arguments"),
    ("views.publish", {"user_id": "U0NONE", "view": {"type": "home", "blocks": []}}, "user_not_found"),
    ("views.publish", {"user_id": RITA, "view": modal()}, "invalid_arguments"),
    ("views.publish", {"user_id": RITA, "view": {"type": "home", "blocks": []}, "hash": "old"}, "hash_conflict"),
    ("users.info", {"user": "U0NONE"}, "user_not_found"),
    ("users.list", {"limit": 0}, "invalid_limit"),
    ("users.list", {"cursor": "elsewhere"}, "invalid_cursor"),
    ("usergroups.users.list", {"usergroup": "S0NONE"}, "no_such_subteam"),
    ("conversations.info", {"channel": OUTSIDE}, "channel_not_found"),
    ("conversations.members", {"channel": "C0NONE"}, "channel_not_found"),
    ("conversations.list", {"types": "rooms"}, "invalid_types"),
    ("conversations.open", {"users": GONE}, "user_disabled"),
    ("conversations.open", {"users": "U0NONE"}, "user_not_found"),
    ("team.info", {"team": "T0ELSE"}, "team_not_found"),
    ("reactions.add", {"channel": OPEN}, "unknown_method"),
]


@pytest.mark.parametrize(("method", "args", "error"), REFUSALS, ids=[f"{each[0]}-{each[2]}" for each in REFUSALS])
async def test_slack_refuses(call: Caller, method: str, args: dict[str, Any], error: str) -> None:
    answer = await call(method, **args)

    assert (answer["ok"], answer["error"]) == (False, error)
    assert call.slack.calls[-1].answer == answer


async def test_what_nobody_knows_is_recorded_as_a_broken_rule(call: Caller) -> None:
    await call("reactions.add")
    await call("chat.postMessage", channel=OPEN, text="x", colour="red")

    assert call.slack.broken == ["reactions.add: unknown method", "chat.postMessage: invalid additional property: colour"]


async def test_a_reply_is_no_parent_of_a_thread(call: Caller) -> None:
    reply = await call.post(thread_ts=await call.post())

    answer = await call("chat.postMessage", channel=OPEN, text="x", thread_ts=reply)

    assert answer["error"] == "thread_not_found"


async def test_only_the_bots_own_messages_can_be_changed(call: Caller) -> None:
    ts = call.slack.say(RITA, OPEN, "mine").ts

    assert (await call("chat.update", channel=OPEN, ts=ts, text="x"))["error"] == "cant_update_message"
    assert (await call("chat.delete", channel=OPEN, ts=ts))["error"] == "cant_delete_message"


async def test_an_ephemeral_message_cannot_be_updated(call: Caller) -> None:
    ts = (await call("chat.postEphemeral", channel=OPEN, user=RITA, text="x"))["message_ts"]

    assert (await call("chat.update", channel=OPEN, ts=ts, text="y"))["error"] == "message_not_found"


async def test_an_update_without_blocks_keeps_them_and_an_empty_list_removes_them(call: Caller) -> None:
    ts = await call.post(blocks=[actions(button())])
    await call("chat.update", channel=OPEN, ts=ts, text="kept")
    kept = call.slack.messages[0].blocks

    await call("chat.update", channel=OPEN, ts=ts, text="gone", blocks=[])

    assert (len(kept), call.slack.messages[0].blocks) == (1, [])


async def test_blocks_come_back_with_the_names_and_flags_left_out(call: Caller) -> None:
    answer = await call(
        "chat.postMessage",
        channel=OPEN,
        text="x",
        blocks=[{"type": "section", "text": mrkdwn("x"), "accessory": {"type": "button", "text": button()["text"]}}],
    )

    [block] = answer["message"]["blocks"]
    assert block["block_id"]
    assert block["accessory"]["action_id"]
    assert block["text"]["verbatim"] is False
    assert block["accessory"]["text"]["emoji"] is True


async def test_a_bot_that_may_post_anywhere_needs_no_invitation() -> None:
    call = Caller(simulator(scopes=["chat:write", "chat:write.public"]))

    assert (await call("chat.postMessage", channel=QUIET, text="x"))["ok"] is True


async def test_a_missing_scope_is_refused() -> None:
    call = Caller(simulator(scopes=["chat:write"]))

    assert (await call("users.list"))["error"] == "missing_scope"


async def test_an_address_of_a_person_needs_its_scope() -> None:
    without, having = Caller(simulator()), Caller(simulator(scopes=["users:read", "users:read.email"]))

    assert "email" not in (await without("users.info", user=RITA))["user"]["profile"]
    assert (await having("users.info", user=RITA))["user"]["profile"]["email"] == "rita@example.com"


@pytest.mark.parametrize(
    ("headers", "error"), [({}, "not_authed"), ({"Authorization": "Bearer xoxb-of-another"}, "invalid_auth")]
)
async def test_without_its_token_nothing_is_answered(call: Caller, headers: dict[str, str], error: str) -> None:
    answer = await call.http.post("/api/auth.test", json={"token": TOKEN}, headers=headers)

    assert answer.json()["error"] == error


async def test_a_form_is_read_like_json(call: Caller) -> None:
    form = {"token": TOKEN, "channel": OPEN, "text": "x", "unfurl_links": "false", "blocks": '[{"type": "divider"}]'}

    answer = await call.http.post("/api/chat.postMessage", data=form)

    assert answer.json()["message"]["blocks"][0]["type"] == "divider"


@pytest.mark.parametrize(
    ("content", "kind", "error"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"[]", "application/json", "json_not_object"),
        (b"<a/>", "text/xml", "invalid_post_type"),
        (b"\xff", "application/x-www-form-urlencoded", "invalid_form_data"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(call: Caller, content: bytes, kind: str, error: str) -> None:
    answer = await call.http.post("/api/auth.test", content=content, headers={"Content-Type": kind})

    assert answer.json()["error"] == error
    assert call.slack.broken


async def test_a_permalink_leads_to_the_page(slack: SlackSimulator) -> None:
    call = Caller(simulator(page_url="http://page/"))
    ts = await call.post()
    link = (await call("chat.getPermalink", channel=OPEN, message_ts=ts))["permalink"]

    followed = await call.http.get(link)

    assert (followed.status_code, followed.headers["location"]) == (302, f"http://page/#{OPEN}/{ts}")
    assert (await Caller(slack).http.get(httpx.URL(link).path)).status_code == 404


async def test_messages_carry_their_metadata(call: Caller) -> None:
    metadata = {"event_type": "request", "event_payload": {"id": "req-7"}}

    ts = await call.post(metadata=metadata)
    changed = {"event_type": "request", "event_payload": {"id": "req-8"}}
    answer = await call("chat.update", channel=OPEN, ts=ts, text="x", metadata=changed)

    assert answer["message"]["metadata"] == changed


async def test_direct_messages_go_to_one_person(call: Caller) -> None:
    opened = await call("conversations.open", users=RITA, return_im=True)
    by_person = await call("chat.postMessage", channel=RITA, text="x")
    listed = await call("conversations.list", types="im")

    assert by_person["channel"] == opened["channel"]["id"] == listed["channels"][0]["id"]
    assert (opened["channel"]["user"], opened["channel"]["is_im"]) == (RITA, True)


async def test_an_archived_channel_takes_no_updates(call: Caller) -> None:
    ts = await call.post()
    call.slack.cast.channels[OPEN].is_archived = True

    assert (await call("chat.update", channel=OPEN, ts=ts, text="x"))["error"] == "is_inactive"
    listed = await call("conversations.list", exclude_archived=True)
    assert OPEN not in [each["id"] for each in listed["channels"]]


# ---- modals ----


async def test_a_trigger_opens_one_modal(call: Caller) -> None:
    trigger = call.slack._state.issue_trigger(RITA)

    assert (await call("views.open", trigger_id=trigger, view=modal()))["ok"] is True
    assert (await call("views.open", trigger_id=trigger, view=modal()))["error"] == "exchanged_trigger_id"


@pytest.mark.parametrize(("seconds", "error"), [(2.9, None), (3.1, "expired_trigger_id")])
async def test_a_trigger_lives_three_seconds(seconds: float, error: str | None) -> None:
    clock = Clock()
    call = Caller(simulator(clock=clock))
    trigger = call.slack._state.issue_trigger(RITA)
    clock.now += seconds

    assert (await call("views.open", trigger_id=trigger, view=modal())).get("error") == error


async def test_an_unsound_modal_is_refused_with_reasons(call: Caller) -> None:
    answer = await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=modal(title=mrkdwn("x")))

    assert answer["error"] == "invalid_arguments"
    assert answer["response_metadata"]["messages"] == ["[ERROR] unsupported type: mrkdwn [json-pointer:/view/title/type]"]
    assert call.slack.views[RITA] == []


async def test_a_modal_above_250_kb_is_refused(call: Caller) -> None:
    large = modal(*[{"type": "section", "text": mrkdwn("x" * 3000)}] * 90)

    assert (await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=large))["error"] == "view_too_large"


async def test_a_stack_holds_three_modals(call: Caller) -> None:
    await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=modal())
    pushes = [
        await call("views.push", trigger_id=call.slack._state.issue_trigger(RITA, in_view=True), view=modal()) for _ in range(3)
    ]

    assert [push.get("error") for push in pushes] == [None, None, "push_limit_reached"]
    first, second, third = call.slack.views[RITA]
    assert (third["previous_view_id"], third["root_view_id"]) == (second["id"], first["id"])


async def test_a_modal_is_pushed_only_from_a_modal(call: Caller) -> None:
    answer = await call("views.push", trigger_id=call.slack._state.issue_trigger(RITA), view=modal())

    assert answer["error"] == "invalid_trigger_id"


async def test_an_old_hash_changes_nothing(call: Caller) -> None:
    opened = await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=modal())
    naming = {"view_id": opened["view"]["id"], "hash": opened["view"]["hash"]}
    await call("views.update", **naming, view=modal(callback_id="first"))

    late = await call("views.update", **naming, view=modal(callback_id="second"))

    assert (late["error"], call.slack.views[RITA][0]["callback_id"]) == ("hash_conflict", "first")


async def test_an_external_id_belongs_to_one_open_view(call: Caller) -> None:
    first = await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=modal(external_id="ours"))
    other = await call("views.open", trigger_id=call.slack._state.issue_trigger(ARNO), view=modal(external_id="ours"))
    same = await call("views.update", view_id=first["view"]["id"], view=modal(external_id="ours"))

    assert (other["error"], same["ok"]) == ("duplicate_external_id", True)
