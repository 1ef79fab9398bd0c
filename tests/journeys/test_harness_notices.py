"""Several notices of one failure, and notices that come before the bot knows what they belong to."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.in_process import QUICK, seen, words_of
from tests.journeys.harness_side import PATIENCE, on_the_way

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


async def test_one_failure_told_of_by_its_stage_and_by_its_pipeline_is_counted_once(database: str, tmp_path: Path) -> None:
    async with on_the_way("nextgen", database, tmp_path) as journey:
        await journey.failed()
        await journey.side.rules.settled()

        assert await journey.bot.ask("SELECT failures FROM incidents") == [1]


async def test_a_second_notice_does_not_post_the_card_before_the_engine_was_read(database: str, tmp_path: Path) -> None:
    timings = replace(QUICK, first_card=5.0)
    async with on_the_way("nextgen", database, tmp_path, timings=timings) as journey:
        journey.side.calls.fail("GET *", "slow", times=20, seconds=0.5)

        run = await journey.side.world.over(journey.side.fail())
        card = await journey.card(run)

        assert "Asking the engine" not in words_of(card)


@pytest.mark.parametrize("generation", ["firstgen", "nextgen"])
async def test_a_notice_before_a_lost_answer_is_cleared_up_leaves_no_second_card_that_stays_open(
    generation: str, database: str, tmp_path: Path
) -> None:
    timings = replace(QUICK, first_card=2.0)
    async with on_the_way(generation, database, tmp_path, timings=timings) as journey:
        side = journey.side
        _, card = await journey.failed()
        side.calls.fail(side.resume, "lost")

        await journey.approve(await journey.ask(card))
        await journey.reads(card, "failed again (req-1)")

        def is_closed() -> bool:
            return all("Closed" in one.text for one in journey.cards()[1:])

        await seen(is_closed, "closed second card: " + " | ".join(one.text for one in journey.cards()), PATIENCE / 2)


async def test_no_hook_is_turned_away_while_the_watch_stores_the_same_end(database: str, tmp_path: Path) -> None:
    async with on_the_way("firstgen", database, tmp_path, copies=2) as journey:
        for number in range(1, 9):
            _, card = await journey.failed()
            await journey.approve(await journey.ask(card))
            await journey.reads(card, f"failed again (req-{number})")
            await journey.side.rules.settled()

        assert [status for status in journey.side.rules.answers if status != 202] == []
