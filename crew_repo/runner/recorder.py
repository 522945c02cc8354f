"""Recording the end of a task: its record if it gave an output, else its failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from crew_repo import adapter
from crew_repo.errors import StoreError
from crew_repo.hashing import FORMAT, output_hash
from crew_repo.model import PERSON, Failure, NewRecord, Outcome, Usage
from crew_repo.runner.failures import failure_from, kept_elsewhere
from crew_repo.runner.ledger import Ledger
from crew_repo.runner.options import utc_now
from crew_repo.runner.ticket import Ticket

__all__ = ["Recorder"]

log = logging.getLogger("crew_repo")


class Recorder:
    """Makes the records and failures of one run, and has the ledger write them."""

    def __init__(self, ledger: Ledger, memo: adapter.Memo) -> None:
        self._ledger, self._memo = ledger, memo
        self._failed: tuple[BaseException | None, str] = (None, "")
        self._used_tools: set[int] = set()

    def finished(self, ticket: Ticket, output: Any, seconds: float, usage: Usage, saved: Usage) -> Any:
        """Record a finished task; the output to go on with (another's, if that came first).

        `usage` is what this execution has spent, `saved` what the answers cost that it found in the journal.
        """
        if adapter.uses_tools(ticket.current.definition):
            self._used_tools.add(ticket.position)
        log.info("run %s: task %s executed in %.1f s, %d tokens; saving", self._ledger.run_id, ticket.name, seconds,
                 usage.total_tokens,
                 extra=self._ledger.about(ticket.name, Outcome.EXECUTED, tokens_spent=usage.total_tokens))  # fmt: skip
        completed = utc_now()
        new, kept = self._ledger.save(
            ticket,
            lambda whole: self._new_record(ticket, output, seconds, usage + saved, completed_at=completed, whole=whole),
            self._without_secrets(usage),
        )
        if new.not_restorable:
            log.warning("the answer of task %s is stored, but cannot be reused: %s", ticket.name, new.not_restorable,
                        extra=self._ledger.about(ticket.name, Outcome.EXECUTED))  # fmt: skip
        theirs = kept.origin == PERSON or kept.run_id != self._ledger.run_id
        if theirs and kept.output_hash != new.output_hash:
            return adapter.restore_output(kept.result, ticket.view.original, ticket.context)
        return output

    def used_tools(self, positions: Callable[[], Collection[int]]) -> list[int]:
        """The tasks among these that were executed in this run with tools at hand, in order.

        They are asked for only if there is any: to find the upstreams of each task of a long crew takes time.
        """
        return sorted(self._used_tools.intersection(positions())) if self._used_tools else []

    def raised(self, ticket: Ticket, error: BaseException, seconds: float, usage: Usage, saved: Usage) -> None:
        """Record what came of a task that has raised; that error is on its way, and stays what the user sees."""
        try:
            self._settle(ticket, error, seconds, usage, saved)
        except StoreError as failed:
            log.warning("run %s: the end of task %s could not be written: %s", self._ledger.run_id, ticket.name,
                        failed, extra=self._ledger.about(ticket.name))  # fmt: skip

    def _settle(self, ticket: Ticket, error: BaseException, seconds: float, usage: Usage, saved: Usage) -> None:
        """After an exception: a task that has its output is paid for and recorded all the same."""
        output = ticket.view.original.output
        if output is not None:
            log.warning("run %s: task %s had finished when a callback or the like raised %s. The task is recorded, and "
                        "the next run reuses it without its callbacks. To call them again, pass fire_callbacks=True.",
                        self._ledger.run_id, ticket.name, type(error).__name__,
                        extra=self._ledger.about(ticket.name, Outcome.EXECUTED))  # fmt: skip
            self.finished(ticket, output, seconds, usage, saved)
            return
        outcome = Outcome.FAILED if isinstance(error, Exception) else Outcome.INTERRUPTED
        note = replace(
            self._ledger.note_of(ticket.name, ticket.position, outcome),
            reasons=ticket.decision.reasons,
            input_hash=ticket.current.input_hash,
            started_at=ticket.started_at,
            finished_at=utc_now(),
            duration_seconds=seconds,
            usage=self._without_secrets(usage),
            tokens_saved=saved.total_tokens,
            failure=self._failure(error),
            model=self._model(ticket),
        )
        self._failed = (error, ticket.name)
        log.info("run %s: task %s %s: %s", self._ledger.run_id, ticket.name, outcome, type(error).__name__,
                 extra=self._ledger.about(ticket.name, outcome, error_type=type(error).__name__))  # fmt: skip
        self._ledger.save_failed(ticket, note)

    def failure_of_run(self, error: BaseException) -> Failure:
        """The error that ended the run; if it is that of a task, the task has the whole."""
        failed, name = self._failed
        failure = self._failure(error)
        return kept_elsewhere(failure, name) if failed is error else failure

    def _failure(self, error: BaseException) -> Failure:
        return failure_from(error, self._memo.hidden)

    def _new_record(
        self, ticket: Ticket, output: Any, seconds: float, usage: Usage, *, completed_at: datetime, whole: bool
    ) -> NewRecord:
        store = adapter.store_output if whole else adapter.store_text
        result, not_restorable = store(output, ticket.view.original, ticket.context, self._memo.hidden)
        current = ticket.current
        return NewRecord(
            workflow_id=self._ledger.workflow_id,
            crew_name=self._ledger.crew_name,
            task_name=ticket.name,
            position=ticket.position,
            run_id=self._ledger.run_id,
            input_hash=current.input_hash,
            definition_hash=current.definition_hash,
            context_hash=current.context_hash,
            occurrence=current.occurrence,
            components=current.definition.components,
            result=result,
            output_hash=output_hash(result),
            started_at=ticket.started_at,
            completed_at=completed_at,
            duration_seconds=seconds,
            usage=self._without_secrets(usage),
            hash_format=FORMAT,
            not_restorable=self._changed_meanwhile(ticket) or not_restorable,
            model=self._model(ticket),
        )

    def _model(self, ticket: Ticket) -> str | None:
        model: str | None = adapter.without_secrets(self._memo.hidden, ticket.model)
        return model

    def _without_secrets(self, usage: Usage) -> Usage:
        """Tokens by model, with `[secret]` for what of a model's name is one."""
        hidden = self._memo.hidden
        models = [replace(each, model=adapter.without_secrets(hidden, each.model)) for each in usage.by_model]
        return replace(usage, by_model=tuple(models))

    def _changed_meanwhile(self, ticket: Ticket) -> str | None:
        """Say why nobody can know what an answer was made of, if something that it read was changed meanwhile."""
        current = ticket.current
        changed = adapter.changed_file(current.definition, current.policy, self._memo)
        if changed is not None:
            return changed
        if not ticket.texts.unchanged():
            return "its task or agent was rewritten while it ran, by a callback or another run that shares it"
        return ticket.lacks
