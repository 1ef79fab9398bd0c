"""Requests: made, decided, withdrawn, expired. Each function works inside the caller's unit and checks before it writes."""

from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain import lifecycle
from bot.domain.audit import AuditEntry
from bot.domain.errors import Refusal
from bot.domain.execution import Action, Execution, RefusedPoint, ResumePoint
from bot.domain.incident import Incident, IncidentState
from bot.domain.policy import Person, Rules, applicable, may_request, unread
from bot.domain.request import Request, RequestState, describe_state, digest_of
from bot.domain.text import clean, literal
from bot.service import kills
from bot.service.core import Core
from bot.service.unit import TIMER_QUEUE, Job, Rank, Unit, engine_queue, lane_of


class NotRead(Exception):
    """What is known of the person does not suffice: they have to be looked up before anything is said."""

    def __init__(self, rules: Rules, channel: str | None) -> None:
        super().__init__("look the person up")
        self.rules, self.channel = rules, channel


class WantsReason(Exception):
    """Policy wants a reason with this request, so a form has to ask for it."""

    def __init__(self, incident: Incident, point: ResumePoint, again: Request | None) -> None:
        super().__init__("ask for a reason")
        self.incident, self.point, self.again = incident, point, again


def rules_for(core: Core, execution: Execution, point: ResumePoint) -> Rules:
    """The policies that hold for resuming at this point. Raises Refusal when none allows it."""
    return applicable(core.setup.policies, core.setup.subject(execution, point.action, point.stages))


def offer(core: Core, execution: Execution) -> Execution:
    """The execution with those points only that a policy allows somebody to ask for; the others are refused with its reason."""
    allowed, refused = [], []
    for point in execution.points:
        try:
            rules_for(core, execution, point)
        except Refusal as refusal:
            refused += [RefusedPoint(name, str(refusal)) for name in point.stages or (point.label,)]
        else:
            allowed.append(point)
    if not refused:
        return execution
    no_points = execution.no_points if allowed else refused[0].reason
    return replace(execution, points=tuple(allowed), refused_points=(*execution.refused_points, *refused), no_points=no_points)


def offering(core: Core, incident: Incident) -> Incident:
    """The incident as it may be shown: see `offer`."""
    return replace(incident, seen=offer(core, incident.seen)) if incident.seen else incident


@dataclass(frozen=True)
class Wish:
    """What a person asks for an incident's execution; `again` is the unknown request it takes the place of."""

    person: Person
    point: ResumePoint
    via: str
    reason: str = ""
    again: Request | None = None


async def request_resume(core: Core, unit: Unit, incident: Incident, wish: Wish) -> Request:
    """A new request at a point of the incident's execution.

    Raises Refusal, NotRead, WantsReason; nothing is written then.
    """
    execution = _readable(incident)
    live = await unit.requests.live_of(incident)
    if live is not None and (wish.again is None or live.id != wish.again.id):
        raise _asked_already(live)
    if not execution.points:
        raise Refusal("not_resumable", literal(execution.no_points) or "It cannot be resumed at the moment.")
    rules = rules_for(core, execution, wish.point)
    return await _request(core, unit, incident, wish, rules)


async def request_kill(core: Core, unit: Unit, incident: Incident, wish: Wish) -> Request:
    """A new request to end the incident's execution, which runs. Raises as `request_resume` does.

    It may live beside the request that the execution runs for, and beside no other.
    """
    execution = _readable(incident)
    live = await unit.requests.live_of(incident)
    if live is not None and (live.action is Action.KILL or live.state is not RequestState.RUNNING):
        raise _asked_already(live)
    return await _request(core, unit, incident, wish, kills.rules_for(core, execution))


