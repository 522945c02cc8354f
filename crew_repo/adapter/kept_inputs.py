"""The inputs of a run as they are kept with it, so that it can go on without them being given again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import Any

from crew_repo.adapter.crew_secrets import secret_inputs, without_secrets
from crew_repo.adapter.input_files import UnreadableFileError, content_of
from crew_repo.hashing import digest, text_hash
from crew_repo.model import InputKind, RunInput
from crew_repo.secrets import is_secret, is_secret_name

__all__ = ["kept_inputs", "secret_variables"]

_WITHHELD = "it is a secret by its name, or holds one"
_PLAIN = (str, int, float, bool, type(None))


def kept_inputs(
    inputs: Mapping[str, Any] | None,
    files: Mapping[str, Any],
    secrets: Collection[str],
    variables: Collection[str] | None = None,
) -> tuple[RunInput, ...]:
    """Keep each text, and the JSON of any other value; of a file its SHA-256, of a secret nothing.

    A text has the hash that components have, so that the state keeps it once. `secrets` are those of the crew,
    `variables` those of the environment, where somebody has looked.
    """
    values = {name: value for name, value in (inputs or {}).items() if name not in files}
    hidden = {*secrets, *secret_inputs(values)}
    variables = secret_variables() if variables is None else variables
    return (*(_kept(name, value, hidden, variables) for name, value in values.items()), *_files(files))


def secret_variables() -> set[str]:
    """The values of the environment's secrets, however short."""
    return {said for name, said in os.environ.items() if is_secret(name, said)}


def _kept(name: str, value: Any, hidden: Collection[str], variables: Collection[str]) -> RunInput:
    shown = without_secrets(hidden, name)
    if _is_under_secret_name(name, value) or shown != name:
        return RunInput(shown, InputKind.WITHHELD, why=_WITHHELD)
    try:
        return _kept_value(name, value, hidden, variables)
    except RecursionError:  # it may hold itself
        return RunInput(name, InputKind.WITHHELD, why="it is nested too deeply")


def _kept_value(name: str, value: Any, hidden: Collection[str], variables: Collection[str]) -> RunInput:
    if not _is_json(value):
        return RunInput(name, InputKind.WITHHELD, why=f"a {type(value).__qualname__} is no JSON")
    if _holds_secret(value, hidden, variables):
        return RunInput(name, InputKind.WITHHELD, why=_WITHHELD)
    if isinstance(value, str):
        return RunInput(name, InputKind.TEXT, sha256=text_hash(value), text=value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return RunInput(name, InputKind.JSON, sha256=digest("json", value), text=text)


def _holds_secret(value: Any, hidden: Collection[str], variables: Collection[str]) -> bool:
    """Whether a value has a secret in it: by its form, by its place, or one of this process, however short."""
    if without_secrets(hidden, value) != value:
        return True
    parts = _parts("", _read(value))
    return any(_is_under_secret_name(name, part) or (type(part) is str and part in variables) for name, part in parts)


def _read(value: Any) -> Any:
    """The data that a text is the JSON of; any other value as it is."""
    try:
        return json.loads(value) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
    except (ValueError, RecursionError):
        return value


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Each part of a value with its name: that of a member, or what stands beside it in a pair of name and value."""
    yield name, value
    if isinstance(value, list):
        paired = value[0] if len(value) == 2 and isinstance(value[0], str) else ""
        for item in value:
            yield from _parts(paired, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _parts(str(value.get("name", value.get("key", key))) if key == "value" else key, item)


def _is_under_secret_name(name: str, value: Any) -> bool:
    is_empty = value is None or (isinstance(value, (str, list, dict)) and not value)
    return is_secret_name(name) and not isinstance(value, bool) and not is_empty


def _is_json(value: Any) -> bool:
    """Whether JSON gives exactly this value again."""
    if type(value) is list:
        return all(map(_is_json, value))
    if type(value) is dict:
        return all(type(name) is str and _is_json(item) for name, item in value.items())
    return type(value) in _PLAIN and (type(value) is not float or math.isfinite(value))


def _files(files: Mapping[str, Any]) -> Iterator[RunInput]:
    for name, file in files.items():
        if is_secret_name(name):
            yield RunInput(name, InputKind.WITHHELD, why=_WITHHELD)
            continue
        try:
            content = content_of(file)
        except UnreadableFileError as error:
            yield RunInput(name, InputKind.WITHHELD, why=f"the file cannot be read: {error}")
            continue
        yield RunInput(name, InputKind.FILE, sha256=sha256(content).hexdigest())
