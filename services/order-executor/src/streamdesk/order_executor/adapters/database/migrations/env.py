"""Run by alembic, not imported: takes the steps on the connection that `upgrade` was given."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["tables"].version_table,
)
context.run_migrations()
