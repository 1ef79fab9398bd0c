"""Create the tables.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), sa.Computed("(entry::jsonb) ->> 'at'", persisted=True), nullable=True),
        sa.Column("actor", sa.Text(), sa.Computed("(entry::jsonb) ->> 'actor'", persisted=True), nullable=True),
        sa.Column("action", sa.Text(), sa.Computed("(entry::jsonb) ->> 'action'", persisted=True), nullable=True),
        sa.Column("request", sa.Text(), sa.Computed("(entry::jsonb) ->> 'request'", persisted=True), nullable=True),
        sa.Column("incident", sa.Text(), sa.Computed("(entry::jsonb) ->> 'incident'", persisted=True), nullable=True),
        sa.Column("connection", sa.Text(), sa.Computed("(entry::jsonb) ->> 'connection'", persisted=True), nullable=True),
        sa.Column("execution", sa.Text(), sa.Computed("(entry::jsonb) ->> 'execution'", persisted=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"], unique=False)
    op.create_index("ix_audit_entries_execution", "audit_entries", ["execution"], unique=False)
    op.create_index("ix_audit_entries_incident", "audit_entries", ["incident"], unique=False)
    op.create_index("ix_audit_entries_request", "audit_entries", ["request"], unique=False)
    op.create_table(
        "audit_seals",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=True),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("prev", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_audit_seals")),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("bot_user", sa.Text(), nullable=False),
        sa.Column("bot_id", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "budgets",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_budgets")),
    )
    op.create_table(
        "connections",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("polled_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("watched_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("poll_next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("silent_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("silence", sa.Text(), server_default="", nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_connections")),
    )
    op.create_table(
        "groups",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("workspace", "id", name=op.f("pk_groups")),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("seen", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="1", nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("assigned_to", sa.Text(), nullable=True),
        sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("snoozed_by", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_because", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(
        "ix_incidents_open", "incidents", ["workspace", "id"], unique=False, postgresql_where=sa.text("state = 'open'")
    )
    op.create_index(
        "ix_incidents_read_next_at", "incidents", ["read_next_at"], unique=False, postgresql_where=sa.text("state = 'open'")
    )
    op.create_index(
        "ix_incidents_snoozed_until",
        "incidents",
        ["snoozed_until"],
        unique=False,
        postgresql_where=sa.text("snoozed_until IS NOT NULL"),
    )
    op.create_index("ix_incidents_root", "incidents", ["connection", "root"], unique=False)
    op.create_table(
        "lookups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("argument", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("response_url", sa.Text(), nullable=True),
        sa.Column("view_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lookups")),
    )
    op.create_index("ix_lookups_open", "lookups", ["at"], unique=False, postgresql_where=sa.text("answered_at IS NULL"))
    op.create_table(
        "memberships",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "group_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["workspace", "user_id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("folded_into", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("response_url", sa.Text(), nullable=True),
        sa.Column("view_id", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("ts", sa.Text(), nullable=True),
        sa.Column("wanted", sa.Integer(), server_default="1", nullable=False),
        sa.Column("posted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("dead_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dead_because", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["folded_into"], ["messages.id"], name=op.f("fk_messages_folded_into")),
        sa.ForeignKeyConstraint(["parent_id"], ["messages.id"], name=op.f("fk_messages_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("subject", "surface", name=op.f("uq_messages_subject_surface")),
    )
    op.create_index(
        "ix_messages_due",
        "messages",
        ["lane", "rank"],
        unique=False,
        postgresql_where=sa.text("wanted > posted AND dead_at IS NULL"),
    )
    op.create_index("ix_messages_folded_into", "messages", ["folded_into"], unique=False)
    op.create_index("ix_messages_parent_id", "messages", ["parent_id"], unique=False)
    op.create_index("ix_messages_place", "messages", ["channel", "ts"], unique=False)
    op.create_table(
        "pauses",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_pauses")),
    )
    op.create_table(
        "people",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "id", name=op.f("pk_people")),
    )
    op.create_table(
        "rejected_notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_notices")),
    )
    op.create_table(
        "schema_state", sa.Column("number", sa.Integer(), nullable=False), sa.Column("floor", sa.Integer(), nullable=False)
    )
    op.create_table(
        "seen",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_seen")),
    )
    op.create_index("ix_seen_at", "seen", ["at"], unique=False)
    op.create_table(
        "incident_executions",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_executions_incident_id")),
        sa.PrimaryKeyConstraint("connection", "execution_id", name=op.f("pk_incident_executions")),
    )
    op.create_index(op.f("ix_incident_executions_incident_id"), "incident_executions", ["incident_id"], unique=False)
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("point", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("warning", sa.Text(), server_default="", nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column(
            "input_labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("preparing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_execution", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("doubt", sa.Text(), server_default="", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_requests_incident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index(op.f("ix_requests_incident_id"), "requests", ["incident_id"], unique=False)
    op.create_index(
        "ix_requests_live_state",
        "requests",
        ["state", "not_before"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'approved', 'resuming', 'running', 'unknown')"),
    )
    op.create_index("ix_requests_requester", "requests", ["requester", "id"], unique=False)
    op.create_index(
        "uq_requests_live",
        "requests",
        ["connection", "root"],
        unique=True,
        postgresql_where=sa.text("state IN ('pending', 'approved', 'resuming', 'running', 'unknown') AND action <> 'kill'"),
    )
    op.create_index(
        "uq_requests_live_kill",
        "requests",
        ["connection", "root"],
        unique=True,
        postgresql_where=sa.text("state IN ('pending', 'approved', 'resuming', 'running', 'unknown') AND action = 'kill'"),
    )
    op.create_table(
        "decisions",
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("is_approval", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_decisions_request_id")),
        sa.PrimaryKeyConstraint("request_id", "actor", name=op.f("pk_decisions")),
    )
    op.execute("INSERT INTO schema_state (number, floor) VALUES (1, 1)")


def downgrade() -> None:
    op.drop_table("workspaces")
    op.drop_table("decisions")
    op.drop_index(
        "uq_requests_live_kill",
        table_name="requests",
        postgresql_where=sa.text("state IN ('pending', 'approved', 'resuming', 'running', 'unknown') AND action = 'kill'"),
    )
    op.drop_index(
        "uq_requests_live",
        table_name="requests",
        postgresql_where=sa.text("state IN ('pending', 'approved', 'resuming', 'running', 'unknown') AND action <> 'kill'"),
    )
    op.drop_index("ix_requests_requester", table_name="requests")
    op.drop_index(
        "ix_requests_live_state",
        table_name="requests",
        postgresql_where=sa.text("state IN ('pending', 'approved', 'resuming', 'running', 'unknown')"),
    )
    op.drop_index(op.f("ix_requests_incident_id"), table_name="requests")
    op.drop_table("requests")
    op.drop_index(op.f("ix_incident_executions_incident_id"), table_name="incident_executions")
    op.drop_table("incident_executions")
    op.drop_index("ix_seen_at", table_name="seen")
    op.drop_table("seen")
    op.drop_table("schema_state")
    op.drop_table("rejected_notices")
    op.drop_table("people")
    op.drop_table("pauses")
    op.drop_index("ix_messages_place", table_name="messages")
    op.drop_index("ix_messages_parent_id", table_name="messages")
    op.drop_index("ix_messages_folded_into", table_name="messages")
    op.drop_index("ix_messages_due", table_name="messages", postgresql_where=sa.text("wanted > posted AND dead_at IS NULL"))
    op.drop_table("messages")
    op.drop_index("ix_memberships_user_id", table_name="memberships")
    op.drop_table("memberships")
    op.drop_index("ix_lookups_open", table_name="lookups", postgresql_where=sa.text("answered_at IS NULL"))
    op.drop_table("lookups")
    op.drop_index("ix_incidents_root", table_name="incidents")
    op.drop_index("ix_incidents_snoozed_until", table_name="incidents", postgresql_where=sa.text("snoozed_until IS NOT NULL"))
    op.drop_index("ix_incidents_read_next_at", table_name="incidents", postgresql_where=sa.text("state = 'open'"))
    op.drop_index("ix_incidents_open", table_name="incidents", postgresql_where=sa.text("state = 'open'"))
    op.drop_table("incidents")
    op.drop_table("groups")
    op.drop_table("connections")
    op.drop_table("budgets")
    op.drop_table("audit_seals")
    op.drop_index("ix_audit_entries_request", table_name="audit_entries")
    op.drop_index("ix_audit_entries_incident", table_name="audit_entries")
    op.drop_index("ix_audit_entries_execution", table_name="audit_entries")
    op.drop_index("ix_audit_entries_at", table_name="audit_entries")
    op.drop_table("audit_entries")
