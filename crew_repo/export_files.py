"""Export files: as private as the state file, and read with a clear error."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from crew_repo.errors import ImportFormatError

__all__ = ["read_export", "write_private"]


def write_private(file: Path, text: str) -> None:
    """Write a text that only its owner may read: all of it, or what was there stays as it was.

    A device or a pipe is written to.
    """
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
    if isinstance(source, str) and source.lstrip().startswith("{"):
        return source
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
