"""Export files: as private as the state file, and read with a clear error. So are the JSON files of scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from crew_repo.errors import ImportFormatError, InputError, StoreOpenError

__all__ = ["EXPORT", "Answer", "check_target", "read_answers", "read_export", "write_private"]

EXPORT = b'{"crew_repo_export"'
"""How an export begins."""

_LONGEST_TIME = 100  # characters
_LOOKED_AT = 4096  # of the beginning


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in the JSON file of a script, and when it says that it was completed."""

    output: object
    completed_at: str | None = None


def check_target(file: Path, state: Path | None, what: str, beginning: bytes) -> None:
    """Raise InputError for a file that is there and does not begin as a `what` does, above all for the state itself."""
    if state is not None and file.resolve() == state.resolve():
        raise InputError(f"{file} is the state itself; name another file for the {what}")
    if file.is_dir():
        raise InputError(f"{file} is a folder; name a file for the {what}")
    with _put_into_words(file):
        if file.is_file() and file.stat().st_size and not _begins(file, beginning):
            raise InputError(f"{file} is there already, and is no {what}; name another file, or delete it first")


def _begins(file: Path, beginning: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(beginning)) == beginning


@contextmanager
def _put_into_words(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreOpenError(
            f"{file} cannot be written: {error.strerror or error}; name a file in a folder that you may write to"
        ) from error


def write_private(file: Path, text: str) -> None:
    """Write a text that only its owner may read: all of it, or what was there stays as it was.

    A device or a pipe is written to. Raises StoreOpenError where that cannot be done.
    """
    with _put_into_words(file):
        _write_private(file, text)


def _write_private(file: Path, text: str) -> None:
    target = file.resolve()
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    with NamedTemporaryFile("w", dir=target.parent, encoding="utf-8", delete=False) as out:  # of mode 600
        part = Path(out.name)
        try:
            out.write(text)
            out.close()
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def read_export(source: str | os.PathLike[str]) -> str:
    """The text of an export: what was given, if it is one, else the content of the file of that name."""
    given = isinstance(source, str) and source.lstrip().startswith("{")
    text = str(source) if given else _content(source)
    if '"completed_tasks"' in text[:_LOOKED_AT] and '"crew_repo_export"' not in text[:_LOOKED_AT]:
        what = "This text" if given else repr(str(source))
        raise ImportFormatError(
            f"{what} has the answers of a script, and is no export; take them over as those of your crew: "
            "StateRepository(...).import_state(file, crew=crew, inputs=inputs)"
        )
    return text


def _content(source: str | os.PathLike[str]) -> str:
    if isinstance(source, str) and not source.strip():
        raise ImportFormatError("The text to import is empty; give what export_json() returned, or a file")
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ImportFormatError(
            f"{str(source)[:200]!r} is neither an export nor a file that can be read: {why}; give what export_json or "
            "crew-repo export wrote"
        ) from error


def read_answers(source: object) -> dict[str, Answer]:
    """The answers in the JSON file of a script, or in what such a file has, by name: a text, or {"output": text}.

    Raises ImportFormatError for anything else, saying what it is.
    """
    where = "What was given" if isinstance(source, Mapping) else str(source)
    found = source if isinstance(source, Mapping) else _parsed(source)
    tasks = found.get("completed_tasks") if isinstance(found, Mapping) else None
    if not isinstance(tasks, Mapping):
        raise ImportFormatError(f'{where} has no "completed_tasks" with the answers of a script, by their names')
    return {_name(where, name): _answer(where, name, said) for name, said in tasks.items()}


def _parsed(source: object) -> Any:
    if not isinstance(source, (str, os.PathLike)) or not str(source).strip():
        raise ImportFormatError(f"{source!r} is no path; give the JSON file of a script, or the dict that it has")
    path = Path(source)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ImportFormatError(f"{source} cannot be read: {why}; give the path of a JSON file") from error
    if content.startswith(b"SQLite format 3\0"):
        raise ImportFormatError(f"{source} is a SQLite file, and no JSON; open a state by StateRepository(path)")
    if b'"crew_repo_export"' in content[:_LOOKED_AT]:
        raise ImportFormatError(f"{source} is an export of crew_repo; import_json takes it, without a crew")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ImportFormatError(f"{source} is no JSON ({error}); give the file that a script has written") from error


def _name(where: str, name: object) -> str:
    if not isinstance(name, str):
        raise ImportFormatError(f"{where} has an answer of {name!r}; the name of a task is a text")
    return name


def _answer(where: str, name: str, said: object) -> Answer:
    """One entry, in either of its forms."""
    if isinstance(said, str):
        return Answer(said)
    if not isinstance(said, Mapping) or "output" not in said:
        raise ImportFormatError(f'{where}: the answer of {name!r} is neither a text nor {{"output": text}}')
    completed_at = said.get("completed_at")
    if completed_at is not None and not (isinstance(completed_at, str) and len(completed_at) <= _LONGEST_TIME):
        raise ImportFormatError(f"{where}: the completed_at of {name!r} is no time; write one as text, or leave it out")
    return Answer(said["output"], completed_at)
