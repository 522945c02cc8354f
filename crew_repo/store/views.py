"""The view `task_state`, and the triggers that make deleting and editing its rows by hand mean something.

A deleted row: that task runs again. An edited output: the record is altered, which the next run notices. Views and
triggers hold no data, so a migration drops them first and creates them anew at the end.
"""

from __future__ import annotations

__all__ = ["create_views", "drop_views"]

_REMEDY = "in task_state only output can be edited, and rows deleted; to make a task run again, delete its row"
_NO_RECORD = "this task has no output to edit; delete its row to make it run again"

_VIEW = """
CREATE VIEW task_state AS
SELECT shown.workflow_id AS workflow_id,
       COALESCE(run.crew_name, record.crew_name) AS crew_name,
       shown.task_name AS task_name,
       shown.position AS position,
       CASE WHEN shown.status NOT IN ('executed', 'reused') THEN shown.status
            WHEN record.retired = 'invalidated' THEN 'invalidated'
            ELSE 'completed' END AS status,
       record.output AS output,
       shown.input_hash AS input_hash,
       record.output_hash AS output_hash,
       COALESCE(record.completed_at, shown.finished_at) AS completed_at,
       COALESCE(record.duration_seconds, shown.duration_seconds) AS duration_seconds,
       COALESCE(record.total_tokens, shown.total_tokens) AS total_tokens,
       CASE WHEN shown.error_type IS NOT NULL
            THEN shown.error_type || ': ' || COALESCE(shown.error_message, '') END AS error,
       shown.run_id AS run_id,
       shown.record_id AS record_id
  FROM task_run AS shown
  LEFT JOIN record ON record.record_id = shown.record_id
  LEFT JOIN run ON run.run_id = shown.run_id
 WHERE shown.cleared_at IS NULL
   AND shown.task_run_id = (SELECT MAX(newest.task_run_id) FROM task_run AS newest
                             WHERE newest.workflow_id = shown.workflow_id
                               AND newest.task_name = shown.task_name
                               AND newest.cleared_at IS NULL)
"""

_FIXED = (
    "workflow_id", "crew_name", "task_name", "position", "status", "input_hash", "output_hash", "completed_at",
    "duration_seconds", "total_tokens", "error", "run_id", "record_id",
)  # fmt: skip


def _clear(now: str) -> str:
    """Deleting a row: nothing recorded of that task may be served any more, nor, here, what others have.

    But what its name was recorded with may be another task's answer by now, as the same run shows: then that stays.
    """
    return f"""
    UPDATE record SET retired = 'deleted', retired_at = {now}
     WHERE retired IS NULL
       AND (record_id = OLD.record_id OR (workflow_id = OLD.workflow_id AND task_name = OLD.task_name
            AND record_id NOT IN (SELECT other.record_id FROM task_run AS other
                                   WHERE other.run_id = OLD.run_id AND other.task_name <> OLD.task_name
                                     AND other.record_id IS NOT NULL)));
    UPDATE task_run SET cleared_at = {now}
     WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name AND cleared_at IS NULL;
    DELETE FROM invalidation WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name;
    INSERT INTO invalidation (workflow_id, task_name, record_id, invalidated_at)
    SELECT OLD.workflow_id, OLD.task_name, COALESCE(MAX(record_id), 0), {now} FROM record;"""  # noqa: S608


_EDIT = "UPDATE record SET output = NEW.output WHERE record_id = OLD.record_id;"


def _sqlite() -> list[str]:
    changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _FIXED)
    return [
        _VIEW,
        "CREATE TRIGGER task_state_delete INSTEAD OF DELETE ON task_state BEGIN"
        + _clear("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')")
        + " END",
        f"""CREATE TRIGGER task_state_update INSTEAD OF UPDATE ON task_state BEGIN
    SELECT RAISE(ABORT, '{_REMEDY}') WHERE {changed};
    SELECT RAISE(ABORT, '{_NO_RECORD}') WHERE OLD.output IS NULL OR NEW.output IS NULL;
    {_EDIT} END""",
    ]


def _postgresql() -> list[str]:
    now = """to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    changed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in _FIXED)
    return [
        _VIEW,
        f"""CREATE FUNCTION task_state_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    {_clear(now)} RETURN OLD; END $$""",
        f"""CREATE FUNCTION task_state_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF {changed} THEN RAISE EXCEPTION '{_REMEDY}'; END IF;
    IF OLD.output IS NULL OR NEW.output IS NULL THEN RAISE EXCEPTION '{_NO_RECORD}'; END IF;
    {_EDIT} RETURN NEW; END $$""",
        _pg_trigger("delete"),
        _pg_trigger("update"),
    ]


def _pg_trigger(what: str) -> str:
    return f"""CREATE TRIGGER task_state_{what} INSTEAD OF {what.upper()} ON task_state
    FOR EACH ROW EXECUTE FUNCTION task_state_{what}()"""


def create_views(dialect_name: str) -> list[str]:
    """The statements that create the view and its triggers."""
    return _sqlite() if dialect_name == "sqlite" else _postgresql()


def drop_views(dialect_name: str) -> list[str]:
    """The statements that drop them; on SQLite the triggers go with the view."""
    functions = ["DROP FUNCTION IF EXISTS task_state_delete()", "DROP FUNCTION IF EXISTS task_state_update()"]
    return ["DROP VIEW IF EXISTS task_state", *([] if dialect_name == "sqlite" else functions)]