async def _request(core: Core, unit: Unit, incident: Incident, wish: Wish, rules: Rules) -> Request:
    now, person, channel, execution = core.now(), wish.person, incident.channel, incident.seen
    assert execution is not None  # noqa: S101 — the caller has looked
    if channel is None:
        raise Refusal("no_channel", "This failure has no channel yet, so nobody could approve. Please try again in a minute.")
    if unread(rules, person, channel):
        raise NotRead(rules, channel)
    may_request(rules, person, channel, now)
    if rules.wants_reason and not wish.reason:
        raise WantsReason(incident, wish.point, wish.again)
    made = _new(incident, execution, wish, rules, now)
    request = replace(made, id=await unit.requests.new_id(), digest=fresh_digest(made, execution, wish.point, rules))
    if wish.again is not None:
        await save_step(unit, wish.again, lifecycle.pressed_again(wish.again, person, request.label, now))
    request, entries = lifecycle.requested(request, now, wish.via)
    await unit.requests.add(request)
    unit.record(*entries)
    await announce_new(unit, request)
    return request


def _new(incident: Incident, execution: Execution, wish: Wish, rules: Rules, now: datetime) -> Request:
    return Request(
        id=0,
        workspace=incident.workspace,
        channel=incident.channel or "",
        incident_id=incident.id,
        action=wish.point.action,
        connection=incident.connection,
        execution_id=execution.ref.id,
        root=execution.root,
        point=wish.point,
        baseline=execution.baseline,
        digest="",
        rules=rules,
        requester=wish.person.actor,
        requested_at=now,
        expires_at=now + rules.expires,
        name=execution.name,
        reason=clean(wish.reason, 1000),
        warning=_warning(wish.again) if wish.again else "",
    )


def _readable(incident: Incident) -> Execution:
    if incident.state is not IncidentState.OPEN:
        raise Refusal("ended", f"{incident.label} has ended: {literal(incident.closed_because) or incident.state.value}.")
    execution = incident.seen
    if execution is None:
        why = f": {literal(incident.trouble)}" if incident.trouble else ""
        raise Refusal(
            "not_read", f"I have not been able to read this execution from its engine yet{why}. Please try again shortly."
        )
    return execution


def _asked_already(live: Request) -> Refusal:
    return Refusal("already_asked", f"{live.label} asks for this already: {describe_state_now(live)}")


def describe_state_now(request: Request) -> str:
    """How a live request stands, in one sentence."""
    return describe_state(request).partition(": ")[2]


def _warning(again: Request) -> str:
    return (
        f"The answer to an earlier call ({again.label}) was lost: it may have run. What is known: {again.outcome or 'nothing'}"
    )


def fresh_digest(request: Request, execution: Execution, point: ResumePoint, rules: Rules) -> str:
    """The digest over what holds now; an execution that is to be ended may move on until then."""
    baseline = "" if point.action is Action.KILL else execution.baseline
    return digest_of(execution.ref, point, rules, baseline=baseline, inputs=execution.inputs, warning=request.warning)


async def announce_new(unit: Unit, request: Request) -> None:
    """The messages, timers and, where nobody has to approve, the call of a new request."""
    if request.state is RequestState.APPROVED:
        await enqueue_carry_out(unit, request)
    else:
        want_in_thread(unit, request, "approval", Rank.APPROVAL)
        half = request.requested_at + (request.expires_at - request.requested_at) / 2
        await unit.enqueue(Job("remind", TIMER_QUEUE, {"request_id": request.id}, at=half))
    await unit.enqueue(Job("expire", TIMER_QUEUE, {"request_id": request.id}, at=request.expires_at))
    refresh_messages(unit, request)


async def enqueue_carry_out(unit: Unit, request: Request) -> None:
    """Enqueue the call, on the lane of its chain."""
    await unit.enqueue(carry_out_job(request))


def carry_out_job(request: Request) -> Job:
    """The job that sends; no two of one chain run at once."""
    lane = lane_of(request.connection, request.root)
    return Job("carry_out", engine_queue(request.connection), {"request_id": request.id}, lane=lane)


def watch_job(request: Request, at: datetime | None = None) -> Job:
    """The job that looks at the engine for a request."""
    return Job("watch", engine_queue(request.connection), {"request_id": request.id}, at=at)


async def watch_now(unit: Unit, connection: str, root: str) -> None:
    """Let the watch of what runs look at once, as when a notice says that its execution came to an end."""
    for running in await unit.requests.running(connection, root) if root else ():
        await unit.requests.save(running, replace(running, version=running.version + 1, not_before=None))
        await unit.enqueue(watch_job(running))


