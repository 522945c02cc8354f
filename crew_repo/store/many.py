"""Looking up and noting for many runs at once, of which all is fresh: each method is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from crew_repo.model import PLANNER, NewRun, Outcome, Record, RunRecord, RunStatus, TaskRun
from crew_repo.store.from_rows import record_or_damaged, run_of
from crew_repo.store.leases import ask_gone
from crew_repo.store.records import BY_INPUT_HERE, add_texts
from crew_repo.store.rows import run_row, task_run_row
from crew_repo.store.runs import INSERT_RUN
from crew_repo.store.tables import RUN
from crew_repo.store.transaction import Transaction
from crew_repo.store.writing import WritingStore

__all__ = ["FreshRuns"]

_NEWEST = select(RUN.c.run_id, RUN.c.ordinal).order_by(RUN.c.number.desc()).limit(bindparam("most"))


class FreshRuns(WritingStore):
    """Finds records for many tasks, and writes runs down that executed nothing."""

    def find_records(self, asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Record]:
        """Per workflow and input hash the record that may be served there, if there is one: see `find_record`.

        They lack their components.
        """
        with self._reading(at_once=True) as tx:
            rows = {each: tx.ask(BY_INPUT_HERE, {"w": each[0], "i": each[1]}) for each in dict.fromkeys(asked)}
        return {each: record_or_damaged(row, parts=False) for each, found in rows.items() for row in found()}

    def fresh_runs(self, runs: Sequence[tuple[NewRun, Sequence[TaskRun]]], finished_at: datetime) -> list[RunRecord]:
        """Write runs down that have ended already, since they reused everything: all of them, or none.

        Each has reused something. A power cut may cost what is noted of them.
        """
        with self._writing(begins=True, at_once=True) as tx:
            tx.dialect.lock_work(tx.connection, "reap")  # as each run that begins, since two must not take one number
            somebody_is_gone = ask_gone(tx)
            inputs = [each for new, _ in runs for each in new.inputs or ()]
            add_texts(tx, {each.sha256: each.text for each in inputs if each.sha256 and each.text is not None})
            rows = [_row(tx, new, notes, finished_at) for new, notes in runs]
            tx.run(INSERT_RUN, rows)
            tx.run(tx.inserts.task_run, [task_run_row(note) for _, notes in runs for note in notes])
            newest = tx.ask(_NEWEST, {"most": len(runs)})
        if somebody_is_gone():
            self.reap()
        ordinals = {row["run_id"]: row["ordinal"] for row in newest()}
        return [
            replace(run_of({**row, "ordinal": ordinals[new.run_id]}, notes), inputs=new.inputs)
            for row, (new, notes) in zip(rows, runs, strict=True)
        ]


def _row(tx: Transaction, new: NewRun, notes: Sequence[TaskRun], finished_at: datetime) -> dict[str, Any]:
    """The row of a run that has ended."""
    return {
        **run_row(new),
        "status": str(RunStatus.COMPLETED),
        "finished_at": finished_at,
        "heartbeat_at": tx.lease_now,
        "lease_seconds": tx.lease_seconds,
        "reused": sum(note.outcome is Outcome.REUSED and note.task_name != PLANNER for note in notes),
        "tokens_saved": sum(note.tokens_saved for note in notes),
        "seconds_saved": sum(note.seconds_saved for note in notes),
    }
