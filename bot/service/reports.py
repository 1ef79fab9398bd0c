"""Private answers that only read: what is open, what is mine, how something stands, who did what, and why I cannot."""

import asyncio
import re
from datetime import datetime
from typing import Protocol

from bot.domain.errors import EngineError, Refusal
from bot.domain.execution import FailureNotice
from bot.domain.incident import Incident, IncidentState
from bot.domain.messages import Answer, Line, Listing, Trail, TrailEntry
from bot.domain.policy import Person, describe_principals, may_decide, may_request
from bot.domain.ports import FindsFailures
from bot.domain.request import STATE_WORDS, Request, RequestState
from bot.domain.text import clean, listed, literal, shorten
from bot.service.core import Core
from bot.service.outbox import Readings
from bot.service.reading_rights import check_reading, may_read
from bot.service.requests import offer, rules_for

LINES, TRAIL_LINES = 20, 40


class ReportReadings(Readings, Protocol):
    """Further reads that only reports need."""

    async def find_incident(self, connection_name: str | None, execution_id: str) -> Incident | None: ...
    async def waiting_for(self, person: Person, now: datetime, limit: int) -> list[Request]: ...
    async def person(self, workspace: str, user: str) -> Person: ...
    async def audit_of(self, key: str, value: str, limit: int) -> tuple[list[TrailEntry], int]: ...
    async def known_executions(self, connection_name: str, ids: list[str]) -> set[str]: ...


