"""Everything that is configured: read once from the environment and one TOML file, by this module alone.

environment ──┐
              ├─▶ load ─▶ Settings (frozen; secrets do not print) ─▶ setup(workspace) ─▶ the core's Setup
resumebot.toml┘
"""

import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bot.config_tables import (
    Connection,
    PolicyTable,
    RouteTable,
    SecretSource,
    SlackTable,
    read,
    read_connection,
)
from bot.domain.errors import ConfigError
from bot.domain.policy import Policy
from bot.domain.setup import Route, Setup, Timings
from bot.domain.text import listed, nearest

DEFAULT_FILE = "resumebot.toml"
DEFAULT_DATA = ".resumebot"
SLACK_API = "https://slack.com/api/"
LEVELS = ("debug", "info", "warning", "error", "critical")
FORMS = ("console", "json")
TABLES = ("slack", "connections", "routes", "policies")
# variables that only platforms set whose disks are lost with the process
THROWAWAY_DISKS = {
    "DYNO": "Heroku",
    "K_SERVICE": "Cloud Run",
    "RENDER": "Render",
    "FLY_MACHINE_ID": "Fly",
    "RAILWAY_ENVIRONMENT": "Railway",
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
    "ECS_CONTAINER_METADATA_URI_V4": "Amazon ECS",
    "WEBSITE_INSTANCE_ID": "Azure App Service",
}


class Settings(BaseModel):
    """What an installation is told; made by `load`, changed only by `model_copy`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    file: Path | None = None  # the configuration file, where there is one
    database_url: SecretStr | None = None  # as SQLAlchemy takes it; None: the embedded database in `data`
    migrate_database_url: SecretStr | None = None  # of the owner of the tables, where that is another role
    data: Path = Path(DEFAULT_DATA)
    data_is_chosen: bool = False
    platform: str | None = None  # whose disks are lost with the process
    slack_bot_token: SecretStr | None = None
    slack_signing_secrets: tuple[SecretStr, ...] = ()
    slack_app_token: SecretStr | None = None
    slack_api_url: str = SLACK_API
    host: str = "127.0.0.1"
    port: int = 3000
    metrics_token: SecretStr | None = None
    log_level: str = "info"
    log_format: str = "console"
    play_open: bool = True
    audit_channel: str | None = None
    connections: tuple[Connection, ...] = ()
    routes: tuple[Route, ...] = ()
    policies: tuple[Policy, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing that makes a bot was set."""
        tokens = self.slack_bot_token or self.slack_signing_secrets or self.slack_app_token
        return not (tokens or self.connections or self.routes or self.policies)

    def setup(self, workspace: str, timings: Timings | None = None) -> Setup:
        """The same as the core knows it, for one Slack workspace."""
        return Setup(
            workspace=workspace,
            connections={connection.name: connection.info for connection in self.connections},
            routes=self.routes,
            policies=self.policies,
            audit_channel=self.audit_channel,
            timings=timings or Timings(),
        )

    def demand_slack(self) -> None:
        """Raises ConfigError, naming all that is missing, unless we can speak with Slack and know it when it calls."""
        missing = []
        if self.slack_bot_token is None:
            missing.append("SLACK_BOT_TOKEN (the app's page, OAuth & Permissions)")
        if not self.slack_signing_secrets and self.slack_app_token is None:
            missing.append(
                "SLACK_SIGNING_SECRET (the app's page, Basic Information), or SLACK_APP_TOKEN (there too, App-Level Tokens)"
                " to do without a public address"
            )
        if missing:
            raise ConfigError(f"Slack is not connected: set {listed(missing)}.")

    def demand_database(self) -> SecretStr:
        """The address of a database of one's own; raises ConfigError where there is none."""
        if self.database_url is None:
            raise ConfigError("Set DATABASE_URL: web and worker are processes of their own and share a PostgreSQL of yours.")
        return self.database_url

    def data_folder(self) -> Path:
        """Where the embedded database lives; raises ConfigError where it would be lost with the process."""
        if self.platform and not self.data_is_chosen:
            raise ConfigError(
                f"On {self.platform} the disk goes with it: set DATABASE_URL, or RESUMEBOT_DATA to a folder that lasts."
            )
        return self.data

    def secrets(self) -> list[str]:
        """Every secret text we know, so that logs can leave them out."""
        found = [self.slack_bot_token, self.slack_app_token, self.metrics_token, *self.slack_signing_secrets]
        for connection in self.connections:
            found += [connection.token, *connection.hook_secrets]
        texts = [secret.get_secret_value() for secret in found if secret]
        pairs = [text.partition(":")[2] for text in texts]  # user:password is sent in other forms too
        urls = [secret.get_secret_value() for secret in (self.database_url, self.migrate_database_url) if secret]
        passwords = [make_url(url).password for url in urls]
        return [text for text in (*texts, *pairs, *passwords) if text]

    def printed(self) -> Iterator[str]:
        """Line by line what is set, without any secret."""
        yield f"configuration file: {self.file or f'none ({DEFAULT_FILE} is not there)'}"
        yield f"database: {_without_password(self.database_url) if self.database_url else f'embedded, in {self.data}'}"
        if self.slack_api_url != SLACK_API:
            yield f"Slack's address: {self.slack_api_url}"
        given = {
            "SLACK_BOT_TOKEN": self.slack_bot_token,
            "SLACK_SIGNING_SECRET": self.slack_signing_secrets,
            "SLACK_APP_TOKEN": self.slack_app_token,
            "METRICS_TOKEN": self.metrics_token,
        }
        yield f"secrets set: {listed([name for name, value in given.items() if value]) or 'none'}"
        yield f"audit channel: {self.audit_channel or 'none'}"
        for connection in self.connections:
            yield f"connection {connection.name}: {', '.join(_printed_connection(connection))}"
        for route in self.routes:
            yield f"route to {route.channel}: {_printed_match(route.match)}"
        for policy in self.policies:
            deciding = f"{policy.approvals} of {listed(policy.approvers, 'or')}"
            yield f"policy {policy.name}: {_printed_match(policy.match)}; {deciding}"


