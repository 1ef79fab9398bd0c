"""Starting a workflow on Digdag: found by name, started once, with a session time that a repeated call keeps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.errors import NotFound, NotResumable, OutcomeUnknown
from bot.domain.execution import ExecutionRef, Finding, StartTarget
from bot.engines._http import boot_time
from bot.simulators.digdag_faults import Fault, FaultKind
from bot.simulators.digdag_wire import Flavour
from tests.engines.digdag_stand import CONNECTION, Stand, digdag, switchboard  # noqa: F401 — a fixture

pytestmark = pytest.mark.anyio

TIME = "2026-05-01T00:00:00+09:00"


async def target_of(stand: Stand, name: str = "release") -> StartTarget:
    (target,) = await stand.engine.find_targets(None, name)
    return target


async def start(stand: Stand, target: StartTarget, key: str = "req-5-1", **inputs: str) -> ExecutionRef:
    given = {"session_time": TIME, **inputs}
    return (await stand.engine.start(target, given, key, boot_time() + 5)).ref


async def test_a_workflow_is_found_by_name_by_project_and_by_id() -> None:
    async with digdag() as stand:
        by_name = await stand.engine.find_targets(None, "release")
        in_project = await stand.engine.find_targets("lab", "release")
        by_id = await stand.engine.find_targets(None, by_name[0].key)

    assert [(one.name, one.key, one.connection) for one in by_name] == [("release", "5", CONNECTION)]
    assert [one.key for one in (*in_project, *by_id)] == ["5", "5"]
    assert [one.label for one in by_name[0].inputs] == ["Session time", "Params"]


@pytest.mark.parametrize("around", ["{}{:03}", "{1:03}{0}"])
async def test_a_workflow_is_found_however_many_have_its_name_in_theirs(around: str) -> None:
    async with digdag() as stand:
        stand.simulator.push("others", {around.format("nightly", number): "+a:\n  echo>: x\n" for number in range(220)})
        stand.simulator.push("ours", {"nightly": "+a:\n  echo>: x\n"})
        stand.simulator.push("theirs", {"nightly": "+a:\n  echo>: x\n"})

        found = await stand.engine.find_targets(None, "nightly")
        in_project = await stand.engine.find_targets("ours", "nightly")

    assert [one.name for one in found] == ["nightly", "nightly"]
    assert [one.key for one in in_project] == [found[0].key]


@pytest.mark.parametrize(("application", "name"), [(None, "releas"), ("lab", "nope"), ("other", "release"), (None, "999")])
async def test_what_is_not_there_is_not_found(application: str | None, name: str) -> None:
    async with digdag() as stand:
        assert await stand.engine.find_targets(application, name) == []


async def test_a_start_runs_the_workflow_with_its_time_and_params() -> None:
    async with digdag() as stand:
        ref = await start(stand, await target_of(stand), params='{"target": "prod"}', owner="ops")
        attempt = await stand.ended(ref)

    assert attempt.success is True
    assert attempt.params == {"target": "prod", "owner": "ops"}
    assert attempt.session.time == datetime(2026, 4, 30, 15, tzinfo=UTC)
    assert attempt.retry_name == "resumebot-req-5-w5"


async def test_without_a_session_time_the_one_proposed_counts_for_every_repetition() -> None:
    async with digdag() as stand:
        target = await target_of(stand)
        refs = [(await stand.engine.start(target, {}, f"req-5-{n}", boot_time() + 5)).ref for n in (1, 2)]

    assert refs[0] == refs[1]
    assert len(stand.simulator.world.sessions) == 1


async def test_a_start_whose_answer_was_lost_is_proven_and_not_repeated() -> None:
    async with digdag() as stand:
        target = await target_of(stand)
        since = datetime.now(UTC)
        before = await stand.engine.start_evidence(target, "req-5-1", since)
        stand.simulator.script(Fault(FaultKind.LOST))

        with pytest.raises(OutcomeUnknown):
            await start(stand, target)
        after = await stand.engine.start_evidence(target, "req-5-1", since)
        again = await start(stand, target, "req-5-2")

    assert (before.finding, after.finding, after.ref) == (Finding.HARMLESS, Finding.HAPPENED, again)
    assert len(stand.simulator.world.attempts) == 1


async def test_a_start_is_proven_behind_any_number_of_others_that_came_after_it() -> None:
    async with digdag(attempts=200, page=50) as stand:
        target = await target_of(stand)
        since = datetime.now(UTC)
        ours = await start(stand, target)
        for _ in range(110):
            await stand.start("release", {"target": "prod"})

        evidence = await stand.engine.start_evidence(target, "req-5-1", since)

    assert (evidence.finding, evidence.ref) == (Finding.HAPPENED, ours)


async def test_an_attempt_of_our_name_from_long_ago_proves_nothing() -> None:
    async with digdag() as stand:
        target = await target_of(stand)
        await start(stand, target)

        evidence = await stand.engine.start_evidence(target, "req-5-1", datetime.now(UTC) + timedelta(hours=1))

    assert evidence.finding is Finding.HARMLESS


async def test_a_session_time_that_runs_already_is_not_started_beside_itself() -> None:
    async with digdag() as stand:
        stand.simulator.pace.hold()
        await stand.put("release", sessionTime=TIME)

        with pytest.raises(NotResumable, match="already"):
            await start(stand, await target_of(stand))


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"session_time": "2026-01-01T00:00:00"}, "needs its offset"),
        ({"session_time": "yesterday"}, "cannot be read"),
        ({"params": "{nope"}, "no JSON"),
        ({"params": "[1]"}, "must be a JSON object"),
        ({"params": "[" * 100_000}, "no JSON"),
        ({"params": '{"a": NaN}'}, "JSON cannot carry"),
        ({"params": '{"a": [1e999]}'}, "JSON cannot carry"),
        ({"params": '{"a": "\\ud800"}'}, "JSON cannot carry"),
        ({"params": '{"\\udfff": 1}'}, "JSON cannot carry"),
        ({"owner": "\ud800"}, "JSON cannot carry"),
    ],
)
async def test_inputs_that_cannot_be_sent_are_refused_before_the_call(inputs: dict[str, str], sentence: str) -> None:
    async with digdag() as stand:
        with pytest.raises(NotResumable, match=sentence):
            await start(stand, await target_of(stand), **inputs)

    assert stand.puts == []


async def test_a_project_deleted_meanwhile_is_not_found_and_nothing_is_sent() -> None:
    async with digdag() as stand:
        target = await target_of(stand)
        project = stand.simulator.world.projects[1]
        await stand.run("release")
        stand.simulator.world.projects[1] = replace(project, deleted_at=stand.simulator.world.clock())

        with pytest.raises(NotFound, match="project was deleted"):
            await start(stand, target)

    assert stand.puts == []


async def test_treasure_data_may_queue_a_start() -> None:
    async with digdag(Flavour.TD) as stand:
        await start(stand, await target_of(stand))

    assert stand.puts[-1]["allowQueueing"] is True
