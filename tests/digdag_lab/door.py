"""Stands before a real server and passes calls on, so that the simulator's faults and records work there as well."""

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_OWN_TO_A_CONNECTION = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class Forward:
    """An ASGI app that is another server, one step further."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["path"] + (f"?{request.url.query}" if request.url.query else "")
        headers = {name: value for name, value in request.headers.items() if name not in _OWN_TO_A_CONNECTION}
        answer = await self._http.request(request.method, path, headers=headers, content=await request.body())
        kept = {name: value for name, value in answer.headers.items() if name not in _OWN_TO_A_CONNECTION}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)

    async def aclose(self) -> None:
        """Closes the kept connections."""
        await self._http.aclose()
