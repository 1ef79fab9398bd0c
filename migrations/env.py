"""Runs revisions on the connection that `bot.store.schema` hands over."""

from alembic import context
from sqlalchemy import text

from bot.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=True,
    compare_type=True,
    compare_server_default=True,
    include_schemas=False,
)
connection.execute(text("SET lock_timeout = '5s'"))
connection.execute(text("SET statement_timeout = '60s'"))
connection.commit()
with context.begin_transaction():
    context.run_migrations()
connection.execute(text("RESET lock_timeout"))
connection.execute(text("RESET statement_timeout"))
connection.commit()
