"""The files that go with the prompts of a kickoff: which there are, and what is in them when CrewAI sends them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from crew_repo.adapter import private
from crew_repo.time_limits import let_through

__all__ = ["UnreadableFileError", "content_of", "files_among", "files_in"]


class UnreadableFileError(Exception):
    """An input file gave no content; says why, and nothing of its address."""


def files_in(inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None) -> dict[str, Any]:
    """The files that go with a kickoff: those of the Flow around it, those given as files, those among the inputs."""
    return {**private.flow_files(), **(input_files or {}), **files_among(inputs)}


def files_among(inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The files among the inputs, which CrewAI takes out of them."""
    return {name: value for name, value in (inputs or {}).items() if _is_file(value)}


def _is_file(value: object) -> bool:
    return hasattr(value, "read") and hasattr(value, "content_type")


def content_of(file: Any) -> bytes:
    """The content of an input file as CrewAI would read it now.

    A source of crewai_files keeps what it has read. CrewAI reads a copy of it, for each task anew, and so does this: a
    source that kept what was read here would hide that its file has changed. Raises UnreadableFileError.
    """
    try:
        if not hasattr(file, "read"):
            return Path(file).read_bytes()
        source = getattr(file, "source", file)
        return bytes((copy(source) if hasattr(source, "__pydantic_private__") else file).read())
    except Exception as error:  # a source may ask a server, or be a stream that somebody has closed
        let_through(error)
        why = error.strerror if isinstance(error, OSError) else None
        raise UnreadableFileError(why or f"{type(error).__name__} was raised") from error
