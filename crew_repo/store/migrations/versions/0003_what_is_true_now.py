"""What a run wrote of itself, from which the view `run` says what is true now; the model's name; the crew's tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From version 2 to version 3."""
    op.rename_table("run", "run_entry")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE run_entry RENAME CONSTRAINT run_pkey TO run_entry_pkey")
    op.add_column("run_entry", sa.Column("task_names", sa.Text(), nullable=True))
    op.add_column("record", sa.Column("model", sa.Text(), nullable=True))
