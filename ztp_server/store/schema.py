"""The tables, once for SQLite and PostgreSQL: what administrators keep. Beside it schema_history.py,
schema_access.py, schema_trust.py and schema_sip.py."""

from __future__ import annotations

import sqlalchemy as sa

from ztp_server.store.columns import BIG, UTCDateTime, column, metadata

__all__ = ["metadata"]

# The newest migration this program knows; a test holds it to migrations/versions.
HEAD = "0008"

meta = sa.Table(
    "meta",
    metadata,
    column("name", sa.String(64), primary_key=True),
    column("value", sa.Text),
)

sites = sa.Table(
    "sites",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("name", sa.String(255)),
    column("networks", sa.JSON),
    column("proofs", sa.JSON),
    column("plain_secrets", sa.Boolean),
    column("settings", sa.JSON),
    column("civic_address", sa.JSON, server_default="{}"),
    column("webrtc_url", sa.String(255), server_default=sa.text("''")),
    column("ice_servers", sa.JSON, server_default="[]"),
    # What phones get on which nobody is logged in: settings and a line, sealed where secret.
    column("logged_out", sa.JSON, server_default="{}"),
    column("revision", sa.Integer),
)

base_settings = sa.Table(
    "base_settings",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("name", sa.String(255)),
    column("model", sa.String(64)),
    column("revision", sa.Integer),
)

# Rows are added and never changed: what a phone was given on any day can be told.
base_settings_revisions = sa.Table(
    "base_settings_revisions",
    metadata,
    column("base_settings_id", sa.String(64), sa.ForeignKey("base_settings.id", ondelete="CASCADE"), primary_key=True),
    column("revision", sa.Integer, primary_key=True, autoincrement=False),
    column("settings", sa.JSON),
    column("author", sa.String(255)),
    column("reason", sa.String(255), server_default=sa.text("''")),
    column("at", UTCDateTime),
)

# People. Their lines are what a phone gets on which they are logged in.
users = sa.Table(
    "users",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("name", sa.String(255)),
    column("name_key", sa.String(255), index=True),
    column("extension", sa.String(64), index=True),
    column("revision", sa.Integer),
)

# Columns that only some categories have are empty, or NULL where they point elsewhere or are unique. `name_key` is the
# name as it is searched and sorted: without case.
phones = sa.Table(
    "phones",
    metadata,
    column("id", sa.String(32), primary_key=True),
    sa.Column("hardware_id", sa.String(253), unique=True),
    column("name", sa.String(255)),
    column("name_key", sa.String(255), server_default=sa.text("''")),
    column("category", sa.String(16)),
    column("model", sa.String(64)),
    column("site_id", sa.String(64), sa.ForeignKey("sites.id")),
    sa.Column("base_settings_id", sa.String(64), sa.ForeignKey("base_settings.id")),
    sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), index=True),
    column("remote_address", sa.String(255), server_default=sa.text("''"), index=True),
    column("line_keys", sa.JSON),
    column("settings", sa.JSON),
    # Which proofs count for it; NULL: those of its site.
    sa.Column("proofs", sa.JSON(none_as_null=True)),
    column("revision", sa.Integer),
    # Whether phone_status has a row of it: those that have none are found without asking for each.
    column("seen", sa.Boolean, server_default=sa.false()),
    # Whether its user was taken off it.
    column("logged_out", sa.Boolean, server_default=sa.false()),
    # A list walks along one of these until its page is full.
    sa.Index("ix_phones_name_key", "name_key", "id", "hardware_id"),
    sa.Index("ix_phones_seen", "seen", "category", "name_key", "id"),
    sa.Index("ix_phones_category", "category", "name_key", "id"),
    sa.Index("ix_phones_model", "model", "name_key", "id"),
    sa.Index("ix_phones_site_id", "site_id", "name_key", "id"),
    sa.Index("ix_phones_base_settings_id", "base_settings_id", "name_key", "id"),
    # Which groups there are, and one phone of each.
    sa.Index("ix_phones_group", "base_settings_id", "site_id", "model", "hardware_id"),
    # What is asked of all of them beside their status, which has the same order.
    sa.Index("ix_phones_revision", "id", "revision", "category"),
)

# Which phones override which setting.
phone_overrides = sa.Table(
    "phone_overrides",
    metadata,
    column("name", sa.String(160), primary_key=True),
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True, index=True),
)

# Phones that were removed, whole and sealed, until they are purged: their addresses are free meanwhile.
removed_phones = sa.Table(
    "removed_phones",
    metadata,
    column("id", sa.String(32), primary_key=True),
    column("hardware_id", sa.String(253), index=True),
    column("name", sa.String(255)),
    column("category", sa.String(16)),
    column("site", sa.String(64)),
    column("actor", sa.String(255)),
    column("at", UTCDateTime, index=True),
    column("record", sa.Text),
)

lines = sa.Table(
    "lines",
    metadata,
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    column("position", sa.Integer, primary_key=True, autoincrement=False),
    column("user", sa.String(128)),
    column("auth_user", sa.String(128)),
    column("password", sa.Text),
    column("display_name", sa.String(128)),
    column("label", sa.String(128)),
    column("shared", sa.Boolean, server_default=sa.false()),
    sa.Index("ix_lines_user", "user", "phone_id"),
    sa.Index("ix_lines_auth_user", "auth_user", "phone_id"),
)

user_lines = sa.Table(
    "user_lines",
    metadata,
    column("user_id", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    column("position", sa.Integer, primary_key=True, autoincrement=False),
    column("user", sa.String(128), index=True),
    column("auth_user", sa.String(128), index=True),
    column("password", sa.Text),
    column("display_name", sa.String(128)),
    column("label", sa.String(128)),
    column("shared", sa.Boolean, server_default=sa.false()),
)

firmware = sa.Table(
    "firmware",
    metadata,
    column("model", sa.String(64), primary_key=True),
    column("version", sa.String(64), primary_key=True),
    column("sha256", sa.String(64), index=True),
    column("size", sa.BigInteger),
    column("file_name", sa.String(255)),
    column("is_default", sa.Boolean),
)

# No foreign key: they outlive a removal that is undone, and go when the phone is purged.
uploads = sa.Table(
    "uploads",
    metadata,
    column("phone_id", sa.String(32), primary_key=True),
    column("name", sa.String(255), primary_key=True),
    column("body", sa.LargeBinary),
    column("size", sa.Integer),
    column("at", UTCDateTime),
)

# What other processes must forget. `key` is a hardware ID for kind phone, empty when everything of the kind changed.
changes = sa.Table(
    "changes",
    metadata,
    column("seq", BIG, primary_key=True, autoincrement=True),
    column("kind", sa.String(32)),
    column("key", sa.String(253)),
    sqlite_autoincrement=True,
)
