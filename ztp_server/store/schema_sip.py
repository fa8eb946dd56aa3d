"""The tables of what is known by SIP: platforms that phones register with, and who is registered."""

from __future__ import annotations

import sqlalchemy as sa

from ztp_server.store.columns import UTCDateTime, column, metadata

# The services that phones register with. Both passwords are sealed.
platforms = sa.Table(
    "platforms",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("name", sa.String(255)),
    column("domains", sa.JSON),
    column("address", sa.String(300)),
    column("user", sa.String(128)),
    column("password", sa.Text),
    column("ca", sa.Text),
    column("direct", sa.Boolean),
    column("source", sa.String(32)),
    column("source_address", sa.String(300)),
    column("source_user", sa.String(128)),
    column("source_password", sa.Text),
    column("revision", sa.Integer),
)

# What each platform's source said last of one address of record; `domain` is empty where it tells none. `contacts` are
# the places where it is reached, none when it is not registered any more.
registrations = sa.Table(
    "registrations",
    metadata,
    column("platform_id", sa.String(64), sa.ForeignKey("platforms.id", ondelete="CASCADE"), primary_key=True),
    column("user", sa.String(128), primary_key=True),
    column("domain", sa.String(253), primary_key=True),
    column("contacts", sa.JSON),
    column("changed_at", UTCDateTime),
)

# The roll-up of a phone's lines: online, degraded, offline, never_registered. A phone without a row is unknown.
phone_registrations = sa.Table(
    "phone_registrations",
    metadata,
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    column("state", sa.String(16), index=True),
    column("reason", sa.String(255)),
    column("since", UTCDateTime),
)
