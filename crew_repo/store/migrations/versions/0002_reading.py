"""How a typed output is read again from what is stored of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From version 1 to version 2."""
    op.add_column("record", sa.Column("reading", sa.Text(), nullable=True))
