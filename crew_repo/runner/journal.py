"""The journal of a run: answers inside a task are kept until it has finished, and given again if it did not."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from crew_repo import adapter
from crew_repo.canonical import seal
from crew_repo.errors import StoreError
from crew_repo.model import PLANNER, CallKind, KeptCall, KeptCalls, Lease, Usage
from crew_repo.runner.decider import Decider
from crew_repo.runner.ledger import Ledger
from crew_repo.runner.options import utc_now
from crew_repo.runner.ticket import Ticket
from crew_repo.store import Store
from crew_repo.time_limits import let_through

__all__ = ["Execution", "Journal"]

log = logging.getLogger("crew_repo")


class Journal:
    """Opens the journal of each execution of a run."""

    def __init__(self, store: Store, decider: Decider, ledger: Ledger) -> None:
        self._store, self._decider, self._ledger = store, decider, ledger
        self._used = False

    def end(self) -> None:
        """At the end of the run: what it kept, and has dropped, is gone for good."""
        if self._used:
            with suppress(StoreError):  # the next run does it
                self._store.wipe()

    @contextmanager
    def execution(self, ticket: Ticket) -> Iterator[Execution]:
        """Around one execution, under its lease: what is kept of it is given again, and what is new is kept."""
        execution = Execution(self._store, self._decider, self._ledger, ticket)
        keeps = ticket.current.policy.journal and ticket.name != PLANNER and ticket.lease is not None
        if keeps:
            execution.open()
        with adapter.journaled(execution if keeps else None):
            try:
                yield execution
            finally:
                execution.is_open = False
                self._used = self._used or execution.has_kept


class Execution:
    """The journal of one execution (`crew_repo.adapter.Keeper`). `saved`: the cost of what it gave again."""

    def __init__(self, store: Store, decider: Decider, ledger: Ledger, ticket: Ticket) -> None:
        self.root = seal("calls", [ticket.current.policy.salt, _declared(ticket)])
        self.is_open, self.has_kept, self.saved = False, False, Usage()
        self._store, self._decider, self._ledger, self._ticket = store, decider, ledger, ticket
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], KeptCall] = {}
        self._hashes: dict[object, tuple[object, str | None]] = {}
        self._last: tuple[str, int] | None = None  # the last model call that was answered
        self._given, self._made, self._outside = 0, 0, False
        self._counted: set[adapter.Question] = set()
        self._began = ledger.run_id
        self._leaving: set[int] | None = None
        self._rerun: dict[int, tuple[object, bool]] = {}
        self._warned = False

    @property
    def _lease(self) -> Lease:
        assert self._ticket.lease is not None  # noqa: S101 - nothing is executed without one
        return self._ticket.lease

    def open(self) -> None:
        """Take up what is kept. A task that is to be asked anew forgets it first."""
        self.is_open = True
        if not self._ticket.has_calls:
            return
        if self._ticket.decision.begins_anew:
            self._try("forgotten", lambda: self._store.drop_calls(self._lease, self._ticket.name))
            return
        found = self._try("read", self._stored) or []
        last_answer = max((at for at, call in enumerate(found) if call.kind is CallKind.MODEL), default=-1)
        for at, call in enumerate(found):
            known = self._kept.get((call.key, call.occurrence))
            if call.kind is CallKind.ERROR and at > last_answer:
                continue  # the agent has not gone on from it, so that the tool may work by now
            if known is None or known.input_hash != self._lease.input_hash:
                self._kept[call.key, call.occurrence] = call
        resumed = KeptCalls.of([call for call in found if call.input_hash == self._lease.input_hash])
        if resumed is not None:
            self._began, self.has_kept = found[0].run_id, True
            self._ticket.decision = self._ticket.decision.noting(resumed.reason)

    def _stored(self) -> list[KeptCall]:
        age = self._ticket.current.policy.max_age
        found = self._store.kept_calls(self._lease.workflow_id, self._ticket.name, self._lease.input_hash)
        return [call for call in found if age is None or utc_now() - call.called_at <= age]

    # What the adapter asks for.

    def hash_of_model(self, llm: Any) -> str | None:
        """The hash of a model, made once for each state that its parameters are in."""
        key = (id(llm), adapter.look_of(llm))
        return self._hash(key, llm, lambda: adapter.hash_of_model(self._decider.memo, llm))

    def hash_of_tool(self, tool: Any) -> str | None:
        """The hash of a tool, made once."""
        definition = self._ticket.current.definition_hash
        return self._hash(id(tool), tool, lambda: adapter.hash_of_tool(self._decider.memo, tool, definition))

    def reruns(self, tool: Any) -> bool:
        """Whether a tool is named to be called anew, or leaves in memory what this task goes on from.

        What it asks of models itself is given again all the same.
        """
        found = self._rerun.get(id(tool))
        if found is None:
            if self._leaving is None:
                self._leaving = adapter.leaving_state(self._decider.crew, self._ticket.view.original)
            named = self._ticket.current.policy.rerun_tools
            again = id(tool) in self._leaving or adapter.is_named(tool, named) or adapter.is_remembered(tool)
            found = self._rerun[id(tool)] = (tool, again)
        return found[1]

    def hash_of_schema(self, model: Any) -> str | None:
        """The hash of the class that an answer is read as, made once."""
        return self._hash(id(model), model, lambda: adapter.hash_of_schema(self._decider.memo, model))

    def _hash(self, key: object, owner: object, make: Callable[[], str | None]) -> str | None:
        found = self._hashes.get(key)
        if found is None:
            found = self._hashes[key] = (owner, self._made_hash(make))
        return found[1]

    def _made_hash(self, make: Callable[[], str | None]) -> str | None:
        try:
            with self._decider.work.hashing():
                return make()
        except Exception as error:  # noqa: BLE001 - objects made in mid-task raise what they like: it is asked anew
            let_through(error)
            log.debug("run %s: a call inside task %s is not kept: %s", self._ledger.run_id, self._ticket.name, error)
            return None

    def kept(self, question: adapter.Question) -> KeptCall | None:
        """The call that is kept of this request."""
        return self._kept.get((question.key, question.occurrence))

    def replayed(self, question: adapter.Question, call: KeptCall) -> None:
        """Note what a kept answer has saved; what is kept of another work is this one's from here on."""
        with self._lock:
            self._note(question, call.kind)
            self._given += call.kind is CallKind.MODEL
            if question not in self._counted and call.run_id != self._ledger.run_id:  # CrewAI may begin again
                self.saved += call.usage
            self._counted.add(question)
            theirs = call.input_hash != self._lease.input_hash
            if theirs:
                self._take_over(call.input_hash)

    def _take_over(self, work: str) -> None:
        self._try("taken over", lambda: self._store.take_over_calls(self._lease, self._ticket.name, work))
        for key, call in self._kept.items():
            if call.input_hash == work:
                self._kept[key] = replace(call, input_hash=self._lease.input_hash)

    def made(self, question: adapter.Question, kind: CallKind, text: str | None, usage: Usage) -> None:
        """Keep what a call gave, unless it has a secret in it, or is of a tool that is to be called anew."""
        with self._lock:
            self._note(question, kind)
            self._made += kind is CallKind.MODEL
        if text is None or self._has_secrets(text):
            return
        call = KeptCall(kind, question.key, question.occurrence, text, run_id=self._ledger.run_id,
                        input_hash=self._lease.input_hash, called_at=utc_now(), usage=usage)  # fmt: skip
        if self._try("kept", lambda: self._store.keep_call(self._lease, self._ticket.name, call)):
            self._kept[question.key, question.occurrence] = call
            self.has_kept = True

    def _has_secrets(self, text: str) -> bool:
        said = json.loads(text)
        return bool(adapter.without_secrets(self._decider.memo.hidden, said) != said)

    def _note(self, question: adapter.Question, kind: CallKind) -> None:
        if kind is CallKind.MODEL:
            self._outside, self._last = False, (question.key, question.occurrence)

    def raised(self) -> None:
        """Note that the last thing that happened was no answer."""
        self._outside = True

    def identity(self, question: adapter.Question) -> str:
        """The key of a tool call: other in an execution that begins anew, and equal in one that goes on."""
        lease = self._lease
        return seal("tool call key", [lease.workflow_id, self._ticket.name, self._began, question.path])

    # At the end.

    def failed(self, error: BaseException) -> None:
        """After an exception: if nothing outside has failed, the kept answers would lead there again.

        Then the last answer is asked anew by the next run; if that was done already, all are.
        """
        if not self.is_open or self._outside or not isinstance(error, Exception) or isinstance(error, TimeoutError):
            return
        found = self._try("read", self._stored) or []
        mine = [call for call in found if call.input_hash == self._lease.input_hash and call.call_id is not None]
        last = next((call.call_id for call in mine if (call.key, call.occurrence) == self._last), None)
        first = mine[0].call_id if mine and self._given and self._made <= 1 else last
        if first is not None:
            self._try("dropped", lambda: self._store.drop_calls(self._lease, self._ticket.name, first=first))

    def _try(self, what: str, do: Callable[[], Any]) -> Any:
        """Do something with the store. If it fails, the task goes on, and costs more if it has to begin anew."""
        try:
            return do()
        except StoreError as error:
            if not self._warned:
                self._warned = True
                log.warning("run %s: what was answered inside task %s could not be %s: %s", self._ledger.run_id,
                            self._ticket.name, what, error, extra=self._ledger.about(self._ticket.name))  # fmt: skip
            return None


def _declared(ticket: Ticket) -> list[list[str]]:
    """The files that the policy declares, since tools read them."""
    found = ticket.current.definition.components
    return sorted([each.path, each.sha256] for each in found if each.path.startswith("file:"))
