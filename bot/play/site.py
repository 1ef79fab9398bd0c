"""One address for everything: the page, its state and buttons, what is simulated, and the bot's own paths.

/  /play/…  the page            a mount's prefix  that app            everything else  the bot
"""

import asyncio
import mimetypes
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot import simulators
from bot.play.actions import Actions
from bot.play.seen import Seen

PAGE = Path(simulators.__path__[0]) / "slack_page"
STARTING = PlainTextResponse("The playground is starting.\n", 503, {"retry-after": "1"})
ENDING = PlainTextResponse("The playground has ended.\n", 503)

# the system's own table may name other types, with which browsers run no module
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("text/css", ".css")


class Site:
    """Serves what it has been given so far; the page itself needs nothing else."""

    def __init__(self) -> None:
        self.mounts: dict[str, ASGIApp] = {}
        self.bot: ASGIApp = STARTING
        self._page = _page()
        self._ending = asyncio.Event()

    def open(self, mounts: Mapping[str, ASGIApp], seen: Seen, actions: Actions) -> None:
        """Let people in."""
        self.mounts = dict(sorted(mounts.items(), key=lambda each: -len(each[0])))  # the longest prefix counts
        self.mounts["/play/"] = _state_and_buttons(seen, actions)

    def close(self) -> None:
        """Let nobody in any more, and tell those who wait for news."""
        self.bot = ENDING
        self._ending.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        app = self._app(scope["path"])
        if scope["path"].endswith("/state"):
            await self._answer_unless_ending(app, scope, receive, send)
        else:
            await app(scope, receive, send)

    async def _answer_unless_ending(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.create_task(_answer(app, scope, receive, send))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                answering.cancel()
                await ENDING(scope, receive, send)
        finally:
            ending.cancel()
            answering.cancel()
            await asyncio.gather(answering, ending, return_exceptions=True)

    def _app(self, path: str) -> ASGIApp:
        if path == "/" or path.startswith("/play/page/"):
            return self._page
        if path.startswith("/play/") and not self.mounts:
            return STARTING
        return next((app for prefix, app in self.mounts.items() if path.startswith(prefix)), self.bot)


async def _answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def _page() -> ASGIApp:
    async def index(_: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    app = Starlette(routes=[Route("/", index, methods=["GET"]), Mount("/play/page", StaticFiles(directory=PAGE))])

    async def fresh(scope: Scope, receive: Receive, send: Send) -> None:
        async def unkept(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["cache-control"] = "no-cache"  # the next release has the same address
            await send(message)

        await app(scope, receive, unkept)

    return fresh


def _state_and_buttons(seen: Seen, actions: Actions) -> ASGIApp:
    async def state(request: Request) -> Response:
        since = request.query_params.get("since", "")
        return JSONResponse(await seen.state(int(since) if since.isascii() and since.isdigit() else None))

    async def press(request: Request) -> Response:
        action = actions.all.get(request.path_params["key"])
        if action is None:
            return JSONResponse({"ok": False, "message": "There is no such button."}, 404)
        said = await action.press()
        return JSONResponse({"ok": said is not None, "message": said or "That cannot be done now."})

    return Starlette(
        routes=[
            Route("/play/state", state, methods=["GET"]),
            Route("/play/actions/{key}", press, methods=["POST"]),
        ]
    )
