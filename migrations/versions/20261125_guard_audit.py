"""Guard the audit tables: append only, and a lock that writers share so that a sealer never sees a gap.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEAL_KEY = 7_305_002  # advisory lock: shared by writers of audit entries, exclusive for the sealer


def upgrade() -> None:
    op.execute(
        f"""
        CREATE FUNCTION audit_hold_seal() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared({SEAL_KEY}); RETURN NULL; END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'audit tables are append-only'; END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER audit_hold_seal BEFORE INSERT ON audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION audit_hold_seal()
        """
    )
    for table in ("audit_entries", "audit_seals"):
        op.execute(
            f"""
            CREATE TRIGGER audit_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
            """
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_refuse_change")


def downgrade() -> None:
    for table in ("audit_seals", "audit_entries"):
        op.execute(f"DROP TRIGGER audit_refuse_change ON {table}")
    op.execute("DROP TRIGGER audit_hold_seal ON audit_entries")
    op.execute("DROP FUNCTION audit_refuse_change()")
    op.execute("DROP FUNCTION audit_hold_seal()")
