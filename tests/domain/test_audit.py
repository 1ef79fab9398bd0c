"""The grammar of audit tags, and that each step writes the tag the outside relies on."""

import re

import pytest

from bot.domain.audit import REQUESTED, AuditAction
from bot.domain.execution import Action

SUBJECTS = {"request", "incident", "bot"}
PROMISED = {
    "request:resume:requested",
    "request:start:requested",
    "request:decision:approved",
    "request:decision:rejected",
    "request:decision:refused",
    "request:call:sent",
    "request:receipt:running",
    "request:receipt:refused",
    "request:receipt:not_sent",
    "request:receipt:unknown",
    "request:outcome:succeeded",
    "request:outcome:failed",
    "request:life:cancelled",
    "request:life:expired",
    "request:life:superseded",
    "request:unknown:pressed_again",
    "request:unknown:closed",
    "incident:notice:received",
    "incident:notice:merged",
    "incident:notice:rejected",
    "bot:process:started",
}


@pytest.mark.parametrize("action", AuditAction)
def test_every_tag_is_subject_part_and_verb(action: AuditAction) -> None:
    subject, part, verb = action.value.split(":")

    assert subject in SUBJECTS
    assert re.fullmatch(r"[a-z]+", part)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)?", verb)


def test_the_tags_that_others_rely_on_are_there() -> None:
    assert {action.value for action in AuditAction} >= PROMISED


def test_every_action_of_a_request_has_its_tag() -> None:
    assert {action: tag.value for action, tag in REQUESTED.items()} == {
        action: f"request:{action}:requested" for action in Action
    }
