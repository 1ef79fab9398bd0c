"""Each step of a request's life: the request before, what happened and when, to the request after and its audit entries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.audit import REQUESTED, AuditAction, AuditEntry
from bot.domain.errors import EngineError, RateLimited, Refusal
from bot.domain.execution import Action, Evidence, ExecutionRef, Finding, Receipt
from bot.domain.policy import BOT_ACTOR, Person, approvals_missing, may_decide
from bot.domain.request import (
    CLOSED_AS_NOT_RUN,
    Command,
    Decision,
    Request,
    RequestState,
    describe_state,
    mention,
    moved,
)
from bot.domain.text import clean

Step = tuple[Request, tuple[AuditEntry, ...]]

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(seconds=60)


def entry(request: Request, action: AuditAction, actor: str, now: datetime, **data: object) -> AuditEntry:
    """An audit entry about the request; empty values are left out of its data."""
    return AuditEntry(
        at=now,
        actor=actor,
        action=action,
        subject=request.label,
        request=request.label,
        incident=request.incident_label,
        connection=request.connection,
        execution=request.execution_id or None,
        data={key: value for key, value in data.items() if value not in (None, "", ())},
    )


def requested(request: Request, now: datetime, via: str) -> Step:
    """A new request, its id given; approved at once where the rules want no approval."""
    first = entry(
        request,
        REQUESTED[request.action],
        request.requester,
        now,
        via=via,
        point=request.point.label,
        digest=request.digest,
        policy=request.rules.names,
        approvals=request.rules.approvals,
        expires_at=request.expires_at.isoformat(),
        reason=request.reason,
        warning=request.warning,
    )
    if request.rules.approvals == 0:
        return replace(request, state=RequestState.APPROVED), (first,)
    return request, (first,)


def approve(request: Request, person: Person, approvers: Sequence[Person], now: datetime) -> Step:
    """One more approval; `approvers` are the earlier ones as known today. Approved once every policy has its count.

    Raises Refusal: not allowed, not one's own, twice, too late.
    """
    may_still_decide(request, person, now, (RequestState.PENDING,))
    may_decide(request.rules, person, request.requester, request.channel, now)
    decision = Decision(person.actor, is_approval=True, at=now)
    # the earlier ones were checked when they decided and are checked again before the call: growing old takes nothing back
    missing = approvals_missing(request.rules, [*approvers, person], request.requester, request.channel, None)
    to = RequestState.PENDING if missing else RequestState.APPROVED
    after = moved(request, Command.APPROVE, to, decisions=(*request.decisions, decision))
    return after, (entry(after, AuditAction.APPROVED, person.actor, now, digest=request.digest, missing=missing or None),)


def reject(request: Request, person: Person, reason: str, now: datetime) -> Step:
    """The end of the request by one allowed reject. Raises Refusal as `approve` does; one's own request can be withdrawn."""
    may_still_reject(request, person, now)
    may_decide(request.rules, person, request.requester, request.channel, now)
    decision = Decision(person.actor, is_approval=False, at=now, reason=clean(reason, 1000))
    after = moved(
        request,
        Command.REJECT,
        RequestState.REJECTED,
        decisions=(*request.decisions, decision),
        ended_at=now,
        outcome=_and_what_was_done(request, decision.reason),
    )
    return after, (entry(after, AuditAction.REJECTED, person.actor, now, digest=request.digest, reason=decision.reason),)


def may_still_reject(request: Request, person: Person, now: datetime) -> None:
    """Raises Refusal when it is too late to reject (it is being sent), or the person made their decision already."""
    may_still_decide(request, person, now, (RequestState.PENDING, RequestState.APPROVED))
    if request.is_being_ended:
        raise Refusal("too_late", f"Nothing was done: {describe_state(request)}")


def may_still_decide(request: Request, person: Person, now: datetime, states: Sequence[RequestState]) -> None:
    """Raises Refusal when the request is in none of the states, has expired, or the person made their decision already."""
    if request.state not in states:
        raise Refusal("too_late", f"Nothing was done: {describe_state(request)}")
    if now >= request.expires_at:
        raise Refusal("expired", f"{request.label} has expired. Press *Retry* on the card to ask again.")
    if any(decision.actor == person.actor for decision in request.decisions):
        raise Refusal("twice", f"You have decided on {request.label} already; it wants other people's approval too.")


def withdraw(request: Request, person: Person, now: datetime) -> Step:
    """The end of the request by who asked for it. Raises Refusal for anybody else, or once it is being sent."""
    if person.actor != request.requester:
        raise Refusal("not_the_requester", f"Only {mention(request.requester)}, who asked, can withdraw {request.label}.")
    outcome = _and_what_was_done(request, "withdrawn by the requester")
    after = moved(request, Command.WITHDRAW, RequestState.CANCELLED, ended_at=now, outcome=outcome)
    return after, (entry(after, AuditAction.CANCELLED, person.actor, now),)


