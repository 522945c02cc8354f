"""Where a task was invalidated in one workflow, for states that share records across workflows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From version 1 to version 2."""
    op.create_table(
        "invalidation",
        sa.Column("workflow_id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("task_name", sa.Text(), primary_key=True, nullable=False),
        sa.Column("record_id", _NUMBER, nullable=False),
        sa.Column("invalidated_at", sa.Text(), nullable=False),
    )
