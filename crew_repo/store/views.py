"""The views `task_state` and `run`, which say what is true now, and what editing their rows by hand does.

A table cannot know that a process has died since it was written. So what a run wrote of itself is in the table
`run_entry`, and the view `run` works out from its heartbeat whether it still runs; `task_state` does so from the
leases. Views and triggers hold no data: a migration drops them first and creates them anew at the end.

A deleted row of `task_state`: that task runs again. Other edits of it are refused, since nothing would heed them.

| view            | what it says                                                                               |
| --------------- | ------------------------------------------------------------------------------------------ |
| `task_state`    | each task that was noted, or is being executed: what became of it, and its answer          |
| `run`           | each run                                                                                   |
| `known_task`    | the tasks of `task_state`, with their newest note, or a person's answer without one        |
| `task_lease`    | the tasks that somebody executes, or did when his process died (`lost`)                    |
| `run_silent`    | the runs that have been silent for longer than their lease lasts                           |
| `lease_over`    | the leases whose time is over                                                              |
| `crew_task`     | the tasks of each workflow's crew, by the newest run that has told them                    |
| `record_inputs` | what each record was asked, by name; an input whose text is not stored, as a secret, is null |
| `run_inputs`    | what each run was given, by name; a file, and what is not stored, is null                  |
"""

from __future__ import annotations

# ruff: noqa: S608 - nothing in these texts comes from a user
from collections.abc import Collection, Mapping

from crew_repo.model import PLANNER

__all__ = ["create_views", "drop_views"]

_NO_EDIT = (
    "task_state shows what was recorded, and cannot be edited: an answer that was changed by hand is not served. "
    "To make a task run again, delete its row. To have another answer served, StateRepository.override gives one"
)
_NO_INSERT = "task_state shows what was recorded, and takes no rows: StateRepository.run makes them"
_NO_CHANGE = "change is what people did, and is only added to: StateRepository.undo takes a change back, by an entry"
_NO_STATUS = (
    "the status and the sums of a run are worked out when they are read, and cannot be edited; to take a run out of "
    "the list, delete its row"
)

_PLAIN = (
    "run_id", "workflow_id", "crew_name", "started_at", "finished_at", "host", "pid", "owner", "heartbeat_at",
    "lease_seconds", "error_type", "error_message", "error_traceback", "facts", "number", "task_names", "ordinal",
    "source",
)  # fmt: skip
_SUMS = {  # of a run that has not written its own yet
    **{
        kind: f"SUM(CASE WHEN done.status = '{kind}' AND done.task_name <> '{PLANNER}' THEN 1 ELSE 0 END)"
        for kind in ("executed", "reused", "failed")
    },
    "tokens_spent": "SUM(done.total_tokens)",
    "tokens_saved": "SUM(done.tokens_saved)",
    "seconds_saved": "SUM(done.seconds_saved)",
}
_RUN_COLUMNS = (
    "run_id", "workflow_id", "crew_name", "status", "started_at", "finished_at", "host", "pid", "owner",
    "heartbeat_at", "lease_seconds", "executed", "reused", "failed", "tokens_spent", "tokens_saved", "seconds_saved",
    "error_type", "error_message", "error_traceback", "facts", "number", "task_names", "ordinal", "inputs", "source",
    "waits_for",
)  # fmt: skip


_NEWEST_NAMES = """run_entry.number = (SELECT MAX(told.number) FROM run_entry AS told
                            WHERE told.workflow_id = run_entry.workflow_id AND told.task_names IS NOT NULL)"""
_INPUT = "SUBSTR(part.key, 1, 6) = 'input:'"

