"""Where the state is kept: a path, or a SQLAlchemy URL, or what the environment says."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crew_repo.errors import StoreOpenError

__all__ = ["DEFAULT_FILE", "URL_VARIABLE", "package_version", "resolve_url"]

URL_VARIABLE = "CREW_REPO_URL"
DEFAULT_FILE = "crew_state.db"


def package_version() -> str:
    """The version of the installed package; of a source tree that is not installed, `0+unknown`."""
    try:
        return version("crew-repo")
    except PackageNotFoundError:
        return "0+unknown"


def resolve_url(target: str | os.PathLike[str] | None) -> str:
    """A SQLAlchemy URL for a path, a URL, or None.

    None reads `CREW_REPO_URL` from the environment, then from a `.env` file here, else it is
    `crew_state.db` here. A path becomes absolute, so that a later change of folder changes nothing.
    """
    chosen = _from_environment() if target is None else target
    chosen = os.fspath(chosen) if isinstance(chosen, os.PathLike) else chosen
    if not isinstance(chosen, str) or not chosen or "\0" in chosen:
        raise StoreOpenError(f"The target of a StateRepository is {target!r}; give a path or a SQLAlchemy URL")
    if chosen == ":memory:" or chosen.startswith("sqlite:///:memory:") or chosen == "sqlite://":
        raise StoreOpenError("A database in memory would lose everything with the process; give a path")
    if "://" in chosen:
        return _absolute(chosen)
    return f"sqlite:///{Path(chosen).expanduser().absolute()}"


def _from_environment() -> str:
    from dotenv import dotenv_values, find_dotenv

    return (
        os.environ.get(URL_VARIABLE) or dotenv_values(find_dotenv(usecwd=True)).get(URL_VARIABLE) or DEFAULT_FILE
    )


def _absolute(url: str) -> str:
    """The same URL; a relative SQLite path in it becomes absolute."""
    if url.startswith("postgresql://") or url.startswith("postgres://"):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    for prefix in ("sqlite:///", "sqlite+pysqlite:///"):
        if url.startswith(prefix):
            return f"sqlite:///{Path(url.removeprefix(prefix)).absolute()}"
    return url
