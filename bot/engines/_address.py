"""Addresses of an engine: those a configuration may name, and those a pasted link leads to."""

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

_PORTS = {"http": 80, "https": 443}


def _base_address(given: str) -> str:
    try:
        parts = urlsplit(given)
        is_one = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_one = False
    if not is_one or parts.query or parts.fragment or any(sign.isspace() for sign in given):
        raise ValueError("must be an address that begins with http:// or https://, without ? and #")
    if "@" in parts.netloc:
        # It would stand in every link that is shown.
        raise ValueError("must hold no user or password: use token")
    return given.rstrip("/")


BaseAddress = Annotated[str, AfterValidator(_base_address)]
"""A base address as a setting: without credentials, and without a slash at its end."""


def segments_below(base: SplitResult, address: SplitResult) -> list[str] | None:
    """The segments of an address below a base address, None for the address of somebody else. Raises ValueError."""
    if _origin(base) != _origin(address) or address.username is not None:
        return None
    ours, given = _segments(base), _segments(address)
    if given[: len(ours)] != ours or {".", ".."} & set(given):
        return None
    return given[len(ours) :]


def _origin(address: SplitResult) -> tuple[str, str | None, int | None]:
    return address.scheme, address.hostname, address.port or _PORTS.get(address.scheme)


def _segments(address: SplitResult) -> list[str]:
    return [segment for segment in address.path.split("/") if segment]
