"""The tables of what happened: check-ins, files served, status, events, audit."""

from __future__ import annotations

import sqlalchemy as sa

from ztp_server.store.columns import BIG, UTCDateTime, column, metadata

# The last time a phone asked for each file: bounded by what phones may ask for.
check_ins = sa.Table(
    "check_ins",
    metadata,
    column("hardware_id", sa.String(253), primary_key=True),
    column("file", sa.String(255), primary_key=True),
    column("at", UTCDateTime),
    column("status", sa.Integer),
    column("etag", sa.String(64)),
    column("address", sa.String(64)),
    column("proof", sa.String(32)),
    column("firmware", sa.String(64)),
)

# What a phone asked for and was given, time after time: a row stands for all alike that followed each other.
check_in_runs = sa.Table(
    "check_in_runs",
    metadata,
    column("seq", BIG, primary_key=True, autoincrement=True),
    column("hardware_id", sa.String(253)),
    column("file", sa.String(255)),
    column("first_at", UTCDateTime),
    column("last_at", UTCDateTime, index=True),
    column("count", sa.Integer),
    column("status", sa.Integer),
    column("reason", sa.String(255)),
    column("etag", sa.String(64), index=True),
    column("address", sa.String(64)),
    column("listener", sa.String(8)),
    column("proof", sa.String(32)),
    column("certificate", sa.String(64)),
    column("firmware", sa.String(64)),
    column("milliseconds", sa.Integer),
    column("made_of", sa.JSON),
    sa.Index("ix_check_in_runs_hardware_id", "hardware_id", "file", "seq"),
)

# Every file any phone was ever given, without its secrets, once: packed with zlib, by the tag of the bytes given.
served_files = sa.Table(
    "served_files",
    metadata,
    column("etag", sa.String(64), primary_key=True),
    column("content_type", sa.String(64)),
    column("body", sa.LargeBinary),
    column("size", sa.Integer),
    column("at", UTCDateTime),
)

# How far each managed phone came, from what it asked for. `inputs` names what its files were made of when it had all.
# Looked up for many phones at once, so a row lies where its key does. No foreign key: a phone that was removed comes
# back with it.
phone_status = sa.Table(
    "phone_status",
    metadata,
    column("phone_id", sa.String(32), primary_key=True),
    column("first_at", UTCDateTime),
    column("last_at", UTCDateTime),
    column("address", sa.String(64)),
    column("firmware", sa.String(64)),
    column("firmware_wanted", sa.String(64)),
    column("inputs", sa.String(32), index=True),
    column("phone_revision", sa.Integer),
    column("problem", sa.String(255), index=True),
    column("since", UTCDateTime),
    sa.Column("due_at", UTCDateTime, index=True),
    column("certificate", sa.String(64), server_default=sa.text("''")),
    sa.Index("ix_phone_status_phone_id", "phone_id", "phone_revision"),
    sa.Index("ix_phone_status_last_at", "last_at", "phone_id"),
    sa.Index("ix_phone_status_firmware", "firmware", "phone_id"),
    sa.Index("ix_phone_status_address", "address"),
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    metadata,
    column("seq", BIG, primary_key=True, autoincrement=True),
    column("at", UTCDateTime, index=True),
    column("actor", sa.String(255)),
    column("action", sa.String(64)),
    column("subject", sa.String(255)),
    column("detail", sa.JSON),
)

# Every change and every reveal, each record chained to the one before. Rows are added and never changed.
audit = sa.Table(
    "audit",
    metadata,
    column("seq", BIG, primary_key=True, autoincrement=False),
    column("at", UTCDateTime, index=True),
    column("actor", sa.String(255), index=True),
    column("address", sa.String(64)),
    column("action", sa.String(64)),
    column("subject", sa.String(255), index=True),
    column("reason", sa.String(255)),
    column("before", sa.JSON),
    column("after", sa.JSON),
    column("hash", sa.String(64)),
)
