"""The files of an MCP server on this machine: those that its command line and variables name, and those they import.

A name may stand alone, behind an option (`--config=a.json`), before an object in it (`server.py:mcp`), or in a shell's
command; modules stand behind `-m` and in the text behind `-c`, and scripts of the project are named in its TOML file.
Python is followed by its imports; scripts of a shell and of JavaScript by the names of code that they mention.
What a server merely opens while it works is not known, nor is what it writes: logs do not count.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

__all__ = ["MOST_FILES", "server_files"]

MOST_FILES = 1_000  # of a server; where there are more, it is said that it cannot be hashed

_SCRIPTS = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".jsx", ".sh", ".bash")
_SHELLS = frozenset({"", ".sh", ".bash"})
_CODE = frozenset({".py", ".json", *_SCRIPTS})
_PROJECTS = frozenset({"pyproject.toml", "package.json", "uv.lock", "package-lock.json", "setup.py"})
_WRITTEN = frozenset({".log", ".pid", ".lock", ".pyc"})
_TOOLS = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_PROGRAMS = frozenset({"bin", "sbin", "scripts", "shims"})  # folders of what is installed
_LARGEST = 2_000_000  # bytes of a script that is looked through; what is larger is a bundle
_MENTIONED = re.compile(r"\.{1,2}/[\w@./+-]+|[\w@/+-][\w@./+-]*\.(?:py|[mc]?[jt]s|[jt]sx|sh|bash)\b")
# Options of Python that take no value may stand before these, and the module's name right behind.
_MODULE_NEXT, _MODULE, _TEXT_NEXT = (re.compile(f"-[bBdEIOPqsSuvx]*{end}") for end in ("m", r"m([A-Za-z_][\w.]*)", "c"))


def server_files(command: Sequence[str], variables: Mapping[str, str], folder: Path) -> list[Path]:
    """Every file that a server is started with, each once; `folder` is where it works.

    Of more than `MOST_FILES` files, one more than that.
    """
    paths = [folder / name for name in variables.get("PYTHONPATH", "").split(os.pathsep) if name]
    given = [folder / name for value in variables.values() for name in _readings(value)]
    named = dict.fromkeys([*_named(command, folder, paths), *(file for file in given if _is_read(file))])
    return _with_what_they_name(named, [folder, *paths])


def _named(command: Sequence[str], folder: Path, paths: Sequence[Path]) -> list[Path]:
    """Files are looked for from where the server works, and from folders that stand before them: `uv --directory ...`.

    A folder inside the working one in which nothing is named counts as a whole: a project to run, or data to serve.
    """
    folders, before = [folder], ""
    found = dict.fromkeys(place for place in [folder / command[0]] if _is_ones_own(place))
    words = [word for arg in command[1:] for word in _words(arg)]
    for arg in words:
        places = [at / name for name in _readings(arg) for at in folders]
        found.update(dict.fromkeys(place for place in places if _is_read(place)))
        found.update(dict.fromkeys(file for at in (*folders, *paths) for file in _code_named(arg, before, at)))
        folders += [place for place in places if os.path.isdir(place)]  # noqa: PTH112 - any text may be no path
        before = arg
    whole = [at for at in folders if _is_inside(at) and not any(at in file.parents for file in found)]
    scripts = [file for at in folders if at not in whole for word in (command[0], *words) for file in _script(word, at)]
    return list(dict.fromkeys([*found, *scripts, *(file for at in whole for file in _contents(at))]))


def _words(arg: str) -> list[str]:
    """An argument, or the words of a shell's command in it."""
    if not re.search(r"\s", arg):
        return [arg]
    return [arg, *_split(arg)]


def _split(text: str) -> list[str]:
    try:
        return [word.rstrip(";") for word in shlex.split(text, comments=True)]
    except ValueError:  # a quote that does not end
        return text.split()


def _readings(word: str) -> list[str]:
    """The names that a word may have in it: behind an option, and before or behind a colon."""
    value = word.rpartition("=")[2]
    return [name for name in dict.fromkeys((value, *value.split(":"))) if name]


def _code_named(word: str, before: str, folder: Path) -> Iterator[Path]:
    """The files of a module behind `-m`, of those that a text behind `-c` imports, and of that of `module:object`."""
    name, colon, _ = word.partition(":")
    joined = _MODULE.fullmatch(word)
    if _TEXT_NEXT.fullmatch(before):
        yield from _imports_of(word.encode(), folder, [folder, folder.parent], [], set())
    elif _MODULE_NEXT.fullmatch(before):
        yield from _of_module(folder, word)
    elif joined:
        yield from _of_module(folder, joined[1])
    elif colon and not name.endswith(".py"):
        yield from _of_module(folder, name)


def _script(name: str, folder: Path) -> list[Path]:
    """The files of a script of the project in a folder, and what says which module it is of."""
    file = folder / "pyproject.toml"
    if not file.is_file():
        return []
    module = _scripts(file.read_bytes()).get(name, "").partition(":")[0].strip()
    found = [each for at in (folder, folder / "src") for each in _of_module(at, module)]
    return [file, *found] if found else []


