"""A task as its hash sees it: components, and what could not be hashed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PLANNER", "PLANNER_POSITION", "RESOLVED", "Component", "Definition", "Opaque", "ReadFile"]

RESOLVED = "resolved:"  # how the paths of components begin that only a connection gives; they act through the context

PLANNER = "(planner)"
"""The name under which CrewAI's planner (`planning=True`) has its record; no task of a crew gets it."""

PLANNER_POSITION = -1
"""The planner is asked before the first task."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part of a task's definition that cannot be hashed: where it stands, and what it is.

    `elsewhere`: where it is could be hashed, what is kept there not; the task may be served, and a warning says so.
    """

    path: str
    why: str
    elsewhere: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Component:
    """One named part of a task's definition.

    `acts` is False for a part that only explains (a template, an input's name): it is kept so that a reason
    can say what changed, and is not in the input hash. `text` is what a diff shows, where it may be stored. `code`
    names the function or class that the hash is of; it is not stored, since a source may be long and private.
    """

    path: str
    sha256: str
    acts: bool = True
    text: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that the component at `path` was hashed from.

    `found` is its content's SHA-256, or a word for what is no file; `mark` changes with every write.
    """

    path: str
    file: str
    found: str
    mark: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A task without what its upstreams said: its components, and what of it cannot be hashed.

    `files`: what of it was read from files, which may change while the task is executed.
    """

    components: tuple[Component, ...]
    opaque: tuple[Opaque, ...] = ()
    files: tuple[ReadFile, ...] = ()
