"""Runs alembic's revisions, without an alembic.ini, in the transaction that the caller has begun.

Revision 0007 leads to schema version 7. The version is kept by the dialect, so there is no `alembic_version` table.
Views and triggers are no part of a revision: see crew_repo.store.views.
"""

from __future__ import annotations

from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from crew_repo.errors import StoreOpenError

__all__ = ["migrate"]


def migrate(connection: Connection, found: int, wanted: int, folders: tuple[Path, ...]) -> None:
    """Upgrade the tables from version `found` to version `wanted`; 0 is an empty database. Does not commit."""
    scripts = ScriptDirectory(str(Path(__file__).parent), version_locations=[str(folder) for folder in folders])
    steps = {int(script.revision): script for script in scripts.walk_revisions()}
    missing = [version for version in range(found + 1, wanted + 1) if version not in steps]
    if missing:
        raise StoreOpenError(f"This crew_repo has no migration to schema version {missing[0]}; install it again")
    with Operations.context(MigrationContext.configure(connection)):
        for version in range(found + 1, wanted + 1):
            _upgrade(steps[version])


def _upgrade(script: Script) -> None:
    script.module.upgrade()
