"""Create the job engine's tables in a PostgreSQL schema of their own, frozen at procrastinate 3.10.

Revision ID: 0002
Revises: 0001
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FROZEN = Path(__file__).parents[1] / "sql" / "procrastinate_3_10.sql"


def upgrade() -> None:
    connection = op.get_bind()
    op.execute("CREATE SCHEMA jobs")
    op.execute("SET LOCAL search_path = jobs, public")
    connection.exec_driver_sql(FROZEN.read_text(encoding="utf-8").replace("%", "%%"))
    op.execute("SET LOCAL search_path = public, jobs")


def downgrade() -> None:
    op.execute("DROP SCHEMA jobs CASCADE")
