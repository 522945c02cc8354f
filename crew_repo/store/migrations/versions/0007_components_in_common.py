"""Components that many records have in common are kept once. Records of before keep all of theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From version 6 to version 7."""
    op.add_column("record", sa.Column("shared_hash", sa.Text(), nullable=True))
