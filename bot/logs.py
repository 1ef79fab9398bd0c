"""Log lines: for people or as JSON, with every secret this process knows taken out, and every value a database repeats."""

import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from psycopg import Error as DriverError
from sqlalchemy.exc import DBAPIError

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
REDACTED = "[redacted]"
DATA_FAULTS = "22"  # the class of states whose sentences repeat a value


def set_up(level: str, form: str, secrets: Iterable[str]) -> None:
    """One handler on the root logger; `form` is console or json."""
    formatter: logging.Formatter = _Json() if form == "json" else _Console()
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting(formatter, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "slack_sdk", "uvicorn", "procrastinate", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("bot.slack.bolt").setLevel(logging.ERROR)  # it warns of our own authorize


class _Redacting(logging.Formatter):
    def __init__(self, inner: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._inner = inner
        found = {form for secret in secrets if len(secret) >= 4 for form in _forms(secret)}
        self._secrets = sorted(found, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, REDACTED)
        return line.encode("utf-8", "backslashreplace").decode()  # half a character would be the end of the line


def _forms(secret: str) -> Iterator[str]:
    """A secret as it may stand in a line: itself, inside Python's or JSON's quotes or both, in an address, in a header."""
    plain = [secret, repr(secret)[1:-1]]
    yield from plain
    yield from (json.dumps(form, ensure_ascii=is_ascii)[1:-1] for form in plain for is_ascii in (True, False))
    yield quote(secret, safe="")
    yield b64encode(secret.encode()).decode()


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _OWN and not key.startswith("_")}


class _Quiet(logging.Formatter):
    """A formatter whose tracebacks leave out what statements held."""

    def traceback_of(self, error: BaseException | None) -> str:
        written = "".join(traceback.format_exception(error)).rstrip()
        for fault in _chain(error):
            if isinstance(fault, DBAPIError | DriverError):
                written = written.replace(str(fault), _without_values(fault))
        return written


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, *(each.exceptions if isinstance(each, BaseExceptionGroup) else ())]


def _without_values(fault: DBAPIError | DriverError) -> str:
    """What a fault of the database says that is the same whatever was written."""
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    if not isinstance(cause, DriverError) or cause.sqlstate is None:
        return f"{type(cause).__name__} {cause}"  # no connection
    told = "" if cause.sqlstate.startswith(DATA_FAULTS) else cause.diag.message_primary or ""
    return f"{type(cause).__name__} {cause.sqlstate} {told}".strip()


class _Json(_Quiet):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["traceback"] = self.traceback_of(record.exc_info[1])
        return json.dumps(line, default=str)


class _Console(_Quiet):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = f"{at} {record.levelname.lower():7} {record.getMessage()}{extra}"
        return f"{line}\n{self.traceback_of(record.exc_info[1])}" if record.exc_info else line
