"""Policies: how long the answer of a task is good, which of its parts do not count, which files it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import wraps
from os import PathLike, fspath
from typing import Any, Literal, TypeVar

from crew_repo.errors import PolicyError, did_you_mean

__all__ = ["Policies", "TaskPolicy", "merge_policies"]

T = TypeVar("T")


def _naming_misspelt(cls: type[T]) -> type[T]:
    """The class; made with a member that it does not have, it raises PolicyError with the one that was meant."""
    made = cls.__init__

    @wraps(made)
    def init(self: T, *given: Any, **members: Any) -> None:
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        for name in members:
            if name not in known:
                raise PolicyError(f"{cls.__name__} has no {name!r}. {did_you_mean(name, known, 'rules')}")
        made(self, *given, **members)

    cls.__init__ = init  # type: ignore[method-assign,assignment]
    return cls


@_naming_misspelt
@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """Rules for one task: what crew_repo cannot see from the crew. None of it changes a prompt.

    Policies are given by task name: `policies={"search": TaskPolicy(always=True)}`. The name `"*"` stands for every
    task that has no policy of its own. The name `"(planner)"` stands for CrewAI's planner.

    - `max_age`: reuse an answer only for so long, as for a live web search.
    - `always`: execute the task in every run.
    - `ignore`: parts of the task that do not count, by the names that plans and warnings give them, such as
      `"agent.backstory"`. Patterns work too: `"tool:*.source"`.
    - `salt`: any text. Change it to make the task run again, as after a model was retrained under its old name.
    - `files`: files that a tool reads by itself. The task runs again if one of them changes, appears or goes. Folders
      (all files in them), patterns (`"terms/*.txt"`, `"**/*.md"`) and `"~/terms.pdf"` work too. They are looked up from
      the working folder. If a file changes while the task is executed, the answer is kept, but not reused. `()` says
      that the tools read no files.
    - `missing_files`: what to do if one of `files` is not there as a run begins. `"error"` raises PolicyError, unless
      it is the `output_file` of an earlier task. `"allow"` goes on; the file's absence counts.
    - `memory`: crew_repo cannot see what CrewAI's memory recalls. `"ignore"` reuses the answer all the same. `"always"`
      executes a task with a memory in every run.
    - `dates`: whether the date that `inject_date` puts into the prompt counts (`"daily"`) or not (`"ignore"`).
    - `journal`: keep what models answer and tools give inside the task until it has finished, so that a task that was
      killed goes on where it was.
    - `rerun_tools`: names of tools that are called anew when such a task goes on. Name those whose effect ends with the
      process: a temporary file, a browser, a clock.
    - `human_input`: what to do with a task that asks a person. `"reuse"` reuses the answer. `"always"` asks again.
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
    journal: bool = True
    rerun_tools: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", _names("ignore", self.ignore, "parts", "agent.backstory"))
        object.__setattr__(self, "files", None if self.files is None else _paths(self.files))
        object.__setattr__(self, "rerun_tools", _names("rerun_tools", self.rerun_tools, "tools", "now", "job_state"))
        if self.max_age is not None and not isinstance(self.max_age, timedelta):
            raise PolicyError(f"max_age is {self.max_age!r}; give a datetime.timedelta, such as timedelta(hours=6)")
        if self.max_age is not None and self.max_age < timedelta(0):
            raise PolicyError(f"max_age is negative ({self.max_age}); give always=True to reuse no answer")
        if self.salt is not None and not isinstance(self.salt, str):
            raise PolicyError(f"salt is {self.salt!r}; give a text, such as 'v2'")
        self._check("always", (True, False))
        self._check("missing_files", ("error", "allow"))
        self._check("memory", ("ignore", "always"))
        self._check("dates", ("daily", "ignore"))
        self._check("human_input", ("reuse", "always"))
        self._check("journal", (True, False))

    def _check(self, name: str, allowed: tuple[object, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise PolicyError(f"{name} is {getattr(self, name)!r}; it can be {' or '.join(map(repr, allowed))}")

    @property
    def paths(self) -> tuple[str, ...]:
        """`files` as texts."""
        return tuple(fspath(path) for path in self.files or ())

    def ignores(self, path: str) -> bool:
        """Whether the part of a task at this path does not count.

        A path that is copied from a reason names that part and all inside it. It is compared as a text first, since
        fnmatch would read `[0]` as a set of characters.
        """
        return any(_is_at_or_in(path, pattern) or fnmatchcase(path, pattern) for pattern in self.ignore)


def _paths(given: Any) -> tuple[str | PathLike[str], ...]:
    """The paths as given. Raises PolicyError for anything that is no path."""
    try:
        paths = (given,) if isinstance(given, (str, bytes, PathLike)) else tuple(given)
    except TypeError:
        paths = (given,)
    for path in paths:
        text = fspath(path) if isinstance(path, PathLike) else path
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            raise PolicyError(f"files has {path!r}; give paths of files or folders, or patterns: text or pathlib.Path")
    return paths


def _names(member: str, given: Any, what: str, *such_as: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise PolicyError(f"{member} is {given!r}; give the names of {what}, such as {such_as!r}")
    return names


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
        """Whether the policy of any task leaves out the part at this path."""
        return any(policy.ignores(path) for policy in self.by_name.values())

    def names(self) -> set[str]:
        """The task names that were given."""
        return set(self.by_name) - {"*"}


def merge_policies(*layers: Mapping[str, TaskPolicy] | None) -> Policies:
    """Put policies together. The later ones win, task by task: those of a run over those of the repository."""
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
