"""Runs the migrations in this process, on a connection that is already in a transaction."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def knows(revision: str) -> bool:
    """Whether a schema revision is one of ours, and not of a newer program."""
    try:
        return ScriptDirectory.from_config(_config()).get_revision(revision) is not None
    except CommandError:
        return False


def newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to the newest revision."""
    command.upgrade(_config(connection), "head")
