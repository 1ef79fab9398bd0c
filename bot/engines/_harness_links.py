"""Reads what a person types or pastes for Harness, and makes the addresses of its pages; hosts come from configuration.

FirstGen   {ui}/#/account/A/app/B/pipeline-execution/ID/workflow-execution/undefined/details
NextGen    {ui}/ng/#/account/A/cd/orgs/O/projects/P/pipelines/L/executions/ID/pipeline
"""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import SplitResult, quote, unquote, urlsplit

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_GATEWAY = "/gateway"


def is_id(text: str) -> bool:
    """Whether a text has the form of an execution's id; it may begin with a dash."""
    return _ID.fullmatch(text) is not None


def host_of(base_url: str) -> str:
    """The base address without the prefix that leads to the API."""
    return base_url.rstrip("/").removesuffix(_GATEWAY)


def at(milliseconds: float | None) -> datetime | None:
    """A moment as Harness gives it; None for what is no moment of the years people live in."""
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class Page:
    """One address, taken apart; `is_nextgen` by the first segment of its path."""

    def __init__(self, segments: Sequence[str]) -> None:
        self._segments = segments
        self.is_nextgen = "ng" in segments[:1]

    def after(self, *words: str) -> str | None:
        """The segment behind the last of these words, None where there is none."""
        found = [there for here, there in pairwise(self._segments) if here in words]
        return found[-1] if found else None

    def in_order(self, *words: Collection[str]) -> tuple[str, ...] | None:
        """The segments behind these words, each looked for behind the one before: a name may be a word; None if one lacks."""
        found: list[str] = []
        place = 0
        for wanted in words:
            place = next((at for at in range(place, len(self._segments) - 1) if self._segments[at] in wanted), -2) + 2
            if not place:
                return None
            found.append(self._segments[place - 1])
        return tuple(found)


class Links:
    """The addresses of one Harness: where the API lives and, where it is another, where people look."""

    def __init__(self, base_url: str, ui_url: str) -> None:
        self._ui = (ui_url or host_of(base_url)).rstrip("/")
        bases = [urlsplit(address) for address in (self._ui, host_of(base_url))]
        # The longest first: the path of one may begin with that of another.
        places = {(_host(base), tuple(_segments(base.path))) for base in bases}
        self._places = sorted(places, key=lambda place: -len(place[1]))

    def page(self, text: str) -> Page | None:
        """The address in a text, if it is one of ours; the fragment counts as part of the path."""
        try:
            address = urlsplit(_plain(text))
            host = _host(address)
        except ValueError:
            return None
        if address.scheme not in {"http", "https"}:
            return None
        segments = tuple(_segments(address.path, address.fragment.partition("?")[0]))
        for ours, prefix in self._places:
            if host == ours and segments[: len(prefix)] == prefix:
                return Page(segments[len(prefix) :])
        return None

    def to(self, *segments: str) -> str:
        """The address of a page; `#` is a segment of its own."""
        return "/".join([self._ui, *(one if one == "#" else quote(one, safe="") for one in segments)])


def _host(address: SplitResult) -> tuple[str, int | None]:
    """Whose address it is; the port that goes without saying is none, and a name before the host is part of it."""
    port = None if address.port == {"http": 80, "https": 443}.get(address.scheme) else address.port
    host = (address.hostname or "").rstrip(".")
    return (f"{address.username}@{host}" if address.username is not None else host, port)


def typed_id(text: str) -> str | None:
    """The id that somebody typed, None if it is something else."""
    plain = _plain(text)
    return plain if is_id(plain) else None


def _plain(text: str) -> str:
    # Slack writes addresses as <address|label>.
    return text.strip().removeprefix("<").removesuffix(">").partition("|")[0]


def _segments(*paths: str) -> Iterator[str]:
    return (unquote(segment) for path in paths for segment in path.split("/") if segment)
