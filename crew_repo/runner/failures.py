"""Storing an exception: without secrets, cut to a sensible length, its message once."""

from __future__ import annotations

import traceback
from collections.abc import Collection

from crew_repo import adapter
from crew_repo.model import Failure

__all__ = ["failure_from", "head_and_tail", "kept_elsewhere"]

_MESSAGE, _TRACEBACK, _AGAIN = 4_000, 16_000, 400  # characters
_MARGIN = 20_000  # masked beside what is kept, so that no secret is cut in two; a PEM block is shorter


def failure_from(error: BaseException, hidden: Collection[str]) -> Failure:
    """Type, message and traceback; what is left out in the middle of a long one is counted."""
    said = _said(error)
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    secrets = {*hidden, *adapter.secrets_of_error(error)}
    message = _masked(secrets, said, _MESSAGE)
    if len(said) > _AGAIN:
        text = text.replace(said, head_and_tail(message, _AGAIN))
    return Failure(type(error).__qualname__, message, _masked(secrets, text, _TRACEBACK))


def kept_elsewhere(failure: Failure, task_name: str) -> Failure:
    """A task's failure as the run that it ended has it: in short, since the task has the whole."""
    return Failure(failure.type, head_and_tail(failure.message, _AGAIN), f"kept with task {task_name}")


def head_and_tail(text: str, length: int) -> str:
    """A text of at most `length` characters; of a longer one head and tail, and how much stands between them."""
    if len(text) <= length:
        return text
    head, tail = text[: length // 2], text[len(text) - length // 2 :]
    return f"{head}\n[... {len(text) - len(head) - len(tail)} characters left out ...]\n{tail}"


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 - the user's own __str__; the error on its way is the one to keep
        return f"<its __str__ raised {type(failed).__name__}>"


def _masked(secrets: Collection[str], text: str, length: int) -> str:
    """A text without secrets; a huge one is cut before, wider than it is kept, since masking takes time."""
    half, wide = length // 2, length // 2 + _MARGIN
    if len(text) <= 2 * wide:
        return head_and_tail(str(adapter.without_secrets(secrets, text)), length)
    left_out = len(text) - length
    head, tail = adapter.without_secrets(secrets, [text[:wide], text[-wide:]])
    return f"{head[:half]}\n[... {left_out} characters left out ...]\n{tail[-half:]}"
