"""Running code and the values that it hands on. `crew_repo.code` finds them; here it learns of objects of libraries."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from crew_repo.code import Exchange, Libraries, Marks, are_in_force, marked
from crew_repo.code import exchange as exchange_of
from crew_repo.hashing.attachments import code_on, is_plumbing

__all__ = ["changed_at_work", "exchange", "of_work"]

_LIBRARIES = Libraries(code_on, is_plumbing)


def changed_at_work(roots: Iterable[object]) -> Marks:
    """Find what the work of these objects may change."""
    return Marks(roots, _LIBRARIES)


def exchange(root: object) -> Exchange:
    """Find what the work of one object reads and writes in memory."""
    return exchange_of(root, _LIBRARIES)


def of_work(roots: Iterable[object]) -> AbstractContextManager[None]:
    """Hash with the marks of these objects, unless some are in force."""
    return nullcontext() if are_in_force() else marked(changed_at_work(roots))
