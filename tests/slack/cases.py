"""Every case that a golden file holds: a name, and what is shown."""

from dataclasses import replace
from datetime import timedelta

from bot.domain.execution import ExecutionStatus, InputKind, StartInput, StartTarget
from bot.domain.incident import IncidentState
from bot.domain.messages import (
    START_CHOICE,
    Answer,
    Approval,
    Card,
    Choice,
    Home,
    Line,
    Listing,
    Modal,
    Note,
    NoteKind,
    PickFailure,
    PickPoint,
    RejectReason,
    Shown,
    StartCard,
    StartForm,
    Storm,
    Tone,
    Trail,
    TrailEntry,
    Word,
)
from bot.domain.request import RequestState as S
from bot.service import kills
from tests.slack.objects import (
    ARNO,
    HOSTILE,
    INVOCATION,
    LATER,
    LINK,
    NOW,
    POINTS,
    RITA,
    approved,
    execution,
    incident,
    points,
    rejected,
    request,
    start,
)

PERMALINK = "https://home.slack.com/archives/C0DEPLOYS/p1790000000000100"
MENTIONS = ("S0RELEASE", "U0LEA", "channel")
SUCCEEDED = execution(status=ExecutionStatus.SUCCEEDED, points=(), error="", failed_stage="")
RUNNING = execution(status=ExecutionStatus.RUNNING, points=(), error="", failed_stage="")
RESOLVED = incident(SUCCEEDED, state=IncidentState.RESOLVED, closed_because="req-17 succeeded", closed_at=NOW)
LOST = "The connection broke off before an answer came."
MANY = tuple(incident(id=number, execution_id=f"inv_{number}", name=f"Checkout/run-{number}") for number in range(1, 41))


def card(request_state: S | None = None, *, may_retry: bool = False, **changes: object) -> Card:
    """The card of the incident with a request in this state."""
    made = request(request_state, **changes) if request_state else None
    return Card(incident(), made, may_retry, "Restate")


CARDS: dict[str, Shown] = {
    "card-failed": card(may_retry=True),
    "card-just-noticed": Card(replace(incident(stage="", name=""), seen=None), engine_title="Restate"),
    "card-cared-for": Card(
        incident(acknowledged_by=ARNO, assigned_to=RITA, snoozed_until=LATER, snoozed_by=ARNO, failures=3),
        None,
        True,
        "Restate",
    ),
    "card-no-points": Card(incident(execution(points=(), no_points="It is killed, so nothing can be resumed."))),
    "card-still-running": Card(
        incident(execution(status=ExecutionStatus.RUNNING, points=(), pending_points=True, notes=("Its parent waits too.",)))
    ),
    "card-trouble": Card(incident(trouble="orders cannot be reached since 09:31."), None, True, "Restate"),
    "card-waiting": card(S.PENDING),
    "card-approved": card(S.APPROVED),
    "card-held-back": card(S.APPROVED, outcome="orders cannot be reached."),
    "card-resuming": card(S.RESUMING),
    "card-running": Card(incident(RUNNING, error=""), request(S.RUNNING), engine_title="Restate"),
    "card-unknown": card(S.UNKNOWN, outcome=LOST),
    "card-succeeded": Card(RESOLVED, request(S.SUCCEEDED), engine_title="Restate"),
    "card-failed-again": card(S.FAILED, may_retry=True, outcome="Error: the disk is full"),
    "card-rejected": card(S.REJECTED, may_retry=True, outcome="the disk is still full", decisions=(rejected(),)),
    "card-closed": Card(incident(state=IncidentState.CLOSED, closed_because="It was cancelled in the engine.")),
    "card-hostile": Card(
        incident(
            execution(
                points=points(3, HOSTILE), labels={HOSTILE: HOSTILE}, notes=(HOSTILE,), link=f"https://x.example/{HOSTILE}"
            ),
            name=HOSTILE,
            stage=HOSTILE,
            error=HOSTILE * 40,
            execution_id="inv_`<!here>`",
        ),
        request(S.REJECTED, outcome=HOSTILE, requester="shell:<!channel>@host"),
        may_retry=True,
        engine_title="Restate",
    ),
    "card-60-stages": Card(incident(execution(points=points(60)), error="e" * 4000), None, True, "Restate"),
    "card-100-long-stages": Card(
        incident(execution(points=points(100, "{} " + "x" * 200), notes=("n" * 900,) * 5), error="e" * 4000),
        None,
        True,
        "Restate",
    ),
    "card-120-stages": Card(incident(execution(points=points(120))), None, True, "Restate"),
    "card-same-labels": Card(incident(execution(points=points(4, "deploy"))), None, True, "Restate"),
}

