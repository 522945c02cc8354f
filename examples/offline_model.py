"""The model that the examples talk to: CrewAI's LLM where there is a key, else an offline stand-in.

The stand-in understands nothing. It finds policy numbers, dates, amounts and names in the prompt that CrewAI sends,
with the rules of offline_rules.py, and nowhere else: another note gives another answer. It asks for tools the way
models without native function calling do, and counts words as tokens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")  # the examples send nothing to CrewAI,
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")  # and do not ask whether they may

from crewai import LLM
from crewai.llms.base_llm import BaseLLM
from dotenv import find_dotenv, load_dotenv
from offline_rules import answer_to

LABEL = "offline model (no API key): answers are extracted by rules"
DIVIDER = "----------"  # CrewAI puts it between the outputs of two upstream tasks


def choose_model() -> BaseLLM:
    """CrewAI's LLM on any OpenAI-compatible endpoint if OPENAI_API_KEY is set (see .env.example), else OfflineModel."""
    load_dotenv(find_dotenv(usecwd=True))
    if not os.environ.get("OPENAI_API_KEY"):
        return OfflineModel(model="offline-rules")
    logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)  # it warns that it estimates prompt lengths
    name = os.environ.get("OPENAI_MODEL_NAME") or "gpt-4o-mini"
    return LLM(model=name, provider="openai", base_url=os.environ.get("OPENAI_BASE_URL") or None, temperature=0)


def label(model: BaseLLM) -> str:
    """One line that says who answers."""
    return LABEL if isinstance(model, OfflineModel) else f"{model.model} at {model.base_url or 'api.openai.com'}"


class OfflineModel(BaseLLM):
    """Answers by rules from the prompt it is given, after OFFLINE_SECONDS (0.3).

    Once a tool has answered it may take another time: OFFLINE_SECONDS_AFTER_A_TOOL.
    """

    def call(self, messages: str | list[dict[str, Any]], *_: Any, **__: Any) -> str:
        """The answer to the last prompt, as text; a tool is asked for as `Action: name` and `Action Input: {json}`."""
        prompt = Prompt.read(messages)
        seconds = os.environ.get("OFFLINE_SECONDS") or 0.3
        if prompt.observation is not None:
            seconds = os.environ.get("OFFLINE_SECONDS_AFTER_A_TOOL") or seconds
        time.sleep(float(seconds))
        answer = answer_to(prompt)
        if prompt.tools and not answer.startswith("Thought:"):
            answer = f"Thought: I now know the final answer\nFinal Answer: {answer}"
        self._count(prompt.words, len(answer.split()))
        return answer

    async def acall(self, messages: str | list[dict[str, Any]], *_: Any, **__: Any) -> str:
        """The answer of `call`, from a thread."""
        return await asyncio.to_thread(self.call, messages)

    def get_input_tokens_count(self, messages: Any, *_: Any, **__: Any) -> int:
        """The number of words."""
        return Prompt.read(messages).words

    def get_context_window_size(self) -> int:
        """More than any of the examples' prompts."""
        return 100_000

    def _count(self, prompt_words: int, answer_words: int) -> None:
        self._track_token_usage_internal(
            {
                "prompt_tokens": prompt_words,
                "completion_tokens": answer_words,
                "total_tokens": prompt_words + answer_words,
            }
        )


@dataclass(frozen=True)
class Prompt:
    """What CrewAI sends for a task, taken apart. `observation` is what the first tool said, if one was used."""

    task: str
    context: tuple[str, ...]
    tools: tuple[str, ...]
    observation: str | None
    words: int

    @classmethod
    def read(cls, messages: str | list[dict[str, Any]]) -> Prompt:
        """Take apart the messages of one call."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        texts = [(m["role"], str(m.get("content") or "")) for m in messages]
        everything = "\n".join(text for _, text in texts)
        user = next((text for role, text in texts if role == "user"), "")
        said = "\n".join(text for role, text in texts if role == "assistant")
        return cls(
            task=_between(user, "Current Task:", "This is the expected criteria for your final answer:"),
            context=_blocks(user),
            tools=tuple(re.findall(r"^Tool Name: (\S+)", everything, re.MULTILINE)),
            observation=said.partition("Observation:")[2].strip() if "Observation:" in said else None,
            words=len(everything.split()),
        )


def _blocks(user: str) -> tuple[str, ...]:
    text = _between(user, "This is the context you're working with:", "Begin! This is VERY important", missing="")
    text = text.removesuffix("Provide your complete response:")
    return tuple(block.strip() for block in text.split(DIVIDER) if block.strip())


def _between(text: str, start: str, end: str, *, missing: str | None = None) -> str:
    _, found, rest = text.partition(start)
    if not found:
        return text if missing is None else missing
    return rest.partition(end)[0].strip()
