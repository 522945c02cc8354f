"""The store: each method is one transaction and one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from crew_repo.errors import RunGoneError, StoreError
from crew_repo.model import (
    Claim,
    Failure,
    Lease,
    NewRecord,
    Problem,
    PruneReport,
    Record,
    RunRecord,
    RunStatus,
    Scope,
    TaskHead,
    TaskRun,
    TaskState,
)
from crew_repo.store import leases, pruning, records, runs, transfer, verifying
from crew_repo.store.database import Database, dialect_of
from crew_repo.store.transaction import Inserts, Transaction

__all__ = ["Store"]


class Store:
    """One state file or database.

    Safe to use from many threads; after a fork, parent and child open connections of their own; a copy that is
    pickled opens the same URL. Opening a file that does not exist creates nothing; the first write does.
    """

    def __init__(
        self,
        url: str,
        *,
        busy_timeout_seconds: float = 30.0,
        lease_seconds: float = 60.0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.url = url
        self._options: dict[str, Any] = {
            "busy_timeout_seconds": busy_timeout_seconds, "lease_seconds": lease_seconds, "clock": clock
        }  # fmt: skip
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._database = Database(dialect_of(url, busy_timeout_seconds))
        self._inserts = Inserts.of(self._database.dialect)

    @property
    def display_url(self) -> str:
        """The path or URL, without a password."""
        return self._database.dialect.place

    def __reduce__(self) -> Any:
        return partial(Store, **self._options), (self.url,)

    def __repr__(self) -> str:
        return f"Store({self.display_url!r})"

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; calling it again does nothing."""
        self._database.close()

    # Running.

    def start_run(
        self,
        run_id: str,
        workflow_id: str,
        crew_name: str,
        started_at: datetime,
        owner: str,
        facts: Mapping[str, str],
    ) -> None:
        """Write a run down, and which of those before it were interrupted."""
        with self._writing(begins=True) as tx:
            runs.start_run(tx, run_id, workflow_id, crew_name, started_at, owner, facts)

    def heartbeat(self, run_ids: Sequence[str], leases_held: Sequence[Lease]) -> None:
        """Renew runs and leases, as far as they are still ours; the clock that they go by is compared anew."""
        self._database.measure_clock()
        with self._writing() as tx:
            leases.heartbeat(tx, run_ids, leases_held)

    def finish_run(
        self,
        run_id: str,
        status: RunStatus,
        finished_at: datetime,
        *,
        tasks: Sequence[TaskRun] = (),
        tokens_spent: int,
        failure: Failure | None = None,
        going_on: Sequence[int] = (),
    ) -> RunRecord:
        """Write down how a run ended and what it did; the run as it is stored.

        Its leases end with it, but for those with a fence in `going_on`, whose work nobody could stop.
        """
        with self._writing(durable=True, ends=True) as tx:
            return runs.finish_run(tx, run_id, status, finished_at, tasks, tokens_spent, failure, going_on)

    def claim(
        self,
        workflow_id: str,
        input_hash: str,
        *,
        run_id: str,
        task_name: str,
        position: int,
        owner: str,
        take_finished: bool = True,
        shared: bool = False,
    ) -> Claim:
        """The record, if somebody finished this work; else the lease, if it is free; else who holds it.

        `shared`: whoever does the same work in another workflow counts as well.
        """
        with self._writing() as tx:
            work = (workflow_id, input_hash)
            return leases.claim(
                tx, work, run_id, task_name, position, owner, take_finished=take_finished, shared=shared
            )

    def release(self, lease: Lease) -> None:
        """Give a lease back, if it is still ours."""
        with self._writing() as tx:
            leases.give_up(tx, lease)

    def save_finished(
        self, lease: Lease | None, new: NewRecord, task_run: TaskRun, buffered: Sequence[TaskRun] = ()
    ) -> Record:
        """Keep a finished task, which nothing can undo; returns the record to go on with.

        That is the other's if this lease was taken over and the other finished first; ours is then kept as
        superseded. If the run was deleted meanwhile, the record is kept without it, and RunGoneError is raised.
        """
        try:
            with self._writing(durable=True) as tx:
                return runs.save_finished(tx, lease, new, [*buffered, task_run])
        except RunGoneError:
            with self._writing(durable=True) as tx:
                runs.save_finished(tx, lease, new, [])
            raise

    def save_failed(self, lease: Lease | None, task_run: TaskRun, buffered: Sequence[TaskRun] = ()) -> None:
        """Keep a failure, and let others try."""
        with self._writing(durable=True) as tx:
            runs.save_failed(tx, lease, task_run, buffered)

    def reap(self, workflow_id: str | None = None) -> int:
        """Write down which runs were interrupted, and at which tasks; the number of those runs."""
        with self._writing() as tx:
            tx.dialect.lock_work(tx.connection, "reap")
            return leases.reap(tx, workflow_id)

    # Finding.

    def find_record(self, input_hash: str, workflow_id: str | None, *, shared_as: str | None = None) -> Record | None:
        """The record that may be served for this input hash; without a workflow, the newest of any.

        `shared_as`: the name of the task for which the records of other workflows count as well. Not until it has
        been executed here, if it was invalidated here.

        Its output is returned as it is: whether it still gives its output hash, and has no `damage`, is the caller's
        to check. Its components are without their texts.
        """
        with self._reading() as tx:
            return records.live_record(tx, _scope(workflow_id, shared_as), input_hash)

    def live_hashes(self, workflow_id: str | None, *, limit: int = 5000) -> set[str] | None:
        """The input hashes that have a record which may be served, or None if there are more than `limit`."""
        with self._reading() as tx:
            return records.live_hashes(tx, workflow_id, limit)

    def heads(self, workflow_id: str, *, texts: bool = True) -> dict[str, TaskHead]:
        """Per task name what is known of it: the record of its last run, else its newest, and how that run went."""
        with self._reading() as tx:
            return runs.heads(tx, workflow_id, texts=texts)

    def has_definition(self, definition_hash: str, workflow_id: str | None, *, shared_as: str | None = None) -> bool:
        """Whether a record of this definition may be served, for some context; see `find_record`."""
        with self._reading() as tx:
            return records.has_definition(tx, _scope(workflow_id, shared_as), definition_hash)

    def costs_elsewhere(self, workflow_id: str, crew_name: str) -> dict[str, tuple[int, float]]:
        """Tokens and seconds that each task of a crew took in other workflows, by task name, as far as is recent."""
        with self._reading() as tx:
            return records.costs_elsewhere(tx, workflow_id, crew_name)

    # Asking.

    def get_run(self, run_id: str) -> RunRecord | None:
        """One run with its tasks."""
        with self._reading() as tx:
            return next(iter(runs.get_runs(tx, run_id=run_id)), None)

    def list_runs(self, workflow_id: str | None = None, limit: int | None = None) -> list[RunRecord]:
        """Runs with their tasks, the newest first; a run whose process is gone is interrupted. Writes nothing."""
        with self._reading() as tx:
            return runs.get_runs(tx, workflow_id=workflow_id, limit=limit)

    def record(self, record_id: int) -> Record | None:
        """One record, retired or not, with the texts of its components."""
        with self._reading() as tx:
            return records.records_by_id(tx, [record_id], texts=True).get(record_id)

    def history(self, task_name: str, workflow_id: str | None = None) -> list[Record]:
        """Every record of a task, the newest first, with the texts of their components."""
        with self._reading() as tx:
            return records.history(tx, task_name, workflow_id)

    def states(self, workflow_id: str | None = None) -> list[TaskState]:
        """The rows of `task_state`, in the order of the tasks."""
        with self._reading() as tx:
            return runs.states(tx, workflow_id)

    def shown_record(self, task_name: str, workflow_id: str | None = None) -> Record | None:
        """The record that `task_state` shows of a task, with texts; without a workflow, the newest."""
        with self._reading() as tx:
            return runs.shown_record(tx, task_name, workflow_id)

    def task_names(self, workflow_id: str | None = None) -> list[str]:
        """Every task name that the state knows, in the order of the tasks."""
        with self._reading() as tx:
            return runs.task_names(tx, workflow_id)

    def workflow_ids(self) -> list[str]:
        """Every workflow that the state knows."""
        with self._reading() as tx:
            return runs.workflow_ids(tx)

    # Keeping it in order.

    def invalidate(self, task_names: Mapping[str | None, Sequence[str]]) -> int:
        """Retire what may be served of these tasks, by workflow (None: in all); the number of records."""
        with self._writing(durable=True, ends=True) as tx:
            return sum(records.retire(tx, names, workflow_id) for workflow_id, names in task_names.items())

    def verify(self) -> list[Problem]:
        """Everything whose stored parts do not give its hash again; empty if all is as it was written."""
        altered = {sha256 for page in self._text_pages() for sha256 in verifying.altered_texts(page)}
        problems: list[Problem] = []
        after: int | None = 0
        while after is not None:
            with self._reading() as tx:
                found, readable, after = verifying.record_page(tx, after)
            problems += found
            problems += [
                verifying.text_problem(record_id, record, component)
                for record_id, record in readable
                for component in record.components
                if component.sha256 in altered
            ]
        return problems

    def prune(
        self, *, keep_last: int | None = None, older_than: timedelta | None = None, dry_run: bool = False
    ) -> PruneReport:
        """Delete old records, runs and texts, and give the space back; see `crew_repo.store.pruning` for which.

        A dry run says what would go, and writes nothing; its `bytes_after` is that of now.
        """
        transaction = self._reading if dry_run else self._writing
        with transaction() as tx:
            if not dry_run:
                tx.dialect.lock_writers(tx.connection)
            before = tx.dialect.bytes_used(tx.connection)
            victims = pruning.find_victims(tx, keep_last, older_than)
            if not dry_run:
                pruning.delete_victims(tx, victims)
        after = before if dry_run else self._compact()
        return PruneReport(len(victims.records), len(victims.runs), len(victims.texts), before, after, dry_run)

    def copy(self, target: Path) -> None:
        """Copy the state file, as it is at one moment, into a new file that only this user may read."""
        try:
            if target.exists() or target.is_symlink():
                raise StoreError(f"{target} is there already; give the path of a new file, or delete it")
            self._database.copy(target)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror}; give another path") from error

    def export_json(self) -> Iterator[str]:
        """The whole state at one moment as lines of JSON, each ending in a newline."""
        yield transfer.HEADER + "\n"
        with self._reading() as tx:
            for table in transfer.TABLES:
                yield from transfer.export_lines(tx, table)

    def import_json(self, lines: str | Iterable[str]) -> int:
        """Take over an export, all or nothing; the number of records that were not here yet."""
        export = transfer.Export(lines.split("\n") if isinstance(lines, str) else lines)
        with self._writing(durable=True, begins=True, ends=True) as tx:
            return transfer.import_export(tx, export)

    def _compact(self) -> int:
        self._database.compact()
        with self._reading() as tx:
            return tx.dialect.bytes_used(tx.connection)

    def _text_pages(self) -> Iterator[dict[str, str]]:
        after: str | None = ""
        while after is not None:
            with self._reading() as tx:
                page, after = verifying.text_page(tx, after)
            yield page

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        with self._database.reading() as connection:
            yield self._transaction(connection)

    @contextmanager
    def _writing(
        self, *, durable: bool = False, begins: bool = False, ends: bool = False
    ) -> Iterator[Transaction]:
        with self._database.writing(durable=durable, begins=begins, ends=ends) as connection:
            yield self._transaction(connection)

    def _transaction(self, connection: Any) -> Transaction:
        now = self._clock() if self._clock else datetime.now(timezone.utc)
        ahead = 0.0 if self._clock else self._database.clock_ahead_seconds
        lease_now = now + timedelta(seconds=ahead) if ahead else now
        return Transaction(connection, self._database.dialect, self._inserts, now, lease_now, self._lease_seconds)


def _scope(workflow_id: str | None, shared_as: str | None) -> Scope | None:
    return None if workflow_id is None else Scope(workflow_id, shared_as)