# Times are compared as text, so that a damaged one is no error. DuckDB reads the views of a SQLite file itself where it
# understands them; where it does not, as here, it has SQLite do it, and then all columns are text. So what only SQLite
# understands stands in these four alone, and the views that people ask are made of them.
_SQLITE_NOW = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
_BY_SQLITE = "sqlite_version() <> ''"
_SQLITE_PARTS = {
    "run_silent": f"""
SELECT run_id FROM run_entry
 WHERE status = 'running' AND {_BY_SQLITE}
   AND heartbeat_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || lease_seconds || ' seconds')""",
    "lease_over": f"SELECT fence FROM lease WHERE expires_at < {_SQLITE_NOW} AND {_BY_SQLITE}",
    "crew_task": f"""
SELECT run_entry.workflow_id AS workflow_id, listed.value AS task_name
  FROM run_entry
  CROSS JOIN json_each(CASE WHEN json_valid(run_entry.task_names) THEN run_entry.task_names ELSE '[]' END) AS listed
 WHERE {_NEWEST_NAMES} AND {_BY_SQLITE}""",
    "record_inputs": f"""
SELECT record.record_id AS record_id,
       (SELECT json_group_object(SUBSTR(part.key, 7), text.body)
          FROM json_each(json_patch(record.components, record.explanations)) AS part
          LEFT JOIN text ON text.sha256 = part.value
         WHERE {_INPUT}) AS inputs
  FROM record
 WHERE json_valid(record.components) AND json_valid(record.explanations) AND {_BY_SQLITE}""",
    "run_inputs": f"""
SELECT run_entry.run_id AS run_id,
       (SELECT json_group_object(part.key, text.body)
          FROM json_each(run_entry.input_hashes) AS part
          LEFT JOIN text ON text.sha256 = json_extract(part.value, '$[1]')) AS inputs
  FROM run_entry
 WHERE json_valid(run_entry.input_hashes) AND json_type(run_entry.input_hashes) = 'object' AND {_BY_SQLITE}""",
}

_PG_TEXT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
_PG_NOW = f"to_char(now() AT TIME ZONE 'utc', {_PG_TEXT})"
_PG_PARTS = {
    "run_silent": f"""
SELECT run_id FROM run_entry
 WHERE status = 'running'
   AND heartbeat_at < to_char((now() - lease_seconds * interval '1 second') AT TIME ZONE 'utc', {_PG_TEXT})""",
    "lease_over": f"SELECT fence FROM lease WHERE expires_at < {_PG_NOW}",
    "crew_task": f"""
SELECT run_entry.workflow_id AS workflow_id, listed.value AS task_name
  FROM run_entry
  CROSS JOIN jsonb_array_elements_text(crew_repo_json(run_entry.task_names, 'array')) AS listed
 WHERE {_NEWEST_NAMES}""",
    "record_inputs": f"""
SELECT record.record_id AS record_id,
       (SELECT COALESCE(jsonb_object_agg(SUBSTR(part.key, 7), "text".body), '{{}}')::text
          FROM jsonb_each_text(crew_repo_json(record.components, 'object')
                               || crew_repo_json(record.explanations, 'object')) AS part
          LEFT JOIN "text" ON "text".sha256 = part.value
         WHERE {_INPUT}) AS inputs
  FROM record
 WHERE crew_repo_json(record.components, 'object') || crew_repo_json(record.explanations, 'object') IS NOT NULL""",
    "run_inputs": """
SELECT run_entry.run_id AS run_id,
       (SELECT COALESCE(jsonb_object_agg(part.key, "text".body), '{}')::text
          FROM jsonb_each(crew_repo_json(run_entry.input_hashes, 'object')) AS part
          LEFT JOIN "text" ON "text".sha256 = part.value ->> 1) AS inputs
  FROM run_entry
 WHERE crew_repo_json(run_entry.input_hashes, 'object') IS NOT NULL""",
}
_PG_JSON = """
CREATE FUNCTION crew_repo_json(value text, kind text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN CASE WHEN jsonb_typeof(value::jsonb) = kind THEN value::jsonb END;
    EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$"""

