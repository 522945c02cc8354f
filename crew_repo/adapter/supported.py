"""Supported versions of CrewAI. They are checked before anything of CrewAI is used."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from crew_repo.errors import UnsupportedCrewAIError

__all__ = ["check_version", "joins_forget", "unsupported"]

_OLDEST, _TOO_NEW = (1, 13), (2,)
_WORDS = "crew_repo works with CrewAI 1.13 to 1.15 (the suite passes on 1.13.0, 1.14.7 and 1.15.30)"


def check_version() -> None:
    """Raise UnsupportedCrewAIError if the installed CrewAI is none, older than 1.13, or 2 and later."""
    found = _installed()
    if found is None or not _OLDEST <= _numbers(found) < _TOO_NEW:
        raise unsupported(None)


@cache
def joins_forget() -> bool:
    """Whether CrewAI throws away what tasks said before async ones, when it joins these: it does up to 1.14.1."""
    return _numbers(version("crewai")) < (1, 14, 2)


def unsupported(lacking: object) -> UnsupportedCrewAIError:
    """The error for the installed CrewAI; `lacking` says what it does not have that it should."""
    found = _installed()
    installed = "is not installed" if found is None else f"{found} is installed"
    missing = f", which lacks something that is needed ({lacking})" if lacking else ""
    return UnsupportedCrewAIError(
        f"CrewAI {installed}{missing}. {_WORDS}. Install one of those: pip install 'crewai>=1.13,<1.16'"
    )


def _installed() -> str | None:
    try:
        return version("crewai")
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: `1.15.0a2` is (1, 15)."""
    numbers = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
