"""The playground: the bot, its database, the engines and a Slack of our own behind one address, for a browser.

browser ──▶ Site ─┬─ /, /play/…          page, state, buttons
                  ├─ /sim/slack/…        simulated Slack ──signed──▶ /slack/events ─┐
                  ├─ /sim/…, /gateway/…  simulated engines ──▶ /hooks/…             ├─▶ the bot's web app ─▶ database
                  └─ everything else ───────────────────────────────────────────────┘                          ▲
worker, a child process that is started anew when it ends ──▶ simulated Slack and engines ─────────────────────┘
"""

from bot.config import Settings


async def play(settings: Settings) -> None:
    """Serve the playground until a signal ends it; leaves no process and no file behind."""
    from bot.play.stage import run  # noqa: PLC0415 — the worker, which lives in this package too, needs no simulators

    await run(settings)