def expire(request: Request, now: datetime) -> Step:
    """The end of a request that nobody decided in time, or that could not be sent in time."""
    outcome = "nobody decided in time" if request.state is RequestState.PENDING else "it could not be sent in time"
    outcome = _and_what_was_done(request, outcome)
    after = moved(request, Command.EXPIRE, RequestState.EXPIRED, ended_at=now, outcome=outcome)
    return after, (entry(after, AuditAction.EXPIRED, BOT_ACTOR, now, reason=outcome),)


def supersede(request: Request, reason: str, now: datetime) -> Step:
    """The end of a request whose facts have changed since people saw them."""
    reason = _and_what_was_done(request, reason)
    after = moved(request, Command.SUPERSEDE, RequestState.SUPERSEDED, ended_at=now, outcome=reason)
    return after, (entry(after, AuditAction.SUPERSEDED, BOT_ACTOR, now, reason=reason),)


def refuse(request: Request, reason: str, now: datetime) -> Step:
    """The end of an approved request that must not be sent any more (policy, or the execution's state)."""
    reason = _and_what_was_done(request, reason)
    after = moved(request, Command.REFUSE, RequestState.REFUSED, ended_at=now, outcome=reason)
    return after, (entry(after, AuditAction.RECEIPT_REFUSED, BOT_ACTOR, now, reason=reason, before_the_call=True),)


def _and_what_was_done(request: Request, said: str) -> str:
    """What an end has to say where the execution was ended before the request was."""
    if request.has_ended_it:
        done = f"{request.execution_id} has been ended already"
    elif request.is_being_ended:
        done = f"{request.execution_id} may have been ended already: the engine was asked to"
    else:
        return said
    return f"{said.rstrip('.')}; {done}" if said else done


def put_off(request: Request, reason: str, now: datetime, wait: float | None = None) -> Step:
    """An approved request that cannot be sent yet: tried again after 5 to 60 s, or as long as the engine asks for."""
    after = replace(request, version=request.version + 1, outcome=reason, **_later(request, now, wait))  # type: ignore[arg-type]
    if request.tries:
        return after, ()
    return after, (entry(after, AuditAction.HELD_BACK, BOT_ACTOR, now, reason=reason),)


def send(request: Request, now: datetime) -> Step:
    """The intent, recorded before the call leaves."""
    after = moved(
        request, Command.SEND, RequestState.RESUMING, calls=request.calls + 1, sent_at=now, not_before=None, outcome=""
    )
    data = {
        "call": after.call_key,
        "point": request.point.label,
        "digest": request.digest,
        "approvers": list(request.approvers),
    }
    return after, (entry(after, AuditAction.CALL_SENT, BOT_ACTOR, now, **data),)


def preparing(request: Request, now: datetime) -> Step:
    """The intent of the first of two calls; that one may be repeated."""
    after = replace(request, version=request.version + 1, preparing_at=now, not_before=None)
    data = {"point": request.point.label, "digest": request.digest, "approvers": list(request.approvers)}
    return after, (entry(after, AuditAction.PREPARING, BOT_ACTOR, now, **data),)


def not_prepared(
    request: Request, reason: str, now: datetime, wait: float | None = None, *, since: datetime | None = None
) -> Step:
    """The first of two calls has had no effect that is known; `since` is when one left that may still have it."""
    later = _later(request, now, wait)
    after = replace(request, version=request.version + 1, preparing_at=since, outcome=reason, **later)  # type: ignore[arg-type]
    return after, (entry(after, AuditAction.HELD_BACK, BOT_ACTOR, now, reason=reason),)


def prepared(request: Request, now: datetime, *, had_to_end: bool = True) -> Step:
    """The first of two calls has had its effect, or there was nothing to end."""
    after = replace(
        request,
        version=request.version + 1,
        preparing_at=request.preparing_at if had_to_end else None,
        prepared_at=now,
        tries=0,
        not_before=None,
        outcome="",
    )
    return after, (entry(after, AuditAction.PREPARED, BOT_ACTOR, now),)


def accepted(request: Request, receipt: Receipt, now: datetime) -> Step:
    """The engine took the call."""
    after = moved(request, Command.RECEIVE_RUNNING, RequestState.RUNNING, **_running(request, receipt.ref, receipt.note))
    actor = f"engine:{request.connection}"
    return after, (entry(after, AuditAction.RECEIPT_RUNNING, actor, now, new_execution=after.new_execution, note=receipt.note),)


def declined(request: Request, error: EngineError, now: datetime) -> Step:
    """The engine's refusal is final."""
    outcome = _and_what_was_done(request, clean(str(error), 1000))
    after = moved(request, Command.RECEIVE_REFUSED, RequestState.REFUSED, ended_at=now, outcome=outcome)
    return after, (entry(after, AuditAction.RECEIPT_REFUSED, f"engine:{request.connection}", now, reason=after.outcome),)


def not_sent(request: Request, error: EngineError, now: datetime) -> Step:
    """Nothing happened: back to approved, to be tried again while the approval lasts."""
    wait = error.wait if isinstance(error, RateLimited) else None
    reason = clean(str(error), 1000)
    after = moved(
        request, Command.RECEIVE_NOT_SENT, RequestState.APPROVED, outcome=reason, sent_at=None, **_later(request, now, wait)
    )
    return after, (entry(after, AuditAction.RECEIPT_NOT_SENT, BOT_ACTOR, now, reason=reason, call=request.call_key),)


