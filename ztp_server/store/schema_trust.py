"""The tables of who is believed: proofs of phones, certificates, who knocked, and the keys of secrets."""

from __future__ import annotations

import sqlalchemy as sa

from ztp_server.store.columns import UTCDateTime, column, metadata

# What a phone shows in the path of its requests: `kind` is `bootstrap` or `steady`. `hash` is the SHA-256 of the token,
# `number` the one from which it is derived anew. Bound to the address that used a bootstrap token first.
phone_tokens = sa.Table(
    "phone_tokens",
    metadata,
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    column("kind", sa.String(16), primary_key=True),
    column("hash", sa.String(64), unique=True),
    column("number", sa.String(32)),
    column("created_by", sa.String(255)),
    column("created_at", UTCDateTime),
    sa.Column("first_used_at", UTCDateTime),
    column("address", sa.String(64)),
)

# A time in which whoever asks in a phone's name first, and from that address, is believed.
provisioning_windows = sa.Table(
    "provisioning_windows",
    metadata,
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    column("opened_by", sa.String(255)),
    column("opened_at", UTCDateTime),
    column("until", UTCDateTime, index=True),
    sa.Column("first_used_at", UTCDateTime),
    column("address", sa.String(64)),
)

# User name and password (sealed) by which a phone proves itself with HTTP Digest.
digest_credentials = sa.Table(
    "digest_credentials",
    metadata,
    column("phone_id", sa.String(32), sa.ForeignKey("phones.id", ondelete="CASCADE"), primary_key=True),
    column("user", sa.String(64), unique=True),
    column("password", sa.Text),
    column("created_by", sa.String(255)),
    column("created_at", UTCDateTime),
)

# Factory certificates that prove nothing any more, whoever signed them.
denied_certificates = sa.Table(
    "denied_certificates",
    metadata,
    column("sha256", sa.String(64), primary_key=True),
    column("subject", sa.String(255)),
    column("reason", sa.String(255)),
    column("denied_by", sa.String(255)),
    column("denied_at", UTCDateTime),
)

# Phones that asked and are none of ours. Bounded: the one seen longest ago makes room. `certified` is the MAC in the
# certificate that was shown, `denied_by` keeps one quiet, `why` says why that was done, or what kept it from a rule.
unknown_phones = sa.Table(
    "unknown_phones",
    metadata,
    column("mac", sa.String(12), primary_key=True),
    column("vendor", sa.String(64)),
    column("model", sa.String(64)),
    column("firmware", sa.String(64)),
    column("address", sa.String(64)),
    column("certificate", sa.String(64)),
    column("certified", sa.String(12)),
    column("files", sa.JSON),
    column("first_at", UTCDateTime),
    column("last_at", UTCDateTime),
    column("count", sa.Integer),
    column("denied_by", sa.String(255)),
    column("why", sa.String(255)),
    sa.Index("ix_unknown_phones_last_at", "last_at", "mac"),
)

# Which unknown phones become phones by themselves: from these networks (none: the site's), with this proof, of this
# family, so many at most.
approval_rules = sa.Table(
    "approval_rules",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("site_id", sa.String(64), sa.ForeignKey("sites.id"), index=True),
    column("base_settings_id", sa.String(64), sa.ForeignKey("base_settings.id"), index=True),
    column("networks", sa.JSON),
    column("proof", sa.String(16)),
    column("most", sa.Integer),
    column("approved", sa.Integer),
    sa.Column("until", UTCDateTime),
    column("created_by", sa.String(255)),
    column("revision", sa.Integer),
)

# Keys of secrets, each wrapped by the key that lives outside the database. The newest seals; all of them open.
data_keys = sa.Table(
    "data_keys",
    metadata,
    column("id", sa.Integer, primary_key=True, autoincrement=False),
    column("wrapped", sa.Text),
    column("created_at", UTCDateTime),
)
