"""Declared files must be there before anything is paid for, or be written by an earlier task."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crew_repo import adapter
from crew_repo.declared_files import Declared, declared
from crew_repo.errors import PolicyError
from crew_repo.model import PLANNER
from crew_repo.policy import Policies

__all__ = ["check_files"]


def check_files(crew: Any, tasks: Iterable[tuple[str, Any]], policies: Policies) -> None:
    """Raise PolicyError for the first element of `files` that matches nothing; `tasks`: names and tasks, in order.

    A task's own output file, and those of the tasks before it, need not be there yet; for the planner, none of them.
    """
    written: list[Path] = []
    for name, task in tasks:
        file = adapter.output_file(task)
        written += [] if file is None else [file]
        _check(name, policies, written)
    if crew.planning:
        _check(PLANNER, policies, written)


def _check(name: str, policies: Policies, written: list[Path]) -> None:
    policy = policies.of(name)
    for element in declared(policy.paths) if policy.missing_files == "error" else ():
        if not element.find(written):
            raise PolicyError(_message(name, element))


def _message(name: str, element: Declared) -> str:
    folder = Path(element.folder)
    if not element.pattern and folder.is_dir():
        found = f"and the folder {folder} has no file in it"
    else:
        found = f"and nothing of that name is in {folder if element.pattern else folder.parent}"
    return (
        f"The policy of task {name!r} declares files={element.given!r}, {found}. Correct the name, which is looked up "
        f"from the working folder ({Path.cwd()}), or say that it may be missing: "
        'TaskPolicy(files=..., missing_files="allow").'
    )
