"""Taking over the JSON file of a script: its answers, by the names of the crew's tasks."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from crew_repo import adapter
from crew_repo.errors import InputError, UnknownTaskError
from crew_repo.export_files import Answer, read_answers
from crew_repo.model import Author, Change
from crew_repo.runner.completing import import_answers
from crew_repo.runner.hinting import Hinting
from crew_repo.runner.request import Request
from crew_repo.store import Store

__all__ = ["import_state"]


def import_state(
    store: Store, request: Request, source: object, author: Author, *, hold: bool, names: object, hinting: Hinting
) -> list[Change]:
    """Record the answers in a file, or in what it has, all or none; the entries. The log says what is left out."""
    answers = _by_task(read_answers(source), names, adapter.task_names(request.crew))
    changes, answered = import_answers(store, request, answers, author, hinting=hinting, hold=hold)
    if answered:
        hinting.say(f"import_state left these tasks as they are, since they have an answer: {', '.join(answered)}; "
                    "override corrects it")  # fmt: skip
    hinting.say("import_state took over no run_count: run_count() counts the runs that were made with crew_repo")
    return changes


def _by_task(answers: Mapping[str, Answer], names: object, known: list[str]) -> dict[str, Answer]:
    """The answers by the names that the crew has. Raises UnknownTaskError for one that it does not have."""
    if names is not None and not isinstance(names, Mapping):
        raise InputError(f"names is {names!r}; give a dict: {{name in the file: name in the crew}}")
    found: dict[str, Answer] = {}
    for name, answer in answers.items():
        task = (names or {}).get(name, name)
        if task not in known:
            raise UnknownTaskError(_unknown(name, task, known))
        if task in found:
            raise InputError(f"Two answers are for task {task!r}, and nothing was changed; give each a task of its own")
        found[task] = answer
    return found


def _unknown(name: str, task: object, known: list[str]) -> str:
    close = get_close_matches(str(task), known, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"import_state: there is no task {task!r}.{meant} The tasks are: {', '.join(map(repr, known))}. Nothing was "
        f"changed. Say which is meant: names={{{name!r}: {(close or known)[0]!r}}}"
    )
