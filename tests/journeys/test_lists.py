"""Lists lead to what they name."""

import json
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.in_process import ARNO, RITA, TOKEN, opened

pytestmark = pytest.mark.anyio


async def test_a_list_leads_to_the_messages_it_names_as_slacks_own_links_do(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path) as bot, bot.working():
        card = await bot.card()
        question = await bot.asked(card)
        await bot.says(ARNO, "mine")
        await bot.says(RITA, "list")

        client = AsyncWebClient(token=TOKEN, base_url=bot.settings.slack_api_url)
        for user, message in ((ARNO, question), (RITA, card)):
            link = (await client.chat_getPermalink(channel=message.channel, message_ts=message.ts))["permalink"]
            assert str(link) in json.dumps(bot.slack.private(user)[-1].blocks)
