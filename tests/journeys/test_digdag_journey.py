"""The main job on Digdag, simulated and, where there is one, real: told by the server, resumed once, followed to its end."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.digdag_lab.lab import HOOK_TOKEN
from tests.journeys.digdag_side import CONNECTION, Journey, Server, opened, real, simulated
from tests.journeys.people import ARNO, DEPLOYS, RITA

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

SERVERS = {"simulated": simulated, "real": real}
FAILED_TASKS = "Failed tasks: +nightly+load"
CHECK = "From +nightly+check (+left, +right)"
TRAIL = [
    ("incident:notice:received", f"engine:{CONNECTION}"),
    ("request:resume:requested", f"slack:T0PLAY/{RITA}"),
    ("request:decision:refused", f"slack:T0PLAY/{RITA}"),
    ("request:decision:approved", f"slack:T0PLAY/{ARNO}"),
    ("request:call:sent", "bot"),
    ("request:receipt:running", f"engine:{CONNECTION}"),
    ("request:outcome:succeeded", f"engine:{CONNECTION}"),
]


@pytest.fixture(scope="module", params=SERVERS)
async def digdag(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """One server for all journeys of this file."""
    async with SERVERS[request.param]() as one:
        yield one


@pytest.fixture(scope="module")
async def journey(digdag: Server, journey_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Journey]:
    """One process of the bot, which hears of failures by the server's notification only."""
    async with opened(digdag, journey_database, tmp_path_factory.mktemp("digdag")) as begun:
        yield begun


async def test_a_failure_is_told_approved_by_somebody_else_resumed_once_and_seen_to_its_good_end(journey: Journey) -> None:
    failure, starts = await journey.fail(), len(journey.gate.starts)

    card = await journey.card(failure)
    await journey.choose(RITA, card, FAILED_TASKS)
    await journey.press(RITA, card, "Retry")
    await journey.press(RITA, card, "Approve")
    refusal = await journey.people.is_told(RITA, "somebody else has to decide")
    journey.repair(failure)
    assert journey.gate.starts[starts:] == []
    await journey.press(ARNO, card, "Approve")
    await journey.reads(card, "succeeded")

    _, attempts = await journey.server.session(failure.id)
    assert attempts[:-1] == [failure.id]
    assert await journey.server.ended(attempts[-1]) is True
    assert await journey.server.ran(attempts[-1]) == {"+nightly+load", "+nightly+publish"}
    assert journey.gate.starts[starts:] == [200]
    assert (refusal.to, card.channel, len(journey.cards_of(*attempts))) == (RITA, DEPLOYS, 1)
    lines = await journey.exported(failure)
    assert [(line["action"], line["actor"]) for line in lines if (line["action"], line["actor"]) in TRAIL] == TRAIL
    (outcome,) = [line for line in lines if line["action"] == "request:outcome:succeeded"]
    assert (outcome["execution"], outcome["data"]["new_execution"]) == (failure.id, attempts[-1])


async def test_from_an_earlier_task_runs_exactly_the_tasks_that_were_promised(journey: Journey) -> None:
    failure = await journey.fail()
    card = await journey.card(failure)
    journey.repair(failure)

    await journey.choose(RITA, card, CHECK)
    await journey.press(RITA, card, "Retry")
    question = await journey.reads(card, "+check")
    await journey.press(ARNO, card, "Approve")
    await journey.reads(card, "succeeded")

    _, attempts = await journey.server.session(failure.id)
    promised = ["+check+left", "+check+right", "+load", "+publish"]
    assert "Runs +check+left, +check+right, +load and +publish, 2 tasks of which had succeeded" in json.dumps(question.blocks)
    assert await journey.server.ran(attempts[-1]) == {f"+nightly{task}" for task in promised}


async def test_an_approval_carried_out_twice_because_of_a_crash_after_the_call_starts_one_attempt(journey: Journey) -> None:
    failure, starts = await journey.fail(), len(journey.gate.starts)
    card = await journey.card(failure)
    journey.repair(failure)
    journey.gate.after_start = journey.kill_bot

    await journey.press(RITA, card, "Retry")
    await journey.press(ARNO, card, "Approve")
    await journey.is_dead()
    await journey.start_bot()
    await journey.reads(card, "succeeded")

    _, attempts = await journey.server.session(failure.id)
    assert len(attempts) == 2
    assert journey.gate.starts[starts:].count(200) == 1
    tags = [line["action"] for line in await journey.exported(failure)]
    assert tags.count("request:outcome:succeeded") == 1


async def test_a_notice_that_names_a_session_only_is_kept_while_the_server_is_away(journey: Journey) -> None:
    journey.server.tell(None)
    failure = await journey.fail()
    session_id, _ = await journey.server.session(failure.id)
    notice = {"message": "Workflow session attempt failed", "session_id": int(session_id), "workflow_name": "nightly"}
    journey.gate.is_down = True

    async with httpx.AsyncClient() as http:
        answer = await http.post(journey.hook, json=notice, headers={"Authorization": HOOK_TOKEN}, timeout=20)
    assert answer.status_code == 202
    assert journey.cards_of(failure.id) == []
    journey.gate.is_down = False
    card = await journey.card(failure)

    assert FAILED_TASKS in journey.offered(card)
    journey.server.tell(journey.hook)


async def test_slack_had_nothing_to_object_to(journey: Journey) -> None:
    assert journey.people.slack.broken == []
