"""Enums that are, and print as, their text."""

from __future__ import annotations

from enum import Enum

__all__ = ["TextEnum"]


class TextEnum(str, Enum):
    """An enum whose members are, and print as, their text (Python 3.10 has no StrEnum)."""

    def __str__(self) -> str:
        return str(self.value)
