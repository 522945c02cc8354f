"""Every error that crew_repo raises. Its message says what is wrong, and what to do.

CrewRepoError
|-- InputError                  an argument that cannot be used; nothing was run
|   |-- NotACrewError           (also a TypeError)
|   |-- UnknownTaskError        a task name that the crew or the file does not have
|   |-- UnknownRunError         a run ID that the file does not have
|   |-- UnknownChangeError      a number of a change that the file does not have
|   |-- ConflictError           somebody else's change came first; nothing was changed
|   |-- MissingInputError       a template variable that the inputs lack
|   |-- BadInputValueError      an input that CrewAI cannot put into a prompt (also a TypeError)
|   |-- CheckpointError         from_checkpoint was passed, which does not go together with a repository
|   |-- AttachError             one crew for two repositories, or for two runs at once
|   |-- RunningLoopError        run() was called where an event loop runs (a notebook): await arun() there
|   `-- PolicyError             a TaskPolicy with a wrong value, or for a task that the crew does not have
|-- StoreError                  the state file or database could not be used
|   |-- StoreOpenError          it cannot be opened: it is a folder, or no SQLite file, or there is no permission
|   |-- NewerSchemaError        it was written by a newer crew_repo
|   |-- StoreBusyError          another process was writing for too long
|   |-- StoreFullError          no space was left to save what was finished
|   |-- RunGoneError            the run was deleted from it while it went on
|   |-- ForkedConnectionError   a process was forked, and its copy used what belongs to the parent
|   `-- ImportFormatError       import_json was given what is no export, or import_state no file of a script
|-- UnsupportedCrewAIError      the installed CrewAI is too old, too new, or not there (also an ImportError)
`-- UnhashableError             a value that you asked a hash of cannot be hashed
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
    "did_you_mean",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class CrewRepoError(Exception):
    """The base of every error of this package. Errors of your crew are raised as they are."""


class InputError(CrewRepoError, ValueError):
    """An argument that cannot be used. Raised before any model is called."""


class UnsupportedCrewAIError(CrewRepoError, ImportError):
    """CrewAI is not installed, too old, too new, or lacks a name that this package needs."""


class RunningLoopError(InputError, RuntimeError):
    """A synchronous run was started where an event loop runs, as in a notebook. Use the async method there."""


class NotACrewError(InputError, TypeError):
    """A `crewai.Crew` is needed, and something else was passed."""


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
    """`from_checkpoint` cannot be used with a repository: CrewAI then runs a crew object of its own."""


class AttachError(InputError):
    """A crew can be attached to one repository only, and run once at a time."""


class PolicyError(InputError):
    """A `TaskPolicy` with a value that makes no sense, or for a task that the crew does not have."""


class StoreError(CrewRepoError):
    """The state file or database could not be read or written."""


class StoreOpenError(StoreError):
    """The state file or database cannot be opened."""


class NewerSchemaError(StoreOpenError):
    """The state file was written by a newer version of crew_repo."""


class StoreBusyError(StoreError):
    """Another process was writing for longer than `busy_timeout_seconds`."""


class StoreFullError(StoreError):
    """No space was left to save something. All that was saved before is intact."""


class RunGoneError(StoreError):
    """The run was deleted from the state while it went on. Its finished tasks are kept all the same."""


class ForkedConnectionError(StoreError):
    """A process was forked, and its copy used a connection or thread of the parent. Start it with spawn."""


class ImportFormatError(StoreError, ValueError):
    """The text that was to be imported is no export of crew_repo."""


class UnhashableError(CrewRepoError, TypeError):
    """A value cannot be hashed, and a hash was asked for."""


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """A sentence with the names that look like it, else with those there are."""
    from difflib import get_close_matches

    there = sorted(set(known) - {""})
    close = get_close_matches(name, there, n=3)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    more = f" and {len(there) - 12} more" if len(there) > 12 else ""
    return f"The {what} are: {', '.join(map(repr, there[:12])) or 'none yet'}{more}."
