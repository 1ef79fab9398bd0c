"""The methods `views.*`: a person's stack of modals and their Home tab."""

from typing import Any, Final

from bot.simulators.slack_blocks import faults_in_view, is_too_large, remarks_on_blocks
from bot.simulators.slack_limits import TIER_4
from bot.simulators.slack_methods import Answer, Args, Kind, Method
from bot.simulators.slack_state import APP_ID, BOT_ID, ApiError, SlackState

STACK: Final = 3


class Views:
    """Opens, pushes and replaces views under Slack's rules."""

    def __init__(self, state: SlackState) -> None:
        self._state = state

    def methods(self) -> dict[str, Method]:
        """The rows of the table."""
        opening = {"trigger_id": Kind.TEXT, "view": Kind.OBJECT}
        naming = {"view_id": Kind.TEXT, "external_id": Kind.TEXT, "hash": Kind.TEXT}
        return {
            "views.open": Method(self._open, TIER_4, (), opening),
            "views.push": Method(self._push, TIER_4, (), opening),
            "views.update": Method(self._update, TIER_4, (), {"view": Kind.OBJECT}, naming),
            "views.publish": Method(
                self._publish, TIER_4, (), {"user_id": Kind.TEXT, "view": Kind.OBJECT}, {"hash": Kind.TEXT}
            ),
        }

    # ---- methods ----

    def _open(self, args: Args) -> Answer:
        trigger = self._state.spend_trigger(args["trigger_id"])
        self._check(args["view"], "modal")
        self.close_all(trigger.user)
        return {"view": self._show(trigger.user, args["view"])}

    def _push(self, args: Args) -> Answer:
        trigger = self._state.spend_trigger(args["trigger_id"])
        if not trigger.in_view or not self._state.views[trigger.user]:
            raise ApiError("invalid_trigger_id")
        return {"view": self.push(trigger.user, args["view"])}

    def _update(self, args: Args) -> Answer:
        named = [(key, args[arg]) for key, arg in (("id", "view_id"), ("external_id", "external_id")) if args.get(arg)]
        if len(named) != 1:
            raise ApiError("invalid_arguments", "[ERROR] exactly one of view_id and external_id")
        [(key, wanted)] = named
        for user, stack in self._state.views.items():
            for view in stack:
                if view[key] == wanted:
                    return {"view": self.replace(user, view, args["view"], args.get("hash"))}
        raise ApiError("not_found")

    def _publish(self, args: Args) -> Answer:
        user = args["user_id"]
        if user not in self._state.cast.people:
            raise ApiError("user_not_found")
        self._check(args["view"], "home")
        before = self._state.homes.get(user)
        _check_hash(before, args.get("hash"))
        home = self._complete(args["view"], before["id"] if before else self._state.new_id("V"))
        self._state.homes[user] = home
        self._state.touch()
        return {"view": home}

    # ---- the stack, also for answers to a submission ----

    def push(self, user: str, view: dict[str, Any]) -> dict[str, Any]:
        """Puts a view on top of the person's stack, which holds three."""
        if len(self._state.views[user]) >= STACK:
            raise ApiError("push_limit_reached")
        self._check(view, "modal")
        return self._show(user, view)

    def replace(self, user: str, old: dict[str, Any], view: dict[str, Any], seen: str | None = None) -> dict[str, Any]:
        """Puts a view in the place of another, unless that changed since the bot saw it."""
        self._check(view, "modal", old)
        _check_hash(old, seen)
        stack = self._state.views[user]
        kept = {key: old[key] for key in ("previous_view_id", "root_view_id")}
        # Without an external id of its own the new content stays reachable under the old one.
        content = ({"external_id": old["external_id"]} if old["external_id"] else {}) | view
        stack[stack.index(old)] = self._complete(content, old["id"]) | kept
        self._state.errors.pop(old["id"], None)
        self._state.touch()
        return next(each for each in stack if each["id"] == old["id"])

    def find(self, user: str, view_id: str) -> dict[str, Any] | None:
        """The view of this id as it stands now, if the person still has it open."""
        return next((view for view in self._state.views[user] if view["id"] == view_id), None)

    def close(self, user: str, view: dict[str, Any]) -> None:
        """Takes a view away, which shows the one below."""
        self._state.views[user].remove(view)
        self._state.errors.pop(view["id"], None)
        self._state.chosen.pop((user, view["id"]), None)
        self._state.touch()

    def close_all(self, user: str) -> None:
        """Takes the whole stack away."""
        while self._state.views[user]:
            self.close(user, self._state.views[user][-1])

    def _show(self, user: str, view: dict[str, Any]) -> dict[str, Any]:
        stack = self._state.views[user]
        shown = self._complete(view, self._state.new_id("V"))
        shown["previous_view_id"] = stack[-1]["id"] if stack else None
        shown["root_view_id"] = stack[0]["id"] if stack else shown["id"]
        stack.append(shown)
        self._state.touch()
        return shown

    def _complete(self, view: dict[str, Any], view_id: str) -> dict[str, Any]:
        team = self._state.cast.team_id
        frame: dict[str, Any] = {
            "id": view_id,
            "team_id": team,
            "app_id": APP_ID,
            "app_installed_team_id": team,
            "bot_id": BOT_ID,
            "hash": self._state.new_id("") + ".hash",
            "previous_view_id": None,
            "root_view_id": view_id,
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "state": {"values": {}},
            "title": {"type": "plain_text", "text": "View Title", "emoji": True},
            "submit": None,
            "close": None,
            "clear_on_close": False,
            "notify_on_close": False,
        }
        return frame | view | {"blocks": self._state.named(view["blocks"])}

    # ---- rules ----

    def _check(self, view: dict[str, Any], kind: str, replaced: dict[str, Any] | None = None) -> None:
        if is_too_large(view):
            self._state.break_rule(f"{kind}: above 250 kB")
            raise ApiError("view_too_large")
        if faults := faults_in_view(view, kind):
            self._state.broken += [f"{kind}: {fault}" for fault in faults]
            raise ApiError("invalid_arguments", *(f"[ERROR] {fault}" for fault in faults))
        self._state.broken += [f"{kind}: {remark}" for remark in remarks_on_blocks(view["blocks"])]
        everybody = [each for stack in self._state.views.values() for each in stack if each is not replaced]
        if view.get("external_id") and any(each["external_id"] == view["external_id"] for each in everybody):
            raise ApiError("duplicate_external_id")


def _check_hash(view: dict[str, Any] | None, seen: str | None) -> None:
    if seen and (view is None or view["hash"] != seen):
        raise ApiError("hash_conflict")
