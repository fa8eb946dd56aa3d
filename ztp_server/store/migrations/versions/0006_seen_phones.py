"""Which phones were ever seen."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("phones") as batch_op:
        batch_op.add_column(sa.Column("seen", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index("ix_phones_seen", ["seen", "category", "name_key", "id"], unique=False)
    op.execute("UPDATE phones SET seen = TRUE WHERE id IN (SELECT phone_id FROM phone_status)")
