"""Reads what a person types or pastes for a Digdag server: ids, links to its own pages, links to Treasure Data's console."""

import re
from urllib.parse import SplitResult, urlsplit

from bot.engines._address import segments_below
from bot.engines.digdag_wire import is_id

_API_HOST = re.compile(r"api-workflow\.(?P<site>(?:[a-z0-9-]+\.)?treasuredata\.(?:com|co\.jp))")
_PLAIN_SITE = "treasuredata.com"
# Pages stand at the top of the open-source server's own site, and below this on the console.
_PLACES: tuple[list[str], ...] = ([], ["app", "workflows"])


class Links:
    """The addresses of one server, to read and to make."""

    def __init__(self, base_url: str, console_url: str | None) -> None:
        self._base_url = base_url.rstrip("/")
        self._console_url = (console_url or _console_of(base_url)).rstrip("/")
        self._bases = [urlsplit(self._base_url)]
        if self._console_url:
            self._bases.append(urlsplit(self._console_url))
            # The American site answers under two names.
            if self._bases[-1].hostname == f"console.{_PLAIN_SITE}":
                self._bases.append(urlsplit(f"https://console.us01.{_PLAIN_SITE}"))

    def attempt_of(self, text: str) -> str | None:
        """The attempt's id where the text names one."""
        kind, found = self._read(text)
        return found if kind == "attempt" else None

    def session_of(self, text: str) -> str | None:
        """The session's id where the text names one."""
        kind, found = self._read(text)
        return found if kind == "session" else None

    def to_attempt(self, attempt_id: str, session_id: str) -> str:
        """A page for people: the console has one for sessions only."""
        if self._console_url:
            return f"{self._console_url}/app/workflows/sessions/{session_id}"
        return f"{self._base_url}/attempts/{attempt_id}"

    def to_workflow(self, workflow_id: str) -> str:
        """The page of a workflow."""
        if self._console_url:
            return f"{self._console_url}/app/workflows/{workflow_id}/info"
        return f"{self._base_url}/workflows/{workflow_id}"

    def _read(self, text: str) -> tuple[str, str | None]:
        given = text.strip().removeprefix("<").removesuffix(">").partition("|")[0]
        if is_id(given):
            return "attempt", given
        kind, _, rest = given.partition(":")
        if kind in {"attempt", "session"}:
            return kind, rest if is_id(rest) else None
        try:
            address = urlsplit(given)
            segments = self._segments(address)
        except ValueError:
            return "", None
        for kind, word in (("attempt", "attempts"), ("session", "sessions")):
            if segments[-2:-1] == [word] and is_id(segments[-1]) and segments[:-2] in _PLACES:
                return kind, segments[-1]
        return "", None

    def _segments(self, address: SplitResult) -> list[str]:
        """The path below a configured address, nothing for the address of somebody else."""
        found = (segments_below(base, address) for base in self._bases)
        return next((segments for segments in found if segments is not None), [])


def _console_of(base_url: str) -> str:
    found = _API_HOST.fullmatch(urlsplit(base_url).hostname or "")
    return f"https://console.{found['site']}" if found is not None else ""
