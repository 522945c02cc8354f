"""Running one crew for many inputs. Nothing is imported here until that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crewai import Crew

    from crew_repo.policy import TaskPolicy
    from crew_repo.runner.batches.batch import OnError
    from crew_repo.runner.engine import Engine

__all__ = ["BatchRuns"]


class BatchRuns:
    """The part of a StateRepository that runs a crew for each of many inputs."""

    _engine: Engine

    def run_for_each(
        self,
        crew: Crew | Callable[[], Crew] | str,
        inputs_list: Iterable[Mapping[str, Any] | None],
        *,
        workflow_ids: Iterable[str] | None = None,
        executor: Executor | None = None,
        max_workers: int | None = None,
        on_error: OnError = "raise",
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        input_files: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Run a crew for each of many inputs. Returns the results in the order of the inputs.

        `crew` is a crew (copied for each concurrent run), a function that builds one, or `package.module:attribute`.
        An item whose tasks are all fresh needs no kickoff; of a list, many such items are looked at together. If a
        batch was killed, call this again: what had finished is reused.

        - `workflow_ids`: one per item. Default: the crew's name for all. Even then no item gets the answer of another
          one: a record is found by all that its task was asked.
        - `executor`: any `concurrent.futures.Executor`. The worker then builds the crew, so pass a function of a module
          or a name. Default: `max_workers` threads (4).
        - `on_error`: "raise" raises the first exception, after the running items have finished. "keep" puts each
          exception in the place of its result.
        - `force`, `policies` and `input_files`: as in `run`, for every item.
        """
        return list(
            self.iter_for_each(
                crew,
                inputs_list,
                workflow_ids=workflow_ids,
                executor=executor,
                max_workers=max_workers,
                on_error=on_error,
                force=force,
                policies=policies,
                input_files=input_files,
            )
        )

    def iter_for_each(
        self,
        crew: Crew | Callable[[], Crew] | str,
        inputs_list: Iterable[Mapping[str, Any] | None],
        *,
        workflow_ids: Iterable[str] | None = None,
        executor: Executor | None = None,
        max_workers: int | None = None,
        on_error: OnError = "raise",
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        input_files: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]:
        """Give the results of `run_for_each` one at a time.

        `inputs_list` may be a generator, of which no more than two items per worker are taken ahead. Memory does not
        grow with the number of items.
        """
        from crew_repo.runner.batches.batch import checked_batch, run_items
        from crew_repo.runner.engine import refuse_running_loop

        refuse_running_loop("results = await repo.arun_for_each(crew, inputs_list)")
        batch = checked_batch(
            self._engine,
            crew,
            inputs_list,
            workflow_ids=workflow_ids,
            executor=executor,
            max_workers=max_workers,
            on_error=on_error,
            force=force,
            policies=policies,
            input_files=input_files,
        )
        return run_items(batch)

    async def arun_for_each(
        self,
        crew: Crew | Callable[[], Crew] | str,
        inputs_list: Iterable[Mapping[str, Any] | None],
        *,
        workflow_ids: Iterable[str] | None = None,
        max_workers: int | None = None,
        on_error: OnError = "raise",
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        input_files: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Do what `run_for_each` does on this event loop, with CrewAI's native async kickoff.

        At most `max_workers` (4) items run at a time.
        """
        from crew_repo.runner.batches.async_batch import arun_items
        from crew_repo.runner.batches.batch import checked_batch

        return await arun_items(
            checked_batch(
                self._engine,
                crew,
                inputs_list,
                workflow_ids=workflow_ids,
                max_workers=max_workers,
                on_error=on_error,
                force=force,
                policies=policies,
                input_files=input_files,
            )
        )
