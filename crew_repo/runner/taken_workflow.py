"""Whether a workflow holds the records of a crew that has nothing in common with the one that is to run in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from crew_repo.adapter import TaskLook
from crew_repo.model import PLANNER, Record, TaskHead

__all__ = ["taken_by_another"]

_POSITIONAL = re.compile(r"task-\d+")  # the name of a task that has none
_ALIKE = 0.6  # a text that somebody has edited is more like the old one than that
_LOOKED_AT = 1000  # characters of a text
_MOST = 10  # tasks of each side


def taken_by_another(looks: Sequence[TaskLook], heads: Mapping[str, TaskHead]) -> list[str]:
    """The names of the tasks that are recorded, if none of them is like one of these; else nothing.

    Like each other are tasks with one name that somebody gave them, with texts that are alike, or with one place, one
    agent and one expected output.
    """
    recorded = [head.record for name, head in heads.items() if head.record is not None and name != PLANNER]
    recorded.sort(key=lambda record: record.position)
    names = [record.task_name for record in recorded]
    if any(look.name in names and not _POSITIONAL.fullmatch(look.name) for look in looks):
        return []
    if any(_common(look, record) for look in looks[:_MOST] for record in recorded[:_MOST]):
        return []
    return names


def _common(look: TaskLook, record: Record) -> bool:
    description = _text(record, "task.description")
    if description is None:
        return True  # a text with a secret in it is not kept: nobody knows
    same_place = look.name == record.task_name and look.role == _text(record, "agent.role")
    if same_place and look.expected_output == _text(record, "task.expected_output"):
        return True
    return _alike(look.description[:_LOOKED_AT], description[:_LOOKED_AT])


def _text(record: Record, path: str) -> str | None:
    """A text as its author wrote it: the template, where inputs were put into it."""
    texts = {component.path: component.text for component in record.components}
    return texts.get(f"{path}.template") or texts.get(path)


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
