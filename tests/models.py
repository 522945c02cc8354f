"""Models for tests: they answer from the prompt that they are given, so that another prompt gives another answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any

from crewai.llms.base_llm import BaseLLM
from pydantic import PrivateAttr


class PromptModel(BaseLLM):
    """Answers with a digest of its prompt, or with the first scripted answer whose key the prompt contains.

    Each call is noted in `calls`: the marks `<<...>>` in the prompt say for which task it was.
    """

    script: dict[str, Any] = {}
    _calls: list[str] = PrivateAttr(default_factory=list)

    @property
    def calls(self) -> list[str]:
        """One text per call: what the model was sent."""
        return self._calls

    def called_for(self) -> list[str]:
        """The `<<marks>>` of the calls since the last `forget`, in order, each once."""
        marks = [mark for call in self._calls for mark in re.findall(r"Current Task:.*?<<(.*?)>>", call, re.S)[:1]]
        return list(dict.fromkeys(marks))

    def forget(self) -> None:
        """Forget the calls."""
        self._calls.clear()

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        """Answer, and count words as tokens."""
        prompt = messages if isinstance(messages, str) else json.dumps(messages, ensure_ascii=False, default=str)
        self._calls.append(prompt)
        answer = self.answer(prompt)
        words = len(prompt.split())
        self._track_token_usage_internal(
            {"prompt_tokens": words, "completion_tokens": 5, "total_tokens": words + 5}
        )
        return answer

    async def acall(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        """The same in a thread; CrewAI before 1.14 does not do so by itself."""
        return await asyncio.to_thread(self.call, messages, *args, **kwargs)

    def answer(self, prompt: str) -> str:
        """The answer to a prompt."""
        for key, scripted in self.script.items():
            if key in prompt:
                text = scripted(prompt) if callable(scripted) else scripted
                break
        else:
            text = f"answer {hashlib.sha256(prompt.encode()).hexdigest()[:12]}"
        return text if text.startswith(("Thought:", "Action:")) else f"Thought: I know.\nFinal Answer: {text}"

    def supports_function_calling(self) -> bool:
        """No: the ReAct text protocol."""
        return False
