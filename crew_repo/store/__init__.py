"""The state in SQLite or PostgreSQL: its tables, and all that reads and writes them.

The only package that imports sqlmodel and sqlalchemy. It knows nothing of CrewAI.
"""

from __future__ import annotations

from crew_repo.store.store import Store

__all__ = ["Store"]
