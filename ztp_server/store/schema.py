"""The tables, once for SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

# The newest migration this program knows; a test holds it to migrations/versions.
HEAD = "0002"

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=_NAMES)


class UTCDateTime(sa.TypeDecorator[datetime]):
    """Aware datetimes in UTC on both databases: SQLite drops the zone, PostgreSQL keeps it."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def _column(name: str, kind: Any, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False, **options)


meta = sa.Table(
    "meta",
    metadata,
    _column("name", sa.String(64), primary_key=True),
    _column("value", sa.Text),
)

sites = sa.Table(
    "sites",
    metadata,
    _column("id", sa.String(64), primary_key=True),
    _column("name", sa.String(255)),
    _column("networks", sa.JSON),
    _column("proofs", sa.JSON),
    _column("plain_secrets", sa.Boolean),
    _column("settings", sa.JSON),
    _column("revision", sa.Integer),
)

base_settings = sa.Table(
    "base_settings",
    metadata,
    _column("id", sa.String(64), primary_key=True),
    _column("name", sa.String(255)),
    _column("model", sa.String(64)),
    _column("revision", sa.Integer),
)

# Rows are added and never changed: what a phone was given on any day can be told.
base_settings_revisions = sa.Table(
    "base_settings_revisions",
    metadata,
    _column("base_settings_id", sa.String(64), sa.ForeignKey("base_settings.id", ondelete="CASCADE"), primary_key=True),
    _column("revision", sa.Integer, primary_key=True, autoincrement=False),
    _column("settings", sa.JSON),
    _column("author", sa.String(255)),
    _column("at", UTCDateTime),
)

phones = sa.Table(
    "phones",
    metadata,
    _column("id", sa.String(32), primary_key=True),
    _column("hardware_id", sa.String(253), unique=True),
    _column("name", sa.String(255)),
    _column("category", sa.String(16)),
    _column("model", sa.String(64), index=True),
    _column("site_id", sa.String(64), sa.ForeignKey("sites.id"), index=True),
    _column("base_settings_id", sa.String(64), sa.ForeignKey("base_settings.id"), index=True),
    _column("line_keys", sa.JSON),
    _column("settings", sa.JSON),
    _column("revision", sa.Integer),
)

lines = sa.Table(
    "lines",
    metadata,
    _column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    _column("position", sa.Integer, primary_key=True, autoincrement=False),
    _column("user", sa.String(128), index=True),
    _column("auth_user", sa.String(128)),
    _column("password", sa.Text),
    _column("display_name", sa.String(128)),
    _column("label", sa.String(128)),
    _column("shared", sa.Boolean, server_default=sa.false()),
)

firmware = sa.Table(
    "firmware",
    metadata,
    _column("model", sa.String(64), primary_key=True),
    _column("version", sa.String(64), primary_key=True),
    _column("sha256", sa.String(64), index=True),
    _column("size", sa.BigInteger),
    _column("file_name", sa.String(255)),
    _column("is_default", sa.Boolean),
)

uploads = sa.Table(
    "uploads",
    metadata,
    _column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    _column("name", sa.String(255), primary_key=True),
    _column("body", sa.LargeBinary),
    _column("size", sa.Integer),
    _column("at", UTCDateTime),
)

# The last time a phone asked for each file: bounded by what phones may ask for.
check_ins = sa.Table(
    "check_ins",
    metadata,
    _column("hardware_id", sa.String(253), primary_key=True),
    _column("file", sa.String(255), primary_key=True),
    _column("at", UTCDateTime),
    _column("status", sa.Integer),
    _column("etag", sa.String(64)),
    _column("address", sa.String(64)),
    _column("proof", sa.String(32)),
    _column("firmware", sa.String(64)),
)

events = sa.Table(
    "events",
    metadata,
    _column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _column("at", UTCDateTime, index=True),
    _column("actor", sa.String(255)),
    _column("action", sa.String(64)),
    _column("subject", sa.String(255)),
    _column("detail", sa.JSON),
)

# What other processes must forget. `key` is a hardware ID for kind phone, empty when everything of the kind changed.
changes = sa.Table(
    "changes",
    metadata,
    _column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _column("kind", sa.String(32)),
    _column("key", sa.String(253)),
    sqlite_autoincrement=True,
)
