"""The tables of who may do what, and of work that goes on."""

from __future__ import annotations

import sqlalchemy as sa

from ztp_server.store.columns import UTCDateTime, column, metadata

# Roles that administrators made; those of the product are in domain/access.py.
roles = sa.Table(
    "roles",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("name", sa.String(255)),
    column("permissions", sa.JSON),
    column("revision", sa.Integer),
)

accounts = sa.Table(
    "accounts",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("name", sa.String(255)),
    column("password", sa.String(255)),
    column("enabled", sa.Boolean),
    # Who logs in elsewhere: issuer and subject of OpenID Connect.
    sa.Column("external_id", sa.String(255), unique=True),
    column("created_at", UTCDateTime),
    column("revision", sa.Integer),
)

# `owner` is `account:<id>` or `token:<id>`; an empty site means everywhere.
role_grants = sa.Table(
    "role_grants",
    metadata,
    column("owner", sa.String(80), primary_key=True),
    column("role", sa.String(64), primary_key=True),
    column("site", sa.String(64), primary_key=True),
)

# `hash` is the SHA-256 of what was shown once. `account` is empty for a token that belongs to nobody.
tokens = sa.Table(
    "tokens",
    metadata,
    column("id", sa.String(32), primary_key=True),
    column("name", sa.String(255)),
    column("hash", sa.String(64)),
    column("account", sa.String(64), index=True),
    column("kind", sa.String(16)),
    column("created_by", sa.String(255)),
    column("created_at", UTCDateTime),
    sa.Column("expires_at", UTCDateTime),
    sa.Column("last_used_at", UTCDateTime),
)

# Bulk work. `owner` runs it until `lease_until`; `order` is what was asked for, sealed where it holds secrets.
jobs = sa.Table(
    "jobs",
    metadata,
    column("id", sa.String(32), primary_key=True),
    column("kind", sa.String(32)),
    column("state", sa.String(16), index=True),
    column("actor", sa.String(255)),
    column("grants", sa.JSON),
    column("order", sa.JSON),
    column("total", sa.Integer),
    column("done", sa.Integer),
    column("failed", sa.Integer),
    column("summary", sa.JSON),
    column("reason", sa.String(255)),
    column("stop", sa.Boolean),
    column("undoes", sa.String(32)),
    column("owner", sa.String(64)),
    sa.Column("lease_until", UTCDateTime),
    column("created_at", UTCDateTime, index=True),
    sa.Column("started_at", UTCDateTime),
    sa.Column("finished_at", UTCDateTime),
    # When its work may be done; NULL: at any time.
    sa.Column("not_before", UTCDateTime),
    sa.Column("not_after", UTCDateTime),
)

# One thing a job does. `undo` is what it takes to take it back, sealed.
job_items = sa.Table(
    "job_items",
    metadata,
    column("job_id", sa.String(32), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    column("position", sa.Integer, primary_key=True, autoincrement=False),
    column("subject", sa.String(64)),
    column("label", sa.String(255)),
    column("state", sa.String(16)),
    column("detail", sa.Text),
    column("undo", sa.Text),
    # What became of telling a phone something; NULL: it was told nothing.
    sa.Column("told", sa.JSON(none_as_null=True)),
    sa.Index("ix_job_items_state", "job_id", "state", "position"),
)

# A file that a job reads, in pieces, sealed: it may hold passwords. Gone when the job ends.
job_files = sa.Table(
    "job_files",
    metadata,
    column("job_id", sa.String(32), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    column("part", sa.Integer, primary_key=True, autoincrement=False),
    column("body", sa.Text),
)

# Answers to requests that named a key, so that a repeated one is not done twice. Sealed: an answer may hold a token.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    column("actor", sa.String(255), primary_key=True),
    column("key", sa.String(255), primary_key=True),
    column("request", sa.String(64)),
    column("status", sa.Integer),
    column("answer", sa.Text),
    column("at", UTCDateTime, index=True),
)
