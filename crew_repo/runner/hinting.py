"""Hints about things that may surprise a user. They are in the log of a run, once, and in the notes of a plan."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from crew_repo.model.wording import listed
from crew_repo.policy import Policies, TaskPolicy
from crew_repo.runner.options import nearest, unknown_name
from crew_repo.runner.request import Request
from crew_repo.store import Store

if TYPE_CHECKING:
    from crew_repo.adapter import CrewView

__all__ = ["Hinting"]

log = logging.getLogger("crew_repo")


class Hinting:
    """Says each thing once for one repository; `policies` are those of the repository."""

    def __init__(self, store: Store, policies: Mapping[str, TaskPolicy]) -> None:
        self._store, self._policies = store, policies
        self._said: set[str] = set()
        self._looked_at: set[object] = set()

    def say(self, sentence: str) -> None:
        """Log a warning the first time that it is to be said."""
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)

    def notes(self, request: Request, view: CrewView) -> Iterator[str]:
        """Give all sentences about a run that is planned."""
        from crew_repo import adapter

        policies = request.options.policies
        yield from self._taken(request)
        yield from adapter.hints_about(request.crew, request.inputs, policies)
        if any(policy.ignore or policy.rerun_tools for policy in policies.by_name.values()):
            yield from self._unmatched(view, policies)

    def about_inputs(self, request: Request, view: CrewView) -> None:
        """Log the hints about the inputs of a run, and about patterns that match nothing."""
        from crew_repo import adapter

        for hint in adapter.hints_about(request.crew, request.inputs, request.options.policies):
            self.say(hint)
        self._about_patterns(view, request.options.policies)

    def about_policies(self, names: Sequence[str]) -> None:
        """Log once which policies of the repository are for a name that neither this crew nor the state has."""
        unknown = set(self._policies) - {"*"} - set(names)
        unknown -= set(self._store.task_names()) if unknown else set()
        for name in sorted(unknown):
            self.say(f"The policy for {name!r} applies to no task. The nearest names are: {nearest(name, names)}.")

    def about_workflow(self, request: Request) -> None:
        """Log it once for each workflow and crew; each costs a read of what is recorded."""
        from crew_repo import adapter

        key = hash((request.options.workflow_id, *adapter.looks_of(request.crew)))  # the texts are not kept
        if key not in self._looked_at:
            self._looked_at.add(key)
            for sentence in self._taken(request):
                self.say(sentence)

    def about_names(self, task_name: str | None, workflow_id: str | None) -> None:
        """Log which task and workflow there are, where one was asked for that the state does not know."""
        unknown = unknown_name(self._store, task_name, workflow_id)
        if unknown is not None:
            self.say(str(unknown))

    def _about_patterns(self, view: CrewView, policies: Policies) -> None:
        """Log once which patterns match nothing; to look at them, the tasks are described, so it is done once too."""
        given = {(name, each) for name, policy in policies.by_name.items()
                 for each in (*policy.ignore, *policy.rerun_tools)}  # fmt: skip
        if not given <= self._looked_at:
            self._looked_at |= given
            for sentence in self._unmatched(view, policies):
                self.say(sentence)

    def _unmatched(self, view: CrewView, policies: Policies) -> Iterator[str]:
        """A sentence about each pattern of `ignore` that leaves nothing out."""
        from crew_repo import adapter

        for found in adapter.unmatched_patterns(view, policies):
            whose = "any task" if found.task_name == "*" else "that task"
            yield (
                f"ignore={found.pattern!r} in the policy for {found.task_name!r} matches no part of {whose}, so it has "
                f"no effect. The nearest parts are: {nearest(found.pattern, found.paths)}."
            )

        for found in adapter.unknown_tools(view, policies):
            yield (
                f"rerun_tools has {found.pattern!r} in the policy for {found.task_name!r}, the name of no tool there, "
                f"so it has no effect. The nearest names are: {nearest(found.pattern, found.paths)}."
            )

    def _taken(self, request: Request) -> Iterator[str]:
        """A sentence if the workflow holds the records of a crew that has nothing in common with this one."""
        from crew_repo import adapter
        from crew_repo.runner.taken_workflow import taken_by_another

        workflow_id, looks = request.options.workflow_id, adapter.looks_of(request.crew)
        theirs = taken_by_another(looks, self._store.heads(workflow_id))
        if theirs:
            old, new = (listed(list(map(repr, names)), 3) for names in (theirs, [look.name for look in looks]))
            yield (
                f"Workflow {workflow_id!r} has the tasks {old} of another crew already. None of them is like "
                f"this crew's ({new}). task_state and history show both crews as one. "
                "Give each crew a name, Crew(name=...), or pass a workflow_id."
            )
