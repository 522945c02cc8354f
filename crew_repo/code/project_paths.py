"""Paths in code count relative to the project or the working folder, so that the project may be moved.

The project is that of the code that holds the path: the nearest folder above its file with a `pyproject.toml`,
`setup.py` or `setup.cfg`, else the folder that its top-level package stands in. A path in neither counts as it is, and
so does a text that does not begin with it. `file:///...` and `sqlite:////...` are paths behind a scheme.

Two paths never become equal unless the same code holds them and both are at the same place below the same kind of
folder: each says which project it is in (the nearest code's, or that of code around it), or that it is the working
folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, TypeAlias

from crew_repo.code.ownership import is_own_class, is_own_function

__all__ = ["Root", "is_absolute", "located", "root_of", "root_of_file"]

_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg")

Root: TypeAlias = "tuple[str, ...]"
"""A folder by each of its names: as it was reached, and with all links followed."""


def root_of(holder: object) -> Root:
    """The project of the user's code that a value is, or is made by; empty for all else."""
    if isinstance(holder, FunctionType):
        own = is_own_function(holder.__code__, holder.__globals__)
        return _root_of_module(holder.__globals__) if own else ()
    if isinstance(holder, ModuleType):
        return _root_of_module(vars(holder))
    kind = holder if isinstance(holder, type) else type(holder)
    found = sys.modules.get(str(kind.__module__)) if is_own_class(kind) else None
    return () if found is None else _root_of_module(vars(found))


def _root_of_module(namespace: Mapping[str, Any]) -> Root:
    file, package = namespace.get("__file__"), namespace.get("__package__")
    return root_of_file(file, package if isinstance(package, str) else "") if isinstance(file, str) else ()


@cache
def root_of_file(file: str, package: str) -> Root:
    """The project of a module's file, in a package of this name."""
    folder = outermost = os.path.dirname(os.path.abspath(file))  # noqa: PTH100, PTH120 - as it was reached
    for _ in filter(None, package.split(".")):
        outermost = os.path.dirname(outermost)  # noqa: PTH120
    while folder != os.path.dirname(folder):  # noqa: PTH120
        if any(os.path.exists(os.path.join(folder, marker)) for marker in _MARKERS):  # noqa: PTH110, PTH118
            return _names_of(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120
    return _names_of(outermost)


@cache
def _names_of(folder: str) -> Root:
    """A root of the file system is no project: everything is in it."""
    names = {folder, os.path.realpath(folder)}
    return tuple(sorted(name for name in names if name != os.path.dirname(name)))  # noqa: PTH120


def _working_folder() -> Root:
    try:
        return _names_of(os.getcwd())  # noqa: PTH109
    except OSError:
        return ()


def is_absolute(text: str) -> bool:
    """Whether a text is an absolute path, with or without a scheme."""
    return os.path.isabs(_split(text)[1])  # noqa: PTH117


def located(text: str, roots: tuple[Root, ...]) -> list[Any] | None:
    """The place that an absolute path counts as, if it is in one of the projects or in the working folder."""
    scheme, path = _split(text)
    if not is_absolute(text):
        return None
    for number, root in enumerate(roots):
        below = _below(path, root)
        if below is not None:
            return ["in project", number, scheme, below]
    below = _below(path, _working_folder())
    return None if below is None else ["in working folder", scheme, below]


def _split(text: str) -> tuple[str, str]:
    """The scheme with its slashes, but for the one that the path begins with; and the path."""
    _, found, rest = text.partition("://")
    if not found:
        return "", text
    path = "/" + rest.lstrip("/") if rest.startswith("/") else ""
    return text[: len(text) - len(path)], path


def _below(path: str, root: Root) -> str | None:
    """The rest of a path below a folder, as it is written; None if it is not in it, or leads out again."""
    for folder in root:
        if path == folder:
            return ""
        if path.startswith(folder) and path[len(folder)] in (os.sep, os.altsep):
            rest = path[len(folder) :]
            real = os.path.normpath(path) if ".." in rest else path
            return rest.replace(os.sep, "/") if f"{real}{os.sep}".startswith(folder + os.sep) else None
    return None