_KNOWN_TASK = """
SELECT workflow_id, task_name, MAX(task_run_id) AS task_run_id, CAST(NULL AS bigint) AS record_id
  FROM task_run WHERE cleared_at IS NULL GROUP BY workflow_id, task_name
UNION ALL
SELECT workflow_id, task_name, NULL, MAX(record_id)
  FROM record
 WHERE origin = 'person' AND retired IS NULL
   AND NOT EXISTS (SELECT 1 FROM task_run AS noted
                    WHERE noted.workflow_id = record.workflow_id AND noted.task_name = record.task_name
                      AND noted.cleared_at IS NULL)
   AND NOT EXISTS (SELECT 1 FROM lease
                    WHERE lease.workflow_id = record.workflow_id AND lease.task_name = record.task_name)
 GROUP BY workflow_id, task_name
UNION ALL
SELECT workflow_id, task_name, NULL, NULL
  FROM lease WHERE NOT EXISTS (SELECT 1 FROM task_run AS noted
                                WHERE noted.workflow_id = lease.workflow_id AND noted.task_name = lease.task_name
                                  AND noted.cleared_at IS NULL)
 GROUP BY workflow_id, task_name"""

# Of two runs of a workflow that execute a task with different inputs, the one that goes on counts, else the newest.
_TASK_LEASE = """
SELECT workflow_id, task_name,
       COALESCE(MAX(CASE WHEN lease_over.fence IS NULL THEN lease.fence END), MAX(lease.fence)) AS fence,
       CASE WHEN COUNT(*) = COUNT(lease_over.fence) THEN 1 ELSE 0 END AS lost
  FROM lease
  LEFT JOIN lease_over ON lease_over.fence = lease.fence
 GROUP BY workflow_id, task_name"""

# While a task is executed again, its last answer is shown on; of one that was interrupted none is, as of a failed one.
# What a killed one has spent is not known. A person's answer to what a task was asked last is its answer from then on,
# before any run has served it; one that was taken back no longer is.
_TASK_STATE = """
SELECT named.workflow_id AS workflow_id,
       COALESCE(run.crew_name, record.crew_name) AS crew_name,
       named.task_name AS task_name,
       COALESCE(doing.position, shown.position, record.position) AS position,
       CASE WHEN held.lost = 1 THEN 'interrupted'
            WHEN held.lost = 0 THEN 'running'
            WHEN live.record_id IS NOT NULL THEN 'completed'
            WHEN shown.status NOT IN ('executed', 'reused') THEN shown.status
            WHEN record.retired IN ('invalidated', 'deleted', 'undone') THEN 'invalidated'
            ELSE 'completed' END AS status,
       record.output AS output,
       COALESCE(record.input_hash, SUBSTR(doing.input_hash, 1, 64), shown.input_hash) AS input_hash,
       record.output_hash AS output_hash,
       record.completed_at AS completed_at,
       CASE WHEN held.lost IS NOT NULL OR record.record_id IS NOT NULL THEN record.duration_seconds
            ELSE shown.duration_seconds END AS duration_seconds,
       CASE WHEN held.lost IS NOT NULL OR record.record_id IS NOT NULL THEN record.total_tokens
            WHEN shown.status = 'interrupted' AND shown.duration_seconds IS NULL THEN NULL
            ELSE shown.total_tokens END AS total_tokens,
       CASE WHEN held.lost IS NULL AND live.record_id IS NULL AND shown.error_type IS NOT NULL
            THEN shown.error_type || ': ' || COALESCE(shown.error_message, '') END AS error,
       COALESCE(doing.run_id, shown.run_id, record.run_id) AS run_id,
       record.record_id AS record_id,
       COALESCE(doing.acquired_at, record.started_at, shown.started_at) AS started_at,
       record.model AS model,
       CASE WHEN EXISTS (SELECT 1 FROM crew_task AS listed WHERE listed.workflow_id = named.workflow_id)
            THEN CASE WHEN EXISTS (SELECT 1 FROM crew_task AS listed WHERE listed.workflow_id = named.workflow_id
                                      AND listed.task_name = named.task_name)
                      THEN 1 ELSE 0 END END AS in_crew,
       COALESCE(record.pydantic_json, record.json_dict) AS output_json,
       record.description AS description,
       asked.inputs AS inputs,
       record.origin AS origin,
       record.person AS person
  FROM known_task AS named
  LEFT JOIN task_run AS shown ON shown.task_run_id = named.task_run_id
  LEFT JOIN task_lease AS held ON held.workflow_id = named.workflow_id AND held.task_name = named.task_name
  LEFT JOIN lease AS doing ON doing.fence = held.fence
  LEFT JOIN record AS noted ON noted.record_id = shown.record_id
  LEFT JOIN record AS live
         ON live.input_hash = shown.input_hash AND live.workflow_id = named.workflow_id AND live.retired IS NULL
        AND CASE WHEN shown.status IN ('executed', 'reused') THEN live.origin = 'person' OR noted.retired = 'undone'
                 ELSE live.origin = 'person' AND live.completed_at > COALESCE(shown.finished_at, '') END
  LEFT JOIN record
         ON record.record_id = COALESCE(live.record_id, shown.record_id, named.record_id) AND COALESCE(held.lost, 0) = 0
  LEFT JOIN record_inputs AS asked ON asked.record_id = record.record_id
  LEFT JOIN run_entry AS run ON run.run_id = COALESCE(doing.run_id, shown.run_id)"""


