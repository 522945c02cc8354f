"""A run that begins: what was asked, and by whom. Inputs are kept so that it can go on, and be compared, later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any

from crew_repo.model.text import TextEnum
from crew_repo.model.wording import shortened

__all__ = ["InputKind", "NewRun", "RunInput"]


class InputKind(TextEnum):
    """The way in which an input is kept. A file is kept by its hash alone, and what is withheld not at all."""

    TEXT = "text"
    JSON = "json"
    FILE = "file"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, repr=False)
class RunInput:
    """One input that a run was given, under its name.

    `text` is the text itself, or the JSON of another value; None for a file, for what is withheld, and where it was
    deleted from the state since. `sha256` is the hash of what was given, as components have it; `why` says why an input
    is withheld.
    """

    name: str
    kind: InputKind
    _: KW_ONLY
    sha256: str | None = None
    text: str | None = None
    why: str | None = None

    def __repr__(self) -> str:
        return f"<RunInput {shortened(self.name)!r}: {self.kind}>"

    @property
    def is_kept(self) -> bool:
        """Whether its value is stored."""
        return self.text is not None

    @property
    def value(self) -> Any:
        """The value as it was given. None where it is not kept: see `is_kept`."""
        if self.text is None:
            return None
        return self.text if self.kind is InputKind.TEXT else json.loads(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that begins, as it is written down before anything is executed.

    `owner` is the process that runs it, `facts` the versions of what it runs with, `task_names` all under which it may
    record something. `inputs` is None if they are not known. `source`: where its crew can be loaded from.
    """

    run_id: str
    workflow_id: str
    crew_name: str
    started_at: datetime
    owner: str
    facts: Mapping[str, str] = field(default_factory=dict)
    task_names: tuple[str, ...] | None = None
    inputs: tuple[RunInput, ...] | None = None
    source: str | None = None
