"""Resuming a Digdag attempt: once, what was promised, and never what the server would not refuse."""

import asyncio

import pytest

from bot.domain.errors import NotFound, NotResumable, NotSent, OutcomeUnknown, RateLimited, Unsupported
from bot.domain.execution import ExecutionRef, ExecutionStatus, Finding, ResumePoint
from bot.engines._http import boot_time
from bot.simulators.digdag_faults import Fault, FaultKind
from tests.engines.digdag_stand import CONNECTION, digdag, point_of, switchboard  # noqa: F401 — a fixture

pytestmark = pytest.mark.anyio


# ---- resuming -----------------------------------------------------------------------------------


async def test_failed_mode_runs_what_had_not_succeeded() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("resume_demo", {"break_right": True, "day": "2026-01-01"}))

        receipt = await stand.resume(execution, execution.points[0])
        attempt = await stand.ended(receipt.ref)

    assert attempt.ran == {"+resume_demo+load+right", "+resume_demo+load+right^sub"}
    assert attempt.params == {"break_right": True, "day": "2026-01-01"}  # never inherited by the server: sent again
    assert str(attempt.session.attempts[0].id) == execution.root


async def test_from_a_task_runs_exactly_what_the_card_promised() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        point = point_of(execution, "test")

        attempt = await stand.ended((await stand.resume(execution, point)).ref)

    assert point.sentence.startswith(
        "Runs +test+unit, +test+lint, +deploy and +verify, 2 tasks of which had succeeded. 1 task before"
    )
    assert attempt.ran - {"+release^failure-alert"} == {"+release+test+unit", "+release+test+lint", "+release+deploy"}
    assert stand.puts[-1]["resume"]["from"] == "+release+test"


async def test_everything_sends_no_resume_and_a_name_all_the_same() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))

        attempt = await stand.ended((await stand.resume(execution, point_of(execution, "everything"))).ref)

    assert "+release+build" in attempt.ran
    assert "resume" not in stand.puts[-1]
    assert stand.puts[-1]["retryAttemptName"] == f"resumebot-req-1-a{execution.ref.id}"


async def test_a_second_failure_in_failed_mode_is_silent_on_the_server_and_seen_by_describing() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        receipt = await stand.resume(execution, execution.points[0])
        await stand.ended(receipt.ref)

        again = await stand.engine.describe(receipt.ref)

    assert len(stand.mailbox.taken) == 1
    assert (again.status, again.failed_stage) == (ExecutionStatus.FAILED, "+release+deploy")
    assert "will not tell of another failure" in execution.points[0].sentence


async def test_a_lost_answer_is_proven_by_the_name_and_the_repeated_call_starts_nothing() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.script(Fault(FaultKind.LOST))

        with pytest.raises(OutcomeUnknown):
            await stand.resume(execution, execution.points[0], "req-7-1")
        evidence = await stand.engine.evidence(execution.ref, execution.baseline, "req-7-1")
        again = await stand.resume(execution, execution.points[0], "req-7-2")

    assert (evidence.finding, evidence.ref) == (Finding.HAPPENED, again.ref)
    assert len(stand.simulator.world.attempts) == 2


async def test_a_conflict_with_our_own_name_is_a_start() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))

        receipts = await asyncio.gather(*(stand.resume(execution, execution.points[0]) for _ in range(3)))

    assert len({receipt.ref for receipt in receipts}) == 1
    assert len(stand.simulator.world.attempts) == 2


async def test_a_call_cut_before_it_arrived_is_harmless_to_repeat() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.script(Fault(FaultKind.CUT))

        with pytest.raises(OutcomeUnknown):
            await stand.resume(execution, execution.points[0])
        evidence = await stand.engine.evidence(execution.ref, execution.baseline, "req-1-1")

    assert evidence.finding is Finding.HARMLESS
    assert len(stand.puts) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_gateways_fault_after_the_start_is_unknown_and_never_repeated_inside(status: int) -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.script(Fault(FaultKind.ACTED, status=status))

        with pytest.raises(OutcomeUnknown) as raised:
            await stand.resume(execution, execution.points[0])

    assert len(stand.puts) == 1
    assert "<html>" not in str(raised.value)


async def test_a_limited_call_waits_as_long_as_it_is_told() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.script(Fault(FaultKind.REFUSE, status=429, retry_after="7"))

        with pytest.raises(RateLimited) as raised:
            await stand.resume(execution, execution.points[0])

    assert raised.value.wait == 7


async def test_a_full_pool_is_not_sent_and_tried_again_later() -> None:
    async with digdag(attempts=1) as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.pace.hold()
        other = await stand.start("slow", {"pause": "1ms"})

        with pytest.raises(NotSent, match="as many attempts as it may"):
            await stand.resume(execution, execution.points[0])
        stand.simulator.pace.release()
        await stand.ended(other)

        assert (await stand.resume(execution, execution.points[0], "req-1-2")).ref.id not in {execution.ref.id, other.id}


async def test_a_full_pool_does_not_hide_that_the_call_took_effect_before() -> None:
    async with digdag(attempts=1) as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.pace.hold()
        stand.simulator.script(Fault(FaultKind.LOST))
        with pytest.raises(OutcomeUnknown):
            await stand.resume(execution, execution.points[0])

        receipt = await stand.resume(execution, execution.points[0], "req-1-2")

    assert receipt.ref.id == "2"
    assert len(stand.puts) == 1


