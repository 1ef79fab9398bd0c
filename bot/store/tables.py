"""The tables and their constraints; the revisions in `migrations/` build the same, and a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
MOMENT = DateTime(timezone=True)
SEAL_KEY = 7_305_002  # advisory lock: shared by writers of audit entries, exclusive for the sealer
LIVE_STATES = "state IN ('pending', 'approved', 'resuming', 'running', 'unknown')"


def _id(*, always: bool = True) -> Column[int]:
    return Column("id", BigInteger, Identity(always=always), primary_key=True)


schema_state = Table(  # one row: the schema's number, and the lowest number of a program that may still run on it
    "schema_state",
    metadata,
    Column("number", Integer, nullable=False),
    Column("floor", Integer, nullable=False),
)

workspaces = Table(  # who our token is; one row
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("bot_user", Text, nullable=False),
    Column("bot_id", Text, nullable=False, server_default=""),
    Column("url", Text, nullable=False, server_default=""),  # where people read it, with a slash at its end
)

seen = Table(  # what was delivered once and must not count twice
    "seen",
    metadata,
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", MOMENT, nullable=False),
    PrimaryKeyConstraint("kind", "key"),
)
Index("ix_seen_at", seen.c.at)

incidents = Table(
    "incidents",
    metadata,
    _id(),
    Column("workspace", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("execution_id", Text, nullable=False),
    Column("root", Text, nullable=False, server_default=""),
    Column("name", Text, nullable=False, server_default=""),
    Column("stage", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("channel", Text),
    Column("seen", JSONB),
    Column("trouble", Text, nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default="1"),
    Column("acknowledged_by", Text),
    Column("assigned_to", Text),
    Column("snoozed_until", MOMENT),
    Column("snoozed_by", Text),
    Column("opened_at", MOMENT, nullable=False),
    Column("failed_at", MOMENT),
    Column("read_at", MOMENT),
    Column("read_next_at", MOMENT),  # when an open one is read again by itself
    Column("closed_at", MOMENT),
    Column("closed_because", Text, nullable=False, server_default=""),
)
Index("ix_incidents_open", incidents.c.workspace, incidents.c.id, postgresql_where=text("state = 'open'"))
Index("ix_incidents_root", incidents.c.connection, incidents.c.root)
Index("ix_incidents_snoozed_until", incidents.c.snoozed_until, postgresql_where=text("snoozed_until IS NOT NULL"))
Index("ix_incidents_read_next_at", incidents.c.read_next_at, postgresql_where=text("state = 'open'"))

incident_executions = Table(  # every id of a chain leads to one incident
    "incident_executions",
    metadata,
    Column("connection", Text, nullable=False),
    Column("execution_id", Text, nullable=False),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False, index=True),
    PrimaryKeyConstraint("connection", "execution_id"),
)

requests = Table(
    "requests",
    metadata,
    _id(always=False),  # the id is drawn first: it stands in the entry that is written with the row
    Column("workspace", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("incident_id", ForeignKey(incidents.c.id), index=True),
    Column("action", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("execution_id", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("point", JSONB, nullable=False),
    Column("baseline", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("rules", JSONB, nullable=False),
    Column("requester", Text, nullable=False),
    Column("requested_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("warning", Text, nullable=False, server_default=""),
    Column("inputs", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("input_labels", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("calls", Integer, nullable=False, server_default="0"),
    Column("sent_at", MOMENT),
    Column("preparing_at", MOMENT),
    Column("prepared_at", MOMENT),
    Column("new_execution", Text),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("doubt", Text, nullable=False, server_default=""),
    Column("not_before", MOMENT),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("ended_at", MOMENT),
)
_CHAIN = (requests.c.connection, requests.c.root)
Index("uq_requests_live", *_CHAIN, unique=True, postgresql_where=text(f"{LIVE_STATES} AND action <> 'kill'"))
Index("uq_requests_live_kill", *_CHAIN, unique=True, postgresql_where=text(f"{LIVE_STATES} AND action = 'kill'"))
Index("ix_requests_live_state", requests.c.state, requests.c.not_before, postgresql_where=text(LIVE_STATES))
Index("ix_requests_requester", requests.c.requester, requests.c.id)

decisions = Table(
    "decisions",
    metadata,
    Column("request_id", ForeignKey(requests.c.id), nullable=False),
    Column("actor", Text, nullable=False),
    Column("is_approval", Boolean, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("request_id", "actor"),  # one decision per person and request
)

messages = Table(  # one row per message that stands, or should stand, in the chat
    "messages",
    metadata,
    _id(),
    Column("workspace", Text, nullable=False),
    Column("subject", Text, nullable=False),  # inc-42, req-17, storm-3, lookup-9, press-…
    Column("surface", Text, nullable=False),  # card, approval, decided, …: with the subject it says what is shown
    Column("lane", Text, nullable=False),
    Column("rank", Integer, nullable=False),  # a lower one goes first
    Column("channel", Text),
    Column("parent_id", ForeignKey("messages.id")),  # stands in this message's thread
    Column("folded_into", ForeignKey("messages.id")),  # shown as a line of that storm message instead
    Column("user_id", Text),
    Column("response_url", Text),  # a secret: wiped after use
    Column("view_id", Text),
    Column("payload", JSONB),
    Column("ts", Text),
    Column("wanted", Integer, nullable=False, server_default="1"),
    Column("posted", Integer, nullable=False, server_default="0"),
    Column("not_before", MOMENT),
    Column("expires_at", MOMENT),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("dead_at", MOMENT),
    Column("dead_because", Text),
    Column("created_at", MOMENT, nullable=False),
    UniqueConstraint("subject", "surface"),
)
Index("ix_messages_due", messages.c.lane, messages.c.rank, postgresql_where=text("wanted > posted AND dead_at IS NULL"))
Index("ix_messages_place", messages.c.channel, messages.c.ts)
Index("ix_messages_parent_id", messages.c.parent_id)
Index("ix_messages_folded_into", messages.c.folded_into)

lookups = Table(  # a command that waits for engines
    "lookups",
    metadata,
    _id(),
    Column("workspace", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("argument", Text, nullable=False),
    Column("stage", Text, nullable=False, server_default=""),
    Column("response_url", Text),
    Column("view_id", Text),
    Column("at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("answered_at", MOMENT),
)
Index("ix_lookups_open", lookups.c.at, postgresql_where=text("answered_at IS NULL"))

pauses = Table("pauses", metadata, Column("key", Text, primary_key=True), Column("until", MOMENT, nullable=False))

budgets = Table(  # token buckets shared by all processes
    "budgets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("at", MOMENT, nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("read_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("workspace", "id"),
)

groups = Table(  # user groups and channels whose members we follow
    "groups",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("read_at", MOMENT, nullable=False),
    Column("trouble", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("workspace", "id"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    PrimaryKeyConstraint("workspace", "group_id", "user_id"),
)
Index("ix_memberships_user_id", memberships.c.workspace, memberships.c.user_id)

connections = Table(  # how each engine was last reached, and up to when it was polled
    "connections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("polled_to", MOMENT),
    Column("watched_from", MOMENT),
    Column("poll_next_at", MOMENT),
    Column("answered_at", MOMENT),
    Column("silent_since", MOMENT),
    Column("silence", Text, nullable=False, server_default=""),
    Column("told_at", MOMENT),
)

rejected_notices = Table(  # authenticated and unreadable: kept for a person to look at
    "rejected_notices",
    metadata,
    _id(),
    Column("at", MOMENT, nullable=False),
    Column("connection", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

audit_entries = Table(  # append-only; the text is the record, the other columns are made from it
    "audit_entries",
    metadata,
    _id(),
    Column("entry", Text, nullable=False),
    *[
        Column(name, Text, Computed(f"(entry::jsonb) ->> '{name}'", persisted=True))
        for name in ("at", "actor", "action", "request", "incident", "connection", "execution")
    ],
)
Index("ix_audit_entries_at", audit_entries.c.at)
Index("ix_audit_entries_request", audit_entries.c.request)
Index("ix_audit_entries_incident", audit_entries.c.incident)
Index("ix_audit_entries_execution", audit_entries.c.execution)

audit_seals = Table(
    "audit_seals",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("at", MOMENT, nullable=False),
    Column("first_id", BigInteger),
    Column("last_id", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("prev", Text, nullable=False),
    Column("sha256", Text, nullable=False),
)
