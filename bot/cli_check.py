"""What `resumebot check` looks at: configuration, database, people, engines; and what to do first where nothing is set."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.cli_data import has_database, readable
from bot.cli_live import Finding, live_checks
from bot.config import DEFAULT_FILE, Settings
from bot.config_tables import ConnectionTable
from bot.domain.errors import ConfigError
from bot.domain.policy import PersonKind, Policy, is_satisfiable
from bot.domain.setup import ConnectionInfo, Route
from bot.domain.text import listed, shorten
from bot.engines import engine_class, engine_kinds
from bot.store.guard import AuditLevel, audit_level
from bot.store.standstill import standstills
from bot.store.tables import connections, groups, memberships, people

LEVELS = {
    AuditLevel.GUARDED: "guarded: another role owns the audit tables, ours may read and append",
    AuditLevel.TRIGGER: "trigger: our role owns the audit tables, triggers refuse changes (docs/audit.md: how to guard them)",
    AuditLevel.EMBEDDED: "embedded: triggers refuse changes, and whoever may read the data folder can switch them off",
    AuditLevel.OPEN: "the triggers that refuse changes of the audit tables are switched off: run `resumebot migrate` as owner",
}
FIRST_STEPS = """\
Nothing is configured yet. To try it in a browser, without Slack:

    resumebot play