APPROVALS: dict[str, Shown] = {
    "approval-waiting": Approval(request(), {"production": 2, "everything": 1}, MENTIONS, LINK),
    "approval-one-given": Approval(request(decisions=(approved(),)), {"production": 1}, (), LINK),
    "approval-given": Approval(request(S.APPROVED, decisions=(approved(), approved(RITA)))),
    "approval-sent": Approval(request(S.RUNNING, decisions=(approved(),))),
    "approval-rejected": Approval(request(S.REJECTED, decisions=(rejected(),), outcome="the disk is still full")),
    "approval-expired": Approval(request(S.EXPIRED, outcome="nobody decided in time")),
    "approval-again": Approval(
        request(warning="An earlier call (req-16) may have run.", reason="the disk is repaired"), {"production": 2}, MENTIONS
    ),
    "approval-start": Approval(start(), {"production": 2}, MENTIONS),
    "approval-hostile": Approval(
        request(
            name=HOSTILE,
            reason=HOSTILE,
            warning=HOSTILE,
            point=replace(POINTS[0], label=HOSTILE, sentence=HOSTILE),
            decisions=(rejected(HOSTILE),),
            inputs={HOSTILE: HOSTILE},
        ),
        {HOSTILE: 2},
        ("everyone|<!channel>",),
        "javascript:alert(1)",
    ),
}

NOTES: dict[str, Shown] = {
    "note-approved": Note(NoteKind.DECIDED, request(S.APPROVED, decisions=(approved(),))),
    "note-approved-more-wanted": Note(NoteKind.DECIDED, request(decisions=(approved(),))),
    "note-rejected": Note(NoteKind.DECIDED, request(S.REJECTED, decisions=(rejected(HOSTILE),))),
    "note-expired": Note(NoteKind.ENDED_EARLY, request(S.EXPIRED, outcome="nobody decided in time")),
    "note-refused": Note(NoteKind.ENDED_EARLY, request(S.REFUSED, outcome="The engine says: it is completed.")),
    "note-withdrawn": Note(NoteKind.ENDED_EARLY, request(S.CANCELLED, outcome="withdrawn by the requester")),
    "note-withdrawn-between-two-calls": Note(
        NoteKind.ENDED_EARLY, request(S.CANCELLED, calls=1, outcome="withdrawn by the requester; run-1 has been ended already")
    ),
    "note-rejected-between-two-calls": Note(
        NoteKind.DECIDED, request(S.REJECTED, decisions=(rejected(),), preparing_at=NOW, prepared_at=NOW)
    ),
    "note-held-back": Note(NoteKind.HELD_BACK, request(S.APPROVED, outcome="orders cannot be reached.")),
    "note-unknown": Note(NoteKind.UNKNOWN, request(S.UNKNOWN, outcome=LOST)),
    "note-unknown-closed": Note(NoteKind.UNKNOWN, request(S.CANCELLED, calls=1, outcome="closed as not run")),
    "note-succeeded": Note(NoteKind.RESULT, request(S.SUCCEEDED), RESOLVED),
    "note-failed-again": Note(NoteKind.RESULT, request(S.FAILED, outcome=HOSTILE), incident()),
    "note-start-failed": Note(NoteKind.RESULT, start(S.FAILED, new_execution="exec-9", outcome="no such tag")),
    "note-reminder": Note(NoteKind.REMINDER, request()),
    "start-card-waiting": StartCard(start()),
    "start-card-unknown": StartCard(start(S.UNKNOWN, outcome=LOST)),
    "start-card-succeeded": StartCard(start(S.SUCCEEDED, new_execution="exec-9"), "https://app.example.com/exec-9"),
    "start-card-failed": StartCard(start(S.FAILED, new_execution="exec-9", outcome=HOSTILE)),
    "storm": Storm(MANY),
    "storm-too-many": Storm(tuple(replace(each, name=HOSTILE * 3) for each in MANY) + MANY[:10]),
}

