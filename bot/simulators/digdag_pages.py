"""The simulated server's answers that are no JSON: empty ones, and the page it shows for an exception of its own."""

import html

from starlette.responses import Response

from bot.simulators.digdag_params import STACKTRACE

_HEAD = (
    '<html><head><title>ERROR</title></head><body><div class="header"><div class="error-div"></div>'
    '<div class="error-text-div">Error processing request</div></div>'
    '<div class="label">Context Path:</div><div class="value">/rs</div><br/>'
)


def empty(status: int) -> Response:
    """A status without body or content type."""
    return Response(status_code=status)


def broken_page(path: str, reason: str) -> Response:
    """A 500 page with a stack trace, longer than anybody wants to read."""
    frames = "<br/>".join(html.escape(frame) for frame in STACKTRACE.split(", ") * 8)
    body = (
        f'{_HEAD}<div class="label">Servlet Path:</div><div class="value">{html.escape(path)}</div><br/>'
        f'<div class="label">Exception:</div><div class="value">java.lang.IllegalStateException: {html.escape(reason)}</div>'
        f'<div class="label">Stack Trace</div><div class="value">{frames}</div></body></html>'
    )
    return Response(body, 500, {"content-type": "text/html"})
