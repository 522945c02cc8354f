"""An OpenAI-compatible endpoint on this machine, which answers by the rules of the examples' offline model."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.endpoints import JsonHandler, address_of, in_thread
from tests.playing import EXAMPLES

__all__ = ["offline_endpoint"]


@contextmanager
def offline_endpoint() -> Iterator[str]:
    """The base URL of an endpoint, until the block ends."""
    with in_thread(_Endpoint) as server:
        yield f"{address_of(server)}/v1"


class _Endpoint(JsonHandler):
    def do_POST(self) -> None:
        self.reply(json.dumps(_completion(self.received())))


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": _answer(request)}
    wanted = re.search(r"Action: (\S+)\nAction Input: (.*)", message["content"])
    if wanted:
        call = {"name": wanted.group(1), "arguments": wanted.group(2)}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        }
    return {
        "id": "completion",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if wanted else "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def _answer(request: dict[str, Any]) -> str:
    sys.path.insert(0, str(EXAMPLES))
    try:
        from offline_model import Prompt
        from offline_rules import answer_to
    finally:
        sys.path.remove(str(EXAMPLES))
    messages = request["messages"]
    prompt = Prompt.read(messages)
    tools = tuple(tool["function"]["name"] for tool in request.get("tools", ()))
    said = next((str(message["content"]) for message in messages if message["role"] == "tool"), None)
    if "Current Task:" not in str(messages):  # CrewAI asks to bring an answer into its schema
        return str(messages[-1]["content"])
    return answer_to(Prompt(prompt.task, prompt.context, tools, said, prompt.words))
