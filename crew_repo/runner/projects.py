"""Finding the crew of a project, as `crewai run` does, and building it.

| PROJECT                    | the crew                                                                             |
| -------------------------- | ------------------------------------------------------------------------------------ |
| none, or a folder          | `definition` of `[tool.crewai]` in its pyproject.toml; crew.jsonc or crew.json;      |
|                            | the `@CrewBase` class in src/<name>/crew.py, or in crew.py                           |
| a .json or .jsonc file     | as CrewAI loads it, with its default inputs                                          |
| `package.module:attribute` | a crew, a function without arguments that returns one, a class with a method `crew` |

As `crewai run` does, it loads the `.env` of the folder first, and imports from the folder and its `src`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crew_repo.errors import InputError, NotACrewError
from crew_repo.runner.loading import loading

if TYPE_CHECKING:
    from crewai import Crew

__all__ = ["load_project", "source_of"]

_JSON = (".json", ".jsonc")
_LOOKED_FOR = "definition of [tool.crewai] in pyproject.toml, crew.jsonc, crew.json, src/<name>/crew.py or crew.py"
_NAME_ONE = "Name one: a folder, a file, or package.module:attribute"


def load_project(name: str | None) -> tuple[Crew, dict[str, Any]]:
    """The crew of a project, and its default inputs. Raises InputError, naming where it was looked for.

    It is refused too if its code starts a run.
    """
    with loading("The project here" if name is None else repr(name)):
        return _loaded(name)


def _loaded(name: str | None) -> tuple[Crew, dict[str, Any]]:
    place = Path(name or ".")
    if name is not None and ":" in name and not place.exists():
        _prepare(Path.cwd())
        return _built(name), {}
    if not place.exists():
        raise InputError(f"{name!r} is no folder, no file and no package.module:attribute; name one of these")
    folder = (place if place.is_dir() else place.parent).resolve()
    _prepare(folder)
    if place.is_file():
        return _of_json(place) if place.suffix in _JSON else _of_class(place.resolve(), folder)
    return _in_folder(folder)


def source_of(name: str | None) -> str:
    """The place to load the crew of a project from later, in another current folder as far as that goes."""
    place = Path(name or ".")
    return name if name is not None and not place.exists() else str(place.resolve())


def _prepare(folder: Path) -> None:
    from dotenv import load_dotenv

    load_dotenv(folder / ".env", override=True)
    for place in (folder, folder / "src"):
        if place.is_dir() and str(place) not in sys.path:
            sys.path.insert(0, str(place))


def _in_folder(folder: Path) -> tuple[Crew, dict[str, Any]]:
    config = _pyproject(folder)
    definition = config.get("tool", {}).get("crewai", {}).get("definition")
    if isinstance(definition, str) and Path(definition).suffix in _JSON:
        return _of_json(folder / definition)
    for name in ("crew.jsonc", "crew.json"):
        if (folder / name).is_file():
            return _of_json(folder / name)
    package = str(config.get("project", {}).get("name", "")).replace("-", "_")
    modules = [folder / "src" / package / "crew.py", *sorted(folder.glob("src/*/crew.py")), folder / "crew.py"]
    found = next((module for module in modules if module.is_file()), None)
    if found is None:
        raise InputError(f"There is no crew in {folder}: no {_LOOKED_FOR}. {_NAME_ONE}")
    return _of_class(found, folder)


def _pyproject(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        return found
    except ValueError as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def _of_json(file: Path) -> tuple[Crew, dict[str, Any]]:
    from crew_repo.adapter.projects import load_json_crew

    if not file.is_file():
        raise InputError(f"{file} is not there, which pyproject.toml names as the definition of the crew")
    return load_json_crew(file.resolve())


def _of_class(file: Path, folder: Path) -> tuple[Crew, dict[str, Any]]:
    """The crew of the only class with `@CrewBase` in a module."""
    from crew_repo.adapter.projects import crew_classes

    root = folder / "src" if file.is_relative_to(folder / "src") else folder
    name = ".".join(file.relative_to(root).with_suffix("").parts)
    module = importlib.import_module(name)
    if (loaded := Path(module.__file__ or "").resolve()) != file:
        raise InputError(f"Module {name!r} is that of {loaded} in this process; load {file} in a process of its own")
    classes = crew_classes(module)
    if len(classes) != 1:
        there = ", ".join(found.__name__ for found in classes) or "none"
        raise InputError(f"{file} should have one class with @CrewBase, and has: {there}. Name it: {name}:ATTRIBUTE")
    return _built(f"{name}:{classes[0].__name__}"), {}


def _built(name: str) -> Crew:
    from crew_repo.runner.batches.crew_source import CrewSource

    try:
        crew: Crew = CrewSource(name).borrow()
    except NotACrewError as error:
        what = "a crew, a function without arguments that returns one, or a class with @CrewBase"
        raise NotACrewError(f"{name!r} gives no crew; name {what}") from error
    return crew
