"""Loading somebody's program for the crew in it, where no run may begin: a plan would call models, a run pay twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from crew_repo.errors import InputError

__all__ = ["loading", "refuse_while_loading"]

_loaded: ContextVar[str | None] = ContextVar("crew_repo_loaded", default=None)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Mark the code that runs in here as the loading of this project."""
    token = _loaded.set(name)
    try:
        yield
    finally:
        _loaded.reset(token)


def refuse_while_loading() -> None:
    """Raise InputError where a program that is being loaded starts a run of its own."""
    name = _loaded.get()
    if name is not None:
        raise InputError(
            f"{name} runs a crew while it is loaded, as if it was started itself; put that run under "
            'if __name__ == "__main__": or name what only builds the crew'
        )
