"""Policies: when the record of a task expires, what of it does not count, which files it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from fnmatch import fnmatchcase
from os import PathLike, fspath
from typing import Any, Literal

from crew_repo.errors import PolicyError

__all__ = ["Policies", "TaskPolicy", "merge_policies"]


@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """How to treat one task, by its name; `"*"` stands for every task that has no policy of its own.

    CrewAI's planner is `"(planner)"` here; without a policy of its own that of `"*"` is its too.

    - `max_age`: a record older than this is stale (a live web search).
    - `always`: execute in every run.
    - `ignore`: paths of components that do not count, with what is in them, such as `"agent.backstory"`, or patterns
      of paths, such as `"tool:*.source"`.
      A part that cannot be hashed may be ignored too; its path is in the warning.
    - `salt`: any text; a new one makes the record stale (a model that was retrained under its old name).
    - `files`: files that a tool reads by itself; their content counts. Also folders (all files in them), patterns
      (`"terms/*.txt"`, `"**/*.md"`) and `"~/terms.pdf"`, looked up from the working folder. A file that appears, goes
      or changes makes the task stale; one that changes while the task is executed keeps its record from being served.
      `()` says that its tools read none.
    - `missing_files`: what to do where one of them matches nothing as a run begins. `"error"` raises PolicyError,
      unless it is the `output_file` of a task before; `"allow"` counts it as missing.
    - `memory`: what CrewAI's memory recalls is state that no hash covers. `"ignore"` serves the record all the
      same, `"always"` executes a task that has a memory in every run.
    - `dates`: whether the date that `inject_date` puts into the prompt counts (`"daily"`) or not (`"ignore"`).
    - `human_input`: whether a task that asks a person is asked again: `"reuse"` the answer, or ask `"always"`.
    """

    max_age: timedelta | None = None
    always: bool = False
    ignore: tuple[str, ...] = ()
    salt: str | None = None
    files: tuple[str | PathLike[str], ...] | None = None
    missing_files: Literal["error", "allow"] = "error"
    memory: Literal["ignore", "always"] = "ignore"
    dates: Literal["daily", "ignore"] = "daily"
    human_input: Literal["reuse", "always"] = "reuse"

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", (self.ignore,) if isinstance(self.ignore, str) else tuple(self.ignore))
        object.__setattr__(self, "files", None if self.files is None else _paths(self.files))
        if self.max_age is not None and not isinstance(self.max_age, timedelta):
            raise PolicyError(f"max_age is {self.max_age!r}; give a datetime.timedelta, such as timedelta(hours=6)")
        self._check("missing_files", ("error", "allow"))
        self._check("memory", ("ignore", "always"))
        self._check("dates", ("daily", "ignore"))
        self._check("human_input", ("reuse", "always"))

    def _check(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise PolicyError(f"{name} is {getattr(self, name)!r}; it can be {' or '.join(map(repr, allowed))}")

    @property
    def paths(self) -> tuple[str, ...]:
        """`files` as texts."""
        return tuple(fspath(path) for path in self.files or ())

    def ignores(self, path: str) -> bool:
        """Whether a component of this path does not count.

        A path as it stands in a reason names that part and what is in it, brackets and all; fnmatch would read
        `[0]` as a set of characters.
        """
        return any(_is_at_or_in(path, pattern) or fnmatchcase(path, pattern) for pattern in self.ignore)


def _paths(given: Any) -> tuple[str | PathLike[str], ...]:
    """The paths, or PolicyError for what is none."""
    try:
        paths = (given,) if isinstance(given, (str, bytes, PathLike)) else tuple(given)
    except TypeError:
        paths = (given,)
    for path in paths:
        text = fspath(path) if isinstance(path, PathLike) else path
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            raise PolicyError(f"files has {path!r}; give paths of files or folders, or patterns: text or pathlib.Path")
    return paths


def _is_at_or_in(path: str, outer: str) -> bool:
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))


DEFAULT = TaskPolicy()


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of one run, by task name."""

    by_name: Mapping[str, TaskPolicy]

    def of(self, task_name: str) -> TaskPolicy:
        """The policy of this task, else that of `"*"`, else the defaults."""
        return self.by_name.get(task_name) or self.by_name.get("*") or DEFAULT

    def any_ignores(self, path: str) -> bool:
        """Whether the policy of any task leaves out a component of this path."""
        return any(policy.ignores(path) for policy in self.by_name.values())

    def names(self) -> set[str]:
        """The task names that were given."""
        return set(self.by_name) - {"*"}


def merge_policies(*layers: Mapping[str, TaskPolicy] | None) -> Policies:
    """Later layers win, task by task (the run's policies over the repository's)."""
    merged: dict[str, TaskPolicy] = {}
    for layer in layers:
        if layer is not None and not isinstance(layer, Mapping):
            raise PolicyError(f"policies is {layer!r}; give a dict of TaskPolicy by task name")
        for name, policy in (layer or {}).items():
            if not isinstance(policy, TaskPolicy):
                members = ", ".join(field.name for field in fields(TaskPolicy))
                raise PolicyError(f"The policy of {name!r} is {policy!r}; give a TaskPolicy({members})")
            merged[name] = policy
    return Policies(merged)
