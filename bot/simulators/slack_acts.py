"""People do things: they type commands, press, choose, fill in modals; Slack tells the bot and shows its answer."""

from typing import Any

from bot.simulators.slack_answers import Answers
from bot.simulators.slack_cast import Channel
from bot.simulators.slack_delivery import Ack, Deliveries, Sent
from bot.simulators.slack_payloads import (
    Choice,
    Values,
    answer_to,
    entered,
    find_element,
    missing,
    on_message,
    on_view,
    pressed,
    state_values,
    who,
)
from bot.simulators.slack_state import APP_ID, ImpossibleActError, Message, SlackState


class People:
    """The acts of the people in the cast; what Slack's clients do not offer them raises `ImpossibleActError`."""

    def __init__(self, state: SlackState, deliveries: Deliveries, answers: Answers) -> None:
        self._state = state
        self._cast = state.cast
        self._deliveries = deliveries
        self._answers = answers

    # ---- in channels ----

    async def command(self, user: str, channel: str, command: str, text: str = "") -> Ack:
        """Types a slash command and shows the answer, to this person or to the channel."""
        self._visible(user, channel)
        self._answers.close_modals(user)  # one cannot type behind a modal
        team = self._cast.people[user].team_id
        ack = await self._deliveries.form(
            {
                "token": "unused",
                "team_id": team,
                "team_domain": team.lower(),
                "channel_id": channel,
                "channel_name": self._cast.channel_name(channel),
                "user_id": user,
                "user_name": self._cast.people[user].name,
                "command": command,
                "text": text,
                "api_app_id": APP_ID,
                "is_enterprise_install": "false",
                "response_url": self._state.issue_response_url(user, channel),
                "trigger_id": self._state.issue_trigger(user),
            }
        )
        self._answers.to_command(user, channel, command, ack)
        return ack

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Writes a message, which Slack tells nobody but the people."""
        return self._state.add_message(self._visible(user, channel), user, {"text": text, "thread_ts": thread_ts})

    async def press(self, user: str, channel: str, ts: str, block_id: str, action_id: str) -> Ack:
        """Presses a button on a message."""
        return await self._act(user, channel, ts, block_id, action_id, value=None)

    async def choose(self, user: str, channel: str, ts: str, block_id: str, action_id: str, *, value: Choice) -> Ack:
        """Chooses on a message, options by their value; the choice is sent along with this person's later presses."""
        return await self._act(user, channel, ts, block_id, action_id, value=value)

    async def overflow(self, user: str, channel: str, ts: str, block_id: str, action_id: str, *, value: str) -> Ack:
        """Picks an entry of an overflow menu on a message."""
        return await self._act(user, channel, ts, block_id, action_id, value=value)

    async def _act(self, user: str, channel: str, ts: str, block_id: str, action_id: str, *, value: Choice) -> Ack:
        message = self._readable(user, channel, ts)
        element = find_element(message.blocks, block_id, action_id)
        answer = self._answer(user, f"{channel}/{ts}", (block_id, action_id), element, value)
        memory = self._state.chosen[user, f"{channel}/{ts}"]
        payload = {
            "type": "block_actions",
            **who(self._state, user),
            **on_message(self._state, message),
            "state": {"values": state_values(message.blocks, memory)},
            "actions": [pressed(element, block_id, answer, self._state.clock())],
            "trigger_id": self._state.issue_trigger(user),
            "response_url": self._state.issue_response_url(user, channel, ts),
        }
        return self._answers.to_press(user, await self._deliveries.payload(payload))

    def _answer(self, user: str, place: str, key: tuple[str, str], element: dict[str, Any], value: Choice) -> dict[str, Any]:
        if (element["type"] == "button") != (value is None):
            raise ImpossibleActError(f"a {element['type']} is not used like that")
        answer = answer_to(element, value, self._state.suggested.get((place, *key), []))
        if element["type"] not in ("button", "overflow"):
            self._state.chosen[user, place][key] = answer
        return answer

    async def shortcut(self, user: str, callback_id: str, channel: str, ts: str) -> Ack:
        """Uses a message shortcut."""
        message = self._readable(user, channel, ts)
        payload = {
            "type": "message_action",
            **who(self._state, user),
            "callback_id": callback_id,
            "action_ts": f"{self._state.clock():.6f}",
            "message_ts": ts,
            "message": self._state.describe_message(message),
            "channel": {"id": channel, "name": self._cast.channel_name(channel)},
            "trigger_id": self._state.issue_trigger(user),
            "response_url": self._state.issue_response_url(user, channel),
        }
        return self._answers.to_press(user, await self._deliveries.payload(payload))

    async def global_shortcut(self, user: str, callback_id: str) -> Ack:
        """Uses a global shortcut."""
        payload = {
            "type": "shortcut",
            **who(self._state, user),
            "callback_id": callback_id,
            "action_ts": f"{self._state.clock():.6f}",
            "trigger_id": self._state.issue_trigger(self._active(user)),
        }
        return self._answers.to_press(user, await self._deliveries.payload(payload))

    # ---- in views ----

    async def view_action(
        self, user: str, block_id: str, action_id: str, values: Values | None = None, value: Choice = None
    ) -> Ack:
        """Presses or chooses in the modal on top, or on the Home tab; `values` is what else was entered so far."""
        view = self._view_with(user, block_id, action_id)
        memory = self._state.chosen[user, view["id"]]
        memory.update(entered(view, values or {}, self._state.suggested))
        element = find_element(view["blocks"], block_id, action_id)
        answer = self._answer(user, view["id"], (block_id, action_id), element, value)
        payload = {
            "type": "block_actions",
            **who(self._state, user),
            **on_view(view, memory),
            "actions": [pressed(element, block_id, answer, self._state.clock())],
            "trigger_id": self._state.issue_trigger(user, in_view=view["type"] == "modal"),
        }
        return self._answers.to_press(user, await self._deliveries.payload(payload))

    async def submit(self, user: str, values: Values | None = None) -> Ack:
        """Submits the modal on top with what was entered, and does with the modal what the bot answers."""
        view = self._top(user)
        memory = self._state.chosen[user, view["id"]]
        memory.update(entered(view, values or {}, self._state.suggested))
        filled = on_view(view, memory)["view"]
        self._answers.show_errors(view, {})
        if wrong := missing(filled):
            self._answers.show_errors(view, wrong)
            return Ack(error=next(iter(wrong.values())))
        payload = {
            "type": "view_submission",
            **who(self._state, user),
            "view": filled,
            "response_urls": [],
            "trigger_id": self._state.issue_trigger(user, in_view=True),
        }
        return self._answers.to_submission(user, view, await self._deliveries.payload(payload))

    async def close_view(self, user: str) -> Ack:
        """Closes the modal on top; the bot hears of it only if the view asked for that."""
        view = self._top(user)
        filled = on_view(view, self._state.chosen[user, view["id"]])["view"]
        if view["clear_on_close"]:
            self._answers.close_modals(user)
        else:
            self._answers.close_modal(user, view)
        if not view["notify_on_close"]:
            return Ack(status=200)
        return await self._deliveries.payload(
            {"type": "view_closed", **who(self._state, user), "view": filled, "is_cleared": view["clear_on_close"]}
        )

    async def suggest(
        self, user: str, block_id: str, action_id: str, text: str, *, channel: str | None = None, ts: str | None = None
    ) -> Ack:
        """Types into an external select and keeps the options the bot offers, to be chosen from."""
        if channel and ts:
            message = self._readable(user, channel, ts)
            place, blocks, where = f"{channel}/{ts}", message.blocks, on_message(self._state, message)
        else:
            view = self._view_with(user, block_id, action_id)
            place, blocks, where = view["id"], view["blocks"], on_view(view, self._state.chosen[user, view["id"]])
        if find_element(blocks, block_id, action_id)["type"] not in ("external_select", "multi_external_select"):
            raise ImpossibleActError("only an external select asks for options")
        payload = {
            "type": "block_suggestion",
            **who(self._state, user),
            **where,
            "action_id": action_id,
            "block_id": block_id,
            "value": text,
        }
        ack = await self._deliveries.payload(payload)
        return self._answers.to_suggestion((place, block_id, action_id), ack)

    # ---- events ----

    async def event(self, **event: Any) -> Ack:
        """Sends an event; one the bot does not take is sent again at once, and with every `redeliver`."""
        return await self._deliveries.event({"event_ts": f"{self._state.clock():.6f}", **event})

    async def redeliver(self) -> list[Ack]:
        """Lets the minutes pass after which Slack tries undelivered events again."""
        return await self._deliveries.redeliver()

    async def open_home(self, user: str) -> Ack:
        """Opens the bot's Home tab."""
        direct = self._cast.direct(self._active(user)).id
        home = self._state.homes.get(user)
        return await self.event(
            type="app_home_opened", user=user, channel=direct, tab="home", **({"view": home} if home else {})
        )

    async def join(self, user: str, channel: str) -> Ack:
        """Joins a channel, or is let into it."""
        self._cast.channels[channel].members.append(user)
        return await self._membership("member_joined_channel", user, channel)

    async def leave(self, user: str, channel: str) -> Ack:
        """Leaves a channel."""
        self._cast.channels[channel].members.remove(user)
        return await self._membership("member_left_channel", user, channel)

    async def _membership(self, kind: str, user: str, channel: str) -> Ack:
        self._state.touch()
        return await self.event(type=kind, user=user, channel=channel, channel_type="C", team=self._cast.people[user].team_id)

    async def change_group(self, group: str, members: list[str]) -> Ack:
        """Sets who is in a user group."""
        before, self._cast.groups[group].members = self._cast.groups[group].members, members
        added, removed = [m for m in members if m not in before], [m for m in before if m not in members]
        return await self.event(
            type="subteam_members_changed",
            subteam_id=group,
            team_id=self._cast.team_id,
            date_previous_update=int(self._state.clock()),
            date_update=int(self._state.clock()),
            added_users=added,
            added_users_count=len(added),
            removed_users=removed,
            removed_users_count=len(removed),
        )

    async def replay(self, ack: Ack) -> Ack:
        """Sends a captured request again, byte for byte, as an attacker would."""
        return await self._deliveries.send(ack.sent)

    async def send(self, content: bytes, headers: dict[str, str]) -> Ack:
        """Sends bytes that need not be Slack's at all."""
        return await self._deliveries.send(Sent(content, headers))

    # ---- what a person can reach ----

    def _active(self, user: str) -> str:
        person = self._cast.people.get(user)
        if person is None or person.deleted or person.is_bot:
            raise ImpossibleActError(f"{user} cannot act")
        return user

    def _visible(self, user: str, channel: str) -> Channel:
        if channel not in self._cast.channels or not self._cast.sees(self._active(user), channel):
            raise ImpossibleActError(f"{user} does not see {channel}")
        return self._cast.channels[channel]

    def _readable(self, user: str, channel: str, ts: str) -> Message:
        self._visible(user, channel)
        message = self._state.find_message(channel, ts)
        if message is None or message.to not in (None, user):
            raise ImpossibleActError(f"{user} sees no message {ts} in {channel}")
        return message

    def _top(self, user: str) -> dict[str, Any]:
        if not self._state.views[self._active(user)]:
            raise ImpossibleActError(f"{user} has no modal open")
        return self._state.views[user][-1]

    def _view_with(self, user: str, block_id: str, action_id: str) -> dict[str, Any]:
        shown = self._state.views[self._active(user)][-1:] or [each for each in [self._state.homes.get(user)] if each]
        if not shown:
            raise ImpossibleActError(f"{user} has no view open")
        find_element(shown[0]["blocks"], block_id, action_id)
        return shown[0]