def _run() -> str:
    columns = {name: f"run_entry.{name}" for name in _RUN_COLUMNS}
    columns["status"] = """CASE WHEN EXISTS (SELECT 1 FROM run_silent WHERE run_silent.run_id = run_entry.run_id)
            THEN 'interrupted' ELSE run_entry.status END"""
    for name, done in _SUMS.items():
        columns[name] = f"""CASE WHEN run_entry.status <> 'running' THEN run_entry.{name} ELSE
            (SELECT COALESCE({done}, 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END"""
    columns["waits_for"] = """CASE WHEN run_entry.status = 'running'
             AND NOT EXISTS (SELECT 1 FROM run_silent WHERE run_silent.run_id = run_entry.run_id)
            THEN run_entry.waits_for END"""
    columns["inputs"] = "(SELECT given.inputs FROM run_inputs AS given WHERE given.run_id = run_entry.run_id)"
    selected = ",\n       ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return f"\nSELECT {selected}\n  FROM run_entry"


def _views(parts: Mapping[str, str]) -> list[str]:
    """The parts that the two databases write differently, and what is made of them."""
    made = {**parts, "known_task": _KNOWN_TASK, "task_lease": _TASK_LEASE, "run": _run(), "task_state": _TASK_STATE}
    return [f"CREATE VIEW {name} AS {select}" for name, select in made.items()]


def _clear(now: str) -> str:
    """Deleting a row: what belongs to that task may be served no more, nor, here, what others have.

    An answer belongs to the task that was executed or served with it last: of a task that was renamed, to its new
    name, and of tasks that have changed places, to the one that has it now.
    """
    return f"""
    UPDATE record SET retired = 'deleted', retired_at = {now}
     WHERE retired IS NULL
       AND (record_id = OLD.record_id OR (workflow_id = OLD.workflow_id AND (task_name = OLD.task_name
            OR record_id IN (SELECT noted.record_id FROM task_run AS noted
                              WHERE noted.workflow_id = OLD.workflow_id AND noted.task_name = OLD.task_name
                                AND noted.cleared_at IS NULL AND noted.record_id IS NOT NULL))))
       AND record_id NOT IN (SELECT noted.record_id FROM task_run AS noted
                              WHERE noted.workflow_id = OLD.workflow_id AND noted.cleared_at IS NULL
                                AND noted.record_id IS NOT NULL
                              GROUP BY noted.record_id
                             HAVING MAX(noted.task_run_id)
                                  > MAX(CASE WHEN noted.task_name = OLD.task_name THEN noted.task_run_id ELSE 0 END));
    UPDATE task_run SET cleared_at = {now}
     WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name AND cleared_at IS NULL;
    UPDATE held_answer SET retired = 'deleted'
     WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name AND retired IS NULL;
    DELETE FROM lease
     WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name AND expires_at < {now};
    DELETE FROM invalidation WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name;
    INSERT INTO invalidation (workflow_id, task_name, record_id, invalidated_at)
    SELECT OLD.workflow_id, OLD.task_name, COALESCE(MAX(record_id), 0), {now} FROM record;"""


