"""The main job from end to end: `resumebot run` as it is installed, a Restate server, people in a Slack."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.journeys.engines import EngineSide, real, simulated
from tests.journeys.people import ARNO, PIA, RITA
from tests.journeys.stand import Run, Stand, opened

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

ENGINES = {"simulated": simulated, "real": real}
TRAIL = [
    ("incident:notice:received", "engine:orders"),
    ("request:resume:requested", f"slack:T0PLAY/{RITA}"),
    ("request:decision:refused", f"slack:T0PLAY/{RITA}"),
    ("request:decision:approved", f"slack:T0PLAY/{ARNO}"),
    ("request:call:sent", "bot"),
    ("request:receipt:running", "engine:orders"),
    ("request:outcome:succeeded", "engine:orders"),
]


@pytest.fixture(scope="module", params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[EngineSide]:
    """One server for all journeys of this file."""
    async with ENGINES[request.param]() as side:
        yield side


@pytest.fixture(scope="module")
async def stand(base: Path, engine: EngineSide) -> AsyncIterator[Stand]:
    """One process with its own database, at its own pace, before a Slack that counts calls."""
    async with opened(base, engine, pace=True) as opened_one:
        await opened_one.start("run")
        yield opened_one


async def exported(stand: Stand, run: Run) -> list[dict[str, str]]:
    """The trail of an execution as the program exports it."""
    lines = [json.loads(line) for line in (await stand.program("audit", "export")).splitlines()]
    ours = {entry.id for entry in await stand.ledger.entries(run.id)}
    return [line for line in lines if line["id"] in ours]


async def test_a_failure_is_asked_about_approved_resumed_and_seen_to_its_good_end(stand: Stand) -> None:
    people, begun = stand.people, datetime.now(UTC)

    run = await stand.begin()
    await people.card_says(run.id, "at deploy")
    await people.press(RITA, "Retry", run.id)
    await people.press(RITA, "Approve", run.id)
    refusal = await people.is_told(RITA, "somebody else has to decide")
    await stand.repair(run)
    await people.press(ARNO, "Approve", run.id)
    await people.reads(run.id, "succeeded")
    card = await people.card_says(run.id, "Succeeded")

    assert refusal.to == RITA
    assert not any("somebody else has to decide" in message.text for message in people.thread(run.id))
    assert len(people.cards(run.id)) == 1
    assert not people.buttons(run.id, "Retry")
    assert card.channel == "C0DEPLOYS"
    assert [call.status for call in stand.engine.counter.calls if call.execution == run.id] == [200]
    assert await stand.complaints(run) == []
    lines = await exported(stand, run)
    assert [(line["action"], line["actor"]) for line in lines if (line["action"], line["actor"]) in TRAIL] == TRAIL
    times = [datetime.fromisoformat(line["at"]) for line in lines]
    assert begun - timedelta(seconds=1) < times[0]
    assert times == sorted(times)
    assert times[-1] < datetime.now(UTC)


async def test_what_was_not_repaired_fails_again_and_can_be_asked_for_anew_on_the_same_card(stand: Stand) -> None:
    people = stand.people

    run = await stand.begin()
    await people.press(RITA, "Retry", run.id)
    await people.press(ARNO, "Approve", run.id)
    await people.reads(run.id, "failed again")
    card = await people.card_says(run.id, "Failed again")
    await people.sees_button(run.id, "Retry")
    first = await stand.complaints(run)
    await stand.repair(run)
    await people.press(RITA, "Retry", run.id)
    await people.press(PIA, "Approve", run.id)
    again = await people.card_says(run.id, "Succeeded")

    assert (first, await stand.complaints(run)) == ([], [])
    assert again.ts == card.ts
    assert list((await stand.ledger.requests(run.id)).values()) == ["failed", "succeeded"]
    assert [call.status for call in stand.engine.counter.calls if call.execution == run.id] == [200, 200]


async def test_eight_presses_and_two_approvers_at_one_moment_are_one_request_and_one_call(stand: Stand) -> None:
    people = stand.people

    run = await stand.begin()
    await people.press_together([RITA] * 6 + [ARNO, PIA], "Retry", run.id)
    await stand.repair(run)
    presses = await people.press_together([ARNO, PIA], "Approve", run.id)
    for pressed in [*people.presses]:
        await people.slack.replay(pressed.ack)
    outcome = await stand.is_over(run)

    assert [pressed.ack.status for pressed in presses] == [200, 200]
    assert outcome == "succeeded"
    assert len(await stand.ledger.requests(run.id)) == 1
    assert len([call for call in stand.engine.counter.calls if call.execution == run.id]) == 1
    assert await stand.complaints(run) == []


async def test_slack_had_nothing_to_object_to(stand: Stand) -> None:
    assert stand.people.slack.broken == []