def from_process(*, with_file: bool = True) -> Settings:
    """The settings of this process: its environment, and the file it names or finds."""
    if with_file:
        return load(os.environ, cwd=Path.cwd())
    return Settings(**_read_environment(_set_ones(os.environ), Path.cwd()))


def load(environ: Mapping[str, str], *, cwd: Path) -> Settings:
    """Read and check everything; raises ConfigError with one sentence that says what to change."""
    variables = _set_ones(environ)
    file = _find_file(variables, cwd)
    source = SecretSource(variables, file.parent if file else cwd)
    tables = _parse(file) if file else {}
    return Settings(file=file, **_read_environment(variables, cwd), **_read_tables(tables, file.name if file else "", source))


def _set_ones(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in environ.items() if value.strip()}


def _find_file(variables: Mapping[str, str], cwd: Path) -> Path | None:
    named = variables.get("RESUMEBOT_CONFIG")
    file = cwd / (named or DEFAULT_FILE)
    if file.is_file():
        return file
    if named:
        raise ConfigError(f"RESUMEBOT_CONFIG names {file}, and there is no such file.")
    return None


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as fault:
        raise ConfigError(f"{file.name} is not UTF-8 text (byte {fault.start}): save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{file.name} is not valid TOML: {fault}. Texts stand in quotes, tables in [[brackets]].") from None
    except OSError as fault:
        raise ConfigError(f"{file} cannot be read: {fault.strerror}.") from None


def _read_tables(tables: Mapping[str, Any], name: str, source: SecretSource) -> dict[str, Any]:
    for key in tables:
        if key not in TABLES:
            raise ConfigError(f"{name}: there is no table “{key}”{nearest(key, TABLES)} Known are {listed(TABLES)}.")
    slack = read(SlackTable, tables.get("slack", {}), f"{name}, [slack]", source)
    rows = {key: list(_rows(tables, key, name)) for key in TABLES[1:]}
    connections = tuple(read_connection(row, where, source) for where, row in rows["connections"])
    policies = tuple(read(PolicyTable, row, where, source).made() for where, row in rows["policies"])
    routes = tuple(read(RouteTable, row, where, source).made() for where, row in rows["routes"])
    _check_viewers(f"{name}, [[routes]]", routes)
    _check_names(f"{name}, [[connections]]", [connection.name.casefold() for connection in connections])
    _check_names(f"{name}, [[policies]]", [policy.name for policy in policies])
    return {
        "audit_channel": slack.audit_channel,
        "connections": connections,
        "routes": routes,
        "policies": policies,
    }