LINES = (
    Line(incident=incident()),
    Line(incident=incident(name=HOSTILE), link=PERMALINK),
    Line(request=request(), link=PERMALINK),
    Line(request=start(S.RUNNING)),
)
ANSWERS: dict[str, Shown] = {
    "answer-looking": Answer("Looking it up…"),
    "answer-refused": Answer("You cannot decide on this: only <!subteam^S0RELEASE> may.", Tone.REFUSED),
    "answer-long": Answer("\n".join(f"Line {number} of the help, with some words in it." for number in range(90)), Tone.DONE),
    "answer-foreign": Answer("The engine says:", Tone.TROUBLE, HOSTILE * 50),
    "answer-stages": Answer("Where shall it resume from?", incident=incident(), points=POINTS),
    "answer-120-stages": Answer("Where shall it resume from?", incident=incident(), points=points(120)),
    "answer-choices": Answer(
        "Which one?", choices=tuple(Choice(f"{name} {HOSTILE}", f"{name}:{INVOCATION}") for name in ("orders", "billing"))
    ),
    "listing": Listing("Open failures", LINES, more=7, foreign=(HOSTILE, "orders: inv_old, paused before the first start")),
    "listing-empty": Listing("Open failures", empty="Nothing is open."),
    "listing-full": Listing("Open failures", tuple(Line(incident=each) for each in MANY) + LINES, foreign=("x" * 400,) * 90),
    "trail": Trail(
        "Audit trail of req-17",
        (
            TrailEntry(NOW, RITA, "request:resume:requested", "deploy, on the deployment it ran on"),
            TrailEntry(NOW + timedelta(seconds=3), "engine:orders", "request:outcome:succeeded"),
        ),
    ),
    "trail-long": Trail(
        "Audit trail of inc-42", tuple(TrailEntry(NOW, RITA, "request:call:sent", HOSTILE * 9) for _ in range(80)), 5
    ),
    "trail-empty": Trail("Audit trail of inc-9"),
}

MESSAGES = CARDS | APPROVALS | NOTES | ANSWERS

INPUTS = (
    StartInput("note", "Note", default="none"),
    StartInput("tag", "Tag", is_required=True, hint="As in the registry."),
    StartInput("count", "Count", InputKind.NUMBER, default="3"),
    StartInput("region", "Region", InputKind.CHOICE, is_required=True, default="eu", choices=("eu", "us", "eu")),
    StartInput("plan", "Plan", InputKind.CHOICE, choices=("x" * 80, "y")),
    StartInput("password", "Password", InputKind.SECRET),
)
MODALS: dict[str, Modal] = {
    "modal-loading": Word("One moment…"),
    "modal-refused": Word("Nothing was done.", Tone.REFUSED, HOSTILE),
    "modal-several": Word("Which one?", choices=(Choice(f"prod: {HOSTILE}", f"{START_CHOICE}[]"),)),
    "modal-failures": PickFailure((incident(), incident(id=43, name=HOSTILE, execution_id="x" * 90)), "C0DEPLOYS"),
    "modal-no-failures": PickFailure((), "C0DEPLOYS", "I know no execution of this name."),
    "modal-150-failures": PickFailure(tuple(replace(MANY[0], id=number) for number in range(150)), "C0DEPLOYS"),
    "modal-points": PickPoint(incident(), POINTS, "deploy|latest"),
    "modal-points-again": PickPoint(incident(name=HOSTILE, stage=HOSTILE), points(60), "", wants_reason=True, again_of=17),
    "modal-120-points": PickPoint(incident(), points(120), "key-110"),
    "modal-kill": PickPoint(incident(), (kills.POINT,), "kill", wants_reason=True),
    "modal-no-points": PickPoint(incident(execution(points=(), no_points="It is killed.")), ()),
    "modal-reject": RejectReason(request(name=HOSTILE)),
    "modal-start": StartForm(StartTarget("prod", "pipe-1", "Deploy Shop", INPUTS), "C0DEPLOYS", wants_reason=True),
    "modal-start-many": StartForm(
        StartTarget("prod", "pipe-1", HOSTILE, tuple(StartInput(f"in{n}", "", is_required=n > 15) for n in range(20))),
        "C0DEPLOYS",
    ),
    "modal-start-none": StartForm(StartTarget("prod", "pipe-1", "Deploy Shop"), "C0DEPLOYS"),
    "modal-start-refused": StartForm(StartTarget("prod", "pipe-1", "Deploy Shop", refusal="It wants a secret."), "C0DEPLOYS"),
}
HOMES: dict[str, Home] = {
    "home-empty": Home(),
    "home-full": Home(
        waiting=(LINES[2],) * 40, asked=(LINES[3],) * 40, open=tuple(Line(incident=each) for each in MANY), more=9
    ),
}