def lost(request: Request, reason: str, now: datetime, look_at: datetime) -> Step:
    """The answer was lost, or the worker that sent: nobody knows until the engine is asked at `look_at`."""
    after = moved(
        request, Command.RECEIVE_UNKNOWN, RequestState.UNKNOWN, outcome=clean(reason, 1000), not_before=look_at, tries=0
    )
    return after, (entry(after, AuditAction.RECEIPT_UNKNOWN, BOT_ACTOR, now, reason=after.outcome, call=request.call_key),)


def vanished(request: Request, reason: str, now: datetime, look_at: datetime) -> Step:
    """An execution that was accepted and is not there any more: no call is on its way, and one has been answered."""
    outcome = clean(reason, 1000)
    after = moved(request, Command.LOSE, RequestState.UNKNOWN, outcome=outcome, sent_at=None, not_before=look_at, tries=0)
    return after, (entry(after, AuditAction.RECEIPT_UNKNOWN, BOT_ACTOR, now, reason=after.outcome, call=request.call_key),)


def weighed(request: Request, evidence: Evidence, now: datetime, look_at: datetime) -> Step:
    """An unknown request after one look at the engine."""
    actor, said = f"engine:{request.connection}", clean(evidence.sentence, 1000)
    if evidence.finding is Finding.HAPPENED:
        doubt = said if evidence.is_probable else ""
        running = _running(request, evidence.ref or request.ref, said) | {"doubt": doubt}
        after = moved(request, Command.FIND_HAPPENED, RequestState.RUNNING, **running)
        data = {"seen": said, "new_execution": after.new_execution, "probable": evidence.is_probable or None}
        return after, (entry(after, AuditAction.EVIDENCE_HAPPENED, actor, now, **data),)
    if request.is_gone:
        seen = "Nothing is to be seen of it now." if evidence.finding is Finding.HARMLESS else said
        said = f"The engine accepted the call, so it may have run. {seen}"
    # to ask once more for an end does no harm, whatever became of the call before
    if evidence.finding is Finding.HARMLESS and (not request.is_gone or request.action is Action.KILL):
        after = moved(
            request, Command.FIND_HARMLESS, RequestState.APPROVED, outcome=said, sent_at=None, not_before=None, tries=0
        )
        return after, (entry(after, AuditAction.EVIDENCE_HARMLESS, actor, now, seen=said),)
    after = replace(request, version=request.version + 1, outcome=said, not_before=look_at, tries=request.tries + 1)
    is_news = said != request.outcome
    return after, (entry(after, AuditAction.EVIDENCE_UNCLEAR, actor, now, seen=said),) if is_news else ()


def succeeded(request: Request, now: datetime) -> Step:
    """The watched execution came to a good end."""
    after = moved(request, Command.SUCCEED, RequestState.SUCCEEDED, ended_at=now, outcome="", not_before=None)
    return after, (_outcome(after, AuditAction.SUCCEEDED, now),)


def failed(request: Request, error: str, now: datetime) -> Step:
    """The watched execution failed again, or was ended by people."""
    after = moved(request, Command.FAIL, RequestState.FAILED, ended_at=now, outcome=clean(error, 1000), not_before=None)
    return after, (_outcome(after, AuditAction.FAILED, now),)


def _outcome(request: Request, action: AuditAction, now: datetime) -> AuditEntry:
    actor = f"engine:{request.connection}"
    probable = bool(request.doubt) or None
    return entry(request, action, actor, now, new_execution=request.new_execution, error=request.outcome, probable=probable)


def pressed_again(request: Request, person: Person, new_label: str, now: datetime) -> Step:
    """The end of an unknown request by a person who asks anew, knowing that it may have run."""
    after = moved(request, Command.PRESS_AGAIN, RequestState.SUPERSEDED, ended_at=now, outcome=f"pressed again as {new_label}")
    return after, (entry(after, AuditAction.PRESSED_AGAIN, person.actor, now, new_request=new_label),)


def closed_as_not_run(request: Request, person: Person, now: datetime) -> Step:
    """The end of an unknown request by a person who says that it did not run."""
    outcome = _and_what_was_done(request, CLOSED_AS_NOT_RUN)
    after = moved(request, Command.CLOSE, RequestState.CANCELLED, ended_at=now, outcome=outcome)
    return after, (entry(after, AuditAction.CLOSED_AS_NOT_RUN, person.actor, now),)


def _running(request: Request, ref: ExecutionRef, note: str) -> dict[str, object]:
    new = ref.id if ref.id != request.execution_id else None
    return {"new_execution": new, "outcome": note, "doubt": "", "not_before": None, "tries": 0}


def _later(request: Request, now: datetime, wait: float | None) -> dict[str, object]:
    return {"not_before": now + _pause(request, wait), "tries": request.tries + 1}


def _pause(request: Request, wait: float | None) -> timedelta:
    growing = min(FIRST_WAIT * 2 ** min(request.tries, 6), LONGEST_WAIT)
    return growing if wait is None else max(timedelta(seconds=wait), timedelta(seconds=1))
