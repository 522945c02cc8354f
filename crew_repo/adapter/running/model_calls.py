"""Calls of models inside a task: each is known by its exact request, and answered from the journal if that has it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from crewai.llms.base_llm import BaseLLM

from crew_repo.adapter import private
from crew_repo.adapter.running.call_values import (
    Unkept,
    json_text,
    kept_text,
    numbered_ids,
    request_text,
    value_from,
)
from crew_repo.adapter.running.conversations import HERE, IN_MODEL_CALL, Conversation
from crew_repo.adapter.running.usage import counted
from crew_repo.canonical import seal
from crew_repo.model import CallKind, Usage

__all__ = ["met_model"]

_PARAMETERS = tuple(inspect.signature(BaseLLM.call).parameters)[1:]
_NO_MATTER = frozenset({"callbacks", "from_task", "from_agent"})


def met_model(llm: BaseLLM, original: Any, home: Conversation) -> Any:
    """Give `call` or `acall` of a model with the journal around it."""
    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def acall(*args: Any, **kwargs: Any) -> Any:
            call = _ModelCall.of(llm, home, args, kwargs)
            if call is None:
                return await original(*args, **kwargs)
            if call.known:
                return call.answer
            with call.made() as give:
                return give(await original(*args, **kwargs))

        return acall

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        met = _ModelCall.of(llm, home, args, kwargs)
        if met is None:
            return original(*args, **kwargs)
        if met.known:
            return met.answer
        with met.made() as give:
            return give(original(*args, **kwargs))

    return call


class _ModelCall:
    """One call of a model, the outermost: what it calls itself is a part of it."""

    def __init__(self, llm: BaseLLM, conversation: Conversation, given: dict[str, Any]) -> None:
        self._llm, self._conversation, self._keeper = llm, conversation, conversation.keeper
        self._classes = [given["response_model"]] if isinstance(given.get("response_model"), type) else []
        key = self._key(given)
        self._question = None if key is None else conversation.question(CallKind.MODEL, key)
        self.known, self.answer = False, None
        self._look_up()

    @classmethod
    def of(cls, llm: BaseLLM, home: Conversation, args: Any, kwargs: Any) -> _ModelCall | None:
        """The call, if there is a journal for it."""
        conversation = HERE.get(home)
        if conversation is None or IN_MODEL_CALL.get() or not conversation.keeper.is_open:
            return None
        return cls(llm, conversation, {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs})

    def _key(self, given: dict[str, Any]) -> str | None:
        """The hash of all that the model is asked. None for what cannot be told apart."""
        model, schema = self._keeper.hash_of_model(self._llm), given.pop("response_model", None)
        read_as = None if schema is None else self._keeper.hash_of_schema(schema)
        functions = (given.pop("available_functions", None) or {}).values()
        if model is None or (schema is not None and read_as is None) or not all(map(_is_crewais, functions)):
            return None
        asked = {name: value for name, value in given.items() if name not in _NO_MATTER and value is not None}
        stop = sorted(set(getattr(self._llm, "stop_sequences", None) or self._llm.stop or []))
        messages = asked.pop("messages") if type(asked.get("messages")) is list else []
        try:
            said, ids = self._conversation.messages.hash_of(messages)
            state, besides = json_text(private.conversation_state(self._llm)), numbered_ids(request_text(asked), ids)[0]
            return seal("model call", [self._conversation.path, model, read_as, stop, state, said, besides])
        except Unkept:
            return None

    def _look_up(self) -> None:
        kept = None if self._question is None else self._keeper.kept(self._question)
        if self._question is None or kept is None:
            return
        try:
            self.answer, state = value_from(kept.value, self._classes)
        except (Unkept, ValueError, TypeError):
            return
        self.known = True
        private.set_conversation_state(self._llm, state)
        self._conversation.answered(self._question, kept.value)
        self._conversation.cost(self._question, kept.usage)
        self._keeper.replayed(self._question, kept)

    @contextmanager
    def made(self) -> Iterator[Callable[[Any], Any]]:
        """Around a call that is made; gives the function that takes its answer."""

        def give(answer: Any) -> Any:
            given.append(answer)
            return answer

        given: list[Any] = []
        token = IN_MODEL_CALL.set(True)
        try:
            with counted() as meter:
                yield give
        except BaseException:
            self._conversation.begin_anew()
            self._keeper.raised()
            raise
        finally:
            IN_MODEL_CALL.reset(token)
        self._keep(given[0], meter.credited)

    def _keep(self, answer: Any, usage: Usage) -> None:
        if not answer:  # CrewAI takes it for a failed call
            self._conversation.begin_anew()
        text = self._value(answer) if answer and self._question is not None else None
        self._conversation.answered(self._question, text)
        self._conversation.cost(self._question, usage)
        if self._question is not None:
            self._keeper.made(self._question, CallKind.MODEL, text, usage)

    def _value(self, answer: Any) -> str | None:
        try:
            return kept_text([answer, private.conversation_state(self._llm)], self._classes)
        except Unkept:
            return None


def _is_crewais(function: Any) -> bool:
    return (getattr(function, "__module__", None) or "").partition(".")[0] == "crewai"
