"""From an approved start to its call: the target found again, everything re-checked, the intent recorded, called once."""

from bot.domain import lifecycle
from bot.domain.errors import Refusal
from bot.domain.execution import StartTarget
from bot.domain.ports import StartsExecutions
from bot.domain.request import Request
from bot.service import starts
from bot.service.before_call import PEOPLE_UNREAD, people_read, still_allowed
from bot.service.core import Core
from bot.service.receipts import call_once, overtaken, put_off, refuse, unchanged
from bot.service.requests import end_early, save_step
from bot.service.unit import Unit


async def carry_out_start(core: Core, request: Request) -> None:
    """Send the call of an approved start if everything still holds."""
    try:
        target = await starts.find_again(core, request.connection, request.name, request.point.key)
    except Refusal as refusal:
        if refusal.reason == "engine_down":
            await put_off(core, request, str(refusal))
        else:
            await refuse(core, request, str(refusal))
        return
    if not await people_read(core, request):
        await put_off(core, request, PEOPLE_UNREAD)
        return
    if core.life.is_ending:
        return
    async with core.store.unit() as unit:
        current = await unchanged(unit, request)
        if current is None or await _start_is_off(core, unit, current, target):
            return
        send_before = core.clock.boot() + core.setup.timings.send_window
        after = await save_step(unit, current, lifecycle.send(current, core.now()))
    engine = core.engine(after.connection)
    assert isinstance(engine, StartsExecutions)  # noqa: S101 — it found the target
    await call_once(core, after, engine.start(target, after.inputs, after.call_key, send_before))


async def _start_is_off(core: Core, unit: Unit, request: Request, target: StartTarget) -> bool:
    """Ends a start whose time, rules or target are not those that were decided on."""
    now = core.now()
    if now >= request.expires_at:
        await end_early(unit, request, lifecycle.expire(request, now))
        return True
    try:
        rules = starts.rules_for(core, target, starts.environment_of(core, target, request.inputs))
        if starts.digest(request, target, rules) != request.digest:
            await overtaken(core, unit, request, "what was shown has changed since (the target, or a policy)")
            return True
        await still_allowed(core, unit, request)
    except Refusal as refusal:
        await end_early(unit, request, lifecycle.refuse(request, str(refusal), now))
        return True
    return False
