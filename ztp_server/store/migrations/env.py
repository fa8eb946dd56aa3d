"""Alembic's entry: it is given the connection to work on by runner.py."""

from alembic import context

from ztp_server.store import schema_access, schema_history, schema_sip, schema_trust
from ztp_server.store.schema import metadata

# Importing them puts their tables into `metadata`.
__all__ = ["schema_access", "schema_history", "schema_sip", "schema_trust"]

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
