"""The first of two calls, which may be repeated: an intent before every try, its effect recorded before the other call.

approved ─▶ engine and people read afresh ─tx─▶ being ended ─▶ engine.prepare ─tx─▶ prepared | held back | refused
"""

from dataclasses import replace
from datetime import datetime

from bot.domain import lifecycle
from bot.domain.errors import (
    ContractViolation,
    EngineError,
    Forbidden,
    NotFound,
    NotResumable,
    OutcomeUnknown,
    RateLimited,
    Unsupported,
)
from bot.domain.execution import Execution
from bot.domain.ports import PreparesResume
from bot.domain.request import Request
from bot.domain.text import clean
from bot.service import health
from bot.service.before_call import read_afresh, still_holds
from bot.service.core import Core
from bot.service.receipts import look_again, send_later, try_later, unchanged
from bot.service.requests import end_early, refresh_messages, save_step
from bot.service.unit import Unit


async def prepare(core: Core, engine: PreparesResume, request: Request) -> bool:
    """Whether the execution stands at its end, so that the call that counts can be made."""
    execution = await read_afresh(core, request)
    begun = await _intend(core, engine, request, execution) if execution else None
    if begun is None:
        return False
    return begun.prepared_at is not None or await _call(core, engine, begun, earlier=request.preparing_at)


async def _intend(core: Core, engine: PreparesResume, request: Request, execution: Execution) -> Request | None:
    """The intent of one try, if all that was decided on still holds; an end that came of an earlier try needs no other."""
    async with core.store.unit() as unit:
        current, now = await unchanged(unit, request), core.now()
        if current is None:
            return None
        if current.is_being_ended and engine.is_own_doing(current.baseline, execution.baseline):
            return await save_step(unit, current, lifecycle.prepared(current, now))
        if now >= current.expires_at:
            await _expire(core, unit, current, now)
            return None
        if await still_holds(core, unit, current, execution) is None:
            return None
        begun = await save_step(unit, current, lifecycle.preparing(current, now))
        refresh_messages(unit, begun)
        return begun


async def _expire(core: Core, unit: Unit, request: Request, now: datetime) -> None:
    """Its time is over and the execution stands; while an end may still be on its way, that is waited for."""
    concludes_at = (request.preparing_at or now) + core.setup.timings.conclude_after
    if request.preparing_at is None or now >= concludes_at:
        await end_early(unit, request, lifecycle.expire(replace(request, preparing_at=None), now))
        return
    said, wait = "it has expired, and an end that was asked for may still come", (concludes_at - now).total_seconds()
    step = lifecycle.not_prepared(request, said, now, wait, since=request.preparing_at)
    await send_later(unit, await save_step(unit, request, step))


async def _call(core: Core, engine: PreparesResume, request: Request, earlier: datetime | None) -> bool:
    """One try; `earlier` is when one left of which it is not known what became of it."""
    try:
        had_to_end = await engine.prepare(request.ref, request.point, core.clock.boot() + core.setup.timings.send_window)
    except (OutcomeUnknown, ContractViolation) as error:
        await _hold_back(core, request, error, since=request.preparing_at)
    except (NotResumable, NotFound, Forbidden, Unsupported) as error:
        await _refuse(core, request, error, since=earlier)
    except EngineError as error:
        await _hold_back(core, request, error, since=earlier)
    else:
        return await _save_prepared(core, request, had_to_end=had_to_end or earlier is not None)
    return False


async def _hold_back(core: Core, request: Request, error: EngineError, since: datetime | None) -> None:
    await health.failed(core, request.connection, error)
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            wait = error.wait if isinstance(error, RateLimited) else None
            step = lifecycle.not_prepared(current, clean(str(error), 1000), core.now(), wait, since=since)
            await try_later(unit, current, await save_step(unit, current, step))


async def _refuse(core: Core, request: Request, error: EngineError, since: datetime | None) -> None:
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is not None:
            refused = lifecycle.refuse(replace(current, preparing_at=since), clean(str(error), 1000), core.now())
            await end_early(unit, current, refused)
            await look_again(core, unit, current)


async def _save_prepared(core: Core, request: Request, *, had_to_end: bool) -> bool:
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is None:
            return False
        after = await save_step(unit, current, lifecycle.prepared(current, core.now(), had_to_end=had_to_end))
        refresh_messages(unit, after)
        return True
