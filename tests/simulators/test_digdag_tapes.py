"""The simulated Digdag server answers what the real one answered, on every recorded tape."""

import pytest

from tests.simulators.digdag_replay import TAPES, Replay

pytestmark = pytest.mark.anyio

ON_ONE_SERVER = (
    "resume_failed",
    "resume_from",
    "silent_second_failure",
    "refusals",
    "group_retry",
    "running_and_kill",
    "lists",
    "error_block",
)
"""In the order of recording: later tapes count on the attempts of the earlier ones."""

ON_A_SMALL_SERVER = ("attempt_limit",)


@pytest.fixture(scope="module")
async def differences() -> dict[str, list[str]]:
    """What differed, by tape."""
    found: dict[str, list[str]] = {}
    for tapes, limit in ((ON_ONE_SERVER, 100), (ON_A_SMALL_SERVER, 2)):
        replay = Replay(limit)
        for tape in tapes:
            found[tape] = await replay.play(tape)
        await replay.close()
    return found


@pytest.mark.parametrize("tape", ON_ONE_SERVER + ON_A_SMALL_SERVER)
async def test_every_step_of_the_tape_is_answered_as_recorded(tape: str, differences: dict[str, list[str]]) -> None:
    assert differences[tape] == []


def test_no_tape_is_left_out() -> None:
    assert {path.stem for path in TAPES.glob("*.jsonl")} == {*ON_ONE_SERVER, *ON_A_SMALL_SERVER}
