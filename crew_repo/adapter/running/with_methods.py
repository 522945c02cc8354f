"""Methods that stand in for an object's own for the length of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["with_methods"]


@contextmanager
def with_methods(target: object, methods: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Override these methods on one object; afterwards it has again what the user had set on it, or nothing."""
    own = target.__dict__
    before = {name: own[name] for name in methods if name in own}
    try:
        own.update(methods)
        yield
    finally:
        for name in methods:
            own.pop(name, None)
        own.update(before)
