"""The app's manifest names what exists, and Slack's schema takes it."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from bot.domain.errors import Refusal
from bot.slack.api import NEEDED_SCOPES
from bot.slack.orders import RESUME, START, parse_order
from bot.slack.payloads import RESUME_ANY, RESUME_THIS, OtherEvent, read_event

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT.parent / "shared/contracts/slack_manifest.schema.json"


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The manifest as Slack reads it."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    return read


def test_slacks_schema_takes_the_manifest(manifest: dict[str, Any]) -> None:
    if not SCHEMA.exists():
        pytest.skip("Slack's manifest schema is not beside this checkout")

    jsonschema.validate(manifest, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_slacks_schema_takes_the_manifest_for_socket_mode() -> None:
    if not SCHEMA.exists():
        pytest.skip("Slack's manifest schema is not beside this checkout")
    lines = (ROOT / "manifest.yml").read_text(encoding="utf-8").splitlines()
    addresses = [line for line in lines if "YOUR-HOST" in line and not line.startswith("#")]

    text = "\n".join(line for line in lines if line not in addresses)
    changed = yaml.safe_load(text.replace("socket_mode_enabled: false", "socket_mode_enabled: true"))

    assert len(addresses) == 4  # as its first lines say
    assert changed["settings"]["socket_mode_enabled"] is True
    jsonschema.validate(changed, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_the_manifest_names_the_commands_we_understand(manifest: dict[str, Any]) -> None:
    named = [command["command"] for command in manifest["features"]["slash_commands"]]

    assert named == [RESUME, START]
    for command in named:
        parse_order(command, "help")
    with pytest.raises(Refusal):
        parse_order("/another", "help")


def test_the_manifest_names_the_shortcuts_we_understand(manifest: dict[str, Any]) -> None:
    shortcuts = {shortcut["callback_id"]: shortcut["type"] for shortcut in manifest["features"]["shortcuts"]}

    assert shortcuts == {RESUME_THIS: "message", RESUME_ANY: "global"}


def test_the_manifest_subscribes_to_the_events_we_understand(manifest: dict[str, Any]) -> None:
    fields = {"user": "U1", "tab": "home", "subteam_id": "S1", "channel": "C1"}

    for name in manifest["settings"]["event_subscriptions"]["bot_events"]:
        read = read_event({"event_id": "Ev1", "event": {"type": name} | fields})
        assert not isinstance(read, OtherEvent)


def test_all_of_slack_comes_to_one_address(manifest: dict[str, Any]) -> None:
    settings = manifest["settings"]
    addresses = {command["url"] for command in manifest["features"]["slash_commands"]}
    addresses |= {settings["interactivity"]["request_url"], settings["event_subscriptions"]["request_url"]}

    assert addresses == {"https://YOUR-HOST/slack/events"}


def test_the_live_check_wants_the_scopes_that_the_manifest_asks_for(manifest: dict[str, Any]) -> None:
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == NEEDED_SCOPES
