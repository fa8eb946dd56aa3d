"""The first schema."""

import sqlalchemy as sa
from alembic import op

from ztp_server.store.columns import UTCDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "base_settings",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_base_settings")),
    )
    op.create_table(
        "changes",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(253), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "check_ins",
        sa.Column("hardware_id", sa.String(253), nullable=False),
        sa.Column("file", sa.String(255), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("proof", sa.String(32), nullable=False),
        sa.Column("firmware", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("hardware_id", "file", name=op.f("pk_check_ins")),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_table(
        "firmware",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", name=op.f("pk_firmware")),
    )
    op.create_index(op.f("ix_firmware_sha256"), "firmware", ["sha256"], unique=False)
    op.create_table(
        "meta",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "sites",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("proofs", sa.JSON(), nullable=False),
        sa.Column("plain_secrets", sa.Boolean(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sites")),
    )
    op.create_table(
        "base_settings_revisions",
        sa.Column("base_settings_id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("author", sa.String(255), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["base_settings_id"],
            ["base_settings.id"],
            name=op.f("fk_base_settings_revisions_base_settings_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("base_settings_id", "revision", name=op.f("pk_base_settings_revisions")),
    )
    op.create_table(
        "phones",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("hardware_id", sa.String(253), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("category", sa.String(16), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("site_id", sa.String(64), nullable=False),
        sa.Column("base_settings_id", sa.String(64), nullable=False),
        sa.Column("line_keys", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["base_settings_id"], ["base_settings.id"], name=op.f("fk_phones_base_settings_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_phones_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phones")),
        sa.UniqueConstraint("hardware_id", name=op.f("uq_phones_hardware_id")),
    )
    op.create_index(op.f("ix_phones_base_settings_id"), "phones", ["base_settings_id"], unique=False)
    op.create_index(op.f("ix_phones_model"), "phones", ["model"], unique=False)
    op.create_index(op.f("ix_phones_site_id"), "phones", ["site_id"], unique=False)
    op.create_table(
        "lines",
        sa.Column("phone_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user", sa.String(128), nullable=False),
        sa.Column("auth_user", sa.String(128), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("label", sa.String(128), nullable=False),
        sa.ForeignKeyConstraint(["phone_id"], ["phones.id"], name=op.f("fk_lines_phone_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("phone_id", "position", name=op.f("pk_lines")),
    )
    op.create_index(op.f("ix_lines_user"), "lines", ["user"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("phone_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["phone_id"], ["phones.id"], name=op.f("fk_uploads_phone_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("phone_id", "name", name=op.f("pk_uploads")),
    )
