"""The definition of a task: all its parts that can change the answer, each with a hash.

A part is called a component. A part that cannot be hashed is called opaque.
"""

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
    """A part of a task that cannot be hashed: its path, and why. Such a task runs every time.

    `elsewhere` marks data whose address could be hashed, but not its content, such as a database. The stored answer may
    then be reused, and a warning says so.
    """

    path: str
    why: str
    elsewhere: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a task that can change its answer, such as `agent.llm.model`.

    `acts` is False for a part that only explains, such as the template of a text. It is kept so that a reason can say
    what changed, and does not decide whether the task runs. `text` is shown in reasons; it is None where it may not be
    stored. `code` names the function or class that was hashed. Its source is not stored: it may be long and private.
    """

    path: str
    sha256: str
    acts: bool = True
    text: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that a part of a task was hashed from; `path` is the path of that part.

    `found` is the SHA-256 of the file's content, or a word if there is none. `mark` changes with every write.
    """

    path: str
    file: str
    found: str
    mark: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """All that a task is, except the answers that it reads: its components, and its parts that cannot be hashed.

    `files` are the files that it was read from. They may change while the task is executed.
    """

    components: tuple[Component, ...]
    opaque: tuple[Opaque, ...] = ()
    files: tuple[ReadFile, ...] = ()
