"""People, phones of every category, removed phones, more of sites and base settings."""

import json

import sqlalchemy as sa
from alembic import op

from ztp_server.store.columns import UTCDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=255), nullable=False),
        sa.Column("extension", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    with op.batch_alter_table("users") as batch_op:
        batch_op.create_index(op.f("ix_users_extension"), ["extension"], unique=False)
        batch_op.create_index(op.f("ix_users_name_key"), ["name_key"], unique=False)
    op.create_table(
        "user_lines",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("auth_user", sa.String(length=128), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("display_name", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_lines_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "position", name=op.f("pk_user_lines")),
    )
    with op.batch_alter_table("user_lines") as batch_op:
        batch_op.create_index(op.f("ix_user_lines_user"), ["user"], unique=False)
    op.create_table(
        "removed_phones",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("hardware_id", sa.String(length=253), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removed_phones")),
    )
    with op.batch_alter_table("removed_phones") as batch_op:
        batch_op.create_index(op.f("ix_removed_phones_at"), ["at"], unique=False)
        batch_op.create_index(op.f("ix_removed_phones_hardware_id"), ["hardware_id"], unique=False)
    with op.batch_alter_table("base_settings_revisions") as batch_op:
        batch_op.add_column(sa.Column("reason", sa.String(length=255), server_default=sa.text("''"), nullable=False))
    with op.batch_alter_table("phones") as batch_op:
        batch_op.add_column(sa.Column("name_key", sa.String(length=255), server_default=sa.text("''"), nullable=False))
        batch_op.add_column(sa.Column("user_id", sa.String(length=64), nullable=True))
        batch_op.add_column(
            sa.Column("remote_address", sa.String(length=255), server_default=sa.text("''"), nullable=False)
        )
        batch_op.alter_column("hardware_id", existing_type=sa.VARCHAR(length=253), nullable=True)
        batch_op.alter_column("base_settings_id", existing_type=sa.VARCHAR(length=64), nullable=True)
        for name in ("model", "site_id", "base_settings_id"):
            batch_op.drop_index(op.f(f"ix_phones_{name}"))
        for name in ("category", "model", "site_id", "base_settings_id"):
            batch_op.create_index(f"ix_phones_{name}", [name, "name_key", "id"], unique=False)
        batch_op.create_index("ix_phones_name_key", ["name_key", "id", "hardware_id"], unique=False)
        batch_op.create_index("ix_phones_group", ["base_settings_id", "site_id", "model", "hardware_id"], unique=False)
        batch_op.create_index("ix_phones_revision", ["id", "revision", "category"], unique=False)
        batch_op.create_index(op.f("ix_phones_remote_address"), ["remote_address"], unique=False)
        batch_op.create_index(op.f("ix_phones_user_id"), ["user_id"], unique=False)
        batch_op.create_foreign_key(op.f("fk_phones_user_id"), "users", ["user_id"], ["id"])
    op.create_table(
        "phone_overrides",
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("phone_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["phone_id"], ["phones.id"], name=op.f("fk_phone_overrides_phone_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", "phone_id", name=op.f("pk_phone_overrides")),
    )
    with op.batch_alter_table("phone_overrides") as batch_op:
        batch_op.create_index(op.f("ix_phone_overrides_phone_id"), ["phone_id"], unique=False)
    with op.batch_alter_table("sites") as batch_op:
        batch_op.add_column(sa.Column("civic_address", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(
            sa.Column("webrtc_url", sa.String(length=255), server_default=sa.text("''"), nullable=False)
        )
        batch_op.add_column(sa.Column("ice_servers", sa.JSON(), server_default="[]", nullable=False))
    with op.batch_alter_table("lines") as batch_op:
        batch_op.drop_index(op.f("ix_lines_user"))
        batch_op.create_index("ix_lines_user", ["user", "phone_id"], unique=False)
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.drop_constraint(op.f("fk_uploads_phone_id"), type_="foreignkey")
    _fill()


def _fill() -> None:
    """What follows from the phones that are there: their names without case, which settings they override."""
    connection = op.get_bind()
    phones = sa.table("phones", *(sa.column(name) for name in ("id", "name", "name_key", "settings")))
    overrides = sa.table("phone_overrides", sa.column("name"), sa.column("phone_id"))
    last = ""
    while rows := connection.execute(sa.select(phones).where(phones.c.id > last).order_by("id").limit(1000)).all():
        last = rows[-1].id
        keys = [{"row": row.id, "key": row.name.casefold()[:255]} for row in rows]
        update = sa.update(phones).where(phones.c.id == sa.bindparam("row")).values(name_key=sa.bindparam("key"))
        connection.execute(update, keys)
        found = [{"name": name, "phone_id": row.id} for row in rows for name in _settings(row.settings)]
        if found:
            connection.execute(sa.insert(overrides), found)


def _settings(value: object) -> dict[str, object]:
    """A JSON column as the driver gives it: text on SQLite, read already on PostgreSQL."""
    read: dict[str, object] = json.loads(value) if isinstance(value, str) else value  # type: ignore[assignment]
    return read
