"""What configuration promises: read once, checked whole, every fault a sentence that helps, no secret shown."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.config import Settings, load
from bot.config_tables import Rate
from bot.domain.errors import ConfigError
from bot.domain.policy import Policy
from bot.domain.setup import ConnectionInfo, Route, Timings

TOML = """\
[slack]
audit_channel = "C0AUDIT"

[[connections]]
name = "orders"
engine = "restate"
admin_url = "http://127.0.0.1:9070"
token = "env:ORDERS_TOKEN"
hook_secret = "file:hook.txt"
poll_seconds = 20
environment = "production"
rate = "30/min"

[[routes]]
match = { connection = "orders", name = ["Checkout*", "Basket*"] }
channel = "C0DEPLOYS"
viewers = ["S0SUPPORT"]

[[routes]]
channel = "G0REST"

[[policies]]
name = "production"
match = { connection = "ord*", environment = "production", action = "resume" }
requesters = ["S0DEVS"]
approvers = ["S0RELEASE", "U0LEAD"]
approvals = 2
self_approval = true
expires = "90s"
reason = true
"""
ENVIRON = {
    "ORDERS_TOKEN": "token-of-orders",
    "DATABASE_URL": "postgres://bot:geheim%40@db.example.com/resume?sslmode=require",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_SIGNING_SECRET": "old-signing, new-signing",
    "METRICS_TOKEN": "metrics-token",
}
Load = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Load:
    """Read a file of this text, in an environment."""

    def read(text: str = TOML, environ: Mapping[str, str] = ENVIRON) -> Settings:
        (tmp_path / "resumebot.toml").write_text(text, encoding="utf-8")
        (tmp_path / "hook.txt").write_text("old-hook,new-hook\n", encoding="utf-8")
        return load(environ, cwd=tmp_path)

    return read


def test_the_file_becomes_what_the_core_knows(read: Load) -> None:
    setup = read().setup("T0", Timings(silence=5))

    assert setup.connections == {"orders": ConnectionInfo("orders", "restate", "Restate", 20, "production", {})}
    assert setup.routes == (
        Route({"connection": ("orders",), "name": ("Checkout*", "Basket*")}, "C0DEPLOYS", ("S0SUPPORT",)),
        Route({}, "G0REST"),
    )
    match = {"connection": ("ord*",), "environment": ("production",), "action": ("resume",)}
    policy = Policy("production", match, ("S0DEVS",), ("S0RELEASE", "U0LEAD"), 2, True, timedelta(seconds=90), True)
    assert setup.policies == (policy,)
    assert (setup.workspace, setup.audit_channel, setup.timings.silence) == ("T0", "C0AUDIT", 5)


def test_secrets_are_resolved_and_do_not_print(read: Load) -> None:
    settings = read()

    (connection,) = settings.connections
    assert connection.token
    assert connection.token.get_secret_value() == "token-of-orders"
    assert [secret.get_secret_value() for secret in connection.hook_secrets] == ["old-hook", "new-hook"]
    assert [secret.get_secret_value() for secret in settings.slack_signing_secrets] == ["old-signing", "new-signing"]
    shown = f"{settings!r} {settings} {list(settings.printed())} {settings.model_dump_json()}"
    hidden = settings.secrets()
    assert len(hidden) == 8
    assert not [secret for secret in hidden if secret in shown]


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    settings = load({}, cwd=tmp_path)

    assert settings.is_empty
    assert (settings.file, settings.database_url, settings.data) == (None, None, tmp_path / ".resumebot")
    assert (settings.host, settings.port, settings.log_level, settings.log_format) == ("127.0.0.1", 3000, "info", "console")
    assert (settings.slack_api_url, settings.play_open, settings.data_is_chosen) == ("https://slack.com/api/", True, False)
    assert settings.setup("T0").connections == {}


def test_a_policy_that_says_nothing_is_as_strict_as_the_built_in_one(read: Load) -> None:
    (policy,) = read('[[policies]]\nname = "all"').policies

    assert policy == Policy("all")
    assert (policy.approvals, policy.self_approval, policy.expires) == (1, False, timedelta(minutes=60))


def test_settings_cannot_be_changed(read: Load) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read().port = 1  # type: ignore[misc]


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    settings = load({"PORT": "", "DATABASE_URL": " ", "RESUMEBOT_CONFIG": ""}, cwd=tmp_path)

    assert (settings.port, settings.database_url, settings.file) == (3000, None, None)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_database_address_of_any_usual_form_is_taken(tmp_path: Path, scheme: str) -> None:
    settings = load({"DATABASE_URL": f"{scheme}://u:p@h:5432/d?sslmode=require"}, cwd=tmp_path)

    assert settings.database_url
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://u:p@h:5432/d?sslmode=require"


def test_the_slack_address_ends_with_one_slash(tmp_path: Path) -> None:
    assert load({"SLACK_API_URL": "http://127.0.0.1:9/api"}, cwd=tmp_path).slack_api_url == "http://127.0.0.1:9/api/"


def test_on_a_platform_the_world_is_served_and_its_disk_not_trusted(tmp_path: Path) -> None:
    settings = load({"DYNO": "web.1"}, cwd=tmp_path)

    assert settings.host == "0.0.0.0"  # noqa: S104
    with pytest.raises(ConfigError, match="On Heroku the disk goes with it: set DATABASE_URL, or RESUMEBOT_DATA"):
        settings.data_folder()
    chosen = load({"DYNO": "web.1", "RESUMEBOT_DATA": "kept"}, cwd=tmp_path)
    assert chosen.data_folder() == tmp_path / "kept"


def test_all_that_is_missing_to_speak_with_slack_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"SLACK_BOT_TOKEN .* and SLACK_SIGNING_SECRET .*, or SLACK_APP_TOKEN"):
        load({}, cwd=tmp_path).demand_slack()

    load({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}, cwd=tmp_path).demand_slack()
    load({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"}, cwd=tmp_path).demand_slack()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[slack]", "[slak]", "resumebot.toml: there is no table “slak”; did you mean “slack”?"),
        (
            "audit_channel",
            "audit_chanel",
            "resumebot.toml, [slack]: there is no key “audit_chanel”; did you mean “audit_channel”?",
        ),
        ("admin_url", "admin_ulr", "[[connections]] “orders”: there is no key “admin_ulr”; did you mean “admin_url”?"),
        ("poll_seconds", "poll_secs", "[[connections]] “orders”: there is no key “poll_secs”; did you mean “poll_seconds”?"),
        ("approvals", "approval", "[[policies]] “production”: there is no key “approval”; did you mean “approvals”?"),
        ("viewers", "zzz", "[[routes]] number 1: there is no key “zzz”."),
        ('action = "resume"', 'stge = "x"', "match: nothing can be matched by “stge”; did you mean “stage”?"),
        (
            'match = { connection = "orders", name',
            'match = { connection = "orders", stage',
            "nothing can be matched by “stage”",
        ),
        (
            '"resume"',
            '"resum"',
            "match: there is no action “resum”; did you mean “resume”? Known are resume, restart, start and kill.",
        ),
        ('admin_url = "http://127.0.0.1:9070"\n', "", "[[connections]] “orders”: the key “admin_url” is missing."),
        ("http://127.0.0.1:9070", "127.0.0.1:9070", "admin_url: must be an address that begins with http:// or https://"),
        ('name = "orders"\n', "", "[[connections]] number 1: the key “name” is missing."),
        ('channel = "G0REST"', "", "[[routes]] number 2: the key “channel” is missing."),
        ("G0REST", "#rest", "[[routes]] number 2, channel: write the channel's id, such as “C0DEPLOYS”"),
        (
            '"restate"',
            '"restat"',
            "engine: There is no engine “restat”; known are: digdag, harness_firstgen, harness_nextgen, restate.",
        ),
        ("env:ORDERS_TOKEN", "env:NOT_THERE", "token: set the environment variable NOT_THERE, it is not set."),
        ("env:ORDERS_TOKEN", "plain-secret", "token: secrets do not stand in this file: write “env:NAME” or “file:PATH”."),
        ("file:hook.txt", "file:nothere", "nothere cannot be read: make it, or correct the path."),
        ("30/min", "30/fortnight", "rate: write calls per second, minute or hour, such as “30/min”"),
        ("30/min", "0/s", "rate: write calls per second, minute or hour"),
        ('"90s"', "90", "expires: write a time such as “60m”, “2h” or “90s”."),
        ("90s", "0s", "expires: write a time such as"),
        ("90s", "8d", "expires: at most 7 days"),
        ("approvals = 2", 'approvals = "2"', "approvals: it should be a valid integer."),
        ("approvals = 2", "approvals = true", "approvals: it should be a valid integer."),
        ("approvals = 2", "approvals = -1", "approvals: it should be greater than or equal to 0."),
        ("self_approval = true", "self_approval = 1", "self_approval: it should be a valid boolean."),
        ('"U0LEAD"', '"@lead"', "approvers: “@lead” names nobody: write a user's id (U…), a user group's id (S…), “channel”"),
        ('["Checkout*", "Basket*"]', "[]", "[[routes]] number 1, match: “name” lists nothing, so it would match nothing."),
        ('["S0DEVS"]', "[7]", "requesters: write a text, or a list of texts in brackets."),
        ('name = "orders"', 'name = "HTTP"', "name: “HTTP” begins links and ids that people paste; choose another."),
        ('name = "orders"', 'name = "1st"', "name: begin with a letter"),
        ('name = "orders"', 'name = "a b"', "name: begin with a letter"),
        ('name = "production"', 'name = ""', "name: it should have at least 1 character."),
        (
            'environment = "production"',
            'environment = "p"\nenvironments = { "x*" = "q" }',
            "set either environment or environments",
        ),
        ("poll_seconds = 20", "poll_seconds = 20.5", "poll_seconds: it should be a valid integer."),
        ("[[routes]]", "[routes]", "not valid TOML"),
        ("[slack]", "[[slack]]", "[slack]: it should be a valid dictionary"),
        ("[slack]", "[slack", "resumebot.toml is not valid TOML: Expected ']' at the end of a table declaration (at line 1"),
        (
            "[[policies]]",
            '[[policies]]\nname = "production"\n[[policies]]',
            "[[policies]]: the name “production” is given twice",
        ),
    ],
)
def test_a_fault_in_the_file_is_said_in_a_sentence(read: Load, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as fault:
        read(TOML.replace(old, new, 1))

    assert sentence in str(fault.value)
    assert str(fault.value).startswith("resumebot.toml")
    assert "plain-secret" not in str(fault.value)


def test_tables_that_may_repeat_stand_in_double_brackets(read: Load) -> None:
    with pytest.raises(ConfigError, match=r"begin each of the routes with a line \[\[routes\]\]"):
        read('[routes]\nchannel = "C0X"')


def test_two_connections_of_one_name_are_refused_whatever_their_case(read: Load) -> None:
    text = TOML + TOML.partition("[[connections]]")[1] + '\nname = "Orders"\nengine = "restate"\nadmin_url = "http://h"\n'

    with pytest.raises(ConfigError, match=r"\[\[connections\]\]: the name “orders” is given twice"):
        read(text)


def test_routes_to_one_channel_name_the_same_viewers(read: Load) -> None:
    route = '[[routes]]\nmatch = {{ connection = "{}" }}\nchannel = "C0X"\nviewers = [{}]\n'

    both = read(route.format("a", '"S0A", "S0B"') + route.format("b", '"S0B", "S0A"'))
    with pytest.raises(ConfigError, match="the routes to C0X name different viewers"):
        read(route.format("a", '"S0A"') + route.format("b", ""))

    assert len(both.routes) == 2


@pytest.mark.parametrize("secret", ["a,b,c", ",", " , "])
def test_a_hook_has_one_secret_or_two(read: Load, secret: str) -> None:
    with pytest.raises(ConfigError, match="hook_secret: one secret, or while it is being changed two"):
        read(TOML.replace("file:hook.txt", "env:HOOK"), {**ENVIRON, "HOOK": secret})


def test_an_empty_secret_file_is_refused(read: Load, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")

    with pytest.raises(ConfigError, match="is empty: write the secret into it"):
        read(TOML.replace("file:hook.txt", "file:empty"))


def test_the_engine_takes_its_own_keys_and_no_token_where_it_knows_none(read: Load) -> None:
    (connection,) = read('[[connections]]\nname = "d"\nengine = "digdag"\nbase_url = "https://td.example.com"').connections

    assert connection.token is None
    assert connection.settings.model_dump()["base_url"] == "https://td.example.com"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"RESUMEBOT_CONFIG": "nowhere.toml"}, "RESUMEBOT_CONFIG names .*nowhere.toml, and there is no such file"),
        ({"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL has to look like postgresql://user:password@host:5432/database"),
        ({"DATABASE_URL": "postgres://u:geheim@h:port/d"}, "DATABASE_URL has to look like postgresql://"),
        ({"MIGRATE_DATABASE_URL": "h/d"}, "MIGRATE_DATABASE_URL has to look like postgresql://"),
        ({"PORT": "http"}, "PORT has to be a number from 0 to 65535"),
        ({"PORT": "65536"}, "PORT has to be a number"),
        ({"PORT": "²"}, "PORT has to be a number"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL has to be debug, info, warning, error or critical"),
        ({"LOG_FORMAT": "jsn"}, "LOG_FORMAT has to be console or json; did you mean “json”?"),
        ({"SLACK_API_URL": "slack.com/api"}, "SLACK_API_URL has to look like https://slack.com/api/"),
        ({"SLACK_SIGNING_SECRET": "a,b,c"}, "SLACK_SIGNING_SECRET holds one secret, or while it is being changed two"),
        ({"SLACK_BOT_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN wants the token that begins with xoxb-"),
        ({"SLACK_APP_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN the one with xapp-"),
    ],
)
def test_a_fault_in_the_environment_is_said_in_a_sentence(tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as fault:
        load(environ, cwd=tmp_path)

    assert "geheim" not in str(fault.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_bytes(b'name = "\xff"')

    with pytest.raises(ConfigError, match=r"resumebot.toml is not UTF-8 text \(byte 8\)"):
        load({}, cwd=tmp_path)


def test_a_named_file_is_read_and_its_secrets_lie_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "bot.toml").write_text(
        '[[connections]]\nname = "a"\nengine = "restate"\nadmin_url = "http://h"\ntoken = "file:t"'
    )
    (folder / "t").write_text("from-the-file\n")

    settings = load({"RESUMEBOT_CONFIG": "etc/bot.toml"}, cwd=tmp_path)

    assert settings.connections[0].token
    assert settings.connections[0].token.get_secret_value() == "from-the-file"


@pytest.mark.parametrize(("calls", "seconds"), [(1, 60), (2, 1), (30, 60), (600, 3600)])
def test_a_rate_is_never_exceeded_by_what_was_saved_up(calls: int, seconds: int) -> None:
    rate = Rate(calls, seconds)

    assert rate.burst >= 1
    assert rate.a_second > 0
    assert rate.burst + rate.a_second * seconds <= max(calls, 2)
