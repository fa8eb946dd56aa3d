"""Lines that several phones show."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("lines", sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False))
