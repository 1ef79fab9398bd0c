"""The services of the lab: named steps, each of which can be told how to behave.

LAB_CONTROL names a JSON file {"<key>": {"<step>": "<mode>"}} that is read again at every attempt, so a test can repair a
step by rewriting the file. Modes: pass (default), fail (an ordinary error: retried, then paused), terminal (the invocation
completes as a failure at once), slow (LAB_SLOW seconds, then passes), vanish (the error comes after this step, outside
any), nap (the handler sleeps an hour after this step). Every attempt is appended to "<LAB_CONTROL>.log" as "<key> <step>".
"""

import asyncio
import json
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import restate

STEPS = tuple(os.environ.get("LAB_STEPS", "checkout,build,test,deploy,verify").split(","))
SLOW = float(os.environ.get("LAB_SLOW", "1"))
CONTROL = Path(os.environ["LAB_CONTROL"])
LOG = CONTROL.with_suffix(".log")

# Two quick attempts, then pause. The server's default is 70 attempts, which take about an hour.
RETRY = restate.InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=int(os.environ.get("LAB_RETRY_MS", "50"))),
    max_interval=timedelta(milliseconds=int(os.environ.get("LAB_RETRY_MS", "50"))),
    exponentiation_factor=1.0,
    max_attempts=2,
    on_max_attempts="pause",
)


def mode_of(key: str, step: str) -> str:
    """How a step is told to behave now."""
    plans: dict[str, dict[str, str]] = json.loads(CONTROL.read_text(encoding="utf-8"))
    return plans.get(key, {}).get(step, "pass")


async def attempt(key: str, step: str) -> str:
    """One try of one step."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"{key} {step}\n")
    mode = mode_of(key, step)
    if mode == "fail":
        raise RuntimeError(f"step {step} failed on purpose")
    if mode == "terminal":
        raise restate.TerminalError(f"step {step} gave up", status_code=422)
    if mode == "slow":
        await asyncio.sleep(SLOW)
    return f"{step}: ok"


async def take(context: Any, key: str, step: str) -> None:
    """Run one step; its first argument becomes the name in the journal."""
    await context.run_typed(step, attempt, restate.RunOptions(), key, step)
    if mode_of(key, step) == "vanish":
        raise RuntimeError("bug between two steps")
    if mode_of(key, step) == "nap":
        await context.sleep(timedelta(hours=1))


async def take_all(context: Any, key: str) -> list[str]:
    """Run all steps in order."""
    for step in STEPS:
        await take(context, key, step)
    return list(STEPS)


pipeline = restate.Service("Pipeline", invocation_retry_policy=RETRY)
release = restate.Workflow("Release", invocation_retry_policy=RETRY)
shelf = restate.VirtualObject("Shelf", invocation_retry_policy=RETRY)
# Without input for this long the server suspends it: its default of a minute is too long for a test.
chain = restate.Service("Chain", invocation_retry_policy=RETRY, inactivity_timeout=timedelta(milliseconds=50))
herald = restate.Service("Herald", invocation_retry_policy=RETRY)
fan = restate.Service("Fan", invocation_retry_policy=RETRY)
careful = restate.Service("Careful", invocation_retry_policy=RETRY)
forgetful = restate.Service("Forgetful", invocation_retry_policy=RETRY, journal_retention=timedelta(0))


@pipeline.handler("run")
async def pipeline_run(context: restate.Context, request: dict[str, str]) -> list[str]:
    """A plain service: resume and restart-as-new both work."""
    return await take_all(context, request["key"])


@release.main("run")
async def release_run(context: restate.WorkflowContext, request: dict[str, str]) -> list[str]:
    """A workflow: resume works, restart-as-new is refused by the server."""
    return await take_all(context, request["key"])


@shelf.handler("run")
async def shelf_run(context: restate.ObjectContext, request: dict[str, str]) -> list[str]:
    """An object works on one invocation at a time; others wait."""
    return await take_all(context, request["key"])


@chain.handler("run")
async def chain_run(context: restate.Context, request: dict[str, str]) -> list[str]:
    """One step, then the pipeline of the same key is called and waited for."""
    await take(context, request["key"], "prepare")
    return await context.service_call(pipeline_run, arg=request)


@herald.handler("run")
async def herald_run(context: restate.Context, request: dict[str, str]) -> None:
    """The pipeline of the same key is sent for, then two steps; nobody waits for the pipeline."""
    context.service_send(pipeline_run, arg=request)
    for step in ("announce", "close"):
        await take(context, request["key"], step)


@fan.handler("run")
async def fan_run(context: restate.Context, request: dict[str, str]) -> None:
    """Three steps that are begun together."""
    key = request["key"]
    begun = [context.run_typed(step, attempt, restate.RunOptions(), key, step) for step in ("north", "east", "south")]
    for one in begun:
        await one


@careful.handler("run")
async def careful_run(context: restate.Context, request: dict[str, str]) -> None:
    """A probe that may fail for good: the code lives with that, and goes on."""
    with suppress(restate.TerminalError):
        await take(context, request["key"], "probe")
    for step in STEPS[1:]:
        await take(context, request["key"], step)


@forgetful.handler("run")
async def forgetful_run(context: restate.Context, request: dict[str, str]) -> list[str]:
    """Nothing is kept of its journal once it has ended."""
    return await take_all(context, request["key"])


async def main() -> None:
    """Serve all of them on LAB_PORT."""
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['LAB_PORT']}"]
    app = restate.app([pipeline, release, shelf, chain, herald, fan, careful, forgetful])
    # The SDK takes over SIGTERM at its first request, so this process has to be killed; it keeps no state.
    await hypercorn.asyncio.serve(app, config)


if __name__ == "__main__":
    asyncio.run(main())