def _sqlite() -> list[str]:
    derived = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _RUN_COLUMNS if name not in _PLAIN)
    values = ", ".join(f"{name} = NEW.{name}" for name in _PLAIN)
    return [
        *_views(_SQLITE_PARTS),
        _sqlite_trigger("task_state", "delete", _clear(_SQLITE_NOW)),
        _sqlite_trigger("task_state", "update", f"SELECT RAISE(ABORT, '{_NO_EDIT}');"),
        _sqlite_trigger("task_state", "insert", f"SELECT RAISE(ABORT, '{_NO_INSERT}');"),
        *(_SQLITE_APPEND_ONLY.format(what=what) for what in ("UPDATE", "DELETE")),
        _sqlite_trigger("run", "delete", "DELETE FROM run_entry WHERE run_id = OLD.run_id;"),
        _sqlite_trigger(
            "run",
            "update",
            f"""SELECT RAISE(ABORT, '{_NO_STATUS}') WHERE {derived};
    UPDATE run_entry SET {values} WHERE run_id = OLD.run_id;""",
        ),
    ]


_SQLITE_APPEND_ONLY = (
    "CREATE TRIGGER change_{what} BEFORE {what} ON change BEGIN\n" + f"    SELECT RAISE(ABORT, '{_NO_CHANGE}'); END"
)


def _sqlite_trigger(view: str, what: str, body: str) -> str:
    return f"CREATE TRIGGER {view}_{what} INSTEAD OF {what.upper()} ON {view} BEGIN\n    {body} END"


def _postgresql() -> list[str]:
    """The view `run` needs no triggers here: PostgreSQL passes on what is done to the plain columns of such a view."""
    return [
        _PG_JSON,
        *_views(_PG_PARTS),
        *_pg_trigger("delete", f"{_clear(_PG_NOW)} RETURN OLD;"),
        *_pg_trigger("update", f"RAISE EXCEPTION '{_NO_EDIT}';"),
        *_pg_trigger("insert", f"RAISE EXCEPTION '{_NO_INSERT}';"),
        f"""CREATE FUNCTION change_refused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION '{_NO_CHANGE}'; END $$""",
        """CREATE TRIGGER change_refused BEFORE UPDATE OR DELETE ON change
    FOR EACH ROW EXECUTE FUNCTION change_refused()""",
    ]


def _pg_trigger(what: str, body: str) -> list[str]:
    return [
        f"CREATE FUNCTION task_state_{what}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n    {body} END $$",
        f"""CREATE TRIGGER task_state_{what} INSTEAD OF {what.upper()} ON task_state
    FOR EACH ROW EXECUTE FUNCTION task_state_{what}()""",
    ]


def create_views(dialect_name: str) -> list[str]:
    """The statements that create the views and their triggers."""
    return _sqlite() if dialect_name == "sqlite" else _postgresql()


def drop_views(dialect_name: str, there: Collection[str]) -> list[str]:
    """The statements that drop those views that are there; the triggers go with them, and those of the table `change`.

    Before version 3, `run` is a table.
    """
    made = ("task_state", "run", "task_lease", "known_task", *reversed(_SQLITE_PARTS))
    views = [f"DROP VIEW {name}" for name in made if name in there]
    if dialect_name == "sqlite":
        return views + [f"DROP TRIGGER IF EXISTS change_{what}" for what in ("UPDATE", "DELETE")]
    functions = (
        "task_state_delete()", "task_state_update()", "task_state_insert()", "change_refused() CASCADE",
        "crew_repo_json(text, text)",
    )  # fmt: skip
    return views + [f"DROP FUNCTION IF EXISTS {name}" for name in functions]
