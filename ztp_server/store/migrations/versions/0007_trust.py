"""Proofs of phones, certificates that are denied, who knocked, keys of secrets."""

import json

import sqlalchemy as sa
from alembic import op

from ztp_server.store.columns import UTCDateTime

revision = "0007"
down_revision = "0006"

_FORMER_PROOFS, _PROOFS = ["certificate", "network"], ["certificate", "token", "window", "digest", "network"]


def upgrade() -> None:
    op.create_table(
        "phone_tokens",
        sa.Column("phone_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("first_used_at", UTCDateTime(), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["phone_id"], ["phones.id"], name=op.f("fk_phone_tokens_phone_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("phone_id", "kind", name=op.f("pk_phone_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_phone_tokens_hash")),
    )
    op.create_table(
        "provisioning_windows",
        sa.Column("phone_id", sa.String(length=32), nullable=False),
        sa.Column("opened_by", sa.String(length=255), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.Column("first_used_at", UTCDateTime(), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["phone_id"], ["phones.id"], name=op.f("fk_provisioning_windows_phone_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("phone_id", name=op.f("pk_provisioning_windows")),
    )
    with op.batch_alter_table("provisioning_windows") as batch_op:
        batch_op.create_index(op.f("ix_provisioning_windows_until"), ["until"], unique=False)
    op.create_table(
        "digest_credentials",
        sa.Column("phone_id", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["phone_id"], ["phones.id"], name=op.f("fk_digest_credentials_phone_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("phone_id", name=op.f("pk_digest_credentials")),
        sa.UniqueConstraint("user", name=op.f("uq_digest_credentials_user")),
    )
    op.create_table(
        "denied_certificates",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("denied_by", sa.String(length=255), nullable=False),
        sa.Column("denied_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_denied_certificates")),
    )
    op.create_table(
        "unknown_phones",
        sa.Column("mac", sa.String(length=12), nullable=False),
        sa.Column("vendor", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("firmware", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("certificate", sa.String(length=64), nullable=False),
        sa.Column("certified", sa.String(length=12), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("denied_by", sa.String(length=255), nullable=False),
        sa.Column("why", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("mac", name=op.f("pk_unknown_phones")),
    )
    with op.batch_alter_table("unknown_phones") as batch_op:
        batch_op.create_index("ix_unknown_phones_last_at", ["last_at", "mac"], unique=False)
    op.create_table(
        "approval_rules",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("base_settings_id", sa.String(length=64), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("proof", sa.String(length=16), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("approved", sa.Integer(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_approval_rules_site_id")),
        sa.ForeignKeyConstraint(
            ["base_settings_id"], ["base_settings.id"], name=op.f("fk_approval_rules_base_settings_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval_rules")),
    )
    with op.batch_alter_table("approval_rules") as batch_op:
        batch_op.create_index(op.f("ix_approval_rules_site_id"), ["site_id"], unique=False)
        batch_op.create_index(op.f("ix_approval_rules_base_settings_id"), ["base_settings_id"], unique=False)
    op.create_table(
        "data_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_keys")),
    )
    with op.batch_alter_table("accounts") as batch_op:
        batch_op.add_column(sa.Column("external_id", sa.String(length=255), nullable=True))
        batch_op.create_unique_constraint(op.f("uq_accounts_external_id"), ["external_id"])
    _change_phones()
    _keep_certificates()
    _accept_every_proof()


def _change_phones() -> None:
    """`proofs` are those that count for one phone, NULL for those of its site."""
    with op.batch_alter_table("phones") as batch_op:
        batch_op.add_column(sa.Column("proofs", sa.JSON(), nullable=True))


def _keep_certificates() -> None:
    """Which certificate each phone last proved itself with, as far as the log still knows."""
    column = sa.Column("certificate", sa.String(length=64), server_default=sa.text("''"), nullable=False)
    with op.batch_alter_table("phone_status") as batch_op:
        batch_op.add_column(column)
    op.execute(
        "UPDATE phone_status SET certificate = COALESCE((SELECT run.certificate FROM check_in_runs AS run"
        " JOIN phones ON phones.hardware_id = run.hardware_id"
        " WHERE phones.id = phone_status.phone_id AND run.proof = 'certificate' ORDER BY run.seq DESC LIMIT 1), '')"
    )


def _accept_every_proof() -> None:
    """Where a site took every kind of proof there was, it takes every kind there is: the new ones prove nothing before
    an administrator makes a token or opens a window."""
    sites = sa.table("sites", sa.column("id", sa.String), sa.column("proofs", sa.JSON))
    connection = op.get_bind()
    for row in connection.execute(sa.select(sites.c.id, sites.c.proofs)).all():
        proofs = json.loads(row.proofs) if isinstance(row.proofs, str) else row.proofs
        if sorted(proofs) == _FORMER_PROOFS:
            connection.execute(sa.update(sites).where(sites.c.id == row.id).values(proofs=_PROOFS))
