"""An entry for each change by a person; who gave an answer; the number of a run in its workflow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BEFORE = "before.workflow_id = run_entry.workflow_id AND before.number <= run_entry.number"


def _texts(*names: str, null: bool = True) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _NUMBER, nullable=True) for name in names]


def upgrade() -> None:
    """From version 3 to version 4."""
    op.add_column("record", sa.Column("person", sa.Text(), nullable=True))
    by_person = sa.text("origin = 'person'")
    op.create_index(
        "record_by_person", "record", ["workflow_id"], sqlite_where=by_person, postgresql_where=by_person
    )
    _number_runs()
    op.create_table(
        "change",
        sa.Column("change_id", _NUMBER, primary_key=True, nullable=False),
        *_texts("workflow_id", "task_name"),
        *_texts("kind", "changed_at", "changed_by", null=False),
        *_texts("reason", "input_hash"),
        *_numbers("record_before", "record_after"),
        *_texts("hash_before", "hash_after"),
        *_texts("records", null=False),
        *_numbers("undoes"),
        *_texts("detail"),
        sqlite_autoincrement=True,
    )
    op.create_index("change_by_task", "change", ["workflow_id", "task_name"])
    op.create_index("change_undone", "change", ["undoes"])


def _number_runs() -> None:
    """Number the runs that are there within their workflows."""
    op.add_column("run_entry", sa.Column("ordinal", _NUMBER, nullable=True))
    op.execute(f"UPDATE run_entry SET ordinal = (SELECT COUNT(*) FROM run_entry AS before WHERE {_BEFORE})")  # noqa: S608
    with op.batch_alter_table("run_entry") as run:
        run.alter_column("ordinal", existing_type=_NUMBER, nullable=False)
