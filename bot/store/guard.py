"""Who may change the audit tables: what the running role is granted, and which level of protection that makes."""

from enum import StrEnum

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.errors import ConfigError
from bot.store.tables import metadata

AUDIT = ("audit_entries", "audit_seals")
READ_ONLY = ("alembic_version", "schema_state")
SCHEMAS = "public, jobs"
LEVEL = text(
    """
    SELECT bool_and(pg_has_role(relowner, 'MEMBER')) AS is_owner,
           bool_or(has_table_privilege(oid, 'UPDATE') OR has_table_privilege(oid, 'DELETE')
                   OR has_table_privilege(oid, 'TRUNCATE')) AS may_change,
           bool_and(EXISTS (SELECT FROM pg_trigger WHERE tgrelid = tables.oid AND tgname = 'audit_refuse_change'
                                                     AND tgenabled = 'A')) AS is_trigger_on
    FROM pg_class AS tables WHERE oid IN ('public.audit_entries'::regclass, 'public.audit_seals'::regclass)
    """
)


class AuditLevel(StrEnum):
    """How hard it is to change what was recorded."""

    GUARDED = "guarded"  # another role owns the tables; ours may read and append
    TRIGGER = "trigger"  # one role; triggers refuse changes until somebody switches them off
    EMBEDDED = "embedded"  # the same, and whoever may read the data folder may do that
    OPEN = "open"  # the triggers are off


async def audit_level(engine: AsyncEngine, *, embedded: bool) -> AuditLevel:
    """The level that holds for the role we are connected as."""
    async with engine.connect() as connection:
        row = (await connection.execute(LEVEL)).one()
    if not row.is_owner and not row.may_change:
        return AuditLevel.GUARDED
    if not row.is_trigger_on:
        return AuditLevel.OPEN
    return AuditLevel.EMBEDDED if embedded else AuditLevel.TRIGGER


def grant(connection: Connection, role: str) -> None:
    """Let a role do all that the program does, of the audit tables only reading and appending; for our own role nothing."""
    if role == connection.execute(text("SELECT current_user")).scalar_one():
        return
    if not connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first():
        raise ConfigError(
            f"DATABASE_URL names the role {role}, which the database does not know: create it, then migrate again."
        )
    quote = connection.dialect.identifier_preparer.quote
    grantee, audit, read_only = quote(role), ", ".join(AUDIT), ", ".join(READ_ONLY)
    ours = ", ".join(quote(table) for table in metadata.tables if table not in {*AUDIT, *READ_ONLY})
    for statement in (
        f"GRANT USAGE ON SCHEMA {SCHEMAS} TO {grantee}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {ours} TO {grantee}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO {grantee}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA jobs TO {grantee}",
        f"GRANT USAGE, SELECT ON SEQUENCE requests_id_seq TO {grantee}",  # its ids are drawn before the row is written
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO {grantee}",
        f"REVOKE ALL ON {audit}, {read_only} FROM {grantee}",
        f"GRANT SELECT, INSERT ON {audit} TO {grantee}",
        f"GRANT SELECT ON {read_only} TO {grantee}",
    ):
        connection.execute(text(statement))
    connection.commit()
