"""The definition of a task: all its parts that can change the answer, each with a hash.

A part is called a component. A part that cannot be hashed is called opaque.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from crew_repo.model.wording import listed

__all__ = ["PLANNER", "PLANNER_POSITION", "RESOLVED", "Component", "Definition", "Opaque", "ReadFile"]

RESOLVED = "resolved:"  # how the paths of components begin that only a connection gives; they act through the context

PLANNER = "(planner)"
"""The name under which CrewAI's planner (`planning=True`) has its record; no task of a crew gets it."""

PLANNER_POSITION = -1
"""The planner is asked before the first task."""

_TOLD = 3  # parts of an address


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part of a task that cannot be hashed: its path, and why. Such a task runs every time.

    `elsewhere` marks data whose address could be hashed, but not its content, such as a database. The stored answer may
    then be reused, and a warning says so. `places` is that address, each part with its name.
    """

    path: str
    why: str
    elsewhere: bool = False
    places: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> list[str]:
        """The files and folders among the places, each once; an address of a server is none."""
        return list(dict.fromkeys(said for _, said in self.places if PurePath(said).is_absolute()))

    @property
    def in_short(self) -> str:
        """`why`, of an address with many parts its files and the first ones; the log has all of them at DEBUG."""
        if len(self.places) <= _TOLD:
            return self.why
        told = sorted(self.places, key=lambda place: place[1] not in self.files)
        few = listed([f"{name} {said}" for name, said in told], _TOLD)
        return f"{self.why.partition(': ')[0]}: {few}; the log has all of them at DEBUG"

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
