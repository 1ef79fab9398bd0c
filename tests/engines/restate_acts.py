"""What tests do to a Restate invocation and read of it: resume it, end it, begin it anew, wait."""

import asyncio
from typing import Any

import httpx

from bot.domain.execution import Action, Execution, ExecutionRef, Finding, Receipt, ResumePoint, find_point
from bot.engines._http import boot_time
from tests.engines.case_restate import RestateStand
from tests.engines.cases import SECRET

KEEP = ResumePoint("keep", "x", "x")
LATEST = ResumePoint("latest", "x", "x")
KILL, RESTART = "PATCH */kill", "PATCH */restart-as-new"


async def act(stand: RestateStand, ref: ExecutionRef, verb: str, **params: str) -> httpx.Response:
    """A verb that somebody else uses."""
    async with httpx.AsyncClient(base_url=stand.world.admin_url, headers={"authorization": f"Bearer {SECRET}"}) as http:
        return await http.patch(f"/invocations/{ref.id}/{verb}", params=params)


async def resume(stand: RestateStand, ref: ExecutionRef, point: ResumePoint) -> Receipt:
    """Resume from a point."""
    return await stand.engine.resume(ref, point, "req-1-1", boot_time() + 5)


async def described(stand: RestateStand, wanted: str, **how: Any) -> Execution:
    """An invocation that came to this status, as it is told of."""
    return await stand.engine.describe(await stand.start(wanted, **how))


def resumes(seen: Execution) -> list[ResumePoint]:
    """The points that leave the execution its id; those that begin it anew have tests of their own."""
    return [point for point in seen.points if point.action is Action.RESUME]


def keys(seen: Execution) -> list[str]:
    """The keys of those points."""
    return [point.key for point in resumes(seen)]


async def prepare(stand: RestateStand, ref: ExecutionRef, point: ResumePoint, seconds: float = 5) -> None:
    """End it, as a restart from this point begins."""
    await stand.engine.prepare(ref, point, boot_time() + seconds)


async def send(stand: RestateStand, ref: ExecutionRef, point: ResumePoint, seconds: float = 5) -> Receipt:
    """Begin it anew from this point."""
    return await stand.engine.resume(ref, point, "req-1-1", boot_time() + seconds)


async def evidence(stand: RestateStand, ref: ExecutionRef, point: ResumePoint) -> Finding:
    """What a look finds of a restart that got no answer."""
    return (await stand.engine.restart_evidence(ref, point, "req-1-1")).finding


async def failed(stand: RestateStand, wanted: str = "paused", **how: Any) -> Execution:
    """A failure, as it is told of."""
    return await stand.engine.describe(await stand.start(wanted, **(how or {"deploy": "fail"})))


async def prepared(stand: RestateStand, stage: str = "build") -> tuple[ExecutionRef, ResumePoint]:
    """A failure that was ended, and a point of it."""
    seen = await failed(stand)
    point = at(seen, stage)
    await prepare(stand, seen.ref, point)
    return seen.ref, point


async def came_in(stand: RestateStand, pattern: str) -> None:
    """Wait until such a call came in."""
    async with asyncio.timeout(5):
        while True:
            if stand.world.count(pattern):
                return
            await asyncio.sleep(0.01)


async def paused_anew(stand: RestateStand, before: Execution) -> None:
    """Wait until it failed once more."""
    async with asyncio.timeout(5):
        while True:
            now = await stand.engine.describe(before.ref)
            if now.status is before.status and now.baseline != before.baseline:
                return
            await asyncio.sleep(0.02)


async def begun_from(stand: RestateStand, ref: ExecutionRef) -> list[str]:
    """The ids of what was begun anew from it."""
    rows = await stand.world.query(f"SELECT id FROM sys_invocation WHERE restarted_from = '{ref.id}'")
    return [str(row["id"]) for row in rows]


def at(seen: Execution, stage: str) -> ResumePoint:
    """The point that begins it anew at a stage."""
    point = find_point(restarts(seen), stage)
    assert point is not None, [each.label for each in seen.points]
    return point


def restarts(seen: Execution) -> tuple[ResumePoint, ...]:
    """The points that begin it anew, under a new id."""
    return tuple(point for point in seen.points if point.action is Action.RESTART)


def reasons(seen: Execution) -> dict[str, str]:
    """Why stages are not on offer."""
    return {point.name: point.reason for point in seen.refused_points}
