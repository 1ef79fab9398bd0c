"""What people type, understood or answered with a sentence that helps."""

import pytest

from bot.domain.errors import Refusal
from bot.slack.orders import (
    AskOrder,
    Help,
    ListMine,
    ListOpen,
    Order,
    ResumeForm,
    ResumeOrder,
    StartOrder,
    Topic,
    executions_in,
    parse_order,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResumeForm()),
        ("   ", ResumeForm()),
        ("help", Help()),
        ("HELP me", Help()),
        ("list", ListOpen()),
        ("mine", ListMine()),
        ("status req-17", AskOrder(Topic.STATUS, "req-17")),
        ("audit INC-42", AskOrder(Topic.AUDIT, "inc-42")),
        ("why orders:inv_1A", AskOrder(Topic.WHY, "orders:inv_1A")),
        ("inv_1a", ResumeOrder("inv_1a")),
        ("orders:inv_1a deploy", ResumeOrder("orders:inv_1a", "deploy")),
        ('orders:inv_1a "Deploy to EU"', ResumeOrder("orders:inv_1a", "Deploy to EU")),
        ("orders:inv_1a “Deploy to EU”", ResumeOrder("orders:inv_1a", "Deploy to EU")),
        ("orders:inv_1a Deploy to EU", ResumeOrder("orders:inv_1a", "Deploy to EU")),
        ("orders:inv_1a 'it''s", ResumeOrder("orders:inv_1a", "'it''s")),
        ('"orders:inv_1a" deploy', ResumeOrder("orders:inv_1a", "deploy")),
        (
            "<https://x.example/a?b=1&amp;c=2|x.example/a> build &lt;2&gt;",
            ResumeOrder("https://x.example/a?b=1&c=2", "build <2>"),
        ),
        ("<https://x.example/a>", ResumeOrder("https://x.example/a")),
        ("inv_1a de\x00ploy", ResumeOrder("inv_1a", "de\N{REPLACEMENT CHARACTER}ploy")),
    ],
)
def test_resume_is_read_as_people_type_it(text: str, expected: Order) -> None:
    assert parse_order("/resume", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Deploy", StartOrder("Deploy", "Deploy")),
        ("prod:Deploy", StartOrder("prod:Deploy", "Deploy", "prod")),
        ("prod:Shop/Deploy to EU", StartOrder("prod:Shop/Deploy to EU", "Deploy to EU", "prod", "Shop")),
        ('"Deploy: EU"', StartOrder("Deploy: EU", "EU", "Deploy")),
        ("Shop/Deploy", StartOrder("Shop/Deploy", "Deploy", None, "Shop")),
        ("help", Help()),
    ],
)
def test_start_is_read_as_people_type_it(text: str, expected: Order) -> None:
    assert parse_order("/start", text) == expected


@pytest.mark.parametrize(
    ("command", "text", "helps"),
    [
        ("/resume", "list all", "/resume help"),
        ("/resume", "status", "req-17"),
        ("/resume", "audit req-1 req-2", "/resume audit req-17"),
        ("/start", "", "/start Deploy"),
        ("/start", "prod:", "/start Deploy"),
        ("/deploy<!channel>", "x", "/resume help"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_an_example(command: str, text: str, helps: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_order(command, text)

    assert helps in str(refused.value)
    assert "<!" not in str(refused.value)


def test_a_message_names_executions_by_link_prefix_and_id_in_this_order() -> None:
    message = {
        "text": "inv_1aTbXbYx3SuM0Ex9Fk and orders:inv_2 at <https://x.example/run/9?a=1&amp;b=2|run 9>",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "again orders:inv_2"}}],
        "attachments": [{"title_link": "https://x.example/run/10", "fallback": "short 12"}],
    }

    found = executions_in(message)

    assert found[:2] == ("https://x.example/run/9?a=1&b=2", "https://x.example/run/10")
    assert found.index("orders:inv_2") < found.index("inv_1aTbXbYx3SuM0Ex9Fk")
    assert "12" not in found
    assert len(found) == len(set(found))


def test_the_parts_of_an_address_are_no_ids_of_their_own() -> None:
    link = f"https://app.harness.io/ng/account/{'a1' * 11}/cd/orgs/o/projects/p/pipelines/shop/executions/{'b2' * 11}/pipeline"

    assert executions_in({"text": f"failed: <{link}|open>, run {'c3' * 11}"}) == (link, "c3" * 11)


def test_what_stands_before_an_attachment_is_read_too() -> None:
    link = "https://app.harness.io/ng/account/a/cd/orgs/o/projects/p/pipelines/shop/executions/x/pipeline"

    assert executions_in({"attachments": [{"pretext": f"Pipeline <{link}|shop> failed", "color": "#ff0000"}]}) == (link,)