def parent_of(request: Request) -> str:
    """The subject whose message a request's thread hangs on."""
    return request.incident_label or request.label


def want_in_thread(unit: Unit, request: Request, surface: str, rank: Rank) -> None:
    """A message about the request is to stand in the thread."""
    unit.messages.want(
        request.label,
        surface,
        rank,
        workspace=request.workspace,
        channel=request.channel,
        parent=parent_of(request),
    )


def refresh_messages(unit: Unit, request: Request) -> None:
    """The card and the approval message show the state of now."""
    if request.incident_label:
        unit.messages.change(request.incident_label, "card")
    else:
        unit.messages.change(request.label, "start")
    unit.messages.change(request.label, "approval")


async def save_step(unit: Unit, before: Request, step: tuple[Request, tuple[AuditEntry, ...]]) -> Request:
    """Store one step with its entries; refuses a change of state that nobody recorded."""
    after, entries = step
    if after.state is not before.state and not entries:
        raise AssertionError(f"{before.label}: a change of state without an audit entry")
    await unit.requests.save(before, after)
    unit.record(*entries)
    return after


async def approve(core: Core, unit: Unit, request: Request, person: Person) -> Request:
    """One more approval; the call is enqueued with the last. Raises Refusal, NotRead."""
    if unread(request.rules, person, request.channel):
        raise NotRead(request.rules, request.channel)
    earlier = await unit.directory.people(request.approvers)
    after = await save_step(unit, request, lifecycle.approve(request, person, earlier, core.now()))
    if after.state is RequestState.APPROVED:
        await enqueue_carry_out(unit, after)
    want_in_thread(unit, after, f"decided-{len(after.decisions)}", Rank.DECISION)
    refresh_messages(unit, after)
    return after


async def reject(core: Core, unit: Unit, request: Request, person: Person, reason: str) -> Request:
    """The end of the request by one allowed reject. Raises Refusal, NotRead."""
    if unread(request.rules, person, request.channel):
        raise NotRead(request.rules, request.channel)
    after = await save_step(unit, request, lifecycle.reject(request, person, reason, core.now()))
    want_in_thread(unit, after, f"decided-{len(after.decisions)}", Rank.DECISION)
    refresh_messages(unit, after)
    await _look_at_what_was_ended(unit, after)
    return after


async def withdraw(core: Core, unit: Unit, request: Request, person: Person) -> Request:
    """The end of the request by who asked. Raises Refusal."""
    return await end_early(unit, request, lifecycle.withdraw(request, person, core.now()))


async def end_early(unit: Unit, request: Request, step: lifecycle.Step) -> Request:
    """Store a step that ends a request before its call, and say so in the thread."""
    after = await save_step(unit, request, step)
    want_in_thread(unit, after, "ended", Rank.DECISION)
    refresh_messages(unit, after)
    await _look_at_what_was_ended(unit, after)
    return after


async def _look_at_what_was_ended(unit: Unit, request: Request) -> None:
    """Once we asked an engine to end an execution, it stands otherwise than its card shows."""
    if request.preparing_at is not None and request.incident_id is not None:
        await unit.enqueue(Job("describe", engine_queue(request.connection), {"incident_id": request.incident_id}))


async def expire(core: Core, request_id: int) -> None:
    """End a request whose time has passed; does nothing when it has moved on, and is a no-op when early."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is None:
            return
        request, now = found[0], core.now()
        is_open = request.state in {RequestState.PENDING, RequestState.APPROVED} and not request.is_being_ended
        if is_open and now >= request.expires_at:
            await end_early(unit, request, lifecycle.expire(request, now))


async def remind(core: Core, request_id: int) -> None:
    """Mention the approvers once more when half of the time has passed without enough decisions."""
    async with core.store.unit() as unit:
        found = await unit.requests.lock(request_id)
        if found is None or found[0].state is not RequestState.PENDING:
            return
        request = found[0]
        now = core.now()
        if now < request.expires_at and await unit.first_time("reminder", request.label, now):
            want_in_thread(unit, request, "reminder", Rank.RESULT)


def is_start(request: Request) -> bool:
    """Whether it starts something new."""
    return request.action is Action.START
