"""Conversations: the calls inside one execution, and inside each tool call, and how one is told from another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from crewai.llms.base_llm import BaseLLM
from crewai.tools.base_tool import BaseTool
from crewai.utilities.string_utils import sanitize_tool_name

from crew_repo.adapter.running.messages import Messages
from crew_repo.canonical import seal
from crew_repo.model import CallKind, KeptCall, Usage

__all__ = ["HERE", "IN_MODEL_CALL", "TOOL_CALL", "Conversation", "Keeper", "Question", "drawn_id", "tool_call_key"]


class Keeper(Protocol):
    """The journal of one execution. `root` is what sets its requests apart from those under other policies."""

    root: str
    is_open: bool

    def hash_of_model(self, llm: BaseLLM) -> str | None:
        """The hash of a model, or None where not all of it can be hashed."""

    def hash_of_tool(self, tool: BaseTool) -> str | None:
        """The hash of a tool, or None where it cannot be kept."""

    def reruns(self, tool: BaseTool) -> bool:
        """Whether a tool is to be called anew, whatever is kept: its effect ends with the process."""

    def hash_of_schema(self, model: Any) -> str | None:
        """The hash of the class that an answer is read as."""

    def kept(self, question: Question) -> KeptCall | None:
        """The call that is kept of this request."""

    def replayed(self, question: Question, call: KeptCall) -> None:
        """A kept call was given in place of a new one."""

    def made(self, question: Question, kind: CallKind, text: str | None, usage: Usage) -> None:
        """A call was made anew, and gave this; None for what cannot be kept."""

    def raised(self) -> None:
        """A call that was made anew has raised an exception."""

    def identity(self, question: Question) -> str:
        """The key of a tool call for others, equal in every run that goes on with this execution."""


class Question(NamedTuple):
    """A request that can be told from every other: its hash, and the number of equal ones so far."""

    kind: CallKind
    key: str
    occurrence: int

    @property
    def path(self) -> str:
        """The hash that says both."""
        return seal("call", [self.key, self.occurrence])


class Answer(NamedTuple):
    """The answer that a tool is asked for by: a hash of question and answer, and its text."""

    sha256: str
    text: str


@dataclass(slots=True, eq=False)
class Conversation:
    """A sequence of calls: that of a task, or what happens inside one tool call. `failed`: its last model call did."""

    keeper: Keeper
    path: str
    last: Answer | None = None
    failed: bool = False
    messages: Messages = field(default_factory=Messages)
    _costs: dict[Question | None, Usage] = field(default_factory=dict)
    _counted: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def question(self, kind: CallKind, key: str) -> Question:
        """Number a request: the same bytes asked again on purpose are another question."""
        with self._lock:
            self._counted[key] += 1
            return Question(kind, key, self._counted[key])

    def begin_anew(self) -> None:
        """After a failed model call: CrewAI starts at the top again, and is answered up to there."""
        with self._lock:
            self._counted.clear()
            self.failed = True

    def cost(self, question: Question | None, usage: Usage) -> None:
        """Note what an answer cost, in this run or in an earlier one; an answer that is given twice cost it once."""
        with self._lock:
            known = self._costs.get(question) if question is None else None
            self._costs[question] = usage if known is None else known + usage

    @property
    def spent(self) -> Usage:
        """The cost of all answers in it, also of those in the tool calls that it made."""
        with self._lock:
            return sum(self._costs.values(), Usage())

    def answered(self, question: Question | None, text: str | None) -> None:
        """Note who may ask for tools next, in this thread, and else in this conversation."""
        self.last = None
        if question is not None and text is not None:
            self.last = Answer(seal("answer", [question.path, text]), text)
            self.failed = False
        _asked.set((self, threading.get_ident(), self.last))

    def asking(self, tool: BaseTool) -> Answer | None:
        """The answer that asked for a tool: the last of this thread, else the last of all, if it does ask for it."""
        whose, thread, here = _asked.get() or (None, 0, None)
        answers = (here if whose is self and thread == threading.get_ident() else None, self.last)
        return next((answer for answer in answers if answer is not None and _asks_for(tool, answer.text)), None)


def _asks_for(tool: BaseTool, text: str) -> bool:
    """Whether an answer, as it is kept, names a tool: in a list of tool calls, or in a line that begins `Action:`."""
    named = text.lower() if not text.startswith('["') else text.lower().partition("action:")[2]
    return tool.name.lower() in named or sanitize_tool_name(tool.name).lower() in named


HERE: ContextVar[Conversation | None] = ContextVar("crew_repo_conversation", default=None)
"""The conversation that the calls in this context belong to."""
IN_MODEL_CALL: ContextVar[bool] = ContextVar("crew_repo_in_model_call", default=False)
"""Whether a call of a model is being made: what it calls itself is a part of it."""
TOOL_CALL: ContextVar[Callable[[], str] | None] = ContextVar("crew_repo_tool_call", default=None)
"""What gives the key of the tool call that is being made."""
_asked: ContextVar[tuple[Conversation, int, Answer | None] | None] = ContextVar("crew_repo_asked", default=None)


def drawn_id() -> str | None:
    """A name for a large tool result, equal when the task goes on: models are told it, and so it is in requests."""
    conversation = HERE.get()
    if conversation is None or conversation.last is None:
        return None
    return conversation.question(CallKind.TOOL, seal("large result", [conversation.last.sha256])).path[:22]


def tool_call_key() -> str | None:
    """The key of the tool call that is being executed, for services that take an idempotency key.

    It stays the same when a task that was killed inside this tool goes on and calls it again. Each other call has
    another one. None outside of a task that a StateRepository executes, and where a call cannot be told from others.
    """
    key = TOOL_CALL.get()
    return None if key is None else key()
