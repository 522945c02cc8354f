"""Calls of tools inside a task: each is known by the answer that asked for it, its tool and its arguments."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from crewai.tools.agent_tools.base_agent_tools import BaseAgentTool
from crewai.tools.base_tool import BaseTool
from crewai.utilities.string_utils import sanitize_tool_name

from crew_repo.adapter import private
from crew_repo.adapter.running.call_values import (
    Unkept,
    error_from,
    error_text,
    json_text,
    kept_text,
    value_from,
    was_raised,
)
from crew_repo.adapter.running.conversations import HERE, IN_MODEL_CALL, TOOL_CALL, Conversation, Question
from crew_repo.canonical import seal
from crew_repo.model import CallKind, KeptCall, Usage

__all__ = ["is_named", "is_remembered", "met_tool"]


def met_tool(tool: BaseTool, original: Any, home: Conversation) -> Any:
    """Give `_run` of a tool, or its like, with the journal around it."""
    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            call = _ToolCall.of(tool, home, args, kwargs)
            if call is None:
                with _apart():
                    return await original(*args, **kwargs)
            return call.result() if call.kept is not None else await call.awaited(original(*args, **kwargs))

        return arun

    @wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        call = _ToolCall.of(tool, home, args, kwargs)
        if call is None:
            with _apart():
                return original(*args, **kwargs)
        if call.kept is not None:
            return call.result()
        with call.made() as give:
            result = original(*args, **kwargs)
            return give(result) if not asyncio.iscoroutine(result) else call.awaited(result)

    return run


def is_named(tool: BaseTool, names: Collection[str]) -> bool:
    """Whether a tool has one of these names, as it is written or as models are told it."""
    return tool.name in names or sanitize_tool_name(tool.name) in names


def is_remembered(tool: BaseTool) -> bool:
    """Whether a tool asks agents that remember, within a task, what they were asked before, as in CrewAI 1.13."""
    asked = tool.agents if isinstance(tool, BaseAgentTool) else ()
    classes = (getattr(agent, "executor_class", None) for agent in asked)
    return any(cls is not None and not private.refuses_a_second_use(cls) for cls in classes)


@contextmanager
def _apart() -> Iterator[None]:
    """Around a call that cannot be told from others: what it calls itself is not kept either."""
    token = HERE.set(None)
    try:
        yield
    finally:
        HERE.reset(token)


class _ToolCall:
    """One call of a tool that an answer has asked for."""

    def __init__(self, tool: BaseTool, conversation: Conversation, question: Question) -> None:
        self._keeper, self._conversation, self._question = conversation.keeper, conversation, question
        schema = getattr(tool, "result_schema", None)
        self._classes = [schema] if isinstance(schema, type) else []
        self._reruns = self._keeper.reruns(tool)
        self.kept = None if self._reruns else self._keeper.kept(question)
        self._result: Any = None
        self._raises = False
        if self.kept is not None:
            try:
                self._result = self._value(self.kept)
            except (Unkept, ValueError, TypeError):
                self.kept = None

    @classmethod
    def of(cls, tool: BaseTool, home: Conversation, args: Any, kwargs: Any) -> _ToolCall | None:
        """The call, if there is a journal for it, and it is known who asks for it."""
        conversation = HERE.get(home)
        if conversation is None or IN_MODEL_CALL.get() or not conversation.keeper.is_open:
            return None
        keeper, asking = conversation.keeper, conversation.asking(tool)
        if asking is None:
            return None
        code = keeper.hash_of_tool(tool)
        try:
            asked = json_text([args, kwargs])
        except Unkept:
            return None
        if code is None:
            return None
        key = seal("tool call", [conversation.path, asking.sha256, tool.name, code, asked])
        return cls(tool, conversation, conversation.question(CallKind.TOOL, key))

    def _value(self, kept: KeptCall) -> Any:
        self._raises = was_raised(kept.value)
        return error_from(kept.value) if self._raises else value_from(kept.value, self._classes)

    def result(self) -> Any:
        """The kept result; a kept exception is raised."""
        assert self.kept is not None  # noqa: S101 - who asks has looked
        self._keeper.replayed(self._question, self.kept)
        self._conversation.cost(self._question, self.kept.usage)
        if self._raises:
            raise self._result
        return self._result

    async def awaited(self, coroutine: Any) -> Any:
        """Await a result that comes later."""
        with self.made() as give:
            return give(await coroutine)

    @contextmanager
    def made(self) -> Iterator[Callable[[Any], Any]]:
        """Around a call that is made; gives the function that takes its result. Without one, it comes later."""

        def give(result: Any) -> Any:
            given.append(result)
            return result

        given: list[Any] = []
        inner = Conversation(self._keeper, self._question.path)
        inside = HERE.set(inner)
        named = TOOL_CALL.set(partial(self._keeper.identity, self._question))
        try:
            yield give
        except Exception as error:
            self._keep(CallKind.ERROR, partial(error_text, error), inner.spent)
            self._keeper.raised()
            raise
        finally:
            HERE.reset(inside)
            TOOL_CALL.reset(named)
        for result in given:
            failed = inner.failed or type(result).__name__ == "ToolFailure"  # a delegation tells its failure as a text
            kind = CallKind.ERROR if failed else CallKind.TOOL
            self._keep(kind, partial(kept_text, result, self._classes), inner.spent)

    def _keep(self, kind: CallKind, text: Callable[[], str], usage: Usage) -> None:
        try:
            value = None if self._reruns else text()
        except Unkept:
            value = None
        self._conversation.cost(self._question, usage)
        self._keeper.made(self._question, kind, value, usage)
