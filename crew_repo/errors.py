"""Every error that crew_repo raises; each names the thing that is wrong and the remedy.

CrewRepoError
|-- InputError                  what was passed in cannot be used; nothing was run
|   |-- NotACrewError           (also a TypeError)
|   |-- UnknownTaskError        a task name that the crew or the file does not have
|   |-- UnknownRunError         a run ID that the file does not have
|   |-- UnknownChangeError      a number of a change that the file does not have
|   |-- ConflictError           somebody else's change came first; nothing was changed
|   |-- MissingInputError       a template variable that the inputs lack
|   |-- BadInputValueError      an input that CrewAI cannot put into a prompt (also a TypeError)
|   |-- CheckpointError         from_checkpoint, which runs a different crew object
|   |-- AttachError             one crew, two repositories; or one crew, two runs at once
|   |-- RunningLoopError        run() where an event loop runs (a notebook): await arun() there
|   `-- PolicyError             a TaskPolicy that contradicts itself or names no task
|-- StoreError                  the state file or database
|   |-- StoreOpenError          it cannot be opened: a folder, no permission, no SQLite file, a copy without its tables
|   |-- NewerSchemaError        it was written by a newer crew_repo
|   |-- StoreBusyError          another process held the write lock for too long
|   |-- StoreFullError          no space was left to save what was finished
|   |-- RunGoneError            the run that this belongs to was deleted from it meanwhile
|   |-- ForkedConnectionError   a parent's connection used in a forked child
|   `-- ImportFormatError       what import_json was given is not an export
|-- UnsupportedCrewAIError      the installed CrewAI is too old, too new, or not there (also an ImportError)
`-- UnhashableError             something that cannot be hashed where that was demanded
"""

from __future__ import annotations

__all__ = [
    "AttachError",
    "BadInputValueError",
    "CheckpointError",
    "ConflictError",
    "CrewRepoError",
    "ForkedConnectionError",
    "ImportFormatError",
    "InputError",
    "MissingInputError",
    "NewerSchemaError",
    "NotACrewError",
    "PolicyError",
    "RunGoneError",
    "RunningLoopError",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "StoreOpenError",
    "UnhashableError",
    "UnknownChangeError",
    "UnknownRunError",
    "UnknownTaskError",
    "UnsupportedCrewAIError",
]


class CrewRepoError(Exception):
    """The base of every error that this package raises of its own accord."""


class InputError(CrewRepoError, ValueError):
    """An argument that cannot be used. Raised before any model is called."""


class UnsupportedCrewAIError(CrewRepoError, ImportError):
    """The installed CrewAI is older than this package knows, newer, or lacks a name that it needs."""


class RunningLoopError(InputError, RuntimeError):
    """A synchronous run was asked for where an event loop is running, which CrewAI refuses in the middle of a task."""


class NotACrewError(InputError, TypeError):
    """Something else was passed where a `crewai.Crew` is needed."""


class UnknownTaskError(InputError, KeyError):
    """A task name that the crew, or the state file, does not have."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class UnknownRunError(InputError, KeyError):
    """A run ID that the state file does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnknownChangeError(InputError, KeyError):
    """A number of a change by a person that the state file does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConflictError(InputError):
    """A change by a person that another has overtaken: what it was to replace is no longer in force."""


class MissingInputError(InputError):
    """A task or agent mentions a `{variable}` that the inputs lack."""


class BadInputValueError(InputError, TypeError):
    """An input value that CrewAI cannot put into a prompt."""


class CheckpointError(InputError):
    """`from_checkpoint` runs a different crew object, which no repository has seen."""


class AttachError(InputError):
    """A crew was to be attached to two repositories, or run twice at the same time."""


class PolicyError(InputError):
    """A `TaskPolicy` that contradicts itself, or that is given for no task of the crew."""


class StoreError(CrewRepoError):
    """The state file or database could not do what was asked of it."""


class StoreOpenError(StoreError):
    """The state file or database cannot be opened."""


class NewerSchemaError(StoreOpenError):
    """The state file was written by a newer version of crew_repo."""


class StoreBusyError(StoreError):
    """Another process held the write lock for longer than the busy timeout."""


class StoreFullError(StoreError):
    """No space was left to save a record; what had been saved before is intact."""


class RunGoneError(StoreError):
    """The run that something belongs to was deleted while it went on; a finished task is kept all the same."""


class ForkedConnectionError(StoreError):
    """A connection that belongs to the parent process was used in a forked child."""


class ImportFormatError(StoreError, ValueError):
    """The text that was to be imported is not an export of crew_repo."""


class UnhashableError(CrewRepoError, TypeError):
    """A value that cannot be hashed, where the caller demanded a hash."""