async def test_a_call_whose_time_has_passed_is_not_sent() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))

        with pytest.raises(NotSent):
            await stand.resume(execution, execution.points[0], seconds=-1)

    assert stand.puts == []


async def test_an_attempt_that_was_answered_and_vanished_is_not_found_and_nothing_shows_that_it_ran() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        receipt = await stand.resume(execution, execution.points[0])
        stand.simulator.world.forget(int(receipt.ref.id))

        with pytest.raises(NotFound):
            await stand.engine.describe(receipt.ref)
        evidence = await stand.engine.evidence(execution.ref, execution.baseline, "req-1-1")

    assert evidence.finding is not Finding.HAPPENED  # that it was answered only the core knows, and sends nothing again


# ---- guards the server does not have ----------------------------------------------------------------


async def test_an_attempt_that_runs_is_not_resumed_beside_itself() -> None:
    async with digdag() as stand:
        failed = await stand.engine.describe(await stand.run("release"))
        stand.simulator.pace.hold()
        running = await stand.start("release")

        with pytest.raises(NotResumable, match="has not come to its end"):
            await stand.engine.resume(running, failed.points[0], "req-1-1", boot_time() + 5)

    assert stand.puts == []


async def test_another_running_attempt_of_the_session_stands_in_the_way() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.pace.hold()
        session_time = stand.attempt(execution.ref).session.time.isoformat()
        await stand.start("release", sessionTime=session_time, retryAttemptName="by hand")

        with pytest.raises(NotResumable, match="is running"):
            await stand.resume(execution, execution.points[0])

    assert stand.puts == []


async def test_an_older_failure_is_not_resumed_after_a_newer_success() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        session_time = stand.attempt(execution.ref).session.time.isoformat()
        await stand.run("release", {"target": "prod"}, sessionTime=session_time, retryAttemptName="by hand")

        with pytest.raises(NotResumable, match="succeeded"):
            await stand.resume(execution, execution.points[0])

    assert stand.puts == []


async def test_a_successful_attempt_is_not_resumed_though_the_server_would_from_a_task() -> None:
    async with digdag() as stand:
        failed = await stand.engine.describe(await stand.run("release"))
        succeeded = await stand.engine.describe(await stand.run("release", {"target": "prod"}))

        with pytest.raises(NotResumable):
            await stand.engine.resume(succeeded.ref, failed.points[1], "req-1-1", boot_time() + 5)

    assert (succeeded.points, succeeded.no_points) == ((), f"Attempt {succeeded.ref.id} succeeded.")


async def test_an_unknown_attempt_never_becomes_a_silent_full_run() -> None:
    async with digdag() as stand:
        failed = await stand.engine.describe(await stand.run("release"))

        with pytest.raises(NotFound):
            await stand.engine.resume(ExecutionRef(CONNECTION, "999"), failed.points[0], "req-1-1", boot_time() + 5)

    assert stand.puts == []


async def test_a_point_of_somebody_else_is_refused_before_any_call() -> None:
    async with digdag() as stand:
        failed = await stand.run("release")

        with pytest.raises(Unsupported):
            await stand.engine.resume(failed, ResumePoint("from", "x", "x"), "req-1-1", boot_time() + 5)

    assert stand.puts == []


# ---- revisions ------------------------------------------------------------------------------------


async def test_the_same_revision_runs_and_the_newest_where_that_is_the_policy() -> None:
    async with digdag() as stand:
        failed = await stand.run("release")
        stand.simulator.push("lab", {"release": "+build:\n  echo>: new\n+deploy:\n  echo>: repaired\n"})
        latest = stand.another_engine(revision="latest")

        same, newest = await stand.engine.describe(failed), await latest.describe(failed)
        receipt = await latest.resume(failed, newest.points[0], "req-1-1", boot_time() + 5)
        attempt = await stand.ended(receipt.ref)
        await latest.aclose()

    assert (same.labels["Revision"], newest.labels["Revision"]) == (
        "the one that failed (workflow 5)",
        "the newest (workflow 10)",
    )
    assert "though its code may have changed" in newest.points[0].sentence
    assert same.inputs != newest.inputs
    assert (attempt.success, attempt.ran) == (True, {"+release+deploy"})


async def test_a_workflow_that_the_newest_revision_lacks_has_no_points() -> None:
    async with digdag(revision="latest") as stand:
        failed = await stand.run("release")
        stand.simulator.push("lab", {"slow": "+a:\n  echo>: a\n"})

        execution = await stand.engine.describe(failed)

    assert (execution.points, execution.no_points) == ((), "The newest revision of lab has no workflow release.")


async def test_a_deleted_project_refuses_the_resume_in_its_own_words() -> None:
    async with digdag() as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.world.projects[1].deleted_at = stand.simulator.world.clock()

        with pytest.raises(NotResumable, match="already deleted"):
            await stand.resume(execution, execution.points[0])


async def test_params_of_a_megabyte_are_sent_again_and_kept_out_of_the_description() -> None:
    async with digdag() as stand:
        params = {"break_right": True, "rows": "x" * 1_000_000}
        execution = await stand.engine.describe(await stand.run("resume_demo", params))

        receipt = await stand.resume(execution, execution.points[0])

        assert stand.attempt(receipt.ref).params == params
        assert len(execution.inputs) < 100
