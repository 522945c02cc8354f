"""The place of the state, from a path, a URL or the environment; and checks of other settings."""

from __future__ import annotations

import math
import os
import re
import sys
from datetime import timedelta
from pathlib import Path

from crew_repo.errors import InputError, StoreOpenError

__all__ = [
    "DEFAULT_FILE",
    "PRICES_VARIABLE",
    "SYNCHRONOUS_VARIABLE",
    "URL_VARIABLE",
    "check_limits",
    "check_seconds",
    "checked_flag",
    "checked_limit",
    "checked_name",
    "checked_path",
    "checked_source",
    "checked_synchronous",
    "checked_workflow",
    "from_environment",
    "package_version",
    "resolve_url",
]

URL_VARIABLE = "CREW_REPO_URL"
PRICES_VARIABLE = "CREW_REPO_PRICES"
SYNCHRONOUS_VARIABLE = "CREW_REPO_SYNCHRONOUS"
DEFAULT_FILE = "crew_state.db"
_SQLITE = ("sqlite:///", "sqlite+pysqlite:///")
_MEMORY = re.compile(r":memory:$|sqlite(\+pysqlite)?:(//$|///:memory:)")


def package_version() -> str:
    """The version of the installed package, or `0+unknown` if it is used without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("crew-repo")
    except PackageNotFoundError:
        return "0+unknown"


def resolve_url(target: str | os.PathLike[str] | None) -> str:
    """A SQLAlchemy URL for a path, a URL, or None.

    None reads `CREW_REPO_URL` from the environment. If it is not set there, it is read from a `.env` file in the
    current folder or above. Else the URL is that of `crew_state.db` in the current folder. Paths are made absolute, so
    that a later change of folder changes nothing. A path from a `.env` file is relative to that file.
    """
    chosen = from_environment(URL_VARIABLE) or DEFAULT_FILE if target is None else target
    chosen = os.fspath(chosen) if isinstance(chosen, os.PathLike) else chosen
    if not isinstance(chosen, str) or not chosen or "\0" in chosen:
        raise StoreOpenError(f"The target of a StateRepository is {target!r}; give a file's path, or a SQLAlchemy URL")
    if _MEMORY.match(chosen):
        raise StoreOpenError("A database in memory is lost when the process ends; give the path of a file")
    if "://" in chosen:
        return _absolute(chosen)
    return f"sqlite:///{Path(chosen).expanduser().absolute()}"


def check_seconds(name: str, given: object, *, least: float) -> None:
    """Raise InputError for anything that is no number of seconds, or less than `least`."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not least <= given < math.inf:
        raise InputError(f"{name} is {given!r}; give a number of seconds, at least {least:g}")


def check_limits(keep_last: object, older_than: object) -> None:
    """Raise InputError unless these say how many records to keep and how old they may be, or are None."""
    if keep_last is not None and (type(keep_last) is not int or keep_last < 0):
        raise InputError(f"keep_last is {keep_last!r}; give how many records to keep of each task, 0 or more")
    if older_than is not None and (not isinstance(older_than, timedelta) or older_than < timedelta(0)):
        raise InputError(f"older_than is {older_than!r}; give an age, such as timedelta(days=90)")


def checked_limit(limit: object) -> int | None:
    """How many to list at most, or None for all. Raises InputError for anything but a number, 0 or more."""
    if limit is None or (type(limit) is int and limit >= 0):
        return limit
    raise InputError(f"limit is {limit!r}; give how many to list, 0 or more, or None for all")


def checked_workflow(workflow_id: object) -> str | None:
    """The workflow ID, or None for all workflows. Raises InputError for anything but a non-empty text."""
    if workflow_id is None or (isinstance(workflow_id, str) and workflow_id.strip()):
        return workflow_id
    raise InputError(f"workflow_id is {workflow_id!r}; give a non-empty text, such as a claim number, or None for all")


def checked_flag(name: str, given: object) -> bool:
    """A yes or no. Raises InputError for anything else: a text out of the environment would count as yes."""
    if isinstance(given, bool):
        return given
    raise InputError(f"{name} is {given!r}; give True or False")


def checked_path(name: str, given: object) -> Path:
    """A path. Raises InputError for anything that is none."""
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    raise InputError(f"{name} is {given!r}; give the path of a file: text or pathlib.Path")


def checked_name(task_name: object) -> str:
    """The name of a task. Raises InputError for anything but a text."""
    if isinstance(task_name, str):
        return task_name
    raise InputError(f"task_name is {task_name!r}; give the name of a task as a text; tasks() lists them")


def checked_source(source: object) -> str | None:
    """The place that a crew can be loaded from, or None. Raises InputError for anything but a non-empty text."""
    if source is None or (isinstance(source, str) and source.strip()):
        return source
    raise InputError(f"source is {source!r}; give a text: package.module:attribute, or the path of a project")


def checked_synchronous(given: object) -> str:
    """SQLite's `synchronous` for what was paid for: FULL, or NORMAL; None reads `CREW_REPO_SYNCHRONOUS`, else is FULL.

    Raises InputError for anything else.
    """
    chosen = from_environment(SYNCHRONOUS_VARIABLE, is_path=False) or "FULL" if given is None else given
    if isinstance(chosen, str) and chosen.upper() in ("FULL", "NORMAL"):
        return chosen.upper()
    raise InputError(f"synchronous is {chosen!r}; give FULL, with which a finished task survives a power cut, "
                     "or NORMAL, with which the last ones may be lost, and nothing is damaged")  # fmt: skip


def from_environment(variable: str, *, is_path: bool = True) -> str | None:
    """The variable's value, else that of a `.env` file, else None. A path in a `.env` is relative to that file.

    `load_dotenv` copies a `.env` into the environment. So a value that a `.env` file has too counts as that file's.
    """
    given, files = os.environ.get(variable), _dotenv_files(variable)
    for file, said in files.items():
        if said == (given or said):
            return _relative_to(file.parent, said) if is_path else said
    return given or None


def _dotenv_files(variable: str) -> dict[Path, str]:
    """The `.env` files that set the variable: from the current folder upwards, and from the started program upwards."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    places = [Path.cwd() / "here", *([Path(program)] if program else [])]
    found = [file for place in places if (file := _dotenv_above(place)) is not None and _mentions(file, variable)]
    if not found:  # importing dotenv takes longer than all that the command line does
        return {}
    from dotenv import dotenv_values

    files = {file: dotenv_values(file).get(variable) for file in found}
    return {file: said for file, said in files.items() if said}


def _dotenv_above(place: Path) -> Path | None:
    return next((file for folder in place.absolute().parents if (file := folder / ".env").is_file()), None)


def _mentions(file: Path, variable: str) -> bool:
    try:
        return variable.encode() in file.read_bytes()
    except OSError:
        return True  # dotenv says what is wrong with it


def _relative_to(folder: Path, target: str) -> str:
    prefix = next((prefix for prefix in _SQLITE if target.startswith(prefix)), "")
    if "://" in target and not prefix:
        return target
    path = target.removeprefix(prefix)
    return target if path.startswith(":memory:") else f"{prefix}{folder / Path(path).expanduser()}"


def _absolute(url: str) -> str:
    """Make a relative SQLite path in a URL absolute."""
    if url.startswith("postgresql://") or url.startswith("postgres://"):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    for prefix in _SQLITE:
        if url.startswith(prefix):
            if "?" in url:
                raise StoreOpenError(f"{url}: options in a SQLite URL (after ?) are not supported; give the plain path")
            return f"sqlite:///{Path(url.removeprefix(prefix)).absolute()}"
    return url