class Reports:
    """Makes them from the store's readings; only `list` asks engines."""

    def __init__(self, core: Core, readings: ReportReadings) -> None:
        self._core, self._readings = core, readings

    async def open_failures(self, person: Person) -> Listing:
        """Open failures the person may read, and what engines show that stood there before the first start."""
        readable = [one for one in await self._readings.open_incidents(200) if may_read(self._core, person, one.channel)]
        older = await asyncio.gather(*[self._older(name, person) for name in self._core.engines])
        return Listing(
            heading="Open failures",
            lines=await self._readings.lines(readable[:LINES], ()),
            empty="Nothing is open.",
            more=max(len(readable) - LINES, 0),
            foreign=tuple(line for lines in older for line in lines),
        )

    async def _older(self, connection: str, person: Person) -> list[str]:
        engine = self._core.engines[connection]
        if not isinstance(engine, FindsFailures):
            return []
        try:
            async with asyncio.timeout(self._core.setup.timings.lookup_limit / 2):
                notices = await engine.find_failures(None)
        except TimeoutError:
            return [f"{connection}: has not answered in time"]
        except EngineError as error:
            return [f"{connection}: could not be asked ({shorten(clean(str(error)), 150)})"]
        known = await self._readings.known_executions(connection, [notice.ref.id for notice in notices])
        return [self._older_line(notice) for notice in notices if self._shows(notice, person, known)][:LINES]

    def _shows(self, notice: FailureNotice, person: Person, known: set[str]) -> bool:
        """Only where it may be read wherever it may belong: the engine was not asked what its route hangs on."""
        channels = self._core.setup.possible_channels(notice.ref.connection, notice.name)
        may_read_all = bool(channels) and all(may_read(self._core, person, channel) for channel in channels)
        return notice.ref.id not in known and may_read_all

    @staticmethod
    def _older_line(notice: FailureNotice) -> str:
        name = f" {shorten(clean(notice.name), 80)}" if notice.name else ""
        stage = f", failed at {shorten(clean(notice.stage), 60)}" if notice.stage else ""
        return f"{notice.ref}{name}{stage} (from before I watched; `/resume {notice.ref}` takes it up)"

    async def mine(self, person: Person) -> Listing:
        """What the person asked for and is live, and what waits for their decision."""
        waiting = await self._readings.waiting_for(person, self._core.now(), LINES)
        asked = [one for one in await self._readings.requests_of(person.actor, LINES) if one.state.is_live]
        lines = await self._readings.lines((), [*waiting, *[one for one in asked if one not in waiting]])
        return Listing("Waiting for you, or asked by you", lines, empty="Nothing waits for you or was asked by you.")

    async def status(self, person: Person, subject: str) -> Listing:
        """How one incident or request stands."""
        incident, request = await self._find(person, subject)
        lines: list[Line] = []
        if incident is not None:
            lines += await self._readings.lines([incident], ())
        if request is not None:
            lines += await self._readings.lines((), [request])
        return Listing(f"Status of {literal(subject, 80)}", tuple(lines))

    async def trail(self, person: Person, subject: str) -> Trail:
        """The audit entries about one subject, oldest first."""
        incident, request = await self._find(person, subject)
        if request is not None and subject.startswith("req-"):
            key, value = "request", request.label
        elif incident is not None:
            key, value = "incident", incident.label
        else:
            raise Refusal("not_found", f"I know nothing of `{literal(subject, 80)}`.")
        entries, total = await self._readings.audit_of(key, value, TRAIL_LINES)
        return Trail(f"Audit trail of {value}", tuple(entries), more=max(total - len(entries), 0))

    async def why(self, person: Person, subject: str) -> Answer:
        """Why the person can or cannot resume or decide, with the rules that say so."""
        incident, request = await self._find(person, subject)
        sentences = []
        if request is not None and request.state.is_live:
            sentences.append(f"{request.label} stands so: {STATE_WORDS[request.state]}.")
            sentences += self._why_decide(person, request)
        elif request is not None and subject.startswith("req-"):
            sentences.append(f"{request.label} is over: {STATE_WORDS[request.state]}.")
        if incident is not None and (request is None or not request.state.is_live):
            sentences += self._why_resume(person, incident)
        return Answer("\n".join(sentences) or f"There is nothing to say about {literal(subject, 80)}.")

    def _why_decide(self, person: Person, request: Request) -> list[str]:
        if request.state is not RequestState.PENDING:
            return ["Nothing is left to decide."]
        rules = listed(
            [
                f"“{policy.name}” wants {policy.approvals} of {describe_principals(policy.approvers)}"
                for policy in request.rules.policies
            ]
        )
        try:
            may_decide(request.rules, person, request.requester, request.channel, self._core.now())
        except Refusal as refusal:
            return [str(refusal), f"Policy {rules}."]
        return [f"You may decide in its thread. Policy {rules}."]

    def _why_resume(self, person: Person, incident: Incident) -> list[str]:
        seen = offer(self._core, incident.seen) if incident.seen else None
        if incident.state is not IncidentState.OPEN:
            return [f"{incident.label} has ended: {literal(incident.closed_because) or incident.state.value}."]
        if seen is None:
            return [f"I could not read it from its engine yet{': ' + literal(incident.trouble) if incident.trouble else ''}."]
        if not seen.points:
            return [literal(seen.no_points) or "The engine offers no stage to resume from."]
        try:
            rules = rules_for(self._core, seen, seen.points[0])
            may_request(rules, person, incident.channel, self._core.now())
        except Refusal as refusal:
            return [str(refusal)]
        who = listed([f"{policy.approvals} of {describe_principals(policy.approvers)}" for policy in rules.policies])
        return [f"You may ask for it (policy {rules.names}); it then wants the approval of {who}."]

    async def _find(self, person: Person, subject: str) -> tuple[Incident | None, Request | None]:
        incident: Incident | None = None
        request: Request | None = None
        if found := re.fullmatch(r"req-(\d{1,18})", subject):
            request = await self._readings.request(int(found[1]))
            incident = await self._readings.incident(request.incident_id) if request and request.incident_id else None
        elif found := re.fullmatch(r"inc-(\d{1,18})", subject):
            incident = await self._readings.incident(int(found[1]))
        else:
            incident = await self._by_execution(subject)
        if incident is not None and request is None:
            request = await self._readings.newest_request(incident.id)
        if incident is None and request is None:
            raise Refusal("not_found", f"I know nothing of `{literal(subject, 80)}`. `/resume list` shows what is open.")
        check_reading(self._core, person, incident.channel if incident else request.channel if request else None)
        return incident, request

    async def _by_execution(self, subject: str) -> Incident | None:
        name, colon, rest = subject.partition(":")
        if colon and name in self._core.engines:
            return await self._readings.find_incident(name, rest)
        for connection, engine in self._core.engines.items():
            execution = engine.read_argument(subject)
            found = await self._readings.find_incident(connection, execution) if execution else None
            if found is not None:
                return found
        return None
