"""The first tables. Written out, not taken from the models: a revision stays as it is when the models go on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_USAGE = ("total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "successful_requests")


def _text(*names: str, null: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _numbers(*names: str, null: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, _NUMBER, nullable=null) for name in names]


def _integers(*names: str, null: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=null) for name in names]


def _seconds(*names: str, null: bool = False) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double(), nullable=null) for name in names]


def _serial(name: str) -> sa.Column[int]:
    return sa.Column(name, _NUMBER, primary_key=True, nullable=False)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=True, nullable=False)


def upgrade() -> None:
    """From an empty database to version 1."""
    _create_run()
    _create_record()
    op.create_table("text", _key("sha256"), *_text("body"))
    _create_task_run()
    _create_lease()


def _create_run() -> None:
    op.create_table(
        "run",
        _key("run_id"),
        *_text("workflow_id", "crew_name", "status", "started_at"),
        *_text("finished_at", "host", null=True),
        *_integers("pid", null=True),
        *_text("owner", "heartbeat_at"),
        *_seconds("lease_seconds"),
        *_numbers("executed", "reused", "failed", "tokens_spent", "tokens_saved"),
        *_seconds("seconds_saved"),
        *_text("error_type", "error_message", "error_traceback", null=True),
        *_text("facts"),
    )
    op.create_index("run_by_workflow", "run", ["workflow_id", "started_at"])
    _create_partial_index("run_running", "run", ["run_id"], "status = 'running'")


def _create_record() -> None:
    op.create_table(
        "record",
        _serial("record_id"),
        *_text("workflow_id", "crew_name", "task_name"),
        *_integers("position"),
        *_text("run_id", "input_hash", "definition_hash", "context_hash"),
        *_integers("occurrence"),
        *_text("output_hash"),
        *_integers("hash_format"),
        *_text("origin"),
        *_text("retired", "retired_at", "not_restorable", null=True),
        *_text("started_at", "completed_at"),
        *_seconds("duration_seconds"),
        *_numbers(*_USAGE),
        *_numbers("fence", null=True),
        *_text("agent"),
        *_text("name", null=True),
        *_text("output_format", "output"),
        *_text("pydantic_json", "json_dict", null=True),
        *_text("description"),
        *_text("expected_output", "messages", "tool_failures", null=True),
        *_text("components", "explanations"),
        sqlite_autoincrement=True,
    )
    _create_partial_index("record_live", "record", ["input_hash", "workflow_id"], "retired IS NULL", unique=True)
    op.create_index("record_by_task", "record", ["workflow_id", "task_name", "record_id"])
    _create_partial_index("record_by_definition", "record", ["definition_hash", "workflow_id"], "retired IS NULL")


def _create_task_run() -> None:
    op.create_table(
        "task_run",
        _serial("task_run_id"),
        sa.Column("run_id", sa.Text(), sa.ForeignKey("run.run_id"), nullable=False),
        *_text("workflow_id", "task_name"),
        *_integers("position"),
        *_text("status"),
        *_text("input_hash", null=True),
        *_numbers("record_id", null=True),
        *_text("started_at", "finished_at", null=True),
        *_seconds("duration_seconds", null=True),
        *_numbers(*_USAGE, "tokens_saved"),
        *_seconds("seconds_saved"),
        *_text("cleared_at", null=True),
        *_text("reasons"),
        *_text("error_type", "error_message", "error_traceback", null=True),
        sqlite_autoincrement=True,
    )
    newest = ["workflow_id", "task_name", "task_run_id"]
    _create_partial_index("task_run_newest", "task_run", newest, "cleared_at IS NULL")
    op.create_index("task_run_place", "task_run", ["run_id", "position"], unique=True)


def _create_lease() -> None:
    op.create_table(
        "lease",
        _serial("fence"),
        *_text("workflow_id", "input_hash", "owner"),
        sa.Column("run_id", sa.Text(), sa.ForeignKey("run.run_id"), nullable=False),
        *_text("task_name"),
        *_integers("position"),
        *_text("acquired_at", "expires_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("lease_work", "lease", ["workflow_id", "input_hash"], unique=True)


def _create_partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
