"""Calls inside a task: here crew_repo meets each call of a model and of a tool, and answers those that it knows.

For the length of an execution the two classes that all models and tools derive from give, in the context of that
execution, `call`, `_run` and their like with the journal around them. No object and no class of the user's is touched,
so that copies, hashes and other crews see nothing of it. Calls that such a call makes itself are a part of it.

A model call is known by its exact request, and a tool call by the answer that asked for it; so no order is assumed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.tools.base_tool import BaseTool

from crew_repo.adapter import private
from crew_repo.adapter.running.conversations import HERE, Conversation, Keeper, drawn_id
from crew_repo.adapter.running.model_calls import met_model
from crew_repo.adapter.running.tool_calls import met_tool

__all__ = ["journaled"]

_MODEL_CALLS, _TOOL_CALLS = frozenset({"call", "acall"}), frozenset({"_run", "_arun", "func"})


@contextmanager
def journaled(keeper: Keeper | None) -> Iterator[None]:
    """Around the execution of a task: its calls are the keeper's. None: they are nobody's, whatever is around."""
    token = HERE.set(None if keeper is None else Conversation(keeper, keeper.root))
    try:
        if keeper is None:
            yield
        else:
            with _meeting:
                yield
    finally:
        HERE.reset(token)


class _Meeting:
    """The two base classes give methods with the journal around them while any execution is open."""

    def __init__(self) -> None:
        self._lock, self._open, self._ids = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            _meet(BaseLLM, _MODEL_CALLS, met_model)
            _meet(BaseTool, _TOOL_CALLS, met_tool)
            if not self._open:
                self._ids.enter_context(private.draw_ids_from(drawn_id))
            self._open += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                for cls in (BaseLLM, BaseTool):
                    del cls.__getattribute__
                self._ids.close()


_meeting = _Meeting()


def _meet(cls: Any, names: frozenset[str], met: Callable[[Any, Any, Conversation], Any]) -> None:
    """Have a class give these methods as `met` makes them; nothing is done where it does, also after an interrupt."""
    plain = cls.__getattribute__
    if getattr(plain, "__module__", None) == __name__:
        return

    def get(self: Any, name: str) -> Any:
        found = plain(self, name)
        if name in names and (conversation := HERE.get()) is not None and callable(found):
            return met(self, found, conversation)
        return found

    cls.__getattribute__ = get
