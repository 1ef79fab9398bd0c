"""Starting something new: found by name, asked for its inputs in a form, then a request like any other.

/start x ─▶ lookup ─▶ engine.find_targets ─▶ form ─▶ submission ─▶ lookup ─▶ request ─tx─▶ message, approval ─▶ carry_out
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace

from bot.domain import lifecycle
from bot.domain.errors import EngineError, NotFound, NotResumable, Refusal, Unsupported
from bot.domain.execution import Action, ExecutionRef, ResumePoint, StartTarget, is_allowed
from bot.domain.messages import START_CHOICE, Answer, Choice, StartForm, Tone
from bot.domain.policy import Person, Rules, Subject, applicable, may_request, unread
from bot.domain.ports import ChecksInputs, StartsExecutions
from bot.domain.request import Request, RequestState, digest_of
from bot.domain.text import clean, cleaned, listed, literal, nearest
from bot.service import health, people
from bot.service.core import Core
from bot.service.requests import announce_new
from bot.service.unit import Lookup, Rank, Unit

PREVIEW = 10


@dataclass(frozen=True)
class Wanted:
    """What was typed: all of it, and its parts when what stands before the colon is a connection.

    `key`: the target that was chosen of several that go by the name; `channel`: where they were asked for.
    """

    typed: str
    name: str
    connection: str | None = None
    application: str | None = None
    key: str = ""
    channel: str = ""

    def as_text(self) -> str:
        """For the row of the command, and for the button of a choice."""
        return json.dumps([self.typed, self.name, self.connection, self.application, self.key, self.channel])

    @property
    def whole(self) -> str:
        """All that was typed behind the connection: a name may hold a slash."""
        return self.typed.partition(":")[2].strip() if self.connection else self.typed


@dataclass(frozen=True)
class Filled:
    """A submitted form of a start."""

    connection: str
    target: str
    name: str
    inputs: Mapping[str, str]
    reason: str = ""

    def as_text(self) -> str:
        """For the row of the command."""
        return json.dumps([self.connection, self.target, self.name, dict(self.inputs), self.reason])


async def find(core: Core, lookup: Lookup) -> StartForm | Answer:
    """The form of what goes by the name. Raises Refusal when nothing does, or several things do."""
    wanted = Wanted(*json.loads(lookup.argument))
    if wanted.key:
        target = await find_again(core, wanted.connection or "", wanted.name, wanted.key)
    else:
        found = await _find_everywhere(core, wanted)
        if not found.targets:
            raise Refusal("not_found", _nothing(core, wanted, found))
        if len(found.targets) > 1:
            return _which_one(found.targets, lookup.place.channel or "")
        target = found.targets[0]
    if target.refusal:
        link = f" <{target.link}|Open it there.>" if target.link else ""
        return Answer(f"{literal(target.name, 100)}: {literal(target.refusal)}{link}", Tone.REFUSED)
    wants_reason = any(policy.wants_reason for policy in core.setup.policies)
    return StartForm(target, lookup.place.channel or wanted.channel, wants_reason)


@dataclass(frozen=True)
class Found:
    """What goes by a name, which engines could not be asked, and which have not looked everywhere."""

    targets: list[StartTarget]
    troubles: list[str]
    limits: list[str]


def _which_one(targets: list[StartTarget], channel: str) -> Answer:
    choices = []
    for target in targets[:PREVIEW]:
        where = f" ({target.place})" if target.place else f" ({target.key})"
        argument = Wanted(target.name, target.name, target.connection, key=target.key, channel=channel).as_text()
        choices.append(Choice(f"{target.connection}: {target.name}{where}", f"{START_CHOICE}{argument}"))
    more = f" Only the first {PREVIEW} are shown: write connection and application too." if len(targets) > PREVIEW else ""
    return Answer(f"Several go by that name. Which one do you mean?{more}", choices=tuple(choices))


async def _find_everywhere(core: Core, wanted: Wanted) -> Found:
    engines = {name: engine for name, engine in core.engines.items() if isinstance(engine, StartsExecutions)}
    if wanted.connection in core.engines and wanted.connection not in engines:
        raise Refusal("cannot_start", f"Connection {wanted.connection} cannot start anything: its engine has no call for it.")
    name, application = wanted.name, wanted.application
    if wanted.connection is not None and wanted.connection in engines:
        engines = {wanted.connection: engines[wanted.connection]}
    elif wanted.connection is not None:
        name, application = wanted.typed, None
    if not engines:
        raise Refusal("cannot_start", "No connection can start anything.")
    found = await _ask_all(core, engines, name, application)
    if application is not None and not found.targets:  # the slash may belong to the name
        whole = await _ask_all(core, engines, wanted.whole, None)
        return replace(whole, troubles=[*found.troubles, *whole.troubles])
    return found


async def _ask_all(core: Core, connections: Iterable[str], name: str, application: str | None) -> Found:
    asked = list(connections)
    answers = await asyncio.gather(*[_find(core, each, name, application) for each in asked], return_exceptions=True)
    found = Found([], [], [])
    for connection, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Unsupported):
            found.limits.append(literal(str(answer)).rstrip("."))
        elif isinstance(answer, EngineError):
            found.troubles.append(f"{connection} could not be asked: {literal(str(answer)).rstrip('.')}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found.targets.extend(answer)
    return found


async def _find(core: Core, connection: str, name: str, application: str | None) -> list[StartTarget]:
    engine = core.engine(connection)
    assert isinstance(engine, StartsExecutions)  # noqa: S101 — the caller has looked
    try:
        found = await engine.find_targets(application, name)
    except NotFound:
        return []
    except Unsupported:
        raise
    except EngineError as error:
        await health.failed(core, connection, error)
        raise
    return [cleaned(target) for target in found]


def _nothing(core: Core, wanted: Wanted, found: Found) -> str:
    if found.troubles:
        return f"Nothing was started: {listed(list(dict.fromkeys(found.troubles)))}. Please try again shortly."
    if wanted.connection and wanted.connection not in core.engines:
        said = f"There is no connection “{literal(wanted.connection, 60)}”{nearest(wanted.connection, core.engines)}"
        return f"{said} I have {listed(sorted(core.engines))}."
    where = f" in {literal(wanted.application, 80)}" if wanted.application else ""
    said = f"Nothing called “{literal(wanted.name, 100)}”{where} can be started."
    if found.limits:
        return f"{said} I have not looked everywhere: {listed(found.limits)}."
    return f"{said} Names count exactly, as the engine writes them."


async def ask(core: Core, lookup: Lookup, person: Person) -> Answer:
    """Make the request of a submitted form. Raises Refusal."""
    filled = Filled(*json.loads(lookup.argument))
    target = await find_again(core, filled.connection, filled.name, filled.target)
    _check_inputs(core, target, filled.inputs)
    environment = environment_of(core, target, filled.inputs)
    rules = rules_for(core, target, environment)
    route = core.setup.route(target.connection, target.name, environment)
    channel = route.channel if route else lookup.place.channel
    if not channel:
        raise Refusal("no_channel", "No route leads this to a channel, so nobody could approve. An administrator can add one.")
    if unread(rules, person, channel):
        await people.refresh_for(core, [person.id], rules.principals, channel)
    async with core.store.unit() as unit:
        if person.workspace == core.setup.workspace:
            person = await unit.directory.person(person.workspace, person.id)
        may_request(rules, person, channel, core.now())
        if rules.wants_reason and not filled.reason:
            raise Refusal("no_reason", "Policy wants a reason. Please open the form again and give one.")
        request = await _request(core, unit, target, filled, rules, channel=channel, person=person)
    said = "Sent" if request.state is RequestState.APPROVED else "Asked"
    return Answer(f"{said}: {request.label} ({literal(target.name, 100)}). The rest is in <#{channel}>.", Tone.DONE)


async def _request(
    core: Core, unit: Unit, target: StartTarget, filled: Filled, rules: Rules, *, channel: str, person: Person
) -> Request:
    now = core.now()
    number = await unit.requests.new_id()
    request = Request(
        id=number,
        workspace=core.setup.workspace,
        channel=channel,
        incident_id=None,
        action=Action.START,
        connection=target.connection,
        execution_id="",
        root=f"start:{number}",
        point=point_of(target),
        baseline="",
        digest="",
        rules=rules,
        requester=person.actor,
        requested_at=now,
        expires_at=now + rules.expires,
        name=target.name,
        reason=clean(filled.reason, 1000),
        inputs={clean(key): clean(value) for key, value in filled.inputs.items()},
        input_labels={each.key: each.label for each in target.inputs},
    )
    request = replace(request, digest=digest(request, target, rules))
    request, entries = lifecycle.requested(request, now, "command")
    await unit.requests.add(request)
    unit.record(*entries)
    unit.messages.want(request.label, "start", Rank.CARD, workspace=request.workspace, channel=channel)
    await announce_new(unit, request)
    return request


def point_of(target: StartTarget) -> ResumePoint:
    """A start as a point, so that all that follows is the same."""
    sentence = f"Starts {target.name} on {target.connection} with the inputs shown."
    return ResumePoint(key=target.key, label=target.name, sentence=sentence, action=Action.START)


def digest(request: Request, target: StartTarget, rules: Rules) -> str:
    """The digest over what is started, all that its form asks for, the values that are sent, and the rules."""
    asked = [astuple(replace(each, default="", hint="")) for each in target.inputs]
    sent = {each.key: each.default for each in target.inputs} | {key: value for key, value in request.inputs.items() if value}
    inputs = json.dumps([asked, sent, target.version, target.environment], sort_keys=True, ensure_ascii=False)
    ref = ExecutionRef(target.connection, "")
    return digest_of(ref, point_of(target), rules, baseline="", inputs=inputs, warning="")


def rules_for(core: Core, target: StartTarget, environment: str | None) -> Rules:
    """The policies that hold for starting it. Raises Refusal when none allows it."""
    subject = Subject(target.connection, Action.START, target.name or None, environment)
    return applicable(core.setup.policies, subject)


def environment_of(core: Core, target: StartTarget, inputs: Mapping[str, str]) -> str | None:
    """Where it would run, as far as target and inputs tell; several environments count as unknown."""
    given = {inputs.get(each.key, "").strip() or each.default for each in target.inputs if each.is_environment}
    own = target.environment or (next(iter(given)) if len(given) == 1 else None)
    return core.setup.connections[target.connection].environment_of(own or None)


async def find_again(core: Core, connection: str, name: str, key: str) -> StartTarget:
    """The target as it is now. Raises Refusal when it is not there any more, or the engine cannot say."""
    target = None
    for called in (key, name):  # a name may be found in so many places that not all of them are searched
        try:
            found = await _find(core, connection, called, None)
        except Unsupported:
            continue
        except EngineError as error:
            raise Refusal("engine_down", f"Nothing was done: {literal(str(error))}. Please try again.") from None
        target = target or next((one for one in found if one.key == key), None)
        if target is not None:
            break
    if target is None:
        raise Refusal("gone", f"“{literal(name, 100)}” cannot be found any more.")
    if target.refusal:
        raise Refusal("cannot_start", literal(target.refusal))
    return target


def _check_inputs(core: Core, target: StartTarget, inputs: Mapping[str, str]) -> None:
    if set(inputs) - {each.key for each in target.inputs}:
        said = "asks for other inputs than when the form was opened. Please open it again."
        raise Refusal("form_outdated", f"Nothing was done: “{literal(target.name, 100)}” {said}")
    missing = [
        f"“{literal(each.label, 80)}”" for each in target.inputs if each.is_required and not inputs.get(each.key, "").strip()
    ]
    if missing:
        raise Refusal("missing_input", f"Nothing was done: {listed(missing)} has to be given.")
    for each in target.inputs:
        given = inputs.get(each.key)
        if given and not is_allowed(each, given):
            offered = listed([literal(choice, 60) for choice in each.choices[:PREVIEW]], "or")
            raise Refusal("bad_input", f"Nothing was done: “{literal(each.label, 80)}” takes {offered}.")
    engine = core.engine(target.connection)
    if isinstance(engine, ChecksInputs):
        try:
            engine.check_inputs(target, inputs)
        except NotResumable as error:
            raise Refusal("bad_input", f"Nothing was done: {literal(clean(str(error), 500))}") from None
