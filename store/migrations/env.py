"""Runs migrations on the connection of the store, inside its transaction."""

from alembic import context

from store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
