"""Changes that people make to answers: each is an entry that is only added, and can be taken back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crew_repo.errors import InputError
from crew_repo.model import Change, Listing, Record
from crew_repo.settings import checked_limit, checked_name, checked_workflow

if TYPE_CHECKING:
    from crewai import Crew

    from crew_repo.policy import TaskPolicy
    from crew_repo.recorded_state import StoredOutput
    from crew_repo.runner.engine import Engine
    from crew_repo.store import Store

__all__ = ["Corrections"]


class Corrections:
    """The part of a StateRepository that takes the answers of people, and takes them back."""

    _engine: Engine
    _store: Store

    def override(
        self,
        task_name: str,
        output: Any,
        *,
        workflow_id: str | None = None,
        by: str | None = None,
        reason: str | None = None,
        instead_of: StoredOutput | Record | int | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Give a person's answer in place of the one that a task has; the entry in `changes()`, with what will run.

        It is served by the next run, and by every later one in which the task is asked exactly what it was asked now:
        its definition, inputs and context. When these change it stops to apply, and a plan shows its text beside. The
        tasks below run as far as they read a text that has changed.

        - `output`: the text; of a typed output its JSON, as a text or a dict, checked against the stored schema.
        - `by`, `reason`: who says so (by default who is logged in) and why.
        - `instead_of`: what was looked at (from `get_output`), so that no other answer is replaced unseen.
        - `dry_run`: only say what would run.

        Raises UnknownTaskError for a task that is not there, ConflictError if another answer came first, and InputError
        for a task without an answer, or an output that is none: empty, no text, of another type, with a key in it.
        """
        from crew_repo.runner.overriding import author_of, override

        name, workflow = checked_name(task_name), checked_workflow(workflow_id)
        author = author_of(by, reason)
        return override(self._store, name, output, workflow, author, instead_of=instead_of, dry_run=dry_run)

    def mark_complete(
        self,
        task_name: str,
        output: Any,
        *,
        crew: Crew | None = None,
        inputs: Mapping[str, Any] | None = None,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        by: str | None = None,
        reason: str | None = None,
        hold: bool = False,
        dry_run: bool = False,
    ) -> Change:
        """Give a person's answer to a task that failed or never ran; the entry in `changes()`.

        It is bound to what this crew will ask the task with these inputs, as `plan` finds it out, and served for
        nothing else. A typed output is read by the task's own class. No model is called. `dry_run`: only say what would
        run.

        `hold`: where that is not known yet, keep the answer. The next run that asks the task adopts it, whatever the
        tasks above have said, unless a stored answer is served; an entry says so. If the task, its agent or its own
        inputs differ by then, it stays held, and a plan shows its text. It can be undone as long as it is held; later
        that undoes its adoption, after which the task runs, and nothing is held. Its age (`max_age`) counts from now.

        Raises InputError where that is not known yet, since a task above has no answer, without `hold`; for a task that
        has an answer (see `override`), or runs every time; and for an output that is none. UnknownTaskError for a name
        that the crew does not have, ConflictError if an answer to the same is held already.
        """
        from crew_repo.runner.completing import mark_complete
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        _check_given(crew, "mark_complete(task_name, output, crew=crew, inputs=inputs)")
        request = self._engine.request(
            crew, inputs, input_files=input_files, workflow_id=workflow_id, policies=policies
        )
        return mark_complete(
            self._store, request, checked_name(task_name), output, author,
            hinting=self._engine.hinting, hold=hold, dry_run=dry_run,
        )  # fmt: skip

    def adopt(
        self,
        task_name: str,
        *,
        crew: Crew | None = None,
        inputs: Mapping[str, Any] | None = None,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        by: str | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Take over a person's answer that no longer applies: the text that a plan of this crew shows beside the task.

        It is given to what this crew will ask the task with these inputs, as by `mark_complete`, by whoever takes it
        over. Raises the errors of that, and InputError where the plan shows no such text.
        """
        from crew_repo.runner.completing import adopt
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        _check_given(crew, "adopt(task_name, crew=crew, inputs=inputs)")
        request = self._engine.request(
            crew, inputs, input_files=input_files, workflow_id=workflow_id, policies=policies
        )
        hinting = self._engine.hinting
        return adopt(self._store, request, checked_name(task_name), author, hinting=hinting, dry_run=dry_run)

    def import_state(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        crew: Crew | None = None,
        inputs: Mapping[str, Any] | None = None,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        by: str | None = None,
        reason: str | None = None,
        hold: bool = False,
        names: Mapping[str, str] | None = None,
    ) -> list[Change]:
        """Take over the JSON file in which a script has kept its answers, or the dict in it; the entries.

        `{"completed_tasks": {name: text, other: {"output": text, "completed_at": time}}, "run_count": n}`: each answer
        is that of `mark_complete`, in the order of the crew's tasks, all of them or none. You say by that that they
        answer this crew with these inputs, which no file says. `names` has the crew's name for a name of the file,
        such as `{"analyze_task": "task-01"}`. `hold` is for tasks above which one has no answer.

        A task that has an answer is left as it is, and the log says so. A `completed_at` is kept in the entry: the
        record dates from now. The run_count is not taken over.

        Raises ImportFormatError for a file that is none, UnknownTaskError for a name that the crew does not have, and
        the errors of `mark_complete`.
        """
        from crew_repo.runner.importing import import_state
        from crew_repo.runner.overriding import author_of

        author, engine = author_of(by, reason), self._engine
        _check_given(crew, "import_state(source, crew=crew, inputs=inputs)")
        request = engine.request(crew, inputs, input_files=input_files, workflow_id=workflow_id, policies=policies)
        return Listing(
            import_state(self._store, request, source, author, hold=hold, names=names, hinting=engine.hinting)
        )

    def undo(
        self, change: Change | int, *, by: str | None = None, reason: str | None = None, dry_run: bool = False
    ) -> Change:
        """Take back an answer or an invalidation: what was in force or held before is again; the entry that says so.

        `dry_run`: only say what would run. Raises UnknownChangeError if there is no such entry, ConflictError if it is
        no longer in force, and InputError for what cannot be taken back: a pruning, or a change whose records were
        deleted since.
        """
        from crew_repo.runner.overriding import author_of, undo

        return undo(self._store, change, author_of(by, reason), dry_run=dry_run)

    def redo(
        self, change: Change | int, *, by: str | None = None, reason: str | None = None, dry_run: bool = False
    ) -> Change:
        """Make a change again that was undone; the entry that says so. Raises the errors of `undo`."""
        from crew_repo.runner.overriding import author_of, redo

        return redo(self._store, change, author_of(by, reason), dry_run=dry_run)

    def changes(
        self, task_name: str | None = None, workflow_id: str | None = None, *, limit: int | None = None
    ) -> list[Change]:
        """The changes that people made, newest first: who, when, why, before, after. Entries are only ever added."""
        name = None if task_name is None else checked_name(task_name)
        found = self._store.changes(name, checked_workflow(workflow_id), limit=checked_limit(limit))
        if not found:
            self._engine.hinting.about_names(task_name, workflow_id)
        return Listing(found)


def _check_given(crew: object, call: str) -> None:
    """Raise InputError without a crew: no name of a task says what the answer is an answer to."""
    if crew is None:
        raise InputError(f"For which crew and inputs is this the answer? Say so: {call}")
