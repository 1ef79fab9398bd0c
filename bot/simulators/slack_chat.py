"""The methods `chat.*`, and what comes back through a `response_url`: everything that puts words into a channel."""

from typing import Any, Final

from bot.simulators.slack_blocks import REFUSED_TEXT, faults_in_blocks, remarks_on_message, text_length
from bot.simulators.slack_cast import Channel
from bot.simulators.slack_limits import SPECIAL, TIER_3, TIER_4
from bot.simulators.slack_methods import Answer, Args, Kind, Method
from bot.simulators.slack_state import ApiError, Message, SlackState, Ticket

_CONTENT: Final = {"text": Kind.TEXT, "blocks": Kind.LIST}
_FLAGS: Final = {"link_names": Kind.FLAG, "parse": Kind.TEXT}
_THREADED: Final = {"thread_ts": Kind.TEXT}
_RESPONSE: Final = frozenset(
    {
        "text",
        "blocks",
        "response_type",
        "replace_original",
        "delete_original",
        "thread_ts",
        "mrkdwn",
        "unfurl_links",
        "unfurl_media",
    }
)


class Chat:
    """Posts, edits and deletes the bot's messages under Slack's rules."""

    def __init__(self, state: SlackState, *, posts_anywhere: bool) -> None:
        self._state = state
        self._cast = state.cast
        self._posts_anywhere = posts_anywhere

    def methods(self) -> dict[str, Method]:
        """The rows of the table."""
        write = ("chat:write",)
        place = {"channel": Kind.TEXT, "ts": Kind.TEXT}
        unfurl = {"unfurl_links": Kind.FLAG, "unfurl_media": Kind.FLAG, "mrkdwn": Kind.FLAG}
        extra = {"metadata": Kind.OBJECT, "reply_broadcast": Kind.FLAG}
        return {
            "chat.postMessage": Method(
                self._post, SPECIAL, write, {"channel": Kind.TEXT}, _CONTENT | _FLAGS | _THREADED | unfurl | extra
            ),
            "chat.postEphemeral": Method(
                self._whisper, TIER_4, write, {"channel": Kind.TEXT, "user": Kind.TEXT}, _CONTENT | _FLAGS | _THREADED
            ),
            "chat.update": Method(self._update, TIER_3, write, place, _CONTENT | _FLAGS | extra),
            "chat.delete": Method(self._delete, TIER_3, write, place),
            "chat.getPermalink": Method(self._permalink, SPECIAL, (), {"channel": Kind.TEXT, "message_ts": Kind.TEXT}),
        }

    # ---- methods ----

    def _post(self, args: Args) -> Answer:
        channel = self._writable(args["channel"])
        self._check_thread(channel, args)
        self.check_content(args)
        message = self._state.add_message(channel, self._cast.bot.id, args)
        return {"channel": channel.id, "ts": message.ts, "message": self._state.describe_message(message)}

    def _whisper(self, args: Args) -> Answer:
        channel = self._writable(args["channel"])
        if args["user"] not in channel.members:
            raise ApiError("user_not_in_channel")
        self._check_thread(channel, args)
        self.check_content(args)
        return {"message_ts": self._state.add_message(channel, self._cast.bot.id, args, to=args["user"]).ts}

    def _update(self, args: Args) -> Answer:
        message = self._own(args, "cant_update_message")
        if self._cast.channels[message.channel].is_archived:
            raise ApiError("is_inactive")
        self.check_content({"text": message.text} | args)
        self._state.edit_message(message, args)
        shown = self._state.describe_message(message)
        return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}

    def _delete(self, args: Args) -> Answer:
        message = self._own(args, "cant_delete_message")
        self._state.remove_message(message)
        return {"channel": message.channel, "ts": message.ts}

    def _permalink(self, args: Args) -> Answer:
        self._channel(args["channel"])
        message = self._state.find_message(args["channel"], args["message_ts"])
        if message is None or message.to:
            raise ApiError("message_not_found")
        link = f"{self._state.public_url}/archives/{message.channel}/p{message.ts.replace('.', '')}"
        thread = f"?thread_ts={message.thread_ts}&cid={message.channel}" if message.thread_ts else ""
        return {"channel": message.channel, "permalink": link + thread}

    # ---- response_url ----

    def respond(self, ticket: Ticket, body: dict[str, Any]) -> None:
        """Acts on what the bot posted to a `response_url`: private to the person unless it says otherwise."""
        self._check_response(body)
        original = self._state.find_message(ticket.channel, ticket.ts) if ticket.ts else None
        if body.get("delete_original"):
            if original:
                self._state.remove_message(original)
            return
        self.check_content(body)
        if body.get("replace_original") and original:
            self._state.edit_message(original, {"text": body.get("text", ""), "blocks": body.get("blocks", [])})
        else:
            self.answer(ticket.user, self._cast.channels[ticket.channel], body)

    def answer(self, user: str, channel: Channel, body: dict[str, Any]) -> None:
        """Shows the answer to an act: to this person, or to the channel if it asks for that."""
        to = None if body.get("response_type") == "in_channel" else user
        self._state.add_message(channel, self._cast.bot.id, body, to=to)

    def _check_response(self, body: dict[str, Any]) -> None:
        unknown = [key for key in body if key not in _RESPONSE]
        flags = [body.get(key, False) for key in ("replace_original", "delete_original")]
        sound = isinstance(body.get("text", ""), str) and isinstance(body.get("blocks", []), list)
        kind = body.get("response_type", "ephemeral")
        if unknown or not sound or any(not isinstance(flag, bool) for flag in flags) or kind not in ("ephemeral", "in_channel"):
            self._state.break_rule(f"response_url: cannot read {sorted(unknown) or 'its fields'}")
            raise ApiError("invalid_payload")

    # ---- rules ----

    def check_content(self, content: dict[str, Any]) -> None:
        """Refuses what Slack does not take as the text and blocks of a message; notes what a careful bot leaves out."""
        blocks = content.get("blocks") or []
        if not blocks and not content.get("text"):
            self._state.break_rule("message: no text")
            raise ApiError("no_text")
        if not isinstance(content.get("text") or "", str):
            self._state.break_rule("message: text is not a string")
            raise ApiError("invalid_arguments", "[ERROR] text must be a string")
        if faults := faults_in_blocks(blocks):
            self._state.broken += [f"message: {fault}" for fault in faults]
            raise ApiError("invalid_blocks", *(f"[ERROR] {fault}" for fault in faults))
        self._state.broken += [f"message: {remark}" for remark in remarks_on_message(content)]
        if text_length(blocks) > REFUSED_TEXT:
            raise ApiError("msg_blocks_too_long")
        self._check_metadata(content.get("metadata"))

    def _check_metadata(self, metadata: dict[str, Any] | None) -> None:
        if metadata is None:
            return
        sound = isinstance(metadata.get("event_type"), str) and isinstance(metadata.get("event_payload"), dict)
        if not sound or set(metadata) != {"event_type", "event_payload"}:
            self._state.break_rule("message: metadata is not an event_type with an event_payload")
            raise ApiError("invalid_metadata_format")

    def _check_thread(self, channel: Channel, args: Args) -> None:
        if args.get("reply_broadcast") and not args.get("thread_ts"):
            raise ApiError("invalid_arguments", "[ERROR] reply_broadcast needs thread_ts")
        if not args.get("thread_ts"):
            return
        parent = self._state.find_message(channel.id, args["thread_ts"])
        if parent is None or parent.thread_ts or parent.to:
            raise ApiError("thread_not_found")

    def _channel(self, channel_id: str) -> Channel:
        """The channel, if the bot may know of it."""
        channel = self._cast.channels.get(channel_id)
        if channel is None or (channel.is_private and self._cast.bot.id not in channel.members):
            raise ApiError("channel_not_found")
        return channel

    def _writable(self, channel_id: str) -> Channel:
        person = self._cast.people.get(channel_id)
        if person:
            if person.is_bot or person.deleted:
                raise ApiError("cannot_dm_bot" if person.is_bot else "channel_not_found")
            return self._cast.direct(person.id)
        channel = self._channel(channel_id)
        if channel.is_archived:
            raise ApiError("is_archived")
        if self._cast.bot.id not in channel.members and not self._posts_anywhere:
            raise ApiError("not_in_channel")
        return channel

    def _own(self, args: Args, error: str) -> Message:
        self._channel(args["channel"])
        message = self._state.find_message(args["channel"], args["ts"])
        if message is None or message.to:
            raise ApiError("message_not_found")
        if message.user != self._cast.bot.id:
            raise ApiError(error)
        return message
