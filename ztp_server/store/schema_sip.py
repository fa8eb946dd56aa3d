"""The tables of what is known by SIP: platforms that phones register with, and who is registered."""

from __future__ import annotations

import sqlalchemy as sa

from ztp_server.store.columns import BIG, UTCDateTime, column, metadata

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
# the places where it is reached, none when it is not registered any more; `untold` is why nothing is known of it, empty
# where it is. Who was registered once is kept, that nobody says it never was.
registrations = sa.Table(
    "registrations",
    metadata,
    column("platform_id", sa.String(64), sa.ForeignKey("platforms.id", ondelete="CASCADE"), primary_key=True),
    column("user", sa.String(128), primary_key=True),
    column("domain", sa.String(253), primary_key=True),
    column("contacts", sa.JSON),
    column("untold", sa.String(255)),
    column("ever_registered", sa.Boolean),
    column("changed_at", UTCDateTime),
    sa.Index("ix_registrations_user", "user"),
)

# The roll-up of a phone's lines, as the platforms told: online, degraded, offline, never_registered; unknown where none
# tells. It holds as long as the platforms it depends on are heard of: `primary_id`, and `secondary_id` if that counts.
# `number` is higher than that of any row written before, by which it is known what is new. Looked up for many phones at
# once, so a row lies where its key does.
phone_registrations = sa.Table(
    "phone_registrations",
    metadata,
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    column("state", sa.String(16)),
    column("reason", sa.String(255)),
    column("since", UTCDateTime),
    column("primary_id", sa.String(64)),
    column("secondary_id", sa.String(64)),
    column("number", BIG, index=True),
    sa.Index("ix_phone_registrations_state", "state", "phone_id"),
    sqlite_with_rowid=False,
)

# Whether a platform's source tells anything at the moment: why not, empty when it does. Without a row it never did.
platform_states = sa.Table(
    "platform_states",
    metadata,
    column("platform_id", sa.String(64), sa.ForeignKey("platforms.id", ondelete="CASCADE"), primary_key=True),
    column("reason", sa.String(255)),
    column("since", UTCDateTime),
)

# What one server at a time does for all: `beat` goes up as long as `holder` does it, the last time at `at`.
leases = sa.Table(
    "leases",
    metadata,
    column("name", sa.String(32), primary_key=True),
    column("holder", sa.String(64)),
    column("beat", BIG),
    column("at", UTCDateTime),
)
