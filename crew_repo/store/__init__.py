"""The state in SQLite or PostgreSQL: its tables, and all that reads and writes them.

The only package that imports sqlmodel and sqlalchemy. It knows nothing of CrewAI.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from crew_repo.store.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    """Import the store when it is first asked for: the command line reads a file without it."""
    if name == "Store":
        from crew_repo.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
