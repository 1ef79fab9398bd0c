"""The JSON of the browser page: each person sees their own, and acts only as they can."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.simulators.slack import SlackSimulator, default_cast
from tests.simulators.slack_kit import (
    ARNO,
    GINA,
    OLGA,
    OPEN,
    PRIVATE,
    QUIET,
    RITA,
    Caller,
    Stage,
    actions,
    bolt,
    button,
    modal,
    option,
    question,
    select,
    simulator,
    staged,
)

pytestmark = pytest.mark.anyio
REASON = {"type": "plain_text_input", "action_id": "reason"}


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture
async def slack(stage: Stage) -> AsyncIterator[SlackSimulator]:
    """A workspace whose bot takes every press of "go" and "stage", every modal "asked" and the command /resume."""
    app = bolt()

    async def take(ack: Any) -> None:
        await ack()

    async def offer(ack: Any) -> None:
        await ack(options=[option("found")])

    for each in (app.action("go"), app.action("stage"), app.view("asked"), app.command("/resume"), app.shortcut("resume")):
        each(take)
    app.event("app_home_opened")(take)
    app.options("stage")(offer)
    slack = simulator(
        pace=False,
        shortcuts=[{"name": "Resume this", "type": "message", "callback_id": "resume"}],
        commands=[{"command": "/resume", "usage_hint": "[execution]"}],
    )
    stage.put_bot(app)
    stage.put_slack(slack)
    yield slack
    await slack.close()


@pytest.fixture
def call(slack: SlackSimulator) -> Caller:
    return Caller(slack)


async def seen_by(call: Caller, user: str, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await call.http.get("/page/state", params={"as": user, **query})).json()
    return answer


async def act(call: Caller, name: str, **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await call.http.post(f"/page/{name}", json=given)).json()
    return answer


async def test_everybody_sees_their_channels_and_private_messages(call: Caller) -> None:
    await call.post(OPEN, "for all")
    await call.post(PRIVATE, "for some")
    await call.post(RITA, "for Rita")
    await call("chat.postEphemeral", channel=OPEN, user=ARNO, text="for Arno")

    texts = {user: [m["text"] for m in (await seen_by(call, user))["messages"]] for user in (RITA, ARNO, OLGA, GINA)}
    channels = {user: [c["id"] for c in (await seen_by(call, user))["channels"]] for user in (RITA, ARNO, OLGA, GINA)}

    assert texts[RITA] == ["for all", "for Rita"]
    assert texts[ARNO] == ["for all", "for some", "for Arno"]
    assert (texts[OLGA], texts[GINA]) == (["for all"], [])
    assert (channels[OLGA], channels[GINA]) == ([OPEN], [])
    assert QUIET in channels[ARNO]
    assert {"id": "D0RITA", "name": "resumebot", "is_im": True} in (await seen_by(call, RITA))["channels"]


async def test_the_state_has_all_that_the_page_shows(call: Caller) -> None:
    ts = await call.post(blocks=[actions(button())])
    await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=modal(callback_id="asked"))
    await call("views.publish", user_id=RITA, view={"type": "home", "blocks": []})

    state = await seen_by(call, RITA)

    [message] = state["messages"]
    assert (message["ts"], message["thread_ts"], message["private"], message["edited"]) == (ts, None, False, False)
    assert state["me"] == RITA
    assert next(p for p in state["people"] if p["id"] == OLGA)["foreign"] is True
    assert next(p for p in state["people"] if p["id"] == GINA)["guest"] is True
    assert ([view["callback_id"] for view in state["views"]], state["views"][0]["errors"]) == (["asked"], {})
    assert state["home"]["type"] == "home"
    assert state["groups"] == [{"id": "S0RELEASE", "handle": "release"}]
    assert state["commands"] == [{"command": "/resume", "hint": "[execution]"}]
    assert state["shortcuts"][0]["callback_id"] == "resume"
    assert (await seen_by(call, ARNO))["views"] == []


async def test_a_long_poll_ends_with_the_next_change(call: Caller) -> None:
    version = (await seen_by(call, RITA))["version"]
    waiting = asyncio.create_task(seen_by(call, RITA, since=version))
    await asyncio.sleep(0)

    await call.post(OPEN, "news")

    state = await asyncio.wait_for(waiting, 5)
    assert ([m["text"] for m in state["messages"]], state["version"] > version) == (["news"], True)


async def test_waiting_for_a_change_ends_with_the_time(slack: SlackSimulator) -> None:
    assert await slack.changed(slack.version, timeout=0.01) == slack.version


async def test_the_page_acts_on_messages(call: Caller) -> None:
    ts = await call.post(blocks=[actions(button(), select(), {"type": "external_select", "action_id": "other"})])
    place = {"user": RITA, "channel": OPEN, "ts": ts, "block_id": "row"}

    pressed = await act(call, "action", **place, action_id="go")
    chosen = await act(call, "action", **place, action_id="stage", option="two")
    typed = await act(call, "command", user=RITA, channel=OPEN, command="/resume", text="x")
    shortcut = await act(call, "shortcut", user=RITA, callback_id="resume", channel=OPEN, ts=ts)
    everywhere = await act(call, "shortcut", user=RITA, callback_id="resume")
    home = await act(call, "home", user=RITA)

    answers = [pressed, chosen, typed, shortcut, everywhere, home]
    assert [(answer["status"], answer.get("error")) for answer in answers] == [(200, None)] * 6
    assert all(isinstance(answer["seconds"], float) for answer in answers)


async def test_the_page_acts_in_modals(call: Caller) -> None:
    view = modal(actions(select()), question(REASON), callback_id="asked")
    await call("views.open", trigger_id=call.slack._state.issue_trigger(RITA), view=view)

    acted = await act(call, "view_action", user=RITA, block_id="row", action_id="stage", values={}, option="two")
    empty = await act(call, "submit", user=RITA, values={})
    shown = (await seen_by(call, RITA))["views"][0]["errors"]
    sent = await act(call, "submit", user=RITA, values={"why": {"reason": {"type": "plain_text_input", "value": "so"}}})
    closed = await act(call, "close", user=RITA)

    assert (acted["status"], sent["status"]) == (200, 200)
    assert (empty["status"], shown) == (0, {"why": "Please complete this required field."})
    assert closed == {"status": 0, "seconds": 0.0, "error": f"{RITA} has no modal open", "options": []}


async def test_the_page_gets_suggestions(call: Caller) -> None:
    ts = await call.post(blocks=[actions({"type": "external_select", "action_id": "stage"})])

    answer = await act(call, "suggest", user=RITA, channel=OPEN, ts=ts, block_id="row", action_id="stage", text="f")

    assert [each["value"] for each in answer["options"]] == ["found"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"user": "U0RITA"}'])
async def test_an_act_that_cannot_be_read_is_refused(call: Caller, content: bytes) -> None:
    answer = await call.http.post("/page/command", content=content)

    assert (answer.status_code, answer.json()["error"]) == (400, "cannot read this act")


async def test_nobody_looks_as_a_stranger(call: Caller) -> None:
    assert (await call.http.get("/page/state", params={"as": "U0NONE"})).status_code == 404


async def test_notices_are_shown_to_whom_they_concern(call: Caller) -> None:
    await act(call, "command", user=RITA, channel=OPEN, command="/other", text="")

    assert len((await seen_by(call, RITA))["notices"]) == 1
    assert (await seen_by(call, ARNO))["notices"] == []


async def test_the_playground_has_its_cast() -> None:
    cast = default_cast()
    slack = SlackSimulator(
        signing_secret="s",
        bot_token="t",
        bot_url="http://bot",
        people=cast.people.values(),
        channels=cast.channels.values(),
        groups=cast.groups.values(),
    )

    async with httpx.AsyncClient(transport=httpx.ASGITransport(slack.app), base_url="http://slack") as http:
        state = (await http.get("/page/state", params={"as": "U0RITA"})).json()

    assert [(p["role"], p["foreign"], p["guest"]) for p in state["people"]] == [
        ("Requester", False, False),
        ("Approver", False, False),
        ("Other organisation", True, False),
        ("Guest", False, True),
        ("The bot", False, False),
    ]