To put it to work:
 1. Make a Slack app at https://api.slack.com/apps: Create New App, From a
    manifest, paste manifest.yml; install it, then set from its pages
      SLACK_BOT_TOKEN=xoxb-…  and  SLACK_SIGNING_SECRET=…
      (or SLACK_APP_TOKEN=xapp-… for the latter, without a public address)
 2. Write {file}:
      [[connections]]
      name = "orders"
      token = "env:ORDERS_TOKEN"
      engine = …                one of
{engines}
      [[routes]]
      channel = "C0DEPLOYS"     the channel's id; invite the bot there
 3. resumebot migrate, then resumebot check --live: says what is missing still
 4. resumebot run"""


def first_steps() -> str:
    """One screen for somebody who has configured nothing."""
    kinds = [f"""        {f'"{kind}"':20}  with {listed(_needed(kind))}""" for kind in engine_kinds()]
    return FIRST_STEPS.format(file=DEFAULT_FILE, engines="\n".join(kinds))


def _needed(kind: str) -> list[str]:
    fields = engine_class(kind).Settings.model_fields
    return [name for name, field in fields.items() if field.is_required() and name not in ConnectionTable.model_fields]


async def findings(settings: Settings, *, live: bool) -> list[Finding]:
    """Everything that was looked at, what is wrong among it."""
    found = [*_of_configuration(settings)]
    absent = Finding("database", ok=True, sentence=f"none in {settings.data} yet; `resumebot run` or `migrate` makes it")
    of_database = await _of_database(settings) if has_database(settings) else [absent]
    found += of_database
    if live:
        found += await live_checks(settings, has_database=of_database[0].subject != "database")
    return found


# ---- the file ----------------------------------------------------------------------------------


def _of_configuration(settings: Settings) -> Iterator[Finding]:
    try:
        settings.demand_slack()
    except ConfigError as error:
        yield Finding("slack", ok=False, sentence=str(error))
    else:
        yield Finding("deliveries", ok=True, sentence=_doors(settings))
    if not settings.connections:
        yield Finding("connections", ok=False, sentence="there is none: add [[connections]] to the configuration file")
    for connection in settings.connections:
        if fault := _unrouted(connection.info, settings.routes):
            yield Finding(f"connection {connection.name}", ok=False, sentence=fault)
    for policy in settings.policies:
        yield _of_policy(policy, [connection.name for connection in settings.connections])


def _doors(settings: Settings) -> str:
    """By which ways Slack may come."""
    over_http, over_socket = "at POST /slack/events, by SLACK_SIGNING_SECRET", "over Socket Mode, by SLACK_APP_TOKEN"
    if settings.slack_app_token is None:
        return over_http
    if not settings.slack_signing_secrets:
        return f"{over_socket}; POST /slack/events is not served"
    return f"{over_http}, and {over_socket}: Slack uses the one that is switched on in the app's settings"


def _unrouted(connection: ConnectionInfo, routes: Sequence[Route]) -> str | None:
    """What is wrong when some failure of the connection may fit no route."""
    own = {"connection": connection.name, "environment": connection.environment}
    possible = [route for route in routes if _fits(connection.name, route.match.get("connection", ("*",)))]
    for route in possible:
        if all("*" in globs or _fits(own.get(key), globs) for key, globs in route.match.items()):
            return None
    if not possible:
        return "no route: its failures reach no channel; add [[routes]] with a channel"
    return "its routes do not catch all failures; add a last one that matches by connection only, or by nothing"


def _fits(value: str | None, globs: tuple[str, ...]) -> bool:
    return value is not None and any(fnmatchcase(value, glob) for glob in globs)


def _of_policy(policy: Policy, names: Sequence[str]) -> Finding:
    subject = f"policy {policy.name}"
    if reason := is_satisfiable(policy):
        return Finding(subject, ok=False, sentence=f"can let nothing through: {reason}")
    if not any(_fits(name, policy.match.get("connection", ("*",))) for name in names):
        return Finding(subject, ok=False, sentence="its match fits no connection of this file, so it never holds")
    return Finding(subject, ok=True, sentence=f"{policy.approvals} of {listed(policy.approvers, 'or')} can let it through")


# ---- the database ------------------------------------------------------------------------------


async def _of_database(settings: Settings) -> list[Finding]:
    try:
        async with readable(settings) as engine:
            level = await audit_level(engine, embedded=settings.database_url is None)
            return [
                Finding("schema", ok=True, sentence="fits this program"),
                Finding("audit", ok=level is not AuditLevel.OPEN, sentence=LEVELS[level]),
                *await _of_engines(engine, settings),
                *await _of_people(engine, settings),
                *await _of_standstills(engine),
            ]
    except ConfigError as error:
        return [Finding("database", ok=False, sentence=str(error))]
    except DBAPIError as error:
        return [Finding("database", ok=False, sentence=f"does not answer as it should: {shorten(str(error.orig), 300)}")]


async def _of_engines(engine: AsyncEngine, settings: Settings) -> list[Finding]:
    async with engine.connect() as connection:
        known = {row.name: row for row in await connection.execute(select(connections))}
    found = []
    for name in (each.name for each in settings.connections):
        row = known.get(name)
        if row is None or (row.answered_at is None and row.silent_since is None):
            found.append(Finding(f"connection {name}", ok=True, sentence="was not called yet"))
        elif row.silent_since is None:
            found.append(Finding(f"connection {name}", ok=True, sentence=f"answered at {_when(row.answered_at)}"))
        else:
            last = f"last answer at {_when(row.answered_at)}" if row.answered_at else "it never answered"
            sentence = f"cannot be reached since {_when(row.silent_since)}, {last}: {row.silence}"
            found.append(Finding(f"connection {name}", ok=False, sentence=sentence))
    return found


def _when(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


async def _of_people(engine: AsyncEngine, settings: Settings) -> list[Finding]:
    """Whether the groups and channels that are named can be read, and hold people enough."""
    async with engine.connect() as connection:
        read = {row.id: row for row in await connection.execute(select(groups))}
        full = select(memberships.c.group_id, memberships.c.user_id).join_from(
            memberships, people, (people.c.workspace == memberships.c.workspace) & (people.c.id == memberships.c.user_id)
        )
        rows = (await connection.execute(full.where(people.c.kind == PersonKind.MEMBER.value))).all()
    setup = settings.setup("")
    named = sorted(setup.followed_groups | setup.followed_channels)
    found = [
        Finding(f"group {name}" if name.startswith("S") else f"channel {name}", ok=False, sentence=f"cannot be read: {trouble}")
        for name in named
        if name in read and (trouble := read[name].trouble)
    ]
    members = {name: {row.user_id for row in rows if row.group_id == name} for name in read if not read[name].trouble}
    return found + [finding for policy in settings.policies for finding in _short_of_people(policy, members)]


def _short_of_people(policy: Policy, members: dict[str, set[str]]) -> Iterator[Finding]:
    groups_named = [word for word in policy.approvers if word.startswith(("S", "C", "G"))]
    if {"channel", "anyone"} & set(policy.approvers) or not groups_named or not all(word in members for word in groups_named):
        return
    able = {word for word in policy.approvers if word.startswith(("U", "W"))}.union(*[members[word] for word in groups_named])
    if len(able) < policy.approvals:
        sentence = f"wants {policy.approvals} approvals, and {listed(policy.approvers)} hold {len(able)} full members"
        yield Finding(f"policy {policy.name}", ok=False, sentence=sentence)


async def _of_standstills(engine: AsyncEngine) -> list[Finding]:
    """How much stands still, kind by kind; silent engines are told with their connections."""
    kinds: dict[str, list[str]] = {}
    for each in await standstills(engine, datetime.now(UTC)):
        if each.kind != "engine":
            kinds.setdefault(each.kind, []).append(each.subject)
    return [
        Finding(kind, ok=False, sentence=f"{len(subjects)} stand still ({', '.join(subjects[:5])}): see `resumebot stuck`")
        for kind, subjects in kinds.items()
    ]
