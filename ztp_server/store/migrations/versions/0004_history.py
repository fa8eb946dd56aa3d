"""What phones asked for and were given, how far they came, and the audit."""

import sqlalchemy as sa
from alembic import op

from ztp_server.store.columns import BIG, UTCDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "check_in_runs",
        sa.Column("seq", BIG, autoincrement=True, nullable=False),
        sa.Column("hardware_id", sa.String(length=253), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("etag", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("listener", sa.String(length=8), nullable=False),
        sa.Column("proof", sa.String(length=32), nullable=False),
        sa.Column("certificate", sa.String(length=64), nullable=False),
        sa.Column("firmware", sa.String(length=64), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("made_of", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_check_in_runs")),
    )
    with op.batch_alter_table("check_in_runs") as batch_op:
        batch_op.create_index(op.f("ix_check_in_runs_etag"), ["etag"], unique=False)
        batch_op.create_index("ix_check_in_runs_hardware_id", ["hardware_id", "file", "seq"], unique=False)
        batch_op.create_index(op.f("ix_check_in_runs_last_at"), ["last_at"], unique=False)
    op.create_table(
        "served_files",
        sa.Column("etag", sa.String(length=64), nullable=False),
        sa.Column("content_type", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("etag", name=op.f("pk_served_files")),
    )
    op.create_table(
        "phone_status",
        sa.Column("phone_id", sa.String(length=32), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("firmware", sa.String(length=64), nullable=False),
        sa.Column("firmware_wanted", sa.String(length=64), nullable=False),
        sa.Column("inputs", sa.String(length=32), nullable=False),
        sa.Column("phone_revision", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=255), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("phone_id", name=op.f("pk_phone_status")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("phone_status") as batch_op:
        batch_op.create_index(op.f("ix_phone_status_due_at"), ["due_at"], unique=False)
        batch_op.create_index("ix_phone_status_firmware", ["firmware", "phone_id"], unique=False)
        batch_op.create_index(op.f("ix_phone_status_inputs"), ["inputs"], unique=False)
        batch_op.create_index("ix_phone_status_phone_id", ["phone_id", "phone_revision"], unique=False)
        batch_op.create_index("ix_phone_status_last_at", ["last_at", "phone_id"], unique=False)
        batch_op.create_index(op.f("ix_phone_status_problem"), ["problem"], unique=False)
    op.create_table(
        "audit",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit") as batch_op:
        batch_op.create_index(op.f("ix_audit_actor"), ["actor"], unique=False)
        batch_op.create_index(op.f("ix_audit_at"), ["at"], unique=False)
        batch_op.create_index(op.f("ix_audit_subject"), ["subject"], unique=False)
    _append_only()


def _append_only() -> None:
    """The audit grows and never changes, whoever writes the SQL."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
    )
