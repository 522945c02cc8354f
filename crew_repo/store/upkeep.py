"""Keeping the store in order: invalidate, verify, prune, copy, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from crew_repo.errors import StoreError
from crew_repo.model import Author, Change, ChangeKind, Given, NewRecord, Problem, PruneReport, ToHold
from crew_repo.store import changes, held, pruning, transfer, verifying
from crew_repo.store.export_format import Export
from crew_repo.store.opened import OpenedState
from crew_repo.store.transaction import Transaction

__all__ = ["KeptStore"]


class KeptStore(OpenedState):
    """Retires, checks, deletes and moves what is stored."""

    def invalidate(self, task_names: Mapping[str | None, Sequence[str]], author: Author | None = None) -> int:
        """Retire what may be served of these tasks, by workflow (None: in all); the number of records."""
        with self._writing(durable=True, ends=True) as tx:
            asked = task_names.items()
            return sum(changes.invalidate(tx, names, here, author or Author()) for here, names in asked)

    def give(
        self, new: NewRecord, kind: ChangeKind, author: Author, *, instead_of: int | None, shown: int | None,
        detail: str | None = None,
    ) -> Change:  # fmt: skip
        """Put a person's answer in force; the entry. ConflictError if another than `instead_of` is in force by now."""
        with self._writing(durable=True, begins=True, ends=True) as tx:
            entry = changes.give(tx, new, kind, author, instead_of=instead_of, shown=shown, detail=detail)
            return changes.list_changes(tx, change_id=entry)[0]

    def complete(self, answers: Sequence[Given | ToHold], author: Author) -> list[Change]:
        """Put answers in force to tasks that had none, or hold them: all, or none and a ConflictError; the entries."""
        with self._writing(durable=True, begins=True, ends=True) as tx:
            entries = changes.complete(tx, answers, author)
            return [changes.list_changes(tx, change_id=entry)[0] for entry in entries]

    def undo(self, change_id: int, author: Author, *, dry_run: bool = False) -> Change:
        """Take a change by a person back; the entry. ConflictError if it is no longer in force.

        A dry run gives the entry that would be made, without a number.
        """
        with self._writing(durable=True, ends=True) as tx, tx.tried(dry_run):
            return _entry(tx, changes.undo(tx, change_id, author), dry_run=dry_run)

    def redo(self, change_id: int, author: Author, *, dry_run: bool = False) -> Change:
        """Make a change again that was undone; the entry. ConflictError if another answer is in force by now."""
        with self._writing(durable=True, ends=True) as tx, tx.tried(dry_run):
            return _entry(tx, changes.redo(tx, change_id, author), dry_run=dry_run)

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
        with self._reading() as tx:
            return [*problems, *verifying.change_problems(tx), *held.held_problems(tx),
                    *verifying.input_problems(tx, altered)]  # fmt: skip

    def prune(
        self, *, keep_last: int | None = None, older_than: timedelta | None = None, dry_run: bool = False,
        author: Author | None = None,
    ) -> PruneReport:  # fmt: skip
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
                pruning.delete_victims(tx, victims, author or Author())
        after = before if dry_run else self._compact()
        return PruneReport(len(victims.records), len(victims.runs), len(victims.texts), before, after, dry_run,
                           len(victims.held), len(victims.calls))  # fmt: skip

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
        with self._reading() as tx:
            yield from transfer.export_lines(tx)

    def import_json(self, lines: str | Iterable[str]) -> int:
        """Take over an export, all or nothing; the number of records that were not here yet."""
        export = Export(lines.split("\n") if isinstance(lines, str) else lines)
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


def _entry(tx: Transaction, number: int, *, dry_run: bool) -> Change:
    """The entry of this number; of a dry run without the number, which it will not have."""
    (change,) = changes.list_changes(tx, change_id=number)
    return replace(change, change_id=None) if dry_run else change
