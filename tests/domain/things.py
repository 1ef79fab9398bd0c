"""People, executions, incidents and requests as the tests of the domain and the store get them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.execution import Action, Execution, ExecutionRef, ExecutionStatus, FailureNotice, ResumePoint
from bot.domain.incident import Incident
from bot.domain.policy import Person, PersonKind, Policy, Rules
from bot.domain.request import Decision, Request, RequestState

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOME, ELSEWHERE = "T0HOME", "T0ELSE"
CHANNEL = "C0DEPLOYS"
POINT = ResumePoint("from:deploy", "deploy", "Runs deploy again and all that follows.", ("deploy",))
OTHER_POINT = ResumePoint("from:build", "build", "Runs build again and all that follows.", ("build",))
NOTICE = FailureNotice(ExecutionRef("orders", "run-1"), "orders run-1 failed", "Checkout", "deploy", "disk full", NOW)


def actor(user: str) -> str:
    """How the trail names a person of our workspace."""
    return f"slack:{HOME}/{user}"


def person(
    user: str,
    *groups: str,
    kind: PersonKind | None = PersonKind.MEMBER,
    read: datetime | None = NOW,
    followed: Iterable[str] | Mapping[str, datetime] = (CHANNEL, "S0DEVS", "S0RELEASE"),
    workspace: str = HOME,
) -> Person:
    """A person whose kind and groups were read at `read`; `followed` are the groups that were read at all."""
    read_at = followed if isinstance(followed, Mapping) else dict.fromkeys(followed, read or NOW)
    return Person(workspace, user, kind, read if kind else None, frozenset(groups), read_at)


RITA, ARNO, LEA = person("U0RITA", CHANNEL), person("U0ARNO", CHANNEL), person("U0LEA", CHANNEL)


def rules(*policies: Policy) -> Rules:
    """These, or one policy that wants one approval of the channel."""
    return Rules(policies or (Policy("default"),))


def execution(**changes: Any) -> Execution:
    """A failed execution with two points to resume from."""
    made = Execution(
        ref=ExecutionRef("orders", "run-1"),
        name="Checkout",
        status=ExecutionStatus.FAILED,
        root="run-1",
        baseline="run-1 failed once",
        failed_stage="deploy",
        error="disk full",
        points=(POINT, OTHER_POINT),
        chain=("run-1",),
    )
    return replace(made, **changes)


def incident(**changes: Any) -> Incident:
    """An open incident, read once."""
    made = Incident(
        id=42,
        workspace=HOME,
        connection="orders",
        execution_id="run-1",
        root="run-1",
        name="Checkout",
        stage="deploy",
        error="disk full",
        channel=CHANNEL,
        seen=execution(),
        opened_at=NOW,
        failed_at=NOW,
        read_at=NOW,
    )
    return replace(made, **changes)


def request(state: RequestState = RequestState.PENDING, **changes: Any) -> Request:
    """Rita's request to resume inc-42 at its first point."""
    made = Request(
        id=17,
        workspace=HOME,
        channel=CHANNEL,
        incident_id=42,
        action=Action.RESUME,
        connection="orders",
        execution_id="run-1",
        root="run-1",
        point=POINT,
        baseline="run-1 failed once",
        digest="d1",
        rules=rules(),
        requester=RITA.actor,
        requested_at=NOW,
        expires_at=NOW + 60 * MINUTE,
        name="Checkout",
        state=state,
    )
    return replace(made, **changes)


def approved_by(*people: Person) -> tuple[Decision, ...]:
    """Their approvals."""
    return tuple(Decision(each.actor, is_approval=True, at=NOW) for each in people)
