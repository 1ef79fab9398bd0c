"""What forms are filled with when they open; plain reads, nothing is asked of an engine."""

from bot.domain.errors import Refusal
from bot.domain.messages import PickFailure, PickPoint, Word
from bot.domain.policy import Person
from bot.domain.text import literal
from bot.service.core import Core
from bot.service.reading_rights import check_reading, may_read
from bot.service.reports import ReportReadings
from bot.service.requests import offering, rules_for

LISTED = 100


class Forms:
    """Fills forms from the store's readings."""

    def __init__(self, core: Core, readings: ReportReadings) -> None:
        self._core, self._readings = core, readings

    async def pick_failure(self, person: Person, channel: str) -> PickFailure:
        """The form of `/resume` alone: open failures the person may read."""
        known = await self._readings.person(person.workspace, person.id)
        readable = [one for one in await self._readings.open_incidents(200) if may_read(self._core, known, one.channel)]
        return PickFailure(tuple(readable[:LISTED]), channel)

    async def pick_point(self, person: Person, incident_id: int) -> PickPoint | Word:
        """The form with the stages of an incident, or why there are none."""
        incident = await self._readings.incident(incident_id)
        known = await self._readings.person(person.workspace, person.id)
        if incident is None:
            raise Refusal("unknown", "I do not know this failure any more.")
        check_reading(self._core, known, incident.channel)
        incident = offering(self._core, incident)
        seen = incident.seen
        if seen is None or not seen.points:
            return Word(literal(seen.no_points if seen else incident.trouble) or "It cannot be resumed at the moment.")
        wants_reason = rules_for(self._core, seen, seen.points[0]).wants_reason
        return PickPoint(incident, seen.points, selected=seen.points[0].key, wants_reason=wants_reason)
