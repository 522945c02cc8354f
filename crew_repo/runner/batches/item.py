"""An entry of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crew_repo.runner.batches.crew_source import CrewSource
from crew_repo.runner.engine import Engine
from crew_repo.runner.request import Request

__all__ = ["Item"]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a batch."""

    number: int
    inputs: Mapping[str, Any] | None
    workflow_id: str | None

    def request(self, engine: Engine, crew: Any, source: CrewSource, options: Mapping[str, Any]) -> Request:
        """The request to run this entry on a crew from that source."""
        return engine.request(crew, self.inputs, workflow_id=self.workflow_id, source=source.name, **options)