def _rows(tables: Mapping[str, Any], key: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = tables.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{name}: begin each of the {key} with a line [[{key}]], in double brackets.")
    for number, row in enumerate(rows, 1):
        called = f"“{row['name']}”" if isinstance(row.get("name"), str) else f"number {number}"
        yield f"{name}, [[{key}]] {called}", row


def _check_viewers(where: str, routes: Sequence[Route]) -> None:
    viewers: dict[str, frozenset[str]] = {}
    for route in routes:
        if viewers.setdefault(route.channel, frozenset(route.viewers)) != frozenset(route.viewers):
            raise ConfigError(
                f"{where}: the routes to {route.channel} name different viewers, and what stands in a channel is the same for"
                " all of them: give each of these routes the same viewers."
            )


def _check_names(where: str, names: Sequence[str]) -> None:
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise ConfigError(f"{where}: the name “{twice}” is given twice; each needs its own.")


def _read_environment(variables: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    platform = next((word for name, word in THROWAWAY_DISKS.items() if name in variables), None)
    outside = "0.0.0.0" if platform else "127.0.0.1"  # noqa: S104 — platforms call from outside the container
    bot, app = variables.get("SLACK_BOT_TOKEN", ""), variables.get("SLACK_APP_TOKEN", "")
    if bot.startswith("xapp-") or app.startswith("xoxb-"):
        raise ConfigError("SLACK_BOT_TOKEN wants the token that begins with xoxb-, SLACK_APP_TOKEN the one with xapp-.")
    return {
        "database_url": _database_url(variables, "DATABASE_URL"),
        "migrate_database_url": _database_url(variables, "MIGRATE_DATABASE_URL"),
        "data": (cwd / Path(variables.get("RESUMEBOT_DATA", DEFAULT_DATA)).expanduser()).resolve(),
        "data_is_chosen": "RESUMEBOT_DATA" in variables,
        "platform": platform,
        "slack_bot_token": _secret(bot),
        "slack_signing_secrets": _signing_secrets(variables.get("SLACK_SIGNING_SECRET", "")),
        "slack_app_token": _secret(app),
        "slack_api_url": _slack_address(variables.get("SLACK_API_URL", SLACK_API)),
        "host": variables.get("HOST", outside),
        "port": _port(variables.get("PORT", "3000")),
        "metrics_token": _secret(variables.get("METRICS_TOKEN", "")),
        "log_level": _choice(variables, "LOG_LEVEL", LEVELS, "info"),
        "log_format": _choice(variables, "LOG_FORMAT", FORMS, "console"),
        "play_open": variables.get("PLAY_OPEN", "1") != "0",
    }


def _secret(text: str) -> SecretStr | None:
    return SecretStr(text) if text else None


def _signing_secrets(text: str) -> tuple[SecretStr, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > 2:
        raise ConfigError("SLACK_SIGNING_SECRET holds one secret, or while it is being changed two, separated by a comma.")
    return tuple(SecretStr(part) for part in parts)


def _database_url(variables: Mapping[str, str], name: str) -> SecretStr | None:
    if name not in variables:
        return None
    scheme, _, rest = variables[name].partition("://")
    try:
        url = make_url(f"postgresql+psycopg://{rest}")
    except (ArgumentError, ValueError):
        rest = ""
    if scheme not in {"postgres", "postgresql", "postgresql+psycopg"} or not rest:
        raise ConfigError(f"{name} has to look like postgresql://user:password@host:5432/database.")
    return SecretStr(url.render_as_string(hide_password=False))


def _slack_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"SLACK_API_URL has to look like {SLACK_API}; leave it out for Slack itself.")
    return f"{text.rstrip('/')}/"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ConfigError("PORT has to be a number from 0 to 65535.")
    return int(text)


def _choice(variables: Mapping[str, str], name: str, known: Sequence[str], default: str) -> str:
    word = variables.get(name, default).lower()
    if word not in known:
        raise ConfigError(f"{name} has to be {listed(list(known), 'or')}{nearest(word, known)}")
    return word


def _without_password(url: SecretStr) -> str:
    return make_url(url.get_secret_value()).render_as_string(hide_password=True)


def _printed_connection(connection: Connection) -> Iterable[str]:
    yield connection.engine
    yield from (
        f"{key}={value}" for key, value in connection.settings.model_dump(mode="json").items() if value and key != "token"
    )
    yield "token set" if connection.token else "no token"
    yield f"{len(connection.hook_secrets)} hook secret(s)" if connection.hook_secrets else "no hook"
    yield f"polled every {connection.poll_seconds} s" if connection.poll_seconds else "not polled"
    if connection.environment:
        yield f"environment {connection.environment}"
    yield f"at most {connection.rate}" if connection.rate else "no rate set"


def _printed_match(match: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(f"{key} {listed(globs, 'or')}" for key, globs in match.items()) or "everything"
