"""What Slack tells of people, read whole or not at all."""

from collections.abc import AsyncIterator

import pytest

from bot.domain.errors import ChatRefused, ChatUnavailable
from bot.domain.policy import PersonKind
from bot.slack.directory import SlackPeople
from tests.slack.world import ARNO, BOT, DEPLOYS, GINA, GONE, OLGA, RITA, TEAM, Door, World, odd, world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def slack(door: Door) -> AsyncIterator[World]:
    """A simulated workspace."""
    async with world(door) as made:
        yield made


@pytest.fixture
def people(slack: World) -> SlackPeople:
    """The adapter, speaking to it."""
    return SlackPeople(slack.client, TEAM, timeout=2)


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        (RITA, PersonKind.MEMBER),
        (GINA, PersonKind.GUEST),
        (BOT, PersonKind.BOT),
        (GONE, PersonKind.DEACTIVATED),
        (OLGA, PersonKind.FOREIGN),
    ],
)
async def test_people_are_told_apart(people: SlackPeople, user: str, kind: PersonKind) -> None:
    assert await people.kind_of(user) is kind


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ('{"id": "U1"}', PersonKind.FOREIGN),
        ('{"id": "U1", "team_id": null}', PersonKind.FOREIGN),
        ('{"id": "U1", "team_id": "T0HOME", "is_stranger": true}', PersonKind.FOREIGN),
        ('{"id": "U1", "team_id": "T0ELSE", "deleted": true}', PersonKind.FOREIGN),
        ('{"id": "USLACKBOT", "team_id": "T0HOME", "is_bot": false}', PersonKind.BOT),
        ('{"id": "U1", "team_id": "T0HOME", "is_ultra_restricted": true}', PersonKind.GUEST),
    ],
)
async def test_who_is_not_clearly_ours_is_foreign(user: str, kind: PersonKind, door: Door) -> None:
    client = odd(door, '{"ok": true, "user": ' + user + "}")

    assert await SlackPeople(client, TEAM).kind_of("U1") is kind


async def test_nobody_is_refused_with_slacks_word(people: SlackPeople) -> None:
    with pytest.raises(ChatRefused) as refused:
        await people.kind_of("U0NOBODY")

    assert refused.value.code == "user_not_found"


async def test_a_group_is_read(people: SlackPeople) -> None:
    assert await people.members_of_group("S0RELEASE") == {ARNO, RITA}


async def test_an_unknown_group_is_refused(people: SlackPeople) -> None:
    with pytest.raises(ChatRefused) as refused:
        await people.members_of_group("S0NONE")

    assert refused.value.code == "no_such_subteam"


async def test_a_channel_is_read_over_all_pages(slack: World, people: SlackPeople) -> None:
    assert await people.members_of_channel(DEPLOYS) == {RITA, ARNO, OLGA, BOT}

    assert len(slack.asked("conversations.members")) == 2


async def test_a_channel_is_read_whole_or_not_at_all(door: Door) -> None:
    first = '{"ok": true, "members": ["U1"], "response_metadata": {"next_cursor": "more"}}'
    client = odd(door, first, '{"ok": false, "error": "fatal_error"}')

    with pytest.raises(ChatUnavailable):
        await SlackPeople(client, TEAM).members_of_channel(DEPLOYS)


async def test_a_list_without_end_is_given_up(door: Door) -> None:
    body = '{"ok": true, "members": ["U1"], "response_metadata": {"next_cursor": "again"}}'
    client = odd(door, body)

    with pytest.raises(ChatUnavailable):
        await SlackPeople(client, TEAM).members_of_channel(DEPLOYS)


@pytest.mark.parametrize("body", ['{"ok": true}', '{"ok": true, "user": []}', '{"ok": true, "members": "U1", "users": {}}'])
async def test_an_answer_of_another_shape_is_no_answer(body: str, door: Door) -> None:
    client = odd(door, body)

    people = SlackPeople(client, TEAM)

    for read in (people.kind_of("U1"), people.members_of_group("S1"), people.members_of_channel("C1")):
        with pytest.raises(ChatUnavailable):
            await read
