"""From what a person typed or pasted to the execution meant: asked of every engine that accepts the form, side by side."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from bot.domain.errors import EngineError, NotFound, NotSent, Refusal
from bot.domain.execution import Execution, ExecutionRef
from bot.domain.ports import Engine, ResolvesLinks
from bot.domain.text import cleaned, listed, literal, nearest
from bot.service import health
from bot.service.core import Core
from bot.service.incidents import follow_chain

T = TypeVar("T")
PART = 0.4  # of a command's time for one question to an engine; there may be two, one after the other
OURS = re.compile(r"(?:req|inc)-\d{1,18}", re.IGNORECASE)
ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """Executions that go by what was typed, and what kept engines from saying."""

    executions: tuple[Execution, ...]
    troubles: tuple[str, ...] = ()


async def resolve(core: Core, argument: str) -> Found:
    """The executions meant. Raises Refusal when nothing goes by that, with what to do instead."""
    candidates = await _candidates(core, argument)
    if not candidates:
        raise Refusal("malformed", _malformed(core, argument))
    answers = await asyncio.gather(*[_describe(core, ref) for ref in candidates], return_exceptions=True)
    found, troubles = [], []
    for ref, answer in zip(candidates, answers, strict=True):
        if isinstance(answer, Execution):
            found.append(answer)
        elif isinstance(answer, NotFound):
            continue
        elif isinstance(answer, EngineError):
            troubles.append(f"{ref.connection} could not be asked: {literal(str(answer)).rstrip('.')}")
        else:
            raise answer
    if not found and not troubles:
        where = listed([ref.connection for ref in candidates], "or")
        said = f"No execution `{literal(argument, 100)}` is known to {where}."
        raise Refusal("not_found", f"{said} Is it of another cluster, or too old?")
    return Found(tuple(found), tuple(troubles))


async def _describe(core: Core, ref: ExecutionRef) -> Execution:
    try:
        execution = cleaned(await _in_time(core, follow_chain(core, ref)))
    except EngineError as error:
        await health.failed(core, ref.connection, error)
        raise
    await health.answered(core, ref.connection)
    return execution


async def _in_time(core: Core, asking: Awaitable[T]) -> T:
    """One slow engine leaves time for what others answer."""
    try:
        async with asyncio.timeout(core.setup.timings.lookup_limit * PART):
            return await asking
    except TimeoutError:
        raise NotSent("it has not answered in time") from None


async def _candidates(core: Core, argument: str) -> list[ExecutionRef]:
    if OURS.fullmatch(argument):
        raise Refusal("malformed", f"{argument} is mine, not an engine's: `/resume status {argument}` tells how it stands.")
    if ADDRESS.match(argument):
        return await _by_address(core, argument)
    name, colon, rest = argument.partition(":")
    if colon and name in core.engines:
        execution = await _read(core, core.engines[name], rest)
        if execution is None and not rest.strip():
            raise Refusal("malformed", f"Write the execution's id behind `{name}:`.")
        if execution is None:
            raise Refusal("malformed", f"`{literal(rest, 100)}` is not an execution id of {name}.")
        return [ExecutionRef(name, execution)]
    refs = await _read_everywhere(core, argument)
    if not refs and colon and re.fullmatch(r"[A-Za-z][\w.-]*", name):
        near = nearest(name, core.engines)
        have = listed(sorted(core.engines)) or "none yet"
        raise Refusal("no_connection", f"There is no connection “{literal(name, 60)}”{near} I have {have}.")
    return refs


async def _read_everywhere(core: Core, text: str) -> list[ExecutionRef]:
    """What every engine takes the text for; a refusal only where none makes anything of it."""
    answers = await asyncio.gather(*[_read(core, engine, text) for engine in core.engines.values()], return_exceptions=True)
    refs, refusals = [], []
    for connection, answer in zip(core.engines, answers, strict=True):
        if isinstance(answer, str):
            refs.append(ExecutionRef(connection, answer))
        elif isinstance(answer, Refusal):
            refusals.append(answer)
        elif answer is not None:
            raise answer
    if not refs and refusals:
        raise refusals[0]
    return refs


async def _read(core: Core, engine: Engine, text: str) -> str | None:
    """The execution id in an id, an address, or what leads to one by a look-up (a session)."""
    return engine.read_argument(text) or await _session(core, engine, text)


async def _by_address(core: Core, address: str) -> list[ExecutionRef]:
    found = await _read_everywhere(core, address)
    if not found:
        raise Refusal(
            "unknown_host",
            "That address leads to no execution of a connection I have. I follow only addresses of configured engines"
            f" ({listed(sorted(core.engines)) or 'none yet'}); paste the execution's id instead.",
        )
    return found


async def _session(core: Core, engine: Engine, address: str) -> str | None:
    if not isinstance(engine, ResolvesLinks):
        return None
    try:
        return await _in_time(core, engine.resolve_argument(address))
    except NotFound as error:
        raise Refusal("not_found", literal(str(error))) from None
    except EngineError as error:
        raise Refusal(
            "engine_down",
            f"The engine could not be asked where that leads: {literal(str(error)).rstrip('.')}. Please try again.",
        ) from None


def _malformed(core: Core, argument: str) -> str:
    if not core.engines:
        return "No engine is connected yet: an administrator adds a connection to the configuration."
    names = listed(sorted(core.engines), "or")
    said = f"`{literal(argument, 100)}` is no execution id that {names} would know."
    return f"{said} Copy it from the engine, or paste its address."
