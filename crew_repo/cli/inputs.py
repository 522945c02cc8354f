"""Inputs of a crew, as they are given on a command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crew_repo.errors import InputError, MissingInputError, did_you_mean

__all__ = ["check_names", "given_inputs", "given_text"]


def given_inputs(pairs: Iterable[str], file: str | None) -> dict[str, Any]:
    """Inputs of `key=value` or `key=@file`, over those of a JSON file. Raises InputError for what is neither."""
    inputs = {} if file is None else _of_file(file)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"-i {pair!r} has no value; give -i key=value, or -i key=@file for the text of a file")
        inputs[name] = _text_of(value[1:]) if value.startswith("@") else value
    return inputs


def given_text(value: str) -> str:
    """The text that was given; of a file for `@file`, of standard input for `-`."""
    return _text_of(value.removeprefix("@")) if value == "-" or value.startswith("@") else value


def _of_file(file: str) -> dict[str, Any]:
    text = _text_of(file)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"--inputs {file}: this is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"--inputs {file}: this is no JSON object; give {{\"name\": value, ...}}")
    return found


def _text_of(file: str) -> str:
    """The text of a file, or of standard input for `-`."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"{file} cannot be read: {why}; give the path of a text file") from error


def check_names(given: Mapping[str, Any], wanted: Iterable[str], defaults: Mapping[str, Any]) -> None:
    """Raise InputError for an input that is misspelt, and for one that a text of the crew names and nobody gives.

    An input that no text names, and that looks like none of those, may be meant for a tool or a callback.
    """
    names = sorted(set(wanted))
    for name in given:
        close = [other for other in get_close_matches(name, names, n=3, cutoff=0.7) if other not in given]
        if name not in names and name not in defaults and close:
            raise InputError(f"No text of the crew names the input {name!r}. {did_you_mean(name, close, 'inputs')}")
    missing = [name for name in names if name not in given and name not in defaults]
    if missing:
        listed, to_add = ", ".join(map(repr, missing)), " ".join(f"-i {name}=..." for name in missing)
        raise MissingInputError(f"The crew needs {listed}, which no input gives; add {to_add} or --inputs file.json")
