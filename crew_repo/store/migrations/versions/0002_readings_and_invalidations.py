"""How a typed output is read again; where a task was invalidated, for workflows that share records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From version 1 to version 2."""
    op.add_column("record", sa.Column("reading", sa.Text(), nullable=True))
    op.create_table(
        "invalidation",
        sa.Column("workflow_id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("task_name", sa.Text(), primary_key=True, nullable=False),
        sa.Column("record_id", _NUMBER, nullable=False),
        sa.Column("invalidated_at", sa.Text(), nullable=False),
    )
