"""A crew at one moment, looked at for several inputs: what does not hang on these is found once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from crewai import Crew, Task
from crewai.tasks.conditional_task import ConditionalTask

from crew_repo.adapter import crew_shape
from crew_repo.adapter.crew_secrets import private_inputs, secrets_of
from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Memo, Parts
from crew_repo.adapter.describing.task import Describer
from crew_repo.adapter.describing.working_objects import marks_of
from crew_repo.adapter.interpolation import CrewView, PlannedViews, TaskView
from crew_repo.adapter.kept_inputs import kept_inputs, secret_variables
from crew_repo.code import Marks
from crew_repo.model import Definition, RunInput
from crew_repo.policy import TaskPolicy

__all__ = ["Moment"]

_TEXTS = [name for name in crew_shape.TASK_TEXTS if field_table.TASK[name] is field_table.Kind.TEXT]
_Known = dict[tuple[int, str, int], tuple[TaskPolicy, Definition]]


class Moment:
    """A memory of what was found of a crew, for as long as no code of the user's runs that could change it.

    Each definition has the hash that a describer of its own would give it.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew, self._views = crew, PlannedViews(crew)
        self._memo = Memo()
        self._known: _Known = {}
        self._names: set[frozenset[str] | None] = set()

    def is_first(self, inputs: Mapping[str, Any] | None) -> bool:
        """Whether no inputs of the same names have been asked about before."""
        names = None if inputs is None else frozenset(inputs)
        new = names not in self._names
        self._names.add(names)
        return new

    def view(self, inputs: Mapping[str, Any] | None, files: Mapping[str, Any]) -> CrewView:
        """The crew with these inputs in its texts. Raises as `planned_view` does."""
        return self._views.of(inputs, files)

    def describer(self, view: CrewView) -> Describer:
        """A describer of one of these views, of what acts alone; where its inputs hold secrets, one by itself."""
        if private_inputs(view.inputs):
            return Describer(view, Memo(marks=self._marks))
        self._memo.marks = self._marks
        return _Sharing(view, self._memo, self._views, self._known)

    def kept(self, inputs: Mapping[str, Any], files: Mapping[str, Any]) -> tuple[RunInput, ...]:
        """The inputs of a run, as they are kept with it."""
        return kept_inputs(inputs, files, *self._secrets)

    @cached_property
    def _secrets(self) -> tuple[set[str], set[str]]:
        return secrets_of(self._crew), secret_variables()

    @cached_property
    def _marks(self) -> Marks:
        return marks_of(self._crew)


class _Sharing(Describer):
    """Describes a task once, where no text of an agent names an input."""

    explains = False

    def __init__(self, view: CrewView, memo: Memo, views: PlannedViews, known: _Known) -> None:
        self._view, self._memo, self._views, self._known = view, memo, views, known
        self._given = {}
        self._is_plain = view.trigger_payload is None and not view.files and views.are_alike(view.agents)

    def describe(
        self, view: TaskView, policy: TaskPolicy, *, written: Mapping[Path, str] | None = None
    ) -> Definition:
        """The definition as ever, without what only explains and what only is kept."""
        is_same, own = self._views.are_alike([view.task]), type(view.task) not in (Task, ConditionalTask)
        varied = view.worker is not None and not self._views.are_alike([view.worker])
        if written or not self._is_plain or varied or (own and not is_same):
            return super().describe(view, policy, written=written)
        key = (view.position, view.plan, id(policy))
        if key not in self._known:
            self._known[key] = (policy, super().describe(view, policy))
        found = self._known[key][1]
        return found if is_same else self._with_texts(found, view.task)

    def _with_texts(self, found: Definition, task: Task) -> Definition:
        """The definition with the texts of this task, which are all that the inputs are put into."""
        parts = Parts(self._memo)
        for name in _TEXTS:
            parts.text(f"task.{name}", str(getattr(task, name)))
        texts = {component.path: component for component in parts.definition().components}
        return replace(found, components=tuple(texts.get(each.path, each) for each in found.components))
