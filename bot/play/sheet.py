"""A page for people behind an engine's links: its executions, the one that was asked for on top."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.play.engine import PlayEngine, Row

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{title}</title><link rel="icon" href="/play/page/icon.svg" type="image/svg+xml">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
article {{ border: 1px solid #8886; border-radius: 8px; padding: .75rem 1rem; margin: 1rem 0 }}
article.asked {{ border: 2px solid #1264a3 }}
h2 {{ font-size: 1.1rem; margin: 0 }} code {{ overflow-wrap: anywhere }} ol {{ margin: .5rem 0 0 }}
</style></head><body><h1>{title}</h1>
<p>This server is simulated by the <a href="/">playground</a>; what is shown here is all it has.</p>
{rows}</body></html>
"""


def sheet(engine: PlayEngine) -> ASGIApp:
    """The page as an app."""

    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope).url.path.rstrip("/").rpartition("/")[2]
        rows = sorted(engine.rows(), key=lambda row: row.id != asked)
        drawn = "".join(_drawn(row, is_asked=row.id == asked) for row in rows)
        await HTMLResponse(PAGE.format(title=f"{escape(engine.title)}, simulated", rows=drawn))(scope, receive, send)

    return show


def _drawn(row: Row, *, is_asked: bool) -> str:
    steps = "".join(f"<li>{escape(step.name)}: {escape(step.status)}</li>" for step in row.steps)
    head = f"<h2>{escape(row.name)}: {escape(row.status)}</h2><code>{escape(row.id)}</code> {escape(row.note)}"
    return f"<article{' class=asked' if is_asked else ''}>{head}<ol>{steps}</ol></article>"
