"""Answers of models and results of tools inside tasks that have not finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OF_CALL = ("workflow_id", "task_name", "input_hash", "run_id", "kind", "call_key")
_COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "successful_requests")


def upgrade() -> None:
    """From version 5 to version 6."""
    op.create_table(
        "kept_call",
        sa.Column("call_id", _NUMBER, primary_key=True, nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in _OF_CALL],
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("called_at", sa.Text(), nullable=False),
        *[sa.Column(name, _NUMBER, nullable=False) for name in _COUNTS],
        sa.Column("usage_by_model", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    place = ["workflow_id", "task_name", "input_hash", "call_key", "occurrence"]
    op.create_index("kept_call_place", "kept_call", place, unique=True)
