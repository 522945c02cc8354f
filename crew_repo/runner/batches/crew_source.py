"""Where a batch gets its crews from: a crew object, a function that builds one, or `package.module:attribute`."""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from crew_repo import adapter
from crew_repo.errors import InputError, NotACrewError

__all__ = ["CrewSource", "load"]


def load(name: str) -> Any:
    """The object that `package.module:attribute` names; the current folder can be imported from."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise InputError(f"{name!r} names no crew; write package.module:attribute, such as 'claims.crew:build_crew'")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if f"{module_name}.".startswith(f"{error.name}."):
            where = f"in {here} or installed; correct the name"
            raise InputError(f"{name!r}: there is no module {error.name!r} {where}") from error
        raise InputError(
            f"{name!r}: its code imports {error.name!r}, which is neither in {here} nor installed; install it, or put "
            "its folder on the PYTHONPATH"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(f"{name!r}: module {module_name!r} has no {attribute!r}; correct the name")
        found = getattr(found, part)
    return found


class CrewSource:
    """Gives each concurrent run a crew of its own; built crews are used again, one run at a time.

    A crew object is copied; a function without arguments is called; a name is imported first. Only a function of
    a module, or a name, can travel to another process.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._free: list[Any] = []
        self._build = self._builder(load(source) if isinstance(source, str) else source)

    def __reduce__(self) -> Any:
        return CrewSource, (self._source,)

    @property
    def name(self) -> str | None:
        """The place that another process can load it from; None for a crew object, and a function of a script."""
        if isinstance(self._source, str):
            return self._source
        place = getattr(self._source, "__module__", None), getattr(self._source, "__qualname__", None)
        is_named = all(isinstance(part, str) for part in place) and "<" not in str(place[1])
        return ":".join(map(str, place)) if is_named and place[0] != "__main__" else None

    @staticmethod
    def _builder(source: Any) -> Callable[[], Any]:
        if isinstance(source, type) and callable(getattr(source, "crew", None)):
            return lambda: adapter.check_crew(source().crew())
        if callable(source):
            return lambda: adapter.check_crew(source())
        try:
            crew = adapter.check_crew(source)
        except NotACrewError as error:
            raise NotACrewError(f"{error} A batch also takes a function that builds one, or its name.") from error
        return lambda: adapter.copy_crew(crew)

    def check_portable(self, executor: object) -> None:
        """Raise InputError for what is no executor, or if this source cannot travel to where that works."""
        if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
            raise InputError(f"executor is {executor!r}; give one that is made, such as ProcessPoolExecutor(8)")
        instead = "pass a function of a module that builds it, or its name as 'package.module:attribute'"
        if not isinstance(self._source, str) and not callable(self._source):
            raise InputError(f"With an executor the crew is built in the worker: {instead}, instead of a crew object.")
        if isinstance(executor, ProcessPoolExecutor):  # others have ways of their own, as Dask has
            try:
                pickle.dumps(self._source)
            except Exception as error:  # noqa: BLE001 - whatever a callable of the user's raises when it is pickled
                raise InputError(f"The crew is built in other processes, and {error}; {instead}") from None

    def borrow(self) -> Any:
        """A crew that nobody else uses; give it back."""
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._build()

    def give_back(self, crew: Any) -> None:
        """Its run has ended well."""
        with self._lock:
            self._free.append(crew)
