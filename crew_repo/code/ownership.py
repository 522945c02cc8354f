"""Whose code it is: the user's own, which is hashed, or installed, which is only named."""

from __future__ import annotations

import builtins
import json
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ClassMethodDescriptorType, CodeType, MethodDescriptorType, ModuleType, WrapperDescriptorType
from typing import Any

__all__ = [
    "home_of",
    "is_compiled",
    "is_core_class",
    "is_own_class",
    "is_own_file",
    "is_own_function",
    "is_own_module",
    "qualified_name",
]

_SITE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_STDLIB_FOLDERS = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")})
_CORE = frozenset({"abc", "builtins", "crewai", "pydantic", "pydantic_core", "typing", "typing_extensions"})
_NATIVE = (MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType)
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made at run time
_PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


# Classes that a newer Python calls by another name.
_RENAMED = {"enum.EnumType": "enum.EnumMeta", "collections._tuplegetter": "_collections._tuplegetter"}
# Clients import classes of these packages and put their own name on them: `openai`, `google.genai._interactions`.
_RELABELLED = ("httpx", "httpx2")


def home_of(kind: type) -> str:
    """The module that a class is from, whatever has been imported since."""
    for home in _RELABELLED:
        found = sys.modules.get(home)
        if found is not None and vars(found).get(kind.__name__) is kind:
            return home
    return kind.__module__


def qualified_name(kind: type) -> str:
    """`module.qualname` of a class, as the oldest supported Python says it."""
    name = f"{home_of(kind)}.{kind.__qualname__}"
    return _RENAMED.get(name, name)


def is_own_function(code: CodeType, namespace: Mapping[str, Any]) -> bool:
    """Whether a function is the user's: by its file, or by its module where it has none (exec, a prompt)."""
    filename = code.co_filename
    if not filename.startswith("<"):
        return is_own_file(filename)
    return not filename.startswith("<frozen") and is_own_module(str(namespace.get("__name__", "")))


def is_own_class(kind: type) -> bool:
    """Whether a class is the user's: by the module that it is from.

    A class that is made by `exec(source, {})` says that it is from `builtins`.
    """
    module = str(home_of(kind))
    return not is_compiled(kind) if module == "builtins" else is_own_module(module)


def is_core_class(kind: type) -> bool:
    """Whether a class is Python's, pydantic's or CrewAI's: what its methods do with a subclass is known."""
    return not is_own_class(kind) and str(kind.__module__).partition(".")[0] in _CORE


def is_compiled(kind: type) -> bool:
    """Whether a class is made by compiled code, and not by a class statement or a call of `type`."""
    is_static = not kind.__flags__ & _HEAP_TYPE
    native = (some for some in vars(kind).values() if isinstance(some, _NATIVE))
    return is_static or getattr(builtins, kind.__name__, None) is kind or any(m.__objclass__ is kind for m in native)


def can_be_changed(kind: type) -> bool:
    """Whether members of a class can be set: not of those that compiled code declares."""
    return bool(kind.__flags__ & _HEAP_TYPE)


def is_own_module(name: str) -> bool:
    """Whether a module is the user's own: neither standard library nor an installed distribution.

    A project that is installed in editable mode, or from a folder (`pip install .`), is the user's own. So is a file of
    the user's that has the name of one of Python's modules, and stands in its place.
    """
    if name == "__main__":
        return True
    top_level = name.partition(".")[0]
    file = _file_of(sys.modules.get(name)) or _file_of(sys.modules.get(top_level))
    if top_level in sys.stdlib_module_names or top_level in sys.builtin_module_names:
        return file is not None and _has_source(file) and is_own_file(file)
    return file is None or is_own_file(file)


def _file_of(module: ModuleType | None) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


@cache
def _has_source(filename: str) -> bool:
    """Whether a module has a source file: those of Python may be in an archive, frozen or, on Windows, compiled."""
    return filename.endswith(".py") and Path(filename).is_file()


@cache
def is_own_file(filename: str) -> bool:
    """Whether a file is the user's own: not of the standard library, this package or an installed distribution."""
    path = Path(filename).resolve()
    if _PACKAGE_FOLDER in path.parents:
        return False
    for folder in path.parents:
        if folder.name in _SITE_FOLDERS:
            return path.relative_to(folder).parts[0].removesuffix(".py") in _installed_from_folder(folder)
    return not any(folder in path.parents for folder in _STDLIB_FOLDERS) and not _was_put_there(path)


@cache
def _installed_from_folder(site_folder: Path) -> frozenset[str]:
    """The top-level names of distributions that were installed from a source folder, as PEP 610 records it."""
    names: set[str] = set()
    for note in site_folder.glob("*.dist-info/direct_url.json"):
        with suppress(OSError, ValueError):
            if "dir_info" in json.loads(note.read_text()):
                names.update(_recorded_names(note.parent))
    return frozenset(names)


@cache
def _target_names(folder: Path) -> frozenset[str]:
    """The top-level names that `pip install --target` put into a folder."""
    names: set[str] = set()
    with suppress(OSError):
        for dist_info in folder.glob("*.dist-info"):
            names.update(_recorded_names(dist_info))
    return frozenset(names)


def _was_put_there(path: Path) -> bool:
    return any(
        path.relative_to(folder).parts[0].removesuffix(".py") in _target_names(folder) for folder in path.parents[:-1]
    )


def _recorded_names(dist_info: Path) -> Iterator[str]:
    with suppress(OSError):
        for line in (dist_info / "RECORD").read_text(errors="replace").splitlines():
            yield line.partition(",")[0].partition("/")[0].removesuffix(".py")
