"""Whom Digdag and Treasure Data Workflow let in, and what is told where they do not."""

import base64

import pytest

from bot.domain.errors import Forbidden, NotSent
from bot.domain.execution import ExecutionRef, ExecutionStatus
from bot.engines.digdag import Digdag, DigdagSettings
from bot.simulators.digdag_faults import Fault, FaultKind
from bot.simulators.digdag_wire import Flavour
from tests.engines.digdag_stand import CONNECTION, KEY, Unlimited, digdag, switchboard  # noqa: F401 — a fixture

pytestmark = pytest.mark.anyio


async def test_a_wrong_password_is_forbidden_and_not_quoted() -> None:
    async with digdag(token="bot:another-secret") as stand:
        with pytest.raises(Forbidden) as raised:
            await stand.engine.describe(ExecutionRef(CONNECTION, "1"))

    coded = base64.b64encode(b"bot:another-secret").decode()
    assert "another-secret" not in str(raised.value)
    assert coded not in str(raised.value)


async def test_a_500_page_for_a_wrong_kind_of_key_is_a_sentence_without_the_page() -> None:
    async with digdag(token=KEY) as stand:
        with pytest.raises(Forbidden, match="wrong kind") as checked:
            await stand.engine.check()
        with pytest.raises(NotSent) as described:
            await stand.engine.describe(ExecutionRef(CONNECTION, "1"))

    for error in (checked, described):
        assert "<" not in str(error.value)
        assert KEY not in str(error.value)


async def test_treasure_data_gets_its_key_and_may_queue() -> None:
    async with digdag(Flavour.TD, attempts=1) as stand:
        execution = await stand.engine.describe(await stand.run("release"))
        stand.simulator.pace.hold()
        await stand.start("slow", {"pause": "1ms"})

        receipt = await stand.resume(execution, execution.points[0])
        queued = await stand.engine.describe(receipt.ref)
        stand.simulator.pace.release()
        attempt = await stand.ended(receipt.ref)

    assert queued.status is ExecutionStatus.WAITING
    assert stand.puts[-1]["allowQueueing"] is True
    assert attempt.is_done


async def test_a_bad_key_of_treasure_data_is_forbidden_also_without_json() -> None:
    async with digdag(Flavour.TD, token="1/wrong") as stand:
        with pytest.raises(Forbidden):
            await stand.engine.check()
        stand.simulator.script(Fault(FaultKind.REFUSE, "GET", status=401, body="denied", media_type="text/plain"))
        with pytest.raises(Forbidden):
            await stand.engine.check()


async def test_the_check_says_who_we_are() -> None:
    async with digdag() as stand, digdag(Flavour.TD) as hosted:
        assert (await stand.engine.check()).endswith(", as bot.")
        assert (await hosted.engine.check()).startswith("Treasure Data Workflow at 127.0.0.1")


async def test_a_server_that_is_not_there_was_not_reached() -> None:
    engine = Digdag(CONNECTION, DigdagSettings(base_url="http://127.0.0.1:9"), Unlimited())

    with pytest.raises(NotSent, match="cannot be reached"):
        await engine.describe(ExecutionRef(CONNECTION, "1"))
    await engine.aclose()
