"""Incidents, requests and executions as the views get them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.execution import Action, Execution, ExecutionRef, ExecutionStatus, ResumePoint
from bot.domain.incident import Incident
from bot.domain.policy import Policy, Rules
from bot.domain.request import Decision, Request, RequestState

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=60)
RITA, ARNO, LEA = "slack:T0HOME/U0RITA", "slack:T0HOME/U0ARNO", "slack:T0HOME/U0LEA"
INVOCATION = "inv_1aTbXbYx3SuM0Ex9FkYfrYHXeZAo3XhzP5"
LINK = f"https://restate.example.com/ui/invocations/{INVOCATION}?tab=journal&full=1"
ERROR = "Error: connect ECONNREFUSED 10.0.0.7:5432\n    at deploy (checkout.ts:41)"
HOSTILE = "<!channel> <@U0EVIL> <https://evil.example|click> `x` *b* | & \u202edrow ssap\u202c :fire: @here"

POINTS = (
    ResumePoint(
        "deploy|keep", "deploy, on the deployment it ran on", "Runs deploy again with the code it ran on.", ("deploy",)
    ),
    ResumePoint(
        "deploy|latest", "deploy, on the latest deployment", "Moves it to dp_2 first, then runs deploy again.", ("deploy",)
    ),
)
RULES = Rules(
    (
        Policy(name="production", requesters=("S0DEVS",), approvers=("S0RELEASE", "U0LEA"), approvals=2),
        Policy(name="everything"),
    )
)


def points(count: int, label: str = "stage {}") -> tuple[ResumePoint, ...]:
    """So many points."""
    return tuple(ResumePoint(f"key-{number}", label.format(number), f"Runs from {number}.") for number in range(count))


def execution(**changes: Any) -> Execution:
    """A paused invocation."""
    made = Execution(
        ref=ExecutionRef("orders", INVOCATION),
        name="Checkout/run",
        status=ExecutionStatus.FAILED,
        root=INVOCATION,
        baseline="paused 09:29:58",
        failed_stage="deploy",
        error=ERROR,
        points=POINTS,
        link=LINK,
        labels={"Deployment": "dp_1"},
    )
    return replace(made, **changes)


def incident(seen: Execution | None = None, **changes: Any) -> Incident:
    """An open incident, read once."""
    made = Incident(
        id=42,
        workspace="T0HOME",
        connection="orders",
        execution_id=INVOCATION,
        root=INVOCATION,
        name="Checkout/run",
        stage="deploy",
        error=ERROR,
        version=3,
        channel="C0DEPLOYS",
        seen=seen or execution(),
        opened_at=NOW,
        failed_at=NOW,
        read_at=NOW,
    )
    return replace(made, **changes)


def request(state: RequestState = RequestState.PENDING, **changes: Any) -> Request:
    """A request to resume, two approvals wanted."""
    made = Request(
        id=17,
        workspace="T0HOME",
        channel="C0DEPLOYS",
        incident_id=42,
        action=Action.RESUME,
        connection="orders",
        execution_id=INVOCATION,
        root=INVOCATION,
        point=POINTS[0],
        baseline="paused 09:29:58",
        digest="d1",
        rules=RULES,
        requester=RITA,
        requested_at=NOW,
        expires_at=LATER,
        name="Checkout/run",
        state=state,
        version=2,
    )
    return replace(made, **changes)


def start(state: RequestState = RequestState.PENDING, **changes: Any) -> Request:
    """A request to start a pipeline."""
    point = ResumePoint("pipe-1", "Deploy Shop", "Starts the pipeline with these inputs.", (), Action.START)
    made = request(
        state,
        id=18,
        incident_id=None,
        action=Action.START,
        connection="prod",
        execution_id="",
        root="pipe-1",
        point=point,
        name="Deploy Shop",
        inputs={"tag": "v1.2.3", "region": "eu-west-1"},
    )
    return replace(made, **changes)


def approved(actor: str = ARNO) -> Decision:
    """An approval."""
    return Decision(actor, is_approval=True, at=NOW)


def rejected(reason: str = "the disk is still full") -> Decision:
    """A rejection."""
    return Decision(LEA, is_approval=False, at=NOW, reason=reason)
