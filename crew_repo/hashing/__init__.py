"""Hashing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crew_repo.hashing import _annotations, _callables, _classes, _objects, _plumbing, _pydantic, _values  # noqa: F401
from crew_repo.hashing._accounts import accounts
from crew_repo.hashing._canonical import FORMAT, JsonValue, digest
from crew_repo.hashing._dispatch import register_hasher, unregister_hasher
from crew_repo.hashing._kept import kept_values, run_under_way
from crew_repo.hashing._pydantic import model_state
from crew_repo.hashing._records import context_hash, definition_hash, input_hash, output_hash, text_hash
from crew_repo.hashing._secret_names import is_secret_name
from crew_repo.hashing._walker import Hashed, is_secret, walk

__all__ = [
    "FORMAT",
    "Hashed",
    "JsonValue",
    "accounts",
    "context_hash",
    "definition_hash",
    "digest",
    "hash_callable",
    "hash_class",
    "hash_value",
    "input_hash",
    "is_secret",
    "is_secret_name",
    "kept_values",
    "model_state",
    "output_hash",
    "register_hasher",
    "run_under_way",
    "text_hash",
    "unregister_hasher",
]


def hash_value(
    value: object, path: str, *, skip: Callable[[str], bool] | None = None, ordered: bool = False
) -> Hashed:
    """Hash any value. `ordered` is for what code holds, which may go through a dict in its order."""
    return walk("value", value, path, skip, ordered=ordered)


def hash_callable(function: Callable[..., Any], path: str) -> Hashed:
    """Hash a callable."""
    return walk("callable", function, path)


def hash_class(cls: type, path: str) -> Hashed:
    """Hash a class."""
    return walk("class", cls, path)
