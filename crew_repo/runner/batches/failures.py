"""Which item of a batch an exception is of: on the exception itself, and in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["item_in_words", "name_item", "named_item"]


@contextmanager
def named_item(number: int, workflow_id: str | None) -> Iterator[None]:
    """Give an exception of this item its `workflow_id` and its place, `batch_item`; its traceback says both."""
    try:
        yield
    except Exception as error:
        name_item(error, number, workflow_id)
        raise


def name_item(error: BaseException, number: int, workflow_id: str | None) -> str | None:
    """Name the item, unless the exception has another meaning for these words, or takes no attributes.

    Its workflow is returned, as far as it is known.
    """
    if hasattr(error, "workflow_id") and not hasattr(error, "batch_item"):
        return workflow_id
    known = workflow_id if workflow_id is not None else getattr(error, "workflow_id", None)
    note = f"crew_repo: this is {item_in_words(number, known)}"
    with suppress(Exception):
        error.batch_item, error.workflow_id = number, known  # type: ignore[attr-defined]
        notes = [each for each in getattr(error, "__notes__", []) if not each.startswith("crew_repo: this is ")]
        setattr(error, "__notes__", [*notes, note])  # noqa: B010 - as `add_note` does, which Python 3.10 lacks
    return known


def item_in_words(number: int, workflow_id: str | None) -> str:
    """The place of an item in the list that was given, and its workflow."""
    return f"inputs_list[{number}] of the batch" + (f", workflow {workflow_id!r}" if workflow_id is not None else "")
