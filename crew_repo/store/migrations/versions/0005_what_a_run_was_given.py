"""Inputs of runs, where their crews come from, whom they wait for; the tokens of each model; answers that are held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXTS = (
    ("run_entry", "input_hashes"), ("run_entry", "source"), ("run_entry", "waits_for"), ("task_run", "model"),
    ("task_run", "usage_by_model"), ("record", "usage_by_model"),
)  # fmt: skip
_OF_HELD = ("workflow_id", "task_name", "definition_hash", "output", "output_hash")


def upgrade() -> None:
    """From version 4 to version 5."""
    for table, column in _TEXTS:
        op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
    op.create_table(
        "held_answer",
        sa.Column("held_id", _NUMBER, primary_key=True, nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in _OF_HELD],
        sa.Column("change_id", _NUMBER, nullable=False),
        sa.Column("retired", sa.Text(), nullable=True),
        sa.Column("retired_by", _NUMBER, nullable=True),
        sqlite_autoincrement=True,
    )
    live = sa.text("retired IS NULL")
    op.create_index(
        "held_answer_place", "held_answer", ["workflow_id", "task_name", "definition_hash"], unique=True,
        sqlite_where=live, postgresql_where=live,
    )  # fmt: skip