@lru_cache(maxsize=64)
def _scripts(project: bytes) -> dict[str, str]:
    """The scripts of a project, each with what it calls."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        said = tomllib.loads(project.decode())
        tables = (said.get("project", {}), said.get("tool", {}).get("poetry", {}))
        named = [(name, target) for table in tables for name, target in table.get("scripts", {}).items()]
    except (ValueError, AttributeError):  # no TOML, or no tables
        return {}
    return {name: target for name, target in named if isinstance(target, str)}


def _is_read(file: Path) -> bool:
    return file.suffix not in _WRITTEN and os.path.isfile(file)  # noqa: PTH113 - any text may be no path


def _is_ones_own(command: Path) -> bool:
    """Whether a command is a file in the working folder, or one that is not where programs are installed."""
    if not _is_read(command):
        return False
    inside = Path.cwd() in command.resolve().parents
    return inside or command.parent.name.lower() not in _PROGRAMS


def _is_inside(folder: Path) -> bool:
    return Path.cwd().resolve() in folder.resolve().parents


def _contents(folder: Path) -> Iterator[Path]:
    """All files of a folder but hidden and written ones; of a project its code, and what says of what it is made."""
    is_project = any((folder / name).is_file() for name in _PROJECTS)
    found = (file for file in _files_below(folder) if _is_read(file))
    counting = (file for file in found if not is_project or file.suffix in _CODE or file.name in _PROJECTS)
    return islice(counting, MOST_FILES + 1)


def _files_below(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _TOOLS and not name.startswith("."))
        yield from (Path(at, name) for name in sorted(files) if not name.startswith("."))


def _of_module(folder: Path, name: str) -> list[Path]:
    """The files of a module in a folder: with a dot, or a folder of its name, those of the whole package."""
    top = name.partition(".")[0]
    if not top.isidentifier():
        return []
    if (folder / top).is_dir():
        return sorted((folder / top).rglob("*.py"))
    return [folder / f"{top}.py"] if (folder / f"{top}.py").is_file() else []


def _with_what_they_name(files: Iterable[Path], places: Sequence[Path]) -> list[Path]:
    """Files, with the code that those which are code name, from beside them or from where a server looks."""
    found = dict.fromkeys(map(_plain, files))
    pending, followed = deque(found), set[tuple[Path, str]]()
    while pending and len(found) <= MOST_FILES:
        file = pending.popleft()
        more = _imported(file, places, followed) if _is_python(file) else _mentioned(file, places)
        new = [each for each in dict.fromkeys(map(_plain, more)) if each not in found]
        found.update(dict.fromkeys(new))
        pending += new
    return list(found)[: MOST_FILES + 1]


def _is_python(file: Path) -> bool:
    """Whether a file is Python's by its suffix, or without one by its first line."""
    if file.suffix:
        return file.suffix == ".py"
    try:
        with file.open("rb") as opened:
            return re.match(rb"#!.*python", opened.readline(200)) is not None
    except OSError:
        return False


def _plain(file: Path) -> Path:
    """A path without the way back in it; links stay."""
    return Path(os.path.normpath(file))


def _imported(file: Path, places: Sequence[Path], followed: set[tuple[Path, str]]) -> Iterator[Path]:
    """The modules that a Python file imports anywhere, but for those `followed` before; none if it cannot be read."""
    try:
        source = file.read_bytes()
    except OSError:
        return
    yield from _imports_of(source, file.parent, [file.parent, file.parent.parent], places, followed)


def _imports_of(
    source: bytes, folder: Path, bases: Sequence[Path], places: Sequence[Path], followed: set[tuple[Path, str]]
) -> Iterator[Path]:
    """The modules that a source in a folder imports; `bases` are where the folders are that it adds to its path."""
    try:
        names, added = _names_imported(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    around = [folder, *places, *(at / name for at in (*bases, *places) for name in added)]
    for level, name in names:
        for at in around if not level else [[folder, folder, *folder.parents][level]]:
            place = at, name.partition(".")[0]
            if place not in followed:
                followed.add(place)
                yield from _of_module(at, name)


@lru_cache(maxsize=256)
def _names_imported(source: bytes) -> tuple[tuple[tuple[int, str], ...], tuple[str, ...]]:
    """Imports of a file, each with its leading dots; and the folders that it adds to those where it looks."""
    names: list[tuple[int, str]] = []
    added: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [(node.level, name) for name in ([node.module] if node.module else [a.name for a in node.names])]
        elif isinstance(node, ast.Call):
            called, texts = ast.unparse(node.func), _texts(node)
            if called.endswith(("import_module", "__import__")):
                names += [(0, text) for text in texts[:1]]
            elif called.startswith("sys.path."):
                added += texts
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            added += _texts(node.value) if any(ast.unparse(each).startswith("sys.path") for each in targets) else []
    return tuple(names), tuple(added)


def _texts(node: ast.AST) -> list[str]:
    constants = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def _mentioned(file: Path, places: Sequence[Path]) -> Iterator[Path]:
    """The code that a script mentions by a path: `./lib/a.js`, `require("./a")`, `python server.py`."""
    try:
        if (file.suffix and file.suffix not in _SCRIPTS) or file.stat().st_size > _LARGEST:
            return
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return
    for name in dict.fromkeys(_MENTIONED.findall(text)):
        for at in (file.parent, *places):
            yield from (each for each in _spelled(at / name) if each.suffix in _CODE and _is_read(each))
    for before, word in pairwise(["", *_split(text)]) if file.suffix in _SHELLS else ():
        for at in dict.fromkeys((file.parent, *places)):
            yield from (*_code_named(word, before, at), *_script(word, at))


def _spelled(path: Path) -> list[Path]:
    """The files that JavaScript may mean by a name: without its suffix, or compiled from TypeScript."""
    suffixes = ("", *_SCRIPTS, ".json")
    as_typed = [path.with_suffix(".ts"), path.with_suffix(".tsx")] if path.suffix == ".js" else []
    within = [path / f"index{suffix}" for suffix in _SCRIPTS]
    return [*(path.with_name(path.name + suffix) for suffix in suffixes), *as_typed, *within]
