"""The JSON that the browser page lives on: what one person sees, and the acts that person can do.

GET  /page/state?as=<user>&since=<version>     waits up to 20 s for news
POST /page/<act>                               {status, seconds, error?}
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.simulators.slack_acts import People
from bot.simulators.slack_cast import Channel, Person
from bot.simulators.slack_delivery import Ack
from bot.simulators.slack_elements import options_of
from bot.simulators.slack_state import ImpossibleActError, Message, SlackState

LONG_POLL_SECONDS: Final = 20
Act: TypeAlias = Callable[[dict[str, Any]], Awaitable[Ack]]


class PageApi:
    """Shows the state to one person and takes that person's acts."""

    def __init__(
        self,
        state: SlackState,
        people: People,
        shortcuts: Sequence[Mapping[str, str]],
        commands: Sequence[Mapping[str, str]],
    ) -> None:
        self._state = state
        self._people = people
        self._shortcuts = [dict(shortcut) for shortcut in shortcuts]
        self._commands = [{"command": each["command"], "hint": each.get("usage_hint", "")} for each in commands]

    def routes(self) -> list[Route]:
        """Where it answers."""
        acts: dict[str, Act] = {
            "command": self._command,
            "action": self._action,
            "view_action": self._view_action,
            "submit": lambda given: self._people.submit(given["user"], given.get("values")),
            "close": lambda given: self._people.close_view(given["user"]),
            "shortcut": self._shortcut,
            "home": lambda given: self._people.open_home(given["user"]),
        }
        posts = [Route(f"/page/{name}", self._taking(act, _told), methods=["POST"]) for name, act in acts.items()]
        suggest = Route("/page/suggest", self._taking(self._suggest, _offered), methods=["POST"])
        return [Route("/page/state", self._show, methods=["GET"]), suggest, *posts]

    # ---- acts ----

    def _taking(self, act: Act, told: Callable[[Ack], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                given = json.loads(await request.body())
                ack = await act(given)
            except ImpossibleActError as refused:
                return JSONResponse({"status": 0, "seconds": 0.0, "error": str(refused), "options": []})
            except (ValueError, TypeError, KeyError):
                return JSONResponse({"status": 0, "seconds": 0.0, "error": "cannot read this act"}, 400)
            return JSONResponse(told(ack))

        return endpoint

    async def _command(self, given: dict[str, Any]) -> Ack:
        return await self._people.command(given["user"], given["channel"], given["command"], given.get("text", ""))

    async def _action(self, given: dict[str, Any]) -> Ack:
        place = given["user"], given["channel"], given["ts"], given["block_id"], given["action_id"]
        if "option" in given:
            return await self._people.choose(*place, value=given["option"])
        return await self._people.press(*place)

    async def _view_action(self, given: dict[str, Any]) -> Ack:
        return await self._people.view_action(
            given["user"], given["block_id"], given["action_id"], given.get("values"), given.get("option")
        )

    async def _shortcut(self, given: dict[str, Any]) -> Ack:
        if given.get("channel"):
            return await self._people.shortcut(given["user"], given["callback_id"], given["channel"], given["ts"])
        return await self._people.global_shortcut(given["user"], given["callback_id"])

    async def _suggest(self, given: dict[str, Any]) -> Ack:
        return await self._people.suggest(
            given["user"],
            given["block_id"],
            given["action_id"],
            given.get("text", ""),
            channel=given.get("channel"),
            ts=given.get("ts"),
        )

    # ---- what one person sees ----

    async def _show(self, request: Request) -> Response:
        me = self._state.cast.people.get(request.query_params.get("as", ""))
        if me is None:
            return JSONResponse({"error": "nobody by that id"}, 404)
        since = request.query_params.get("since", "")
        if since.isdigit():
            await self._state.changed(int(since), LONG_POLL_SECONDS)
        return JSONResponse(self.seen_by(me))

    def seen_by(self, me: Person) -> dict[str, Any]:
        """All of it as this person sees it."""
        cast = self._state.cast
        channels = [channel for channel in cast.channels.values() if cast.sees(me.id, channel.id)]
        seen = {channel.id for channel in channels}
        messages = [m for m in self._state.messages if m.channel in seen and m.to in (None, me.id)]
        return {
            "version": self._state.version,
            "me": me.id,
            "people": [self._person(person) for person in cast.people.values()],
            "channels": [self._channel(channel) for channel in channels],
            "messages": [_message(message) for message in messages],
            "views": [view | {"errors": self._state.errors.get(view["id"], {})} for view in self._state.views[me.id]],
            "home": self._state.homes.get(me.id),
            "notices": [{"at": each.at, "text": each.text} for each in self._state.notices if each.user == me.id],
            "groups": [{"id": group.id, "handle": group.handle} for group in cast.groups.values()],
            "shortcuts": self._shortcuts,
            "commands": self._commands,
        }

    def _person(self, person: Person) -> dict[str, Any]:
        return {
            "id": person.id,
            "name": person.name,
            "real_name": person.real_name,
            "role": person.role,
            "team_id": person.team_id,
            "guest": person.is_guest,
            "foreign": self._state.cast.is_foreign(person.id),
            "is_bot": person.is_bot,
        }

    def _channel(self, channel: Channel) -> dict[str, Any]:
        name = self._state.cast.bot.name if channel.is_im else channel.name
        return {"id": channel.id, "name": name, "is_im": channel.is_im}


def _message(message: Message) -> dict[str, Any]:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "private": message.to is not None,
        "text": message.text,
        "blocks": message.blocks,
        "edited": message.edited_at is not None,
        "user": message.user,
        "at": message.at,
    }


def _offered(ack: Ack) -> dict[str, Any]:
    return _told(ack) | {"options": [] if ack.error else options_of(ack.data)}


def _told(ack: Ack) -> dict[str, Any]:
    told: dict[str, Any] = {"status": ack.status, "seconds": round(ack.seconds, 4)}
    return told | ({"error": ack.error} if ack.error else {})
