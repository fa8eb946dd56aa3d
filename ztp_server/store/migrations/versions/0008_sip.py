"""SIP platforms and who is registered with them, jobs that begin later, phones that nobody is logged in on."""

import sqlalchemy as sa
from alembic import op

from ztp_server.store.columns import BIG, UTCDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "platforms",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=300), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("ca", sa.Text(), nullable=False),
        sa.Column("direct", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("source_address", sa.String(length=300), nullable=False),
        sa.Column("source_user", sa.String(length=128), nullable=False),
        sa.Column("source_password", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platforms")),
    )
    op.create_table(
        "registrations",
        sa.Column("platform_id", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("domain", sa.String(length=253), nullable=False),
        sa.Column("contacts", sa.JSON(), nullable=False),
        sa.Column("untold", sa.String(length=255), nullable=False),
        sa.Column("ever_registered", sa.Boolean(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platforms.id"], name=op.f("fk_registrations_platform_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("platform_id", "user", "domain", name=op.f("pk_registrations")),
    )
    with op.batch_alter_table("registrations") as batch_op:
        batch_op.create_index("ix_registrations_user", ["user"], unique=False)
    op.create_table(
        "phone_registrations",
        sa.Column("phone_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("primary_id", sa.String(length=64), nullable=False),
        sa.Column("secondary_id", sa.String(length=64), nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["phone_id"], ["phones.id"], name=op.f("fk_phone_registrations_phone_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("phone_id", name=op.f("pk_phone_registrations")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("phone_registrations") as batch_op:
        batch_op.create_index("ix_phone_registrations_state", ["state", "phone_id"], unique=False)
        batch_op.create_index(op.f("ix_phone_registrations_number"), ["number"], unique=False)
    op.create_table(
        "platform_states",
        sa.Column("platform_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platforms.id"], name=op.f("fk_platform_states_platform_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("platform_id", name=op.f("pk_platform_states")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("beat", BIG, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    with op.batch_alter_table("phone_status") as batch_op:
        batch_op.create_index("ix_phone_status_address", ["address"], unique=False)
    with op.batch_alter_table("phones") as batch_op:
        batch_op.add_column(sa.Column("logged_out", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("sites") as batch_op:
        batch_op.add_column(sa.Column("logged_out", sa.JSON(), server_default="{}", nullable=False))
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.add_column(sa.Column("not_before", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("not_after", UTCDateTime(), nullable=True))
    with op.batch_alter_table("job_items") as batch_op:
        batch_op.add_column(sa.Column("told", sa.JSON(), nullable=True))
    with op.batch_alter_table("lines") as batch_op:
        batch_op.create_index("ix_lines_auth_user", ["auth_user", "phone_id"], unique=False)
    with op.batch_alter_table("user_lines") as batch_op:
        batch_op.create_index(op.f("ix_user_lines_auth_user"), ["auth_user"], unique=False)
