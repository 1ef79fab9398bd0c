"""What people type behind a command, and what the message under a shortcut may mean.

/resume [connection:]<execution or link> [stage]      /resume            /resume help | list | mine
/resume status | audit | why <req-…, inc-… or execution>                 /start [connection:][application/]<name>
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from bot.domain.errors import Refusal
from bot.domain.text import clean, shorten

RESUME, START = "/resume", "/start"
_CANDIDATES = 40
_QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“", "‘": "’", "’": "’", "«": "»", "`": "`"}


@dataclass(frozen=True)
class ResumeOrder:
    """Resume this execution (`connection:id`, id or address, as typed), from this stage where one is named."""

    execution: str
    stage: str = ""


@dataclass(frozen=True)
class ResumeForm:
    """`/resume` alone: ask with a form."""


@dataclass(frozen=True)
class Help:
    """Say what can be typed."""


@dataclass(frozen=True)
class ListOpen:
    """List the open failures."""


@dataclass(frozen=True)
class ListMine:
    """List what the person asked for and what waits for them."""


class Topic(StrEnum):
    """What can be asked about one thing."""

    STATUS = "status"
    AUDIT = "audit"
    WHY = "why"


@dataclass(frozen=True)
class AskOrder:
    """Tell about `subject`: `req-…`, `inc-…` or an execution as typed."""

    topic: Topic
    subject: str


@dataclass(frozen=True)
class StartOrder:
    """Start what goes by this name; `typed` is all of it, for when what stands before the colon is no connection."""

    typed: str
    name: str
    connection: str | None = None
    application: str | None = None


Order = ResumeOrder | ResumeForm | Help | ListOpen | ListMine | AskOrder | StartOrder


def parse_order(command: str, text: str) -> Order:
    """What the person wants. Raises Refusal with a sentence that says what to type instead."""
    typed = unescape(clean(text)).strip()
    match command:
        case "/resume":
            return _resume(typed)
        case "/start":
            return _start(typed)
        case _:
            raise Refusal(
                "unknown_command", f"I do not know `{_shown(command)}`. I know `/resume` and `/start`; try `/resume help`."
            )


def _resume(typed: str) -> Order:
    first, rest = _split(typed)
    match first.casefold():
        case "":
            return ResumeForm()
        case "help" | "?" | "-h" | "--help":
            return Help()
        case "list" | "mine" as word:
            if rest:
                _refuse_more(word)
            return ListOpen() if word == "list" else ListMine()
        case "status" | "audit" | "why" as word:
            return _ask(Topic(word), rest)
        case _:
            return ResumeOrder(first, _unquoted(rest))


def _ask(topic: Topic, rest: str) -> AskOrder:
    subject, more = _split(rest)
    if not subject:
        raise Refusal(
            "no_subject",
            f"`/resume {topic}` wants to know of what: a request (`/resume {topic} req-17`), an incident"
            f" (`/resume {topic} inc-42`) or an execution. `/resume list` shows what is open.",
        )
    if more:
        raise Refusal(
            "too_much", f"`/resume {topic}` takes one id and I read more than one word. For example `/resume {topic} req-17`."
        )
    return AskOrder(topic, subject.casefold() if re.fullmatch(r"(?i)(req|inc)-\d+", subject) else subject)


def _refuse_more(word: str) -> NoReturn:
    raise Refusal("too_much", f"`/resume {word}` takes nothing behind it. `/resume help` shows what can be typed.")


_START = re.compile(r"(?:(?P<connection>[A-Za-z][\w.-]{0,62}):)?(?:(?P<application>[^/]+)/)?(?P<name>.+)", re.DOTALL)


def _start(typed: str) -> Order:
    whole = _unquoted(typed)
    if whole.casefold() in {"help", "?", "-h", "--help"}:
        return Help()
    found = _START.fullmatch(whole)
    if found is None or not found["name"].strip() or whole.endswith((":", "/")):
        raise Refusal(
            "no_name",
            "`/start` wants a name: `/start Deploy` or, where several connections have it, `/start prod:Shop/Deploy`"
            " (connection, application, name).",
        )
    application = found["application"]
    return StartOrder(
        typed=whole,
        name=_unquoted(found["name"].strip()),
        connection=found["connection"],
        application=_unquoted(application.strip()) if application else None,
    )


def _split(text: str) -> tuple[str, str]:
    """The first word, or what stands in quotes there, and the rest."""
    text = text.strip()
    closing = _QUOTES.get(text[:1])
    end = text.find(closing, 1) if closing else -1
    if end > 0:
        return text[1:end].strip(), text[end + 1 :].strip()
    first, *rest = text.split(None, 1) or [""]
    return first, rest[0] if rest else ""


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        return text[1:-1].strip()
    return text


def _shown(text: str) -> str:
    return re.sub(r"[^\w/ .:-]", "", shorten(text, 40))


def unescape(text: str) -> str:
    """Slack's escapes of a message or command text undone: `<https://…|…>` becomes the address, entities characters."""
    plain = re.sub(r"<((?:https?|mailto):[^|>]*)(?:\|[^>]*)?>", r"\1", text)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_ADDRESS = re.compile(r"https?://[^\s<>|\"]*[^\s<>|\".,;:!?)']")  # what ends a sentence is no part of it
_PREFIXED = re.compile(r"\b[A-Za-z][\w.-]{0,62}:[A-Za-z0-9][\w.-]*")
_ID = re.compile(r"\b(?=[\w-]*\d)[A-Za-z0-9][\w-]{9,99}\b")


def executions_in(message: Mapping[str, object]) -> tuple[str, ...]:
    """What in a message may name an execution: addresses, then `connection:id`, then what looks like an id, each once."""
    texts = [unescape(clean(text)) for text in _texts({key: message.get(key) for key in ("text", "blocks", "attachments")})]
    # An address says as a whole what it leads to: its parts are ids of accounts and projects as well.
    rests = [_ADDRESS.sub(" ", text) for text in texts]
    searched = [(_ADDRESS, text) for text in texts] + [(pattern, rest) for pattern in (_PREFIXED, _ID) for rest in rests]
    found = (match for pattern, text in searched for match in pattern.findall(text))
    return tuple(dict.fromkeys(found))[:_CANDIDATES]


_SPOKEN = frozenset({"text", "url", "fallback", "pretext", "title", "title_link", "value"})


def _texts(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _texts(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if isinstance(value, str) and key in _SPOKEN:
                yield value
            else:
                yield from _texts(value)
