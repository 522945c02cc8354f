"""Options of a run, beside its crew and inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import Any

from crew_repo.errors import InputError, PolicyError, UnknownRunError, UnknownTaskError, did_you_mean
from crew_repo.model import PLANNER, RunRecord
from crew_repo.model.wording import shortened
from crew_repo.policy import Policies
from crew_repo.pricing import Prices
from crew_repo.store import Store

__all__ = [
    "RunOptions",
    "check_names",
    "check_policies",
    "check_storable",
    "check_tasks",
    "check_workflow_id",
    "crew_name",
    "forced_names",
    "found_run",
    "names_in",
    "nearest",
    "unknown_name",
    "utc_now",
]


_LONGEST_NAME = 1_000
"""Bytes of UTF-8: an entry of an index of PostgreSQL has 2,704, for a workflow ID, a task name and hashes."""


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run: the workflow, what is forced (`None` for everything), the policies, whether callbacks fire again.

    `prices` change nothing but what the record of the run says.
    """

    workflow_id: str
    force: frozenset[str] | None = frozenset()
    policies: Policies = field(default_factory=lambda: Policies({}))
    fire_callbacks: bool = False
    share: bool = False
    prices: Prices | None = None

    def forces(self, task_name: str) -> bool:
        """Whether this task executes whatever is stored."""
        return self.force is None or task_name in self.force


def forced_names(force: bool | str | Iterable[str], known: Sequence[str]) -> frozenset[str] | None:
    """`force` as names: None for True. Raises UnknownTaskError with the names there are."""
    if force is True:
        return None
    if force is False or force is None:
        return frozenset()
    names = names_in(force, "force", "task names, or True for all")
    check_names(names, known, "force")
    return frozenset(names)


def names_in(given: str | Iterable[str], what: str, wanted: str = "the name of a task, or several") -> list[str]:
    """One name, or several, as a list. Raises InputError for what is neither."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        raise InputError(f"{what} is {given!r}; give {wanted}")
    return list(given)


def check_names(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise UnknownTaskError for the first name that is not known."""
    there = list(known)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{what} takes task names (text), got {name!r}")
        if name not in there:
            raise UnknownTaskError(f"{what}: there is no task {name!r}. {did_you_mean(name, there, 'tasks')}")


def check_policies(given: Mapping[str, object] | None, known: Sequence[str]) -> None:
    """Raise PolicyError if a policy of this run names no task of the crew."""
    unknown = sorted((set(given or {}) - {"*", PLANNER}) - set(known))
    if unknown:
        raise PolicyError(f"policies: there is no task {unknown[0]!r}. {did_you_mean(str(unknown[0]), known, 'tasks')}")


def crew_name(crew: Any) -> str:
    """The name of a crew, as it is recorded; one without a name, or with a blank one, is `crew`."""
    name = str(crew.name or "")
    return name if name.strip() else "crew"


def check_tasks(crew: Any) -> None:
    """Raise InputError for a crew that has no tasks; CrewAI says so only after its kickoff, in other words."""
    if not crew.tasks:
        raise InputError(
            f"Crew {crew_name(crew)!r} has no tasks, so there is nothing to run; give it some: Crew(tasks=[...])"
        )


def check_workflow_id(given: object, crew: Any) -> str:
    """The workflow ID that was given, else the crew's name. Raises InputError for what cannot be one."""
    if given is None:
        check_storable([name := crew_name(crew)], "the crew's name, which is the workflow_id where none is given,")
        return name
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"workflow_id is {given!r}; give a non-empty text, such as a claim number")
    check_storable([given], "workflow_id")
    return given


def check_storable(names: Iterable[str], what: str) -> None:
    """Raise InputError for the first name that a database does not take, before anything is paid for under it."""
    for name in names:
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            half = f"{what} {shortened(name)!r} has half of a surrogate pair, which is no character; leave it out"
            raise InputError(half) from None
        if length > _LONGEST_NAME:
            most = f"{_LONGEST_NAME:,} can be stored"
            raise InputError(f"{what} {shortened(name)!r} is too long: it has {length:,} bytes; up to {most}")


def nearest(name: str, known: Iterable[str]) -> str:
    """List names in place of one that is not there: those that look like it, else a few of all."""
    there = sorted(set(known))
    close = get_close_matches(name, there, n=3) or there[:5]
    return ", ".join(map(repr, close)) or "none yet"


def unknown_name(store: Store, task_name: str | None, workflow_id: str | None) -> InputError | None:
    """The error for a workflow, or a task in it, that the state does not know; None if it knows both."""
    if workflow_id is not None and workflow_id not in (there := store.workflow_ids()):
        return InputError(
            f"There is no workflow {workflow_id!r} in {store.display_url}. "
            f"{did_you_mean(workflow_id, there, 'workflows')}"
        )
    if task_name is None or task_name in (known := store.task_names(workflow_id)):
        return None
    where = f" of workflow {workflow_id!r}" if workflow_id is not None else ""
    return UnknownTaskError(
        f"There is no task {task_name!r}{where} in {store.display_url}. {did_you_mean(task_name, known, 'tasks')}"
    )


def found_run(run_id: str, store: Store) -> RunRecord:
    """The run, or UnknownRunError with the newest ones there are."""
    if not isinstance(run_id, str):
        raise InputError(f"run_id is {run_id!r}; give the run_id of a run, a text, as runs() lists them")
    found = store.get_run(run_id)
    if found is None:
        newest = ", ".join(run.run_id for run in store.list_runs(None, 3)) or "none yet"
        raise UnknownRunError(f"There is no run {run_id!r}. The newest runs are: {newest}.")
    return found
