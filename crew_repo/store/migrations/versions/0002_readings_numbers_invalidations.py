"""How a typed output is read again; the order of runs; where a task was invalidated.

Runs are numbered in the order in which they began: a clock that was ahead made one the newest for ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BEFORE = "before.started_at < run.started_at OR (before.started_at = run.started_at AND before.run_id <= run.run_id)"


def upgrade() -> None:
    """From version 1 to version 2."""
    op.add_column("record", sa.Column("reading", sa.Text(), nullable=True))
    _number_runs()
    op.create_table(
        "invalidation",
        sa.Column("workflow_id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("task_name", sa.Text(), primary_key=True, nullable=False),
        sa.Column("record_id", _NUMBER, nullable=False),
        sa.Column("invalidated_at", sa.Text(), nullable=False),
    )


def _number_runs() -> None:
    """Number the runs that are there by their times, all that is known of their order."""
    op.drop_index("run_by_workflow", "run")
    op.add_column("run", sa.Column("number", _NUMBER, nullable=True))
    op.execute(f"UPDATE run SET number = (SELECT COUNT(*) FROM run AS before WHERE {_BEFORE})")  # noqa: S608
    with op.batch_alter_table("run") as run:
        run.alter_column("number", existing_type=_NUMBER, nullable=False)
    op.create_index("run_by_workflow", "run", ["workflow_id", "number"])
    op.create_index("run_number", "run", ["number"], unique=True)
