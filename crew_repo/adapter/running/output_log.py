"""CrewAI's log of outputs, for `crewai replay` and `crewai log-tasks-outputs`, written for many tasks at once.

CrewAI opens its file as a kickoff begins, to empty it, and for each task, reads all that is there, and commits: time
that grows with the square. Here that is gathered for a tenth of a second, so that a crash loses no more of the log than
that; the run's own records are not held up by it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from crewai import Crew, Task
from crewai.tasks.task_output import TaskOutput
from crewai.utilities.crew_json_encoder import CrewJSONEncoder

from crew_repo.adapter import private
from crew_repo.adapter.running.with_methods import with_methods

__all__ = ["logged"]

log = logging.getLogger("crew_repo")

_SECONDS = 0.1
_BUSY_SECONDS = 30  # as CrewAI's own connections
_TABLE = "latest_kickoff_task_outputs"
_OUTPUT = ("description", "summary", "raw", "pydantic", "json_dict", "output_format", "agent", "messages")


@contextmanager
def logged(crew: Crew) -> Iterator[None]:
    """Gather what this crew's kickoff writes into its log of outputs; at the end all of it is there."""
    name, file = private.output_log_method(crew), private.output_log(crew)
    if name is None or file is None:
        yield
        return
    rows = _Rows(crew, file)
    handler, reset = private.output_log_reset(crew)
    with with_methods(crew, {name: rows.add}), with_methods(handler, {reset: rows.reset}):
        try:
            yield
        finally:
            rows.write()


class _Rows:
    """The rows of one run that are not in the file yet."""

    def __init__(self, crew: Crew, file: str) -> None:
        self._crew, self._file = crew, file
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._empties = False
        self._timer: threading.Timer | None = None

    def reset(self) -> None:
        """Forget the rows of the run before, and those of this one so far."""
        with self._lock:
            self._waiting, self._empties = [], True
            self._write_soon()

    def add(self, task: Task, output: TaskOutput, task_index: int, was_replayed: bool = False) -> None:
        """Take in a row as it is now: a callback may change the output afterwards."""
        row = {
            "task_id": str(task.id),
            "task_key": task.key,
            "expected_output": task.expected_output,
            "output": _as_json({name: getattr(output, name) for name in _OUTPUT}),
            "task_index": task_index,
            "inputs": _as_json(private.crew_inputs(self._crew)),
            "was_replayed": was_replayed,
        }
        with self._lock:
            self._waiting.append(row)
            self._write_soon()

    def _write_soon(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(_SECONDS, self.write)
            self._timer.daemon = True
            self._timer.start()

    def write(self) -> None:
        """Write what waits. A log that cannot be written is no reason to lose a run: it is told, and left out."""
        with self._writing:  # so that who writes last finds all of it written; nobody who adds waits for it
            empties, rows = self._taken()
            if not (empties or rows):
                return
            try:
                with closing(sqlite3.connect(self._file, timeout=_BUSY_SECONDS)) as connection, connection:
                    _write(connection, empties, rows)
            except sqlite3.Error as error:
                log.warning("CrewAI's log of outputs, %s, could not be written (%s): `crewai replay` and `crewai "
                            "log-tasks-outputs` lack %d of its tasks, or tell of the run before. The run goes on, and "
                            "its records are whole.", self._file, error, len(rows))  # fmt: skip
                with self._lock:
                    self._empties = self._empties or empties

    def _taken(self) -> tuple[bool, list[dict[str, Any]]]:
        with self._lock:
            empties, self._empties = self._empties, False
            rows, self._waiting = self._waiting, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        return empties, rows


def _write(connection: sqlite3.Connection, empties: bool, rows: list[dict[str, Any]]) -> None:
    if empties:
        connection.execute(f"DELETE FROM {_TABLE}")  # noqa: S608 - a name of ours
    if rows:
        known = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({_TABLE})")]
        names = [name for name in rows[0] if name in known]  # CrewAI 1.13 has no task_key
        columns, places = ", ".join(names), ", ".join(f":{name}" for name in names)
        insert = f"INSERT OR REPLACE INTO {_TABLE} ({columns}) VALUES ({places})"  # noqa: S608 - names of ours
        connection.executemany(insert, rows)


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, cls=CrewJSONEncoder)
