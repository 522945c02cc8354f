"""A run that was asked for, and who can run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from crew_repo.runner.options import RunOptions, check_workflow_id
from crew_repo.store import Store

__all__ = ["Request", "Runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A run that was asked for, and found to make sense. `source`: where its crew was loaded from."""

    crew: Any
    inputs: Mapping[str, Any] | None
    input_files: Mapping[str, Any] | None
    options: RunOptions
    quiet: bool = False
    source: str | None = None

    def alike(self, inputs: Mapping[str, Any] | None, workflow_id: str | None) -> Request:
        """The request to run the same crew in the same way, with other inputs in another workflow; they are checked."""
        from crew_repo import adapter

        options = replace(self.options, workflow_id=check_workflow_id(workflow_id, self.crew))
        return replace(self, inputs=adapter.check_inputs(inputs), options=options)

    @property
    def given(self) -> Mapping[str, Any]:
        """The inputs; where none are given, those of an earlier kickoff, which the texts of the crew still have."""
        from crew_repo import adapter

        left = self.inputs is None and not self.crew.before_kickoff_callbacks
        return adapter.crew_inputs(self.crew) if left else self.inputs or {}

    @property
    def files(self) -> dict[str, Any]:
        """The files that go with the prompts, by name."""
        from crew_repo import adapter

        return dict(adapter.files_in(self.inputs, self.input_files))

    def planned(self) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """The inputs and the files as the crew's before-kickoff callbacks would leave them."""
        from crew_repo import adapter

        inputs, files = adapter.planned_inputs(self.crew, self.inputs)
        return inputs, {**self.files, **files}


class Runs(Protocol):
    """Checks requests and runs them; `crew_repo.runner.engine.Engine` says how."""

    store: Store

    @property
    def request(self) -> Callable[..., Request]:
        """Checks a crew, its inputs, and how they are to be run."""

    def run(self, request: Request) -> Any:
        """Run a crew."""

    async def arun(self, request: Request) -> Any:
        """Run a crew on the event loop."""

    def run_now(self, request: Request) -> Any:
        """Run a crew whose request was checked."""

    async def arun_now(self, request: Request) -> Any:
        """Run a crew whose request was checked, on the event loop."""
